"""What OpenAI's Responses format cannot carry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import Media, Opaque, Part, Reasoning, Refusal, Role, Text, ToolCall, ToolResult
from cfaig_integrations.errors import ConfigError, UnsupportedContent
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
from cfaig_integrations.wire.responses.turns import INPUT_PARTS

_MIN_TOKENS = 16
_ON_CHAT = ("stop", "seed", "n", "top_k", "frequency_penalty", "presence_penalty", "logit_bias")
_MISSING = MissingFields(
    "responses",
    {
        **dict.fromkeys(_ON_CHAT, "Remove it, or use api='chat_completions'."),
        **dict.fromkeys(ANTHROPIC_FIELDS, "Remove it, or use api='messages' with a model that takes it."),
        "thinking": "Use reasoning_effort, or reasoning={'effort': ...}, or use api='messages'.",
    },
)
"""The official type `ResponseCreateParams` has no such fields."""

_USER = (Text, Media, ToolResult, Opaque)
_ROLES: Mapping[Role, tuple[type[Part], ...]] = {
    "system": _USER,
    "user": _USER,
    "assistant": (Text, Refusal, Reasoning, ToolCall, ToolResult, Opaque),
    "tool": (ToolResult, Opaque),
}


def limits(request: ChatRequest, quirks: Quirks) -> Iterator[ConfigError]:
    """Errors for what the format, or the model in this format, cannot carry."""
    yield from model_limits(request, quirks)
    yield from _MISSING.limits(request)
    if request.max_tokens is not None and request.max_tokens < _MIN_TOKENS:  # facts §5.3 e
        yield ConfigError(
            f"max_tokens of the responses format is at least {_MIN_TOKENS}.",
            field="max_tokens",
            value=request.max_tokens,
            remedy="Raise it, or use api='chat_completions'.",
        )
    if isinstance(request.context_management, Mapping):
        yield ConfigError(
            "context_management of the responses format is a list.",
            field="context_management",
            value=dict(request.context_management),
            remedy="Write [{'type': 'compaction', ...}], or use api='messages' for an object.",
        )
    yield from part_limits(request, quirks, _ROLES, _content_limits)


def _content_limits(part: Part, role: Role | None, quirks: Quirks) -> Iterator[UnsupportedContent]:
    match part:
        case Media(kind="audio" | "video"):
            # The official types list text, images and files as the content of a message and of a tool's output.
            yield UnsupportedContent(
                f"The responses format has no {part.kind}.",
                field="turns",
                value=part.kind,
                remedy="Use api='chat_completions'.",
            )
        case Media():
            yield from media_limits(part, quirks)
        case Opaque(wire="responses"):
            if role == "tool" and part.raw.get("type") in INPUT_PARTS:
                yield misplaced(part, role)
        case Opaque() if role is None:
            yield misplaced(part, "tool")
        case Opaque():
            yield from block_limits(part, "responses")
        case _:
            pass
