"""A whole message to a reply, and the values that a stream has in common with it.

Blocks become parts in their order; an unmodeled block (server tools and their results, redacted thinking, compaction
...) becomes `Opaque`, unchanged, so no block is dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cfaig_integrations.core.chat import ChatReply, Choice, FinishReason, Usage
from cfaig_integrations.core.content import (
    Citation,
    Extras,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Turn,
    extras_of,
)
from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.core.legal import made_call_id
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.jsonio import (
    as_str,
    as_text,
    count_of,
    load_reply,
    malformed_as_protocol_error,
    object_or_empty,
    objects_among,
    objects_of,
    text_of,
    wrong_type,
)

# Anthropic's stop reasons, from the official SDK's `StopReason`.
_FINISH_REASONS: Mapping[str, FinishReason] = {
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
"""Modeled keys of the modeled blocks; all others are extras."""
REFUSED = "refusal"
"""The stop reason of a refusal, which has no block of its own."""
_REPLY_KEYS = frozenset({"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"})


def decode(body: bytes | JsonObject) -> ChatReply:
    """The reply of a whole body, in Cloudflare's envelope or without it.

    Raises:
        ProtocolError: The body is not a message.
        EmbeddedError: The body is an error.
    """
    message = load_reply(body)
    with malformed_as_protocol_error("The answer is not an Anthropic message", body):
        return _reply(message)


def _reply(message: JsonObject) -> ChatReply:
    if message.get("content") is None:
        raise missing("content")
    id_ = as_str(message.get("id"))
    parts = tuple(_part(block, id_, position) for position, block in enumerate(blocks_of(message)))
    stop_reason = as_str(message.get("stop_reason"))
    if stop_reason == REFUSED:
        parts = (*parts, refusal_of(message))
    usage = object_or_empty(message.get("usage"))
    return ChatReply(
        wire="messages",
        id=id_,
        model=as_str(message.get("model")),
        choices=(Choice(Turn("assistant", parts), finish_reason(stop_reason), stop_reason, choice_extras(message)),),
        usage=usage_of(usage) if usage else None,
        extras=reply_extras(message),
    )


def missing(key: str) -> ProtocolError:
    """The error for a required field that is missing."""
    return ProtocolError(f"The message is not of Anthropic's format: it has no {key}.")


def blocks_of(message: JsonObject) -> list[JsonObject]:
    """The content blocks of a message; its content may also be a text, or one block without a list.

    Raises:
        ProtocolError: It is something else.
    """
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return objects_of(message, "content", one=True)


def block_type(block: JsonObject) -> str:
    """The type of a block.

    Raises:
        ProtocolError: It has none.
    """
    return required_str(block, "type", "type of a content block", "content[].type")


def required_str(holder: JsonObject, key: str, description: str, path: str) -> str:
    """A string without which there is no reply.

    Raises:
        ProtocolError: It is missing, or not a string.
    """
    value = holder.get(key)
    if not isinstance(value, str):
        raise missing(description) if value is None else wrong_type(path, value, "a string")
    return value


def _part(block: JsonObject, reply_id: str, position: int) -> Part:
    match block_type(block):
        case "text":
            return Text(text_of(block, "text"), citations_of(block), block_extras(block))
        case "thinking":
            return Reasoning(text_of(block, "thinking"), block_extras(block))
        case "tool_use":
            id_, name = call_id_and_name(block, reply_id, position)
            return ToolCall(id_, name, input_text(block), extras=block_extras(block))
        case _:
            return Opaque("messages", block)


def call_id_and_name(block: JsonObject, reply_id: str, position: int) -> tuple[str, str]:
    """Id and name of a tool call; a missing id is made from the reply's and from the block's position.

    Raises:
        ProtocolError: It has no name.
    """
    name = required_str(block, "name", "name of a tool_use block", "tool_use.name")
    return as_str(block.get("id")) or made_call_id(reply_id, position, name), name


def input_text(block: JsonObject) -> str:
    """The arguments of a tool call: `{}` if there are none; text as it is, because some servers send JSON text."""
    value = block.get("input")
    text = "" if value is None else as_text(value)
    return text if text.strip() else "{}"


def block_extras(block: JsonObject) -> Extras:
    """The unmodeled fields of a modeled block (`signature`, `caller` ...).

    A thinking block always has a signature here, even if it is empty: that is how the encoder knows its own.
    """
    kind = as_str(block["type"])
    extras = {key: value for key, value in block.items() if key not in BLOCK_KEYS[kind]}
    if kind == "thinking":
        extras["signature"] = as_str(block.get("signature"))
    return extras_of("messages", **extras)


def citations_of(block: JsonObject) -> tuple[Citation, ...]:
    """The citations of a text block; anything else in their place is dropped."""
    return tuple(citation_of(raw) for raw in objects_among(block.get("citations")))


def citation_of(raw: JsonObject) -> Citation:
    """A citation of any kind: of a web search, a search result, or a passage of a document.

    Anthropic cites with a whole text block, and its indexes count in the source, so `start` and `end` stay None.
    """
    source = as_str(raw.get("source"))
    return Citation(
        url=as_str(raw.get("url")) or (source if source.startswith(("https://", "http://")) else ""),
        title=as_str(raw.get("title")) or as_str(raw.get("document_title")),
        quoted=as_str(raw.get("cited_text")),
        raw=raw,
    )


def finish_reason(stop_reason: str) -> FinishReason:
    """The neutral finish reason."""
    return _FINISH_REASONS.get(stop_reason, "unknown")


def refusal_of(message: JsonObject) -> Refusal:
    """The refusal of a message with that stop reason; the explanation may be missing (SDK: `RefusalStopDetails`).

    Its extras say that it is not one of the message's blocks: the encoder leaves it out.
    """
    details = object_or_empty(message.get("stop_details"))
    return Refusal(as_str(details.get("explanation")), extras_of("messages", stop_details=details))


def choice_extras(message: JsonObject) -> Extras:
    """The stop sequence at which the answer ended, if any."""
    return extras_of("messages", stop_sequence=message.get("stop_sequence"))


def reply_extras(message: JsonObject, modeled: Collection[str] = _REPLY_KEYS) -> Extras:
    """The unmodeled fields of a message: container, stop_details, context_management, gatewayMetadata ...

    And the service tier, which Anthropic reports among the token counts (official SDK: `Usage.service_tier`).
    """
    fields = {key: value for key, value in message.items() if key not in modeled}
    tier: JsonValue = object_or_empty(message.get("usage")).get("service_tier")
    return extras_of("messages", **{"service_tier": tier, **fields})


def usage_of(raw: JsonObject) -> Usage:
    """Token counts. Anthropic's `input_tokens` leaves out tokens read from or written to the cache (facts §5.4)."""
    read, write = count_of(raw.get("cache_read_input_tokens")), count_of(raw.get("cache_creation_input_tokens"))
    prompt = (count_of(raw.get("input_tokens")) or 0) + (read or 0) + (write or 0)
    output = count_of(raw.get("output_tokens")) or 0
    return Usage(
        input=prompt,
        output=output,
        total=prompt + output,
        cache_read=read,
        cache_write=write,
        reasoning=count_of(object_or_empty(raw.get("output_tokens_details")).get("thinking_tokens")),
        raw=raw,
    )
