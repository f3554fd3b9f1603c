"""A request to a body of Anthropic's Messages format.

Where each field of a `ChatRequest` goes:

| field | body |
|---|---|
| model, temperature, top_p, top_k, service_tier, thinking | the same word |
| turns | `system` (one string), `messages` |
| tools | `tools` |
| tool_choice, parallel_tool_calls | `tool_choice`, with `disable_parallel_tool_use` |
| max_tokens | `max_tokens`, required: else the model's default, and the thinking budget on top of it |
| stop | `stop_sequences` |
| reasoning_effort | `output_config.effort` |
| output | `output_config.format`; the server always enforces it; its name is a label and stays here |
| stream_usage | nothing: a stream always says what it used |
| extra_body | added last (`wire.legal.add_extra`) |
| seed, frequency_penalty, presence_penalty, n > 1, logprobs, top_logprobs, reasoning, store, previous_response_id | \
`ConfigError` |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from cfaig_integrations.core.chat import ChatRequest, OutputSchema
from cfaig_integrations.core.content import Json
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.legal import add_extra, answer_schema, require_taken, too_deep
from cfaig_integrations.wire.messages.tools import tool, tool_choice
from cfaig_integrations.wire.messages.turns import conversation

_SAME_WORD = ("temperature", "top_p", "top_k", "service_tier")
_ON_CHAT = 'Leave it out, or use api="chat_completions" with a model that takes it.'
_ON_RESPONSES = 'Leave it out and send the conversation in full, or use api="responses".'
_NO_PLACE: Mapping[str, str] = {
    "seed": _ON_CHAT,
    "frequency_penalty": _ON_CHAT,
    "presence_penalty": _ON_CHAT,
    "n": "Ask n times.",
    "logprobs": _ON_CHAT,
    "top_logprobs": _ON_CHAT,
    "reasoning": "Use `thinking` or `reasoning_effort`.",
    "store": _ON_RESPONSES,
    "previous_response_id": _ON_RESPONSES,
}
"""Request field -> what to do instead."""
_AS_IT_IS: Mapping[str, object] = {"n": 1, "logprobs": False}
"""Values that ask for what the format does anyway."""


def encode(request: ChatRequest, *, stream: bool, quirks: Quirks) -> dict[str, Any]:
    """The request body.

    Raises:
        UnsupportedContent: The wire cannot carry a part.
        ConfigError: A value cannot be right on this wire.
    """
    require_taken(request, quirks)
    _refuse_what_has_no_place(request)
    system, messages = conversation(request.turns, quirks)
    body: dict[str, Any] = {"model": request.model, "max_tokens": _max_tokens(request, quirks), "messages": messages}
    if system:
        body["system"] = system
    if request.tools:
        body["tools"] = [tool(spec) for spec in request.tools]
    if choice := tool_choice(request, quirks):
        body["tool_choice"] = choice
    for word in _SAME_WORD:
        if (value := getattr(request, word)) is not None:
            body[word] = value
    if request.thinking is not None:
        body["thinking"] = _thinking(request, quirks)
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if config := _output_config(request):
        body["output_config"] = config
    if stream:
        body["stream"] = True
    add_extra(body, request.extra_body)
    return body


def _refuse_what_has_no_place(request: ChatRequest) -> None:
    for word, remedy in _NO_PLACE.items():
        value = getattr(request, word)
        if value is not None and value != _AS_IT_IS.get(word):
            raise ConfigError(f"Anthropic's format has no {word}.", field=word, value=value, remedy=remedy)


def _max_tokens(request: ChatRequest, quirks: Quirks) -> int:
    if request.max_tokens is not None:
        return request.max_tokens
    budget = (request.thinking or {}).get("budget_tokens")  # has to be less than max_tokens, says the official SDK
    return quirks.default_max_tokens + (budget if isinstance(budget, int) else 0)


def _thinking(request: ChatRequest, quirks: Quirks) -> dict[str, Any]:
    given = dict(request.thinking or {})
    if quirks.adaptive_thinking and given.get("type") == "enabled":
        raise ConfigError(
            f"{request.model} chooses its own budget for thinking.",
            field="thinking",
            value=given,
            remedy="Use thinking={'type': 'adaptive'}, and reasoning_effort for how much.",
        )
    return given


def _output_config(request: ChatRequest) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if request.reasoning_effort is not None:
        config["effort"] = request.reasoning_effort
    if request.output is not None:
        config["format"] = {"type": "json_schema", "schema": _schema(request.output)}
    return config


def _schema(output: OutputSchema) -> dict[str, Any]:
    if output.schema is None:
        raise ConfigError(
            "Anthropic's format has no JSON output without a schema.",
            field="output",
            remedy="Give a schema, or ask for JSON in the prompt.",
        )
    try:
        schema = _closed(answer_schema(output.schema))
    except RecursionError:
        raise too_deep("output") from None
    if output.description:
        schema.setdefault("description", output.description)
    return schema


def _closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema whose objects are all closed, unless they say otherwise: the official SDK closes every one."""
    closed = dict(schema)
    if closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    for word in ("properties", "$defs", "definitions"):
        if isinstance(held := closed.get(word), Mapping):
            closed[word] = {name: _closed_or_not(inner) for name, inner in cast("Json", held).items()}
    for word in ("anyOf", "oneOf", "allOf"):
        if isinstance(held := closed.get(word), list):
            closed[word] = [_closed_or_not(inner) for inner in cast("Sequence[object]", held)]
    if "items" in closed:
        closed["items"] = _closed_or_not(closed["items"])
    return closed


def _closed_or_not(schema: object) -> object:
    """A schema may also be a boolean."""
    return _closed(cast("Json", schema)) if isinstance(schema, Mapping) else schema
