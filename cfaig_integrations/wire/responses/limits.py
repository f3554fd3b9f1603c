"""What OpenAI's Responses format cannot carry."""

from __future__ import annotations

from collections.abc import Iterator

from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import Media, Opaque, Part, Reasoning, Refusal, Role, Text, ToolCall, ToolResult
from cfaig_integrations.errors import ConfigError, UnsupportedContent
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.limits import (
    MissingFields,
    block_limits,
    media_limits,
    misplaced,
    model_limits,
    unusual_parts,
)
from cfaig_integrations.wire.responses.media import INPUT_PARTS

_MIN_TOKENS = 16
_ON_CHAT = "Remove it, or use api='chat_completions'."
_MISSING = MissingFields(
    "responses",
    {
        "stop": _ON_CHAT,
        "seed": _ON_CHAT,
        "n": _ON_CHAT,
        "top_k": _ON_CHAT,
        "frequency_penalty": _ON_CHAT,
        "presence_penalty": _ON_CHAT,
        "thinking": "Use reasoning_effort, or reasoning={'effort': ...}, or use api='messages'.",
    },
)
"""The official type `ResponseCreateParams` has no such fields."""


def limits(request: ChatRequest, quirks: Quirks) -> Iterator[ConfigError]:
    """Errors for what the format, or the model in this format, cannot carry."""
    yield from model_limits(request, quirks)
    yield from _MISSING.limits(request)
    if request.max_tokens is not None and request.max_tokens < _MIN_TOKENS:  # facts §5.3 e
        yield ConfigError(
            f"The responses format takes no fewer than {_MIN_TOKENS} max_tokens.",
            field="max_tokens",
            value=request.max_tokens,
            remedy="Ask for more, or use api='chat_completions'.",
        )
    for part, role in unusual_parts(request.turns):
        yield from _part_limits(part, role, quirks)


def _part_limits(part: Part, role: Role, quirks: Quirks) -> Iterator[UnsupportedContent]:
    match part:
        case ToolResult(parts=inner):
            for each in inner:
                yield from _content_limits(each, quirks)
        case Opaque(wire="responses") if role != "tool" or part.raw.get("type") not in INPUT_PARTS:
            pass  # an item of its own, or a content part
        case Opaque() if part.wire != "responses":
            yield from block_limits(part, "responses")
        case _ if role == "tool":
            yield misplaced(part, role, "Wrap it in a ToolResult, or put it into a user turn.")
        case Media() if role == "assistant":
            yield misplaced(part, role, "Put it into a user turn.")
        case Reasoning() | Refusal() | ToolCall() if role != "assistant":
            yield misplaced(part, role, "Put it into an assistant turn.")
        case Media():
            yield from _content_limits(part, quirks)
        case _:
            pass


def _content_limits(part: Text | Media | Opaque, quirks: Quirks) -> Iterator[UnsupportedContent]:
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
        case Opaque() if part.wire != "responses":
            yield misplaced(part, "tool", f"Continue this conversation with api={part.wire!r}.")
        case _:
            pass
