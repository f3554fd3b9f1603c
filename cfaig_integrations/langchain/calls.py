"""One call of a chat model: the model's own fields, what the caller added, and the messages, as a request.

Knows LangChain's call arguments; knows no wire and does no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from langchain_core.messages import BaseMessage
from langchain_core.utils.function_calling import convert_to_json_schema

from cfaig_integrations.core.chat import ChatRequest, OutputSchema
from cfaig_integrations.core.content import Wire
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.connection import Api, CallOptions
from cfaig_integrations.gateway.context import current
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.langchain.fields import ALIASES, CONNECTION_WORDS
from cfaig_integrations.langchain.inbound import to_turns
from cfaig_integrations.langchain.runinfo import RunEntries
from cfaig_integrations.langchain.tools import to_choice, to_parallel, to_specs

REQUEST_WORDS = (
    "temperature",
    "max_tokens",
    "top_p",
    "top_k",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "n",
    "logprobs",
    "top_logprobs",
    "reasoning_effort",
    "thinking",
    "reasoning",
    "service_tier",
    "store",
    "stream_usage",
)
"""Fields of the model that a call may override, under the same name in the request."""
_CALL_WORDS = frozenset(
    {
        *REQUEST_WORDS,
        "model",
        "api",
        "stop",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "previous_response_id",
        "gateway",
        "gateway_metadata",
        "extra_headers",
        "extra_body",
        "timeout",
    }
)
_NOT_SENT = frozenset({"stream", "streaming", "output_version", "strict"})
"""Words that speak to langchain-core, not to a model."""
_CONSTRUCTOR_WORDS = CONNECTION_WORDS - _CALL_WORDS
"""Words that a call cannot change; one of them is the token, which must never stand in a body."""

_APIS: tuple[str, ...] = ("auto", *get_args(Wire))
_HIDDEN = "**********"
_SECRETS_OF_TOOLS = frozenset({"authorization", "headers"})


@dataclass(frozen=True, slots=True)
class Given:
    """What a call was given.

    Attributes:
        words: Arguments that this package knows, under their own names.
        body: All others; they go into the request body as they are.
    """

    words: Mapping[str, Any]
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])


def sort_words(kwargs: Mapping[str, Any]) -> Given:
    """Tells the arguments of a call apart.

    Raises:
        ConfigError: One of them belongs to the constructor.
    """
    words: dict[str, Any] = {}
    body: dict[str, Any] = {}
    for word, value in kwargs.items():
        ours = ALIASES.get(word, word)
        if ours in _CALL_WORDS:
            words[ours] = value
        elif ours in _CONSTRUCTOR_WORDS:
            raise ConfigError(
                f"{word!r} cannot be changed for one call.",
                field=word,
                remedy=f"Give it to the constructor, or call model.model_copy(update={{{ours!r}: ...}}).",
            )
        elif not word.startswith("ls_") and word not in _NOT_SENT:
            body[word] = value
    return Given(words, body)


def to_request(
    own: Mapping[str, Any], given: Given, messages: Sequence[BaseMessage], stop: Sequence[str] | None
) -> ChatRequest:
    """The request of a call.

    Args:
        own: The model's own fields.
        given: What the call adds.
        messages: The conversation.
        stop: Stop texts of the call.

    Raises:
        ConfigError: Something in it cannot be right.
        UnsupportedContent: A message holds a block that is not known.
    """
    words = given.words
    tools = to_specs(words.get("tools"))
    sampling = {word: words[word] if word in words else own[word] for word in REQUEST_WORDS}
    return ChatRequest(
        model=words.get("model") or own["model"],
        turns=to_turns(messages),
        tools=tools,
        tool_choice=to_choice(words.get("tool_choice"), tools),
        parallel_tool_calls=to_parallel(words.get("parallel_tool_calls"), words.get("tool_choice")),
        output=to_output(words.get("response_format")),
        stop=_stop_texts(stop, words.get("stop"), own["stop"]),
        previous_response_id=words.get("previous_response_id"),
        extra_body={**(own["extra_body"] or {}), **given.body, **_object(words, "extra_body")},
        **sampling,
    )


def to_options(given: Given, api: Api, run: RunEntries) -> CallOptions:
    """What the call tells the gateway: by itself, in the name of the blocks around it, and of its run.

    Raises:
        ConfigError: Something in it cannot be right.
    """
    words = given.words
    metadata = _object(words, "gateway_metadata")
    wanted = words.get("api") or api
    if wanted not in _APIS:
        raise ConfigError(
            f"api={wanted!r} is no wire format.", field="api", value=wanted, remedy=f"Use one of {', '.join(_APIS)}."
        )
    around, own = current(), words.get("gateway")
    return CallOptions(
        api=wanted,
        options=around.options if own is None else GatewayOptions.of(own).over(around.options),
        metadata=(metadata, *around.metadata, run.asked),
        automatic=run.automatic,
        extra_headers=_object(words, "extra_headers"),
        timeout=words.get("timeout"),
    )


def _object(words: Mapping[str, Any], word: str) -> Mapping[str, Any]:
    given: object = words.get(word) or {}
    if isinstance(given, Mapping):
        return cast("Mapping[str, Any]", given)
    raise ConfigError(f"{word}={given!r} is not a dict.", field=word, value=given, remedy="Give a dict.")


def for_traces(params: Mapping[str, Any]) -> dict[str, Any]:
    """A call's arguments without the secrets in headers and in the tools of MCP servers."""
    shown = dict(params)
    headers, tools = params.get("extra_headers"), params.get("tools")
    if headers:
        shown["extra_headers"] = dict.fromkeys(headers, _HIDDEN)
    if tools:
        shown["tools"] = [_without_secrets(tool) for tool in tools]
    return shown


def _without_secrets(tool: Any) -> Any:
    if not isinstance(tool, dict):
        return tool
    known = cast("dict[str, Any]", tool)
    if known.keys().isdisjoint(_SECRETS_OF_TOOLS):
        return known
    return {key: _HIDDEN if key in _SECRETS_OF_TOOLS else value for key, value in known.items()}


def _stop_texts(*layers: Sequence[str] | str | None) -> tuple[str, ...]:
    for layer in layers:
        if layer:
            return (layer,) if isinstance(layer, str) else tuple(layer)
    return ()


def to_output(wanted: Any) -> OutputSchema | None:
    """A `response_format` in OpenAI's form, or a schema by itself.

    Raises:
        ConfigError: It is of no known form.
    """
    match wanted:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return OutputSchema(wanted.get("schema"), loose=True)
        case {"type": "json_schema", "json_schema": {"schema": schema} as held}:
            return OutputSchema(
                schema, str(held.get("name") or "answer"), str(held.get("description") or ""), held.get("strict")
            )
        case type() | {"title": str()} | {"properties": {}}:
            try:
                schema = convert_to_json_schema(wanted)
            except (TypeError, ValueError) as error:
                raise _no_schema(wanted) from error
            return OutputSchema(schema, str(schema.get("title") or "answer"))
        case _:
            raise _no_schema(wanted)


def _no_schema(wanted: object) -> ConfigError:
    return ConfigError(
        f"response_format {wanted!r} is of no known form.",
        field="response_format",
        value=wanted,
        remedy='Use {"type": "json_object"} or {"type": "json_schema", "json_schema": {"name", "schema"}}.',
    )
