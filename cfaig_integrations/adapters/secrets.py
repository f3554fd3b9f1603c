"""Secrets in the arguments of a user: headers, and credentials of MCP servers."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, cast

from pydantic import AfterValidator, BeforeValidator

from cfaig_integrations.gateway.failures.redaction import HiddenText, revealed

__all__ = ["MASK", "Headers", "masked", "revealed", "without_secrets"]

Headers: TypeAlias = dict[str, Annotated[str, BeforeValidator(revealed), AfterValidator(HiddenText)]]
"""Request headers, whose values, texts or secrets, no repr shows."""
MASK = "**********"
_KEYS = frozenset({"authorization", "authorization_token", "headers"})
"""Keys of OpenAI's and Anthropic's objects for MCP servers that hold secrets."""


def masked(values: dict[str, Any]) -> dict[str, Any]:
    """An object without the secrets under its own keys."""
    if values.keys().isdisjoint(_KEYS):
        return values
    return {key: MASK if key in _KEYS else value for key, value in values.items()}


def without_secrets(value: Any) -> Any:
    """A JSON value without secrets at any depth."""
    match value:
        case dict():
            values = cast("dict[str, Any]", value)
            return masked({key: without_secrets(inner) for key, inner in values.items()})
        case list():
            return [without_secrets(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType]  # a user's list
        case _:
            return value
