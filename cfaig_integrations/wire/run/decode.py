"""A whole body to a reply: opens the envelope and passes its content to the wire of its format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeAlias

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.core.content import NO_EXTRAS, Extras, Wire, merge_extras
from cfaig_integrations.core.fold import fold
from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import ChatCodec
from cfaig_integrations.wire.jsonio import (
    dump_text,
    excerpt,
    load_object,
    malformed_as_protocol_error,
    object_or_empty,
    open_envelope,
)
from cfaig_integrations.wire.run.gemini import GeminiDecoder

Format: TypeAlias = Literal["chat_completions", "messages", "responses", "gemini"]
_ENVELOPE_KEYS = frozenset({"result", "state", "success", "errors"})


def format_by_keys(value: JsonObject) -> Format | None:
    """The format of a body or an event that does not name its type; None if it is not part of a chat reply."""
    if value.get("choices") is not None:
        return "chat_completions"
    # Rerankers and bge-m3 answer with a list under the same key (facts §6.1, §6.4).
    if "response" in value and not isinstance(value["response"], list):
        return "chat_completions"
    return "gemini" if "candidates" in value or "promptFeedback" in value else None


def decode(body: bytes | JsonObject, inner: Callable[[Wire], ChatCodec]) -> ChatReply:
    """The reply of a body, in the envelope or without it (facts §5.1).

    Raises:
        ProtocolError: The body is not a chat reply of any format.
        EmbeddedError: The body is an error.
    """
    outer = load_object(body)
    answer = open_envelope(outer)
    reply = _reply(answer, body if answer is outer else answer, inner)
    envelope: JsonObject = {}
    while outer is not answer:
        envelope |= {key: value for key, value in outer.items() if key not in _ENVELOPE_KEYS and value}
        outer = object_or_empty(outer["result"])
    extras: Extras = {"run": envelope} if envelope else NO_EXTRAS
    return replace(reply, wire="run", extras=merge_extras(reply.extras, extras))


def _reply(answer: JsonObject, body: bytes | JsonObject, inner: Callable[[Wire], ChatCodec]) -> ChatReply:
    streamed = answer.get("streamed_data")
    if isinstance(streamed, list):
        return _join_stream(streamed, inner("chat_completions"))
    if answer.get("type") == "message":
        return inner("messages").decode(body)
    if answer.get("object") == "response":
        return inner("responses").decode(body)
    match format_by_keys(answer):
        case None:
            raise ProtocolError(f"The answer is not a chat reply: {_description(answer)}.", body=excerpt(body))
        case "gemini":
            with malformed_as_protocol_error("The answer is not a reply of Gemini", body):
                return fold("run", GeminiDecoder().take_body(answer))
        case wire:
            return inner(wire).decode(body)


def _join_stream(streamed: list[JsonValue], codec: ChatCodec) -> ChatReply:
    """The reply of a stream that came as a list of its events (facts §5.3)."""
    decoder = codec.decoder()
    events = [event for each in streamed for event in decoder.feed("", dump_text(each).encode())]
    return fold("run", [*events, *decoder.feed("", b"[DONE]"), *decoder.close()])


def _description(answer: JsonObject) -> str:
    """What an answer is instead, for users who send a chat request to a model of another modality."""
    if isinstance(answer.get("response"), list):
        return "its response is a list, as rerankers and embedding models return; use the class for those"
    if "shape" in answer:
        return "it has a shape and data, as embedding models return; use the class for those"
    return (
        f"it has the keys {sorted(answer)[:20]}. Models that neither chat nor embed nor rank are called with "
        "POST /ai/run, without this class"
    )
