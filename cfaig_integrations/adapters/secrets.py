"""Secrets in the arguments of a user: headers, and credentials of MCP servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeAlias, cast

from pydantic import AfterValidator, BeforeValidator

from cfaig_integrations.gateway.failures.redaction import HiddenText, revealed

Headers: TypeAlias = dict[str, Annotated[str, BeforeValidator(revealed), AfterValidator(HiddenText)]]
"""Request headers, whose values, texts or secrets, no repr shows."""
_HEADERS = "extra_headers"
_MASK = "**********"
_KEYS = frozenset({"authorization", "authorization_token", "headers"})
"""Keys of OpenAI's and Anthropic's objects for MCP servers that hold secrets."""
_WITH_SCHEMAS = frozenset({"tools", "response_format"})
"""Arguments in whose schemas a property may have such a name; of tools only the outermost keys are hidden."""


def for_traces(params: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a model or a call without the secrets in headers and in objects for MCP servers."""
    headers, tools = params.get(_HEADERS), params.get("tools")
    traced = {name: value if name in _WITH_SCHEMAS else _without_secrets(value) for name, value in params.items()}
    if headers:
        traced[_HEADERS] = (
            dict.fromkeys(cast("Mapping[str, Any]", headers), _MASK) if isinstance(headers, Mapping) else _MASK
        )
    if isinstance(tools, Sequence):
        traced["tools"] = [_masked(cast("dict[str, Any]", tool)) if isinstance(tool, dict) else tool for tool in tools]  # pyright: ignore[reportUnknownVariableType]
    return traced


def _masked(values: dict[str, Any]) -> dict[str, Any]:
    """An object without the secrets under its own keys."""
    if values.keys().isdisjoint(_KEYS):
        return values
    return {key: _MASK if key in _KEYS else value for key, value in values.items()}


def _without_secrets(value: Any) -> Any:
    """A JSON value without secrets at any depth."""
    match value:
        case dict():
            values = cast("dict[str, Any]", value)
            return _masked({key: _without_secrets(inner) for key, inner in values.items()})
        case list():
            return [_without_secrets(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType]  # a user's list
        case tuple():
            return tuple([_without_secrets(inner) for inner in value])  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value
