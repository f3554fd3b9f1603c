"""A whole message to a reply, and the pieces of that work that a stream shares.

Knows no stream and no request. Blocks become parts in their order; what is not modelled (server tools and their
results, redacted thinking, compaction ...) becomes `Opaque`, word for word, so no block is dropped.
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
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import Refused
from cfaig_integrations.wire.common import says_error, unwrapped
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
_BLOCK_KEYS: Mapping[str, frozenset[str]] = {
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
        Refused: The body is an error.
    """
    whole = load_object(body)
    message = unwrapped(whole)
    if says_error(whole) or says_error(message):
        raise Refused(whole)
    try:
        return _reply(message)
    except (AttributeError, KeyError, TypeError) as error:
        raise ProtocolError(f"The answer is not an Anthropic message: {error!r}.", body=excerpt(body)) from error


def _reply(message: dict[str, Any]) -> ChatReply:
    turn = Turn("assistant", tuple(part_of(block) for block in message["content"]))
    word = message.get("stop_reason") or ""
    return ChatReply(
        wire="messages",
        id=message.get("id") or "",
        model=message.get("model") or "",
        choices=(Choice(turn, finish_of(word), word, choice_extras(message)),),
        usage=usage_of(message["usage"]) if message.get("usage") else None,
        extras=facts(message),
    )


def part_of(block: dict[str, Any]) -> Part:
    """The part that a whole content block is."""
    match block["type"]:
        case "text":
            citations = tuple(citation_of(raw) for raw in block.get("citations") or ())
            return Text(block.get("text") or "", citations, block_extras(block))
        case "thinking":
            return Reasoning(block.get("thinking") or "", block_extras(block))
        case "tool_use":
            return ToolCall(block["id"], block["name"], dump_text(block["input"]), extras=block_extras(block))
        case _:
            return Opaque("messages", block)


def block_extras(block: dict[str, Any]) -> Extras:
    """What only this wire understands of a modelled block (`signature`, `caller` ...).

    A thinking block always has a signature here, if only an empty one: that is how the encoder knows its own.
    """
    kind = block["type"]
    own = _BLOCK_KEYS[kind]
    rest = {key: value for key, value in block.items() if key not in own}
    if kind == "thinking":
        rest["signature"] = block.get("signature") or ""
    return extras_of("messages", **rest)


def citation_of(raw: Json) -> Citation:
    """A citation of any kind: of a web search, a search result, or a place in a document.

    Anthropic cites with a whole text block, and its indexes count in the source, so `start` and `end` stay None.
    """
    source = raw.get("source") or ""
    return Citation(
        url=raw.get("url") or (source if source.startswith(("https://", "http://")) else ""),
        title=raw.get("title") or raw.get("document_title") or "",
        quoted=raw.get("cited_text") or "",
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
    counts: Json = message.get("usage") or {}
    told = {key: value for key, value in message.items() if key not in own}
    return extras_of("messages", **{"service_tier": counts.get("service_tier"), **told})


def usage_of(raw: Json) -> Usage:
    """Token counts. Anthropic's `input_tokens` leaves out what the cache gave or took (wire-facts §5.4)."""
    read, write = raw.get("cache_read_input_tokens"), raw.get("cache_creation_input_tokens")
    sent = (raw.get("input_tokens") or 0) + (read or 0) + (write or 0)
    generated = raw.get("output_tokens") or 0
    details: Json = raw.get("output_tokens_details") or {}
    return Usage(
        input=sent,
        output=generated,
        total=sent + generated,
        cache_read=read,
        cache_write=write,
        reasoning=details.get("thinking_tokens"),
        raw=raw,
    )
