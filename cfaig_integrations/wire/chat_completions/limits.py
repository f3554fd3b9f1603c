"""What Chat Completions cannot carry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import Media, Opaque, Part, Reasoning, Refusal, Role, Text, ToolCall, ToolResult
from cfaig_integrations.errors import ConfigError, UnsupportedContent
from cfaig_integrations.wire.chat_completions.turns import WIRE, sendable_extras
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.limits import (
    ANTHROPIC_FIELDS,
    MissingFields,
    block_limits,
    media_limits,
    misplaced,
    model_limits,
    part_limits,
)

_ON_RESPONSES = 'Remove it, or use api="responses" with a model that takes it.'
_MISSING = MissingFields(
    WIRE,
    {
        "previous_response_id": 'Use api="responses", or send the whole conversation.',
        "include": _ON_RESPONSES,
        "truncation": _ON_RESPONSES,
        "context_management": 'Remove it, or use api="responses" or "messages" with a model that takes it.',
        **dict.fromkeys(ANTHROPIC_FIELDS, 'Remove it, or use api="messages" with a model that takes it.'),
    },
)

_USER = (Text, Media, ToolResult, Opaque)
_ROLES: Mapping[Role, tuple[type[Part], ...]] = {
    "system": _USER,
    "user": _USER,
    "assistant": (Text, Refusal, Reasoning, ToolCall, Media, Opaque),
    "tool": (ToolResult,),
}


def limits(request: ChatRequest, quirks: Quirks) -> Iterator[ConfigError]:
    """Errors for what the format, or the model in this format, cannot carry."""
    yield from model_limits(request, quirks)
    yield from _MISSING.limits(request)
    if request.reasoning is not None and (keys := sorted(request.reasoning.keys() - {"effort"})):
        yield ConfigError(
            f"The {WIRE} format has no place for {', '.join(keys)} of reasoning.",
            field="reasoning",
            value=keys,
            remedy='Use api="responses", or only reasoning_effort.',
        )
    if request.thinking is not None and (
        quirks.thinking_switch == "none" or request.thinking not in ({"type": "enabled"}, {"type": "disabled"})
    ):
        yield ConfigError(
            f"The {WIRE} format cannot express this thinking for {request.model}.",
            field="thinking",
            value=dict(request.thinking),
            remedy='Use reasoning_effort, or api="messages" with a model that takes a thinking object.',
        )
    yield from part_limits(request, quirks, _ROLES, _content_limits)


def _content_limits(part: Part, role: Role | None, quirks: Quirks) -> Iterator[UnsupportedContent]:
    match part:
        case Opaque():
            yield from block_limits(part, WIRE)
        case Media() if role == "assistant":  # goes back only in the field that it came in
            extras = sendable_extras(part, quirks)
            if not (part.kind == "audio" and extras.get("id")) and not (part.kind == "image" and "image" in extras):
                yield misplaced(part, role)
        case Media(kind="image") if part.file_id:
            yield _no_place(part, "an image's file id", 'Use api="responses", or pass its bytes or address.')
        case Media(kind="audio") if not part.data:
            yield _no_place(part, "audio by address or file id", "Pass its bytes in base64.")
        case Media(kind="file") if part.url:
            yield _no_place(part, "a file's address", 'Use api="responses" or "messages", or pass its bytes.')
        case Media(kind="video"):
            remedy = f"Pass a part in the form that your server takes, as Opaque({WIRE!r}, raw)."
            yield _no_place(part, "video", remedy)
        case Media():
            yield from media_limits(part, quirks)
        case _:
            pass


def _no_place(media: Media, what: str, remedy: str) -> UnsupportedContent:
    value = media.url or media.file_id or media.mime or media.kind
    return UnsupportedContent(f"The {WIRE} format has no place for {what}.", field="turns", value=value, remedy=remedy)
