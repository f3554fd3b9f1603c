"""A request to a body.

Nothing is sent that the request does not say, but for `strict` of tools (see `tools.py`).

| request | body |
|---|---|
| `model` | `model` |
| `turns` | `input` (see `encode_turns.py`); system turns stay in place, `instructions` is left to `extra_body` |
| `tools`, `tool_choice`, `parallel_tool_calls` | the same |
| `output` | `text.format` |
| `max_tokens` | `max_output_tokens`, at least 16 (facts §5.3) |
| `temperature`, `top_p`, `top_logprobs`, `service_tier`, `store`, `previous_response_id` | the same |
| `reasoning`, `reasoning_effort` | `reasoning`, `reasoning.effort` |
| `logprobs` | `include: ["message.output_text.logprobs"]` |
| replies are not stored, and reasoning in play | `include: ["reasoning.encrypted_content"]`, or it could not go back |
| `stream_usage` | nothing: this wire always tells usage |
| `extra_body` | added last (`wire.legal.add_extra`) |
| `stop`, `seed`, `n` > 1, `top_k`, `frequency_penalty`, `presence_penalty`, `thinking`, and what \
`Quirks.refused` names | `ConfigError` |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import Reasoning
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.codec import PLAIN, Quirks
from cfaig_integrations.wire.legal import add_extra, has_tools, require_taken
from cfaig_integrations.wire.responses.encode_turns import input_items, was_not_stored
from cfaig_integrations.wire.responses.tools import text_of, tool_choice_of, tool_of

_LEAST_TOKENS = 16

_SAME_NAME = (
    "temperature",
    "top_p",
    "top_logprobs",
    "service_tier",
    "store",
    "previous_response_id",
)

_CHAT = "Leave it out, or use api='chat_completions'."
_ABSENT: Mapping[str, str] = {
    "stop": _CHAT,
    "seed": _CHAT,
    "n": _CHAT,
    "top_k": _CHAT,
    "frequency_penalty": _CHAT,
    "presence_penalty": _CHAT,
    "thinking": "Use reasoning_effort, or reasoning={'effort': ...}, or use api='messages'.",
}
"""Request fields without a body field (the official type `ResponseCreateParams` has none), and what to do instead."""


def encode(request: ChatRequest, *, stream: bool, quirks: Quirks = PLAIN) -> dict[str, Any]:
    """The request body.

    Raises:
        UnsupportedContent: The wire cannot carry a part.
        ConfigError: A value cannot be right on this wire.
    """
    require_taken(request, quirks)
    _require_sendable(request)
    stored = request.items_by_id and request.extra_body.get("store", request.store) is not False
    body: dict[str, Any] = {"model": request.model, "input": input_items(request.turns, quirks, stored=stored)}
    if request.tools:
        body["tools"] = [tool_of(tool) for tool in request.tools]
    body |= tool_choice_of(request, quirks)
    if request.output is not None:
        body["text"] = text_of(request.output)
    if request.max_tokens is not None:
        body["max_output_tokens"] = request.max_tokens
    for field in _SAME_NAME:
        value = getattr(request, field)
        if value is not None:
            body[field] = value
    body |= _reasoning(request)
    if request.parallel_tool_calls is not None and quirks.parallel_choice and has_tools(request):
        body["parallel_tool_calls"] = request.parallel_tool_calls
    if "store" not in quirks.refused:  # a closed schema without it has no `include` either (facts §14.3)
        unstored = any(was_not_stored(turn) for turn in request.turns if turn.extras)
        body |= _include(request, stored=stored and not unstored)
    if stream:
        body["stream"] = True
    add_extra(body, request.extra_body)
    return body


def _require_sendable(request: ChatRequest) -> None:
    for field, remedy in _ABSENT.items():
        value = getattr(request, field)
        if value is None or value == () or (field == "n" and value == 1):
            continue
        raise ConfigError(f"The responses wire has no {field!r}.", field=field, value=value, remedy=remedy)
    if request.max_tokens is not None and request.max_tokens < _LEAST_TOKENS:
        raise ConfigError(
            f"The responses wire takes no fewer than {_LEAST_TOKENS} max_tokens.",
            field="max_tokens",
            value=request.max_tokens,
            remedy="Ask for more, or use api='chat_completions'.",
        )


def _reasoning(request: ChatRequest) -> dict[str, Any]:
    effort, given = request.reasoning_effort, request.reasoning
    if effort is None:
        return {} if given is None else {"reasoning": given}
    said = (given or {}).get("effort", effort)
    if said != effort:
        raise ConfigError(
            f"reasoning_effort={effort!r} contradicts reasoning={{'effort': {said!r}}}.",
            field="reasoning_effort",
            value=effort,
            remedy="Give one of them.",
        )
    return {"reasoning": {**(given or {}), "effort": effort}}


def _include(request: ChatRequest, *, stored: bool) -> dict[str, Any]:
    wanted: list[str] = []
    if request.logprobs:
        wanted.append("message.output_text.logprobs")
    if not stored and _reasons(request):
        wanted.append("reasoning.encrypted_content")
    return {"include": wanted} if wanted else {}


def _reasons(request: ChatRequest) -> bool:
    """Whether reasoning is asked for, or was answered with before."""
    if request.reasoning_effort not in (None, "none") or request.reasoning:
        return True
    return any(
        isinstance(part, Reasoning) and "responses" in part.extras for turn in request.turns for part in turn.parts
    )
