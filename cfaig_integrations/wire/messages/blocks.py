"""Parts to content blocks, one at a time."""

from __future__ import annotations

from typing import Any, assert_never

from cfaig_integrations.core.content import (
    Extras,
    Json,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from cfaig_integrations.errors import UnsupportedContent
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.common import require_droppable
from cfaig_integrations.wire.legal import arguments_object, call_id
from cfaig_integrations.wire.messages.media import media_block

SEARCH_RESULT = "search_result"
"""Extra of a text: the block that says the same, and can be cited (`core.sources`)."""
_NOTHING: Json = {}


def own(extras: Extras) -> Json:
    """What this wire wrote into `extras`, or a user wrote for it (`cache_control` ...)."""
    return extras.get("messages", _NOTHING)


def assistant_block(part: Part) -> dict[str, Any] | None:
    """The block of something that a model said, or None if it is not for this provider to see.

    Reasoning without this wire's extras comes from another provider, and other providers' servers left traces that
    only they understand: both are left out.

    Raises:
        UnsupportedContent: An assistant's message has no room for the part.
    """
    match part:
        case Text() | Refusal():
            return text_block(part)
        case Reasoning(text, extras):
            return {"type": "thinking", "thinking": text, **own(extras)} if "messages" in extras else None
        case ToolCall():
            return _tool_use(part)
        case Opaque():
            return _opaque(part)
        case Media() | ToolResult():
            raise _misplaced(part, "assistant", "Give it in a user turn.")
        case _:
            assert_never(part)


def user_block(part: Part, quirks: Quirks) -> dict[str, Any] | None:
    """The block of something that a user gave or a tool returned.

    Raises:
        UnsupportedContent: A user's message has no room for the part, or the wire cannot carry it.
    """
    match part:
        case Text() | Refusal():
            return text_block(part)
        case Media():
            return media_block(part, quirks)
        case ToolResult():
            return _tool_result(part, quirks)
        case Opaque():
            return _opaque(part)
        case Reasoning() | ToolCall():
            raise _misplaced(part, "user", "Give it in an assistant turn.")
        case _:
            assert_never(part)


def _misplaced(part: Part, role: str, remedy: str) -> UnsupportedContent:
    return UnsupportedContent(
        f"On the messages wire, the {role} message has no room for a {type(part).__name__} part.",
        field="turns",
        value=part,
        remedy=remedy,
    )


def text_block(part: Text | Refusal) -> dict[str, Any]:
    """A text block, with its citations if they are Anthropic's; or the search result that the text says in words.

    An empty list of citations says nothing and is left out; so is a null `file_id`, which Anthropic's answers have and
    its requests do not (official SDK: `CitationCharLocation` against `CitationCharLocationParam`).
    """
    mine = own(part.extras)
    if SEARCH_RESULT in mine:
        rest = {key: value for key, value in mine.items() if key != SEARCH_RESULT}
        return {"type": SEARCH_RESULT, **mine[SEARCH_RESULT], **rest}
    block: dict[str, Any] = {"type": "text", "text": part.text}
    if isinstance(part, Text) and part.citations:
        raws = (citation.raw for citation in part.citations)
        # The type of every citation of Anthropic ends so, and that of no other provider.
        if cited := [_without_null_file(raw) for raw in raws if str(raw.get("type")).endswith("_location")]:
            block["citations"] = cited
    block.update(mine)
    return block


def _without_null_file(raw: Json) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if key != "file_id" or value is not None}


def _id(id_: str) -> str:
    return call_id(id_, prefix="toolu_")


def _tool_use(call: ToolCall) -> dict[str, Any]:
    arguments = {"input": call.arguments} if call.kind == "custom" else arguments_object(call.arguments)
    return {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": arguments, **own(call.extras)}


def _tool_result(result: ToolResult, quirks: Quirks) -> dict[str, Any]:
    block: dict[str, Any] = {
        "type": "tool_result",
        "tool_use_id": _id(result.call_id),
        "content": _result_content(result.parts, quirks),
    }
    if result.failed:
        block["is_error"] = True
    block.update(own(result.extras))
    return block


def _result_content(parts: tuple[Text | Media | Opaque, ...], quirks: Quirks) -> str | list[dict[str, Any]]:
    match parts:
        case ():
            return ""
        case (Text(text, citations, extras),) if not citations and not own(extras):
            return text
        case _:
            blocks = (user_block(part, quirks) for part in parts)
            return [block for block in blocks if block and (block["type"] != "text" or has_text(block))]


def has_text(block: Json) -> bool:
    """Whether a text block is more than white space, which Anthropic refuses ("must contain non-whitespace text")."""
    text: str = block["text"]
    return bool(text) and not text.isspace()


def _opaque(part: Opaque) -> dict[str, Any] | None:
    if part.wire == "messages":
        return dict(part.raw)
    require_droppable(part, "messages")
    return None
