"""What Anthropic's Messages format cannot carry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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
from cfaig_integrations.wire.limits import MissingFields, block_limits, media_limits, model_limits, part_limits
from cfaig_integrations.wire.messages.turns import CACHE_MARKER, IMAGE_TYPES, PDF, SEARCH_RESULT, image_type, own_extras

_ON_CHAT = 'Remove it, or use api="chat_completions" with a model that takes it.'
_ON_RESPONSES = 'Remove it and send the whole conversation, or use api="responses".'
_ON_OPENAI = 'Remove it, or use api="responses" with a model that takes it.'
_CACHE = "Remove it, and put cache_control on a content block."
_MISSING = MissingFields(
    "messages",
    {
        **dict.fromkeys(("seed", "frequency_penalty", "presence_penalty"), _ON_CHAT),
        "n": "Ask n times.",
        **dict.fromkeys(("logprobs", "top_logprobs"), _ON_CHAT),
        "reasoning": "Use `thinking` or `reasoning_effort`.",
        "store": _ON_RESPONSES,
        "verbosity": _ON_OPENAI,
        "logit_bias": _ON_CHAT,
        **dict.fromkeys(("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"), _CACHE),
        **dict.fromkeys(("include", "truncation"), _ON_OPENAI),
        "previous_response_id": _ON_RESPONSES,
    },
)

_USER = (Text, Refusal, Media, ToolResult, Opaque)
_ROLES: Mapping[Role, tuple[type[Part], ...]] = {
    "system": (Text,),
    "user": _USER,
    "assistant": (Text, Refusal, Reasoning, ToolCall, Opaque),
    "tool": _USER,
}


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
    if request.context_management is not None and not isinstance(request.context_management, Mapping):
        yield ConfigError(
            "context_management of the messages format is an object.",
            field="context_management",
            value=list(request.context_management),
            remedy="Write {'edits': [...]}, or use api='responses' for a list.",
        )
    yield from _system_limits(request.turns)
    yield from part_limits(request, quirks, _ROLES, _content_limits)


def _system_limits(turns: Sequence[Turn]) -> Iterator[UnsupportedContent]:
    for index, turn in enumerate(turns):
        if turn.role != "system":
            continue
        for part in turn.parts:
            if isinstance(part, Text) and (marks := own_extras(part).keys() - {CACHE_MARKER, SEARCH_RESULT}):
                yield UnsupportedContent(
                    f"System instructions are sent as one string, which cannot carry {min(marks)}.",
                    field=min(marks),
                    value=dict(own_extras(part)),
                    remedy="Put it on the first block of the first user message.",
                )
        if (
            index
            and turn.text.strip()
            and any(
                _has_content(part) for earlier in turns[:index] if earlier.role != "system" for part in earlier.parts
            )
        ):
            yield UnsupportedContent(
                "The messages format takes system instructions only before the conversation.",
                field="turns",
                value="system",
                remedy='Put them first, make them a user message, or use api="chat_completions" or "responses".',
            )


def _has_content(part: Part) -> bool:
    """Whether a part becomes more than an empty block."""
    match part:
        case Refusal(extras=extras) if "messages" in extras:
            return False
        case Text() | Refusal():
            return bool(part.text.strip() or SEARCH_RESULT in own_extras(part))
        case Reasoning():
            return "messages" in part.extras
        case Opaque():
            return part.wire == "messages"
        case _:
            return True


def _content_limits(part: Part, _: Role | None, quirks: Quirks) -> Iterator[UnsupportedContent]:
    match part:
        case Opaque():
            yield from block_limits(part, "messages")
        case Media(kind="audio" | "video"):
            remedy = 'Use api="chat_completions" with a model that takes it, or pass a transcript as text.'
            yield _refused(f"has no {part.kind}", part.kind, remedy)
        case Media():
            yield from media_limits(part, quirks)
            if part.mime and not (part.url or part.file_id):
                yield from _type_limits(part)
        case _:
            pass


def _type_limits(media: Media) -> Iterator[UnsupportedContent]:
    if media.kind == "image" and image_type(media) not in IMAGE_TYPES:
        remedy = f"Convert it to one of {', '.join(IMAGE_TYPES)}."
        yield _refused(f"takes no {media.mime} images", media.mime, remedy)
    if media.kind == "file" and media.essence != PDF and not media.mime.startswith("text/"):
        remedy = 'Pass its text, convert it to PDF, or use api="responses" with a model that takes it.'
        yield _refused(f"takes PDF and text documents, not {media.mime}", media.mime, remedy)


def _refused(what: str, value: str, remedy: str) -> UnsupportedContent:
    return UnsupportedContent(f"The messages format {what}.", field="turns", value=value, remedy=remedy)
