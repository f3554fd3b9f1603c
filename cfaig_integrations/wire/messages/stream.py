"""A streamed message to events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cfaig_integrations.core.content import Opaque, extras_of
from cfaig_integrations.core.events import (
    ArgumentsDelta,
    CitationAdded,
    Event,
    Finished,
    PartAdded,
    PartNoted,
    PartStarted,
    ReasoningDelta,
    ReplyNoted,
    Started,
    TextDelta,
    UsageUpdated,
)
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.common import as_str
from cfaig_integrations.wire.decoder import EventDecoder
from cfaig_integrations.wire.encoding import arguments_object
from cfaig_integrations.wire.fields import count_of, is_object, object_of, text_of, unusable
from cfaig_integrations.wire.jsonio import is_object_text
from cfaig_integrations.wire.messages.decode import (
    BLOCK_KEYS,
    block_extras,
    blocks_of,
    call_of,
    choice_extras,
    citation_of,
    citations_of,
    counts_of,
    facts,
    finish_of,
    input_text,
    kind_of,
    missing,
    usage_of,
)

_DELTA_KEYS = frozenset({"stop_reason", "stop_sequence"})
_DELTA_EVENT_KEYS = frozenset({"type", "delta", "usage"})
_GROWTH: Mapping[str, tuple[str, str, type[TextDelta | ReasoningDelta | ArgumentsDelta]]] = {
    "text": ("text_delta", "text", TextDelta),
    "thinking": ("thinking_delta", "thinking", ReasoningDelta),
    "tool_use": ("input_json_delta", "partial_json", ArgumentsDelta),
}
"""Of each modelled block: the delta by which it grows, the key of the piece in it, the event."""
_BLOCK_OF_DELTA: Mapping[str, str] = {
    **{delta: kind for kind, (delta, _, _) in _GROWTH.items()},
    "citations_delta": "text",
    "signature_delta": "thinking",
}
_BLOCK_OF_KEY: Mapping[str, str] = {key: kind for kind, (_, key, _) in _GROWTH.items()}


class _Open:
    """A block that has begun.

    Attributes:
        raw: The block as it began, and as it grows where it is not modelled.
        pieces: What came of its text, or of its input's JSON text.
        growth: Its row of `_GROWTH`, or one that no delta fits.
    """

    __slots__ = ("growth", "kind", "part", "pieces", "raw")

    def __init__(self, part: int, kind: str, raw: dict[str, Any]) -> None:
        self.part = part
        self.kind = kind
        self.raw = raw
        self.pieces: list[str] = []
        begun = raw.get("input")
        self.growth = _GROWTH.get(kind, _NO_GROWTH) if not isinstance(begun, str) else _NO_GROWTH

    def absorb(self, delta: dict[str, Any]) -> None:
        """Grows a block that is not modelled: texts are appended, other values replaced."""
        for key, value in delta.items():
            if key != "type":
                old = self.raw.get(key)
                self.raw[key] = old + value if isinstance(old, str) and isinstance(value, str) else value


_NO_GROWTH = ("", "", TextDelta)


class MessagesDecoder(EventDecoder):
    """Push decoder of one stream, ended by `message_stop`.

    Without that marker an answer is whole all the same once it has its stop reason, for nothing but the marker comes
    after that (facts §14.2).

    A second message after the first one's end continues the answer: its parts follow, its id, model, usage and finish
    take over. A second message inside an unfinished one means that the first was cut.
    """

    __slots__ = ("_id", "_next", "_open", "_stopped", "_texts", "_usage", "_within")
    payload = frozenset({"delta", "content_block", "message"})

    def __init__(self) -> None:
        super().__init__()
        self._id = ""
        self._open: dict[int, _Open] = {}
        self._next = 0
        self._usage: dict[str, Any] = {}
        self._texts: list[str] = []
        self._within = False  # whether the message has any content
        self._stopped = False  # whether it has a stop reason, and no content after that

    def reopens(self, data: bytes) -> bool:
        """Whether another message begins."""
        return b'"message_start"' in data

    def close(self) -> Sequence[Event]:
        """Nothing: a whole stream has said all.

        Raises:
            StreamBroken: The answer is not whole.
            EmbeddedError: The last event was an error.
        """
        if not (self.ended or self._stopped) or isinstance(self.broken, EmbeddedError):
            raise self._cut("The stream ended before message_stop.")
        return ()

    def _cut(self, message: str) -> Exception:
        return self.cut(message, "".join(self._texts))

    def take(self, name: str, event: dict[str, Any]) -> Sequence[Event]:
        """The events of one JSON object."""
        kind = event.get("type")
        if kind == "content_block_delta":
            index: Any = event.get("index")
            delta: Any = event.get("delta")
            block = self._open.get(index) if type(index) is int else None
            if block is not None and delta.__class__ is dict:
                type_, key, made = block.growth
                piece = delta.get(key)
                if delta.get("type") == type_ and type(piece) is str and piece:
                    block.pieces.append(piece)
                    return (made(block.part, piece),)
            return self._delta(event)
        return self._rare(kind if isinstance(kind, str) and kind in _KINDS else name, event)

    def _rare(self, kind: str, event: dict[str, Any]) -> Sequence[Event]:
        match kind:
            case "content_block_delta":
                return self._delta(event)
            case "content_block_start":
                return self._begin(count_of(event.get("index")), _required(event, "content_block"))
            case "content_block_stop":
                index = count_of(event.get("index"))
                return self._finish(next(reversed(self._open), None) if index is None else index)
            case "message_start":
                return self._message(_required(event, "message"))
            case "message_delta":
                return self._message_delta(event)
            case "message_stop":
                return self._message_stop()
            case _:
                return self.take_unknown(event)

    def _delta(self, event: dict[str, Any]) -> Sequence[Event]:
        index, delta = count_of(event.get("index")), _required(event, "delta")
        kind, block = delta.get("type"), None if index is None else self._open.get(index)
        wanted = _BLOCK_OF_DELTA.get(kind) if isinstance(kind, str) else None
        wanted = wanted or next((_BLOCK_OF_KEY[key] for key in delta if key in _BLOCK_OF_KEY), None)
        if wanted is None and not isinstance(kind, str):
            raise missing("type of a delta") if kind is None else unusable("delta.type", kind, "a string")
        events: list[Event] = []
        if block is None or (block.kind in BLOCK_KEYS and wanted not in (None, block.kind)):
            block = self._open_for(wanted, index if block is None else None, events)
        if block is not None:
            events += _grown(block, wanted, delta)
        return events

    def _open_for(self, kind: str | None, index: int | None, events: list[Event]) -> _Open | None:
        """The block of a delta whose index names none: the last one that can be meant, else a new one."""
        for block in reversed(self._open.values()):
            if block.kind == kind or (kind == "tool_use" and block.kind not in BLOCK_KEYS and "input" in block.raw):
                return block
        if kind == "tool_use":
            raise ProtocolError("The stream has a piece of a tool's input, but the start of no tool_use block.")
        if kind is None:
            return None
        events += self._begin(index, {"type": kind})
        return self._open[next(reversed(self._open))]

    def _message(self, message: dict[str, Any]) -> list[Event]:
        if self._within and not self._stopped:
            raise self._cut("A new message begins before the message_stop of the one before.")
        self.ended = self._within = False
        self._usage = dict(counts_of(message))
        self._id = as_str(message.get("id"))
        events: list[Event] = [Started(self._id, as_str(message.get("model")))]
        for index, block in enumerate(blocks_of(message)):
            events += self._begin(index, block)
            events += self._finish(index)
        if self._usage:
            events.append(UsageUpdated(usage_of(self._usage)))
        if noted := facts(message):
            events.append(ReplyNoted(noted))
        self._stopped = self._within and bool(as_str(message.get("stop_reason")))
        return [*events, *_end(message)]

    def _message_delta(self, event: dict[str, Any]) -> list[Event]:
        delta = _required(event, "delta")
        events: list[Event] = []
        if as_str(delta.get("stop_reason")):
            events += self._finish_all()
            self._stopped = True
        events += _end(delta)
        if told := counts_of(event):
            # Counts are totals so far, and those that are left out keep message_start's value.
            self._usage = {**self._usage, **{key: value for key, value in told.items() if value is not None}}
            events.append(UsageUpdated(usage_of(self._usage)))
        for noted in (facts(delta, _DELTA_KEYS), facts(event, _DELTA_EVENT_KEYS)):
            if noted:
                events.append(ReplyNoted(noted))
        return events

    def _message_stop(self) -> list[Event]:
        if not (self._within or self._stopped):
            raise self._cut("The stream ended with message_stop, but there was no message in it.")
        events = self._finish_all()
        self.ended, self._within = True, False
        return events

    def _begin(self, index: int | None, raw: dict[str, Any]) -> list[Event]:
        part, kind = self._next, kind_of(raw)
        if index is None:
            index = -1 - part  # of no use but to tell it from the others
        events = list(self._finish(index))
        self._next += 1
        self._within, self._stopped = True, False
        block = self._open[index] = _Open(part, kind, raw)
        if kind == "text":
            block.pieces = self._texts
        match kind:
            case "text":
                events += [PartStarted(part, "text"), *_said(block, text_of(raw, "text"))]
                events += [CitationAdded(part, citation) for citation in citations_of(raw)]
            case "thinking":
                events += [PartStarted(part, "reasoning"), *_said(block, text_of(raw, "thinking"))]
            case "tool_use":
                id_, name = call_of(raw, self._id, part)
                events.append(PartStarted(part, "tool_call", id=id_, name=name))
            case "fallback":
                # The model that takes over; a whole body names it in `model`, message_start named the first one.
                heir = raw.get("to")
                return [*events, Started(model=as_str(heir.get("model")) if is_object(heir) else "")]
            case _:
                return events
        if extras := block_extras(raw):
            events.append(PartNoted(part, extras))
        return events

    def _finish_all(self) -> list[Event]:
        return [event for index in list(self._open) for event in self._finish(index)]

    def _finish(self, index: int | None) -> Sequence[Event]:
        block = None if index is None else self._open.pop(index, None)
        match block:
            case None | _Open(kind="text" | "thinking"):
                return ()
            case _Open(kind="tool_use"):
                return () if block.pieces else (ArgumentsDelta(block.part, input_text(block.raw)),)
            case _:
                if block.pieces:
                    block.raw["input"] = arguments_object("".join(block.pieces))
                return (PartAdded(block.part, Opaque("messages", block.raw)),)


def _required(event: dict[str, Any], key: str) -> dict[str, Any]:
    value = object_of(event, key)
    if value is None:
        raise missing(f"{key} in an event {event.get('type')!r}")
    return value


def _grown(block: _Open, wanted: str | None, delta: dict[str, Any]) -> Sequence[Event]:
    if block.kind not in BLOCK_KEYS:
        if wanted == "tool_use":
            block.pieces.append(_piece(block, delta))
        else:
            block.absorb(delta)
    elif "citation" in delta:
        cited = delta["citation"]
        return (CitationAdded(block.part, citation_of(cited)),) if is_object(cited) else ()
    elif wanted is not None and _GROWTH[wanted][1] in delta:
        return _said(block, _piece(block, delta))
    else:  # a signature, or what a later version of the format adds
        told = {key: value for key, value in delta.items() if key != "type"}
        if "signature" in told:
            told["signature"] = as_str(told["signature"])
        return (PartNoted(block.part, extras_of("messages", **told)),) if told else ()
    return ()


def _said(block: _Open, piece: str) -> Sequence[Event]:
    """More of a modelled block."""
    if not piece:
        return ()
    block.pieces.append(piece)
    return (_GROWTH[block.kind][2](block.part, piece),)


def _piece(block: _Open, delta: dict[str, Any]) -> str:
    """What a delta adds to a block. The first piece of an input whose beginning stood in the block goes on with it."""
    piece = text_of(delta, _GROWTH[block.kind if block.kind in _GROWTH else "tool_use"][1])
    begun = block.raw.get("input")
    if piece and not block.pieces and isinstance(begun, str) and not _says_again(piece, begun):
        return begun + piece
    return piece


def _says_again(piece: str, begun: str) -> bool:
    """Whether the first piece of an input begins it anew, although its block began with some of it."""
    return is_object_text(begun) or piece.startswith(begun) or begun.startswith(piece)


def _end(said: dict[str, Any]) -> list[Event]:
    events: list[Event] = []
    if word := as_str(said.get("stop_reason")):
        events.append(Finished(finish_of(word), word))
    if extras := choice_extras(said):
        events.append(ReplyNoted(extras, choice=0))
    return events


_KINDS = frozenset(
    {
        *("message_start", "message_delta", "message_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
    }
)
