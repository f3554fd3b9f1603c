"""What LangChain adds to the arguments of a call: its own arguments, schemas, and what its tracers may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import Secret

from cfaig_integrations.adapters.arguments import CallArguments, output_schema, split_arguments
from cfaig_integrations.adapters.tools import closed_schema
from cfaig_integrations.core.chat import OutputSchema
from cfaig_integrations.errors import ConfigError, shown
from cfaig_integrations.langchain.errors import NOT_CONVERTED

USE_PREVIOUS = "use_previous_response_id"
STRICT = "strict"
_NOT_SENT = frozenset({"stream", "streaming", "output_version", STRICT, USE_PREVIOUS})
"""Words that speak to langchain-core or to this package, not to a model."""
_HEADERS = "extra_headers"
_HIDDEN = "**********"
_SECRETS = frozenset({"authorization", "authorization_token", "headers"})
"""Keys of OpenAI's and Anthropic's objects for MCP servers that hold secrets."""
_WITH_SCHEMAS = frozenset({"tools", "response_format"})
"""Words whose schemas may name a property so; tools are looked at from the outside."""


def langchain_arguments(kwargs: Mapping[str, Any]) -> CallArguments:
    """Tells the arguments of a call apart.

    Raises:
        ConfigError: One of them belongs to the constructor.
    """
    sent = {word: value for word, value in kwargs.items() if not word.startswith("ls_") and word not in _NOT_SENT}
    for word, value in sent.items():
        if isinstance(value, Secret):
            sent[word] = value.get_secret_value()
    return split_arguments(sent, remedy="Give it to the constructor, or call model.model_copy(update={'{name}': ...}).")


def sealed(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """A call's arguments, closed where they hold secrets: core shows tracers all that it is given."""
    traced = for_traces(kwargs)
    return {word: value if traced[word] == value else Secret(value) for word, value in kwargs.items()}


def for_traces(params: Mapping[str, Any]) -> dict[str, Any]:
    """A call's arguments without the secrets in headers and in what is said of MCP servers."""
    headers, tools = params.get(_HEADERS), params.get("tools")
    traced = {word: value if word in _WITH_SCHEMAS else _without_secrets(value) for word, value in params.items()}
    if headers:
        traced[_HEADERS] = (
            dict.fromkeys(cast("Mapping[str, Any]", headers), _HIDDEN) if isinstance(headers, Mapping) else _HIDDEN
        )
    if isinstance(tools, Sequence):
        traced["tools"] = [_hidden(cast("dict[str, Any]", tool)) if isinstance(tool, dict) else tool for tool in tools]  # pyright: ignore[reportUnknownVariableType]
    return traced


def _hidden(known: dict[str, Any]) -> dict[str, Any]:
    if known.keys().isdisjoint(_SECRETS):
        return known
    return {key: _HIDDEN if key in _SECRETS else value for key, value in known.items()}


def _without_secrets(value: Any) -> Any:
    match value:
        case dict():
            known = cast("dict[str, Any]", value)
            return _hidden({key: _without_secrets(inner) for key, inner in known.items()})
        case list():
            return [_without_secrets(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType]  # a user's list
        case _:
            return value


def to_output(wanted: Any, strict: bool | None = None) -> OutputSchema | None:
    """A `response_format` in OpenAI's form, or a schema by itself.

    Args:
        wanted: The form or the schema.
        strict: Whether the server must enforce a schema by itself; a form says that in its own words.

    Raises:
        ConfigError: It is of no known form.
    """
    match wanted:
        case type() | {"title": str()} | {"properties": {}}:
            try:
                schema = convert_to_json_schema(wanted)
            except NOT_CONVERTED as error:
                raise ConfigError(
                    f"response_format {shown(wanted)} is not a schema: {error}",
                    field="response_format",
                    value=wanted,
                    remedy="Give a pydantic class, a TypedDict or a JSON schema.",
                ) from error
            ready = closed_schema(schema) if strict else schema
            return OutputSchema(ready, str(schema.get("title") or "answer"), strict=strict)
        case _:
            return output_schema(wanted)
