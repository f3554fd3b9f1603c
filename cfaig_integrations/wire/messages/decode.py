"""A whole message to a reply, and the pieces of that work that a stream shares.

Blocks become parts in their order; what is not modelled (server tools and their results, redacted thinking, compaction
...) becomes `Opaque`, word for word, so no block is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cfaig_integrations.core.chat import ChatReply, Choice, FinishReason, Usage
from cfaig_integrations.core.content import (
    Citation,
    Extras,
    Json,
    Opaque,
    Part,
    Reasoning,
    Text,
    ToolCall,
    Turn,
    extras_of,
)
from cfaig_integrations.core.legal import made_call_id
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.common import MALFORMED, as_str, is_error, unwrapped
from cfaig_integrations.wire.fields import count_of, is_list, is_object, objects_of, text_of, unusable
from cfaig_integrations.wire.jsonio import dump_text, excerpt, load_object

# Anthropic's stop reasons, as the official SDK's `StopReason` lists them.
_FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
}
BLOCK_KEYS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"type", "text", "citations"}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "tool_use": frozenset({"type", "id", "name", "input"}),
}
"""Keys of the modelled blocks that have a place of their own; all others are extras."""
_REPLY_KEYS = frozenset({"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"})


def decode(body: bytes) -> ChatReply:
    """The reply of a whole body, in Cloudflare's envelope or without it.

    Raises:
        ProtocolError: The body is not a message.
        EmbeddedError: The body is an error.
    """
    whole = load_object(body)
    if is_error(whole):
        raise EmbeddedError(whole)
    message = unwrapped(whole)
    if is_error(message):
        raise EmbeddedError(message)
    try:
        return _reply(message)
    except ProtocolError as error:
        error.body = error.body or excerpt(body)
        raise
    except MALFORMED as error:
        raise ProtocolError(f"The answer is not an Anthropic message: {error!r}.", body=excerpt(body)) from error


def _reply(message: dict[str, Any]) -> ChatReply:
    if message.get("content") is None:
        raise missing("content")
    id_ = as_str(message.get("id"))
    parts = tuple(_part(block, id_, at) for at, block in enumerate(blocks_of(message)))
    word = as_str(message.get("stop_reason"))
    counts = counts_of(message)
    return ChatReply(
        wire="messages",
        id=id_,
        model=as_str(message.get("model")),
        choices=(Choice(Turn("assistant", parts), finish_of(word), word, choice_extras(message)),),
        usage=usage_of(counts) if counts else None,
        extras=facts(message),
    )


def missing(key: str) -> ProtocolError:
    """The error for a field without which there is no answer."""
    return ProtocolError(f"The message is not of Anthropic's format: it has no {key}.")


def blocks_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The content blocks of a message; its content may also be a text, or one block without its list.

    Raises:
        ProtocolError: It is something else.
    """
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return objects_of(message, "content", one=True)


def kind_of(block: dict[str, Any]) -> str:
    """The type of a block.

    Raises:
        ProtocolError: It has none.
    """
    kind = block.get("type")
    if not isinstance(kind, str):
        raise missing("type of a content block") if kind is None else unusable("content[].type", kind, "a string")
    return kind


def _part(block: dict[str, Any], reply: str, at: int) -> Part:
    match kind_of(block):
        case "text":
            return Text(text_of(block, "text"), citations_of(block), block_extras(block))
        case "thinking":
            return Reasoning(text_of(block, "thinking"), block_extras(block))
        case "tool_use":
            return ToolCall(*call_of(block, reply, at), input_text(block), extras=block_extras(block))
        case _:
            return Opaque("messages", block)


def call_of(block: dict[str, Any], reply: str, at: int) -> tuple[str, str]:
    """Id and name of a tool call; a missing id is made from the reply's and from the block's place.

    Raises:
        ProtocolError: It has no name.
    """
    name = block.get("name")
    if not isinstance(name, str):
        raise missing("name of a tool_use block") if name is None else unusable("tool_use.name", name, "a string")
    return as_str(block.get("id")) or made_call_id(reply, str(at), name), name


def input_text(block: dict[str, Any]) -> str:
    """The arguments of a tool call: `{}` if there are none, and text as it is, for some servers encode them first."""
    given = block.get("input")
    text = "" if given is None else given if isinstance(given, str) else dump_text(given)
    return text if text.strip() else "{}"


def block_extras(block: dict[str, Any]) -> Extras:
    """What only this wire understands of a modelled block (`signature`, `caller` ...).

    A thinking block always has a signature here, if only an empty one: that is how the encoder knows its own.
    """
    kind = block["type"]
    own = BLOCK_KEYS[kind]
    rest = {key: value for key, value in block.items() if key not in own}
    if kind == "thinking":
        rest["signature"] = as_str(block.get("signature"))
    return extras_of("messages", **rest)


def citations_of(block: dict[str, Any]) -> tuple[Citation, ...]:
    """The citations of a text block; anything else in their place is dropped."""
    found = block.get("citations")
    return tuple(citation_of(raw) for raw in found if is_object(raw)) if is_list(found) else ()


def citation_of(raw: Json) -> Citation:
    """A citation of any kind: of a web search, a search result, or a place in a document.

    Anthropic cites with a whole text block, and its indexes count in the source, so `start` and `end` stay None.
    """
    source = as_str(raw.get("source"))
    return Citation(
        url=as_str(raw.get("url")) or (source if source.startswith(("https://", "http://")) else ""),
        title=as_str(raw.get("title")) or as_str(raw.get("document_title")),
        quoted=as_str(raw.get("cited_text")),
        raw=raw,
    )


def finish_of(word: str) -> FinishReason:
    """The neutral word for a stop reason."""
    return _FINISH.get(word, "unknown")


def choice_extras(message: Json) -> Extras:
    """What only this wire says about the answer's end."""
    return extras_of("messages", stop_sequence=message.get("stop_sequence"))


def facts(message: Json, own: Iterable[str] = _REPLY_KEYS) -> Extras:
    """What a message says beyond the modelled keys: container, stop_details, context_management, gatewayMetadata ...

    And the service tier, which Anthropic tells among the token counts (official SDK: `Usage.service_tier`).
    """
    told = {key: value for key, value in message.items() if key not in own}
    return extras_of("messages", **{"service_tier": counts_of(message).get("service_tier"), **told})


def counts_of(message: Json) -> dict[str, Any]:
    """The object of token counts; empty if there is none."""
    counts = message.get("usage")
    return counts if is_object(counts) else {}


def usage_of(raw: dict[str, Any]) -> Usage:
    """Token counts. Anthropic's `input_tokens` leaves out what the cache gave or took (facts §5.4)."""
    read, write = count_of(raw.get("cache_read_input_tokens")), count_of(raw.get("cache_creation_input_tokens"))
    sent = (count_of(raw.get("input_tokens")) or 0) + (read or 0) + (write or 0)
    generated = count_of(raw.get("output_tokens")) or 0
    details = raw.get("output_tokens_details")
    return Usage(
        input=sent,
        output=generated,
        total=sent + generated,
        cache_read=read,
        cache_write=write,
        reasoning=count_of(details.get("thinking_tokens")) if is_object(details) else None,
        raw=raw,
    )
