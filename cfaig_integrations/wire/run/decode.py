"""A whole body to a reply: opens the envelope and hands what is inside to the wire that it is written in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.core.content import NO_EXTRAS, Extras, Wire, merged
from cfaig_integrations.core.fold import fold
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import ChatCodec, EmbeddedError
from cfaig_integrations.wire.common import MALFORMED, is_error, unwrapped
from cfaig_integrations.wire.jsonio import dump_text, excerpt, load_object
from cfaig_integrations.wire.run.gemini import Gemini
from cfaig_integrations.wire.run.shapes import shape_of

_ENVELOPE = frozenset({"result", "state", "success", "errors"})


def decode(body: bytes, inner: Callable[[Wire], ChatCodec]) -> ChatReply:
    """The reply of a body, in the envelope or without it (facts §5.1).

    Raises:
        ProtocolError: The body is no chat answer of any format.
        EmbeddedError: The body is an error.
    """
    outer = load_object(body)
    if is_error(outer):
        raise EmbeddedError(outer)
    answer = unwrapped(outer)
    if is_error(answer):
        raise EmbeddedError(answer)
    reply = _reply(answer, body if answer is outer else dump_text(answer).encode(), inner)
    return replace(reply, wire="run", extras=merged(reply.extras, _facts(outer, answer)))


def _facts(outer: dict[str, Any], answer: dict[str, Any]) -> Extras:
    """What the envelopes say besides the answer."""
    facts: dict[str, Any] = {}
    while outer is not answer:
        facts |= {key: value for key, value in outer.items() if key not in _ENVELOPE and value}
        outer = outer["result"]
    return {"run": facts} if facts else NO_EXTRAS


def _reply(answer: dict[str, Any], body: bytes, inner: Callable[[Wire], ChatCodec]) -> ChatReply:
    pieces = answer.get("streamed_data")
    if isinstance(pieces, list):
        return _joined(pieces, inner("chat_completions"))  # pyright: ignore[reportUnknownArgumentType]  # JSON
    match shape_of(answer):
        case None:
            raise ProtocolError(f"The answer is no chat answer: {_described(answer)}.", body=excerpt(body))
        case "gemini":
            return _gemini(answer, body)
        case wire:
            return inner(wire).decode(body)


def _gemini(answer: dict[str, Any], body: bytes) -> ChatReply:
    gemini = Gemini()
    try:
        return fold("run", [*gemini.take(answer), *gemini.end()])
    except ProtocolError as error:
        error.body = error.body or excerpt(body)
        raise
    except MALFORMED as error:
        raise ProtocolError(f"The answer is not Gemini's: {error!r}.", body=excerpt(body)) from error


def _joined(pieces: list[Any], codec: ChatCodec) -> ChatReply:
    """The reply of a stream that came as a list of its events (facts §5.3)."""
    decoder = codec.decoder()
    events = [event for piece in pieces for event in decoder.feed("", dump_text(piece).encode())]
    return fold("run", [*events, *decoder.feed("", b"[DONE]"), *decoder.close()])


def _described(answer: dict[str, Any]) -> str:
    """What an answer holds instead, for whoever asked a model of another modality to chat."""
    if isinstance(answer.get("response"), list):
        return "its response is a list, as rerankers and embedding models give it; use the class for those"
    if "shape" in answer:
        return "it holds a shape and data, as embedding models give them; use the class for those"
    return (
        f"it has the keys {sorted(answer)[:20]}. Models that neither chat nor embed nor rank are called with "
        "POST /ai/run, without this class"
    )
