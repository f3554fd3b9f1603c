"""What Anthropic's Messages format cannot carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import (
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
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
from cfaig_integrations.wire.messages.media import IMAGE_TYPES, PDF, SEARCH_RESULT, image_type, own_extras

_ON_CHAT = 'Remove it, or use api="chat_completions" with a model that takes it.'
_ON_RESPONSES = 'Remove it and send the whole conversation, or use api="responses".'
_MISSING = MissingFields(
    "messages",
    {
        "seed": _ON_CHAT,
        "frequency_penalty": _ON_CHAT,
        "presence_penalty": _ON_CHAT,
        "n": "Ask n times.",
        "logprobs": _ON_CHAT,
        "top_logprobs": _ON_CHAT,
        "reasoning": "Use `thinking` or `reasoning_effort`.",
        "store": _ON_RESPONSES,
        "previous_response_id": _ON_RESPONSES,
    },
)


def limits(request: ChatRequest, quirks: Quirks) -> Iterator[ConfigError]:
    """Errors for what the format, or the model in this format, cannot carry."""
    yield from model_limits(request, quirks)
    yield from _MISSING.limits(request)
    if request.output is not None and request.output.schema is None:
        yield ConfigError(
            "The messages format has no JSON output without a schema.",
            field="output",
            remedy="Pass a schema, or ask for JSON in the prompt.",
        )
    if quirks.adaptive_thinking and (request.thinking or {}).get("type") == "enabled":
        yield ConfigError(
            f"{request.model} chooses its own budget for thinking.",
            field="thinking",
            value=request.thinking,
            remedy="Use thinking={'type': 'adaptive'}, and reasoning_effort for how much.",
        )
    yield from _system_limits(request.turns)
    for part, role in unusual_parts(request.turns):
        yield from _part_limits(part, role, quirks)


def _system_limits(turns: Sequence[Turn]) -> Iterator[UnsupportedContent]:
    for index in [index for index, turn in enumerate(turns) if turn.role == "system"]:
        turn = turns[index]
        for part in turn.parts:
            if isinstance(part, Text) and (marks := own_extras(part).keys() - {SEARCH_RESULT}):
                yield UnsupportedContent(
                    "The gateway takes system instructions as one string, which cannot carry marks.",
                    field=min(marks),
                    value=dict(own_extras(part)),
                    remedy="Put the mark on the first block of the first user turn: "
                    "a cache breakpoint there covers tools and system too.",
                )
        if index and turn.text.strip() and any(map(_has_content, turns[:index])):
            yield UnsupportedContent(
                "The messages format takes system instructions before the conversation only.",
                field="turns",
                value="system",
                remedy='Put them first, make them a user message, or use api="chat_completions" or "responses".',
            )


def _has_content(turn: Turn) -> bool:
    """Whether a turn is part of the conversation and becomes more than an empty message."""
    return turn.role != "system" and any(
        bool(part.text.strip() or SEARCH_RESULT in own_extras(part))
        if isinstance(part, Text | Refusal)
        else "messages" in part.extras
        if isinstance(part, Reasoning)
        else not isinstance(part, Opaque) or part.wire == "messages"
        for part in turn.parts
    )


def _part_limits(part: Part, role: Role, quirks: Quirks) -> Iterator[UnsupportedContent]:
    match part:
        case Text():
            pass
        case _ if role == "system":
            yield misplaced(part, role, "Put it into a user turn.")
        case Media() | ToolResult() if role == "assistant":
            yield misplaced(part, role, "Put it into a user turn.")
        case Reasoning() | ToolCall() if role != "assistant":
            yield misplaced(part, role, "Put it into an assistant turn.")
        case Media():
            yield from _media_limits(part, quirks)
        case ToolResult(parts=inner):
            for each in inner:
                yield from _part_limits(each, role, quirks)
        case Opaque():
            yield from block_limits(part, "messages")
        case _:
            pass


def _media_limits(media: Media, quirks: Quirks) -> Iterator[UnsupportedContent]:
    yield from media_limits(media, quirks)
    if media.kind in ("audio", "video"):
        yield UnsupportedContent(
            f"The messages format has no {media.kind}.",
            field="turns",
            value=media.kind,
            remedy='Use api="chat_completions" with a model that takes it, or pass a transcript as text.',
        )
    elif not (media.url or media.file_id or not media.mime):
        if media.kind == "image" and image_type(media) not in IMAGE_TYPES:
            takes, remedy = "no images of type", f"Convert it to one of {', '.join(IMAGE_TYPES)}."
        elif media.kind == "file" and media.mime != PDF and not media.mime.startswith("text/"):
            takes = "PDF and text documents, not"
            remedy = 'Pass its text, convert it to PDF, or use api="responses" with a model that takes it.'
        else:
            return
        yield UnsupportedContent(
            f"The messages format takes {takes} {media.mime!r}.", field="turns", value=media.mime, remedy=remedy
        )
