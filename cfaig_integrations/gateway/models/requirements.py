"""What a chat request needs of a wire: which formats cannot carry it, and where its history comes from.

This is only so that `api="auto"` does not choose a wire that raises where another one works.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import dropwhile
from typing import TypeAlias

from cfaig_integrations.core.chat import ChatRequest, NativeTool
from cfaig_integrations.core.content import (
    Json,
    Media,
    Opaque,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Wire,
)

__all__ = ["Needs", "needs_of", "says_any"]

_Refusals: TypeAlias = frozenset[Wire]

_NONE: _Refusals = frozenset()
_ALL: _Refusals = frozenset({"chat_completions", "responses", "messages"})
_SAMPLING = ("seed", "frequency_penalty", "presence_penalty")
_NO_FIELD: Mapping[Wire, tuple[str, ...]] = {
    "chat_completions": ("thinking", "previous_response_id"),
    "responses": ("thinking", "stop", "top_k", *_SAMPLING),
    "messages": ("reasoning", "previous_response_id", "store", "top_logprobs", *_SAMPLING),
}
"""Fields of a `ChatRequest` for which a format has no place."""

_CHAT_NAMES = frozenset(
    {
        "chat_template_kwargs",
        "enable_search",
        "logit_bias",
        "modalities",
        "prediction",
        "verbosity",
        "web_search_options",
    }
)
_RESPONSES_NAMES = frozenset(
    {"background", "conversation", "include", "instructions", "max_tool_calls", "prompt", "text", "truncation"}
)
_CONTEXT = frozenset({"context_management"})  # Anthropic's format has one too
_NO_NAME: Mapping[Wire, frozenset[str]] = {
    "chat_completions": _RESPONSES_NAMES | _CONTEXT,
    "responses": _CHAT_NAMES,
    "messages": _CHAT_NAMES | _RESPONSES_NAMES,
}
"""Body fields, given as `extra_body`, for which a format has no place (facts §14.4; official request types)."""

# `web_search_20250305`, but not OpenAI's `web_search_preview_2025_03_11`.
_ANTHROPIC_TYPE = re.compile(r".+_20\d{6}|mcp_toolset")
_RESPONSES_TYPES = frozenset(
    {
        "apply_patch",
        "code_interpreter",
        "computer",
        "computer_use_preview",
        "custom",
        "file_search",
        "function",
        "image_generation",
        "local_shell",
        "mcp",
        "namespace",
        "shell",
        "tool_search",
    }
)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request needs.

    Attributes:
        refused_by: Wires that cannot carry it whole.
        home: Wire that alone understands something in the history (a signature, a cache marker, a block of its own);
            the latest such. Else the one whose server remembers, if that is asked for; None if there is nothing of the
            kind.
    """

    refused_by: frozenset[Wire]
    home: Wire | None


def needs_of(request: ChatRequest, *, body_options: bool = False) -> Needs:
    """What a request needs of its wire.

    Args:
        request: Its parameters, tools and history count.
        body_options: Whether gateway options stand in the body.
    """
    refused: set[Wire] = {wire for wire, fields in _NO_FIELD.items() if says_any(request, fields)}
    refused |= _refused_by_values(request)
    refused |= {wire for wire, names in _NO_NAME.items() if not names.isdisjoint(request.extra_body)}
    if body_options:  # facts §1.2
        refused |= {"responses", "messages"}
    # Anthropic's automatic prompt caching is a field of the body (`cache_control` of its official request type).
    home: Wire | None = "messages" if "cache_control" in request.extra_body else None
    for spec in request.tools:
        if isinstance(spec, NativeTool):
            owner = _owner(spec.raw)
            refused |= _ALL - {owner} if owner else _NONE
        elif "messages" in spec.extras:
            home = "messages"
    for turn in request.turns:
        for part in turn.parts:
            if type(part) is not Text or part.extras:
                refused |= _refused_by_part(part, turn.role)
                home = _home(part) or home
    if home is None and request.continues is not None:
        home = "responses"
    return Needs(frozenset(refused), home)


def says_any(request: ChatRequest, fields: Iterable[str]) -> bool:
    """Whether a request sets one of these fields."""
    for name in fields:
        value = getattr(request, name)
        if value is not None and value != ():
            return True
    return False


def _refused_by_values(request: ChatRequest) -> set[Wire]:
    """What depends on more than whether a field is set."""
    refused: set[Wire] = set()
    if request.n is not None and request.n != 1:
        refused |= {"responses", "messages"}
    if request.logprobs or (request.output is not None and request.output.schema is None):
        refused.add("messages")
    if request.reasoning is not None and request.reasoning.keys() - {"effort"}:
        refused.add("chat_completions")
    if request.max_tokens is not None and request.max_tokens < 16:  # facts §5.3 e
        refused.add("responses")
    # Anthropic's format has one place for instructions, before the conversation.
    if any(turn.role == "system" for turn in dropwhile(lambda turn: turn.role == "system", request.turns)):
        refused.add("messages")
    return refused


def _owner(raw: Json) -> Wire | None:
    """The wire in whose words a native tool is written (facts §10)."""
    kind = str(raw.get("type") or "")
    if "input_schema" in raw or _ANTHROPIC_TYPE.fullmatch(kind):
        return "messages"
    if kind in ("function", "custom") and kind in raw:
        return "chat_completions"
    return "responses" if kind in _RESPONSES_TYPES or kind.startswith("web_search") else None


def _refused_by_part(part: Part, role: Role) -> _Refusals:
    match part:
        case Media() if role == "assistant":
            return frozenset({"responses", "messages"})
        case Media():
            return _refused_by_media(part)
        case ToolResult(parts=parts):
            return _NONE.union(*(_refused_by_media(one) for one in parts if isinstance(one, Media)))
        case _:
            return _NONE


def _refused_by_media(media: Media) -> _Refusals:
    match media.kind:
        case "audio":
            return frozenset({"responses", "messages"})
        case "video":
            return _ALL
        case "image":
            return frozenset({"chat_completions"}) if media.file_id else _NONE
        case "file" if media.url:
            return frozenset({"chat_completions"})
        case "file":
            plain = media.file_id or media.mime == "application/pdf" or media.mime.startswith("text/")
            return _NONE if plain else frozenset({"messages"})


def _home(part: Part) -> Wire | None:
    if isinstance(part, Opaque):
        return part.wire
    if "messages" in part.extras:
        return "messages"
    if isinstance(part, Reasoning) and "responses" in part.extras:
        return "responses"
    # Gemini's thought signature, without which it refuses the replayed call (facts §1.4, §5.2).
    if isinstance(part, ToolCall) and "extra_content" in part.extras.get("chat_completions", {}):
        return "chat_completions"
    return None
