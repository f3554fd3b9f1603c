"""A streamed message to events.

Knows no whole bodies beyond the pieces that it shares with `decode`, and does no accumulating that `core.fold` does:
only blocks that are not modelled are collected here, because they are given out whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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
from cfaig_integrations.errors import ProtocolError, StreamBroken
from cfaig_integrations.wire.codec import Refused
from cfaig_integrations.wire.common import says_error
from cfaig_integrations.wire.jsonio import dump_text, excerpt, load
from cfaig_integrations.wire.messages.blocks import input_of
from cfaig_integrations.wire.messages.decode import (
    block_extras,
    choice_extras,
    citation_of,
    facts,
    finish_of,
    usage_of,
)

_DELTA_KEYS = frozenset({"stop_reason", "stop_sequence"})
_DELTA_EVENT_KEYS = frozenset({"type", "delta", "usage"})


@dataclass(slots=True)
class _Open:
    """A block that has begun.

    Attributes:
        raw: The block as it began, and as it grows where it is not modelled.
        json: Pieces of its input's JSON text.
    """

    part: int
    kind: str
    raw: dict[str, Any]
    json: list[str] = field(default_factory=list[str])

    def absorb(self, delta: dict[str, Any]) -> None:
        """Grows a block that is not modelled: texts are appended, other values replaced."""
        for key, value in delta.items():
            if key != "type":
                old = self.raw.get(key)
                self.raw[key] = old + value if isinstance(old, str) and isinstance(value, str) else value


class MessagesDecoder:
    """Push decoder of one stream, ended by `message_stop`.

    A second message after the first one's end continues the answer: its parts follow, its id, model, usage and finish
    take over. A second message inside an unfinished one means that the first was cut.
    """

    __slots__ = ("_broken", "_next", "_open", "_texts", "_usage", "_within", "ended", "keep_alives")

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}
        self._next = 0
        self._usage: dict[str, Any] = {}
        self._texts: list[str] = []
        self._within = False
        self.ended = False
        self.keep_alives = 0
        self._broken: ProtocolError | None = None

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        """The events of one server-sent event.

        Raises:
            ProtocolError: The data is not what the format allows.
            StreamBroken: A new message begins inside an unfinished one.
            Refused: The event is an error.
        """
        if name == "ping":
            self.keep_alives += 1
            return ()
        if self._broken is not None:
            raise self._broken
        if data[:1] != b"{" and not data.lstrip().startswith(b"{"):
            self.keep_alives += 1  # keep-alive words and [DONE], wire-facts §5.3
            return ()
        try:
            event = load(data, repair=False)
        except ProtocolError as error:
            self._broken = error  # a cut, if nothing follows; `close` will tell
            return ()
        try:
            return self._events(event)
        except (AttributeError, KeyError, TypeError) as error:
            raise ProtocolError(
                f"The stream has an event that is not of Anthropic's format: {error!r}.", body=excerpt(data)
            ) from error

    def close(self) -> Sequence[Event]:
        """Nothing: a whole stream has said all.

        Raises:
            StreamBroken: `message_stop` never came.
        """
        if self._broken is not None or not self.ended:
            raise self._cut("The stream ended before message_stop.")
        return ()

    def _cut(self, message: str) -> StreamBroken:
        body = self._broken.body if self._broken else None
        return StreamBroken(message, body=body, partial="".join(self._texts))

    def _events(self, event: dict[str, Any]) -> Sequence[Event]:
        kind = event.get("type")
        if kind == "content_block_delta":
            block, delta = self._open[event["index"]], event["delta"]
            if delta["type"] == "text_delta" and block.kind == "text":
                return self._text(block.part, delta["text"])
            return _grown(block, delta)
        match kind:
            case "content_block_start":
                return self._begin(event["index"], event["content_block"])
            case "content_block_stop":
                return self._finish(event["index"])
            case "message_start":
                return self._message(event["message"])
            case "message_delta":
                return self._message_delta(event)
            case "message_stop":
                return self._message_stop()
            case _:
                if says_error(event):
                    raise Refused(event)
                return ()

    def _text(self, part: int, text: str) -> Sequence[Event]:
        if not text:
            return ()
        self._texts.append(text)
        return (TextDelta(part, text),)

    def _message(self, message: dict[str, Any]) -> list[Event]:
        if self._within:
            raise self._cut("A new message begins before the message_stop of the one before.")
        self.ended = False
        self._usage = dict(message.get("usage") or {})
        events: list[Event] = [Started(message.get("id") or "", message.get("model") or "")]
        for index, block in enumerate(message.get("content") or ()):
            events += self._begin(index, block)
            events += self._finish(index)
        if self._usage:
            events.append(UsageUpdated(usage_of(self._usage)))
        if noted := facts(message):
            events.append(ReplyNoted(noted))
        return [*events, *_end(message)]

    def _message_delta(self, event: dict[str, Any]) -> list[Event]:
        delta = event["delta"]
        events = _end(delta)
        if told := event.get("usage"):
            # Counts are totals so far, and those that are left out keep message_start's value.
            self._usage = {**self._usage, **{key: value for key, value in told.items() if value is not None}}
            events.append(UsageUpdated(usage_of(self._usage)))
        for noted in (facts(delta, _DELTA_KEYS), facts(event, _DELTA_EVENT_KEYS)):
            if noted:
                events.append(ReplyNoted(noted))
        return events

    def _message_stop(self) -> list[Event]:
        self.ended, self._within = True, False
        return [event for index in list(self._open) for event in self._finish(index)]

    def _begin(self, index: int, raw: dict[str, Any]) -> list[Event]:
        part, kind = self._next, raw["type"]
        self._next += 1
        self._within = True
        self._open[index] = _Open(part, kind, raw)
        match kind:
            case "text":
                events: list[Event] = [PartStarted(part, "text"), *self._text(part, raw.get("text") or "")]
                events += [CitationAdded(part, citation_of(citation)) for citation in raw.get("citations") or ()]
            case "thinking":
                events = [PartStarted(part, "reasoning")]
                if thought := raw.get("thinking"):
                    events.append(ReasoningDelta(part, thought))
            case "tool_use":
                events = [PartStarted(part, "tool_call", id=raw["id"], name=raw["name"])]
            case "fallback":
                # The model that takes over; a whole body names it in `model`, message_start named the first one.
                heir: dict[str, Any] = raw.get("to") or {}
                return [Started(model=heir.get("model") or "")]
            case _:
                return []
        if extras := block_extras(raw):
            events.append(PartNoted(part, extras))
        return events

    def _finish(self, index: int) -> Sequence[Event]:
        block = self._open.pop(index, None)
        match block:
            case None | _Open(kind="text" | "thinking"):
                return ()
            case _Open(kind="tool_use"):
                return () if block.json else (ArgumentsDelta(block.part, dump_text(block.raw["input"])),)
            case _:
                if block.json:
                    block.raw["input"] = input_of("".join(block.json))
                return (PartAdded(block.part, Opaque("messages", block.raw)),)


def _end(said: dict[str, Any]) -> list[Event]:
    events: list[Event] = []
    if word := said.get("stop_reason"):
        events.append(Finished(finish_of(word), word))
    if extras := choice_extras(said):
        events.append(ReplyNoted(extras, choice=0))
    return events


def _grown(block: _Open, delta: dict[str, Any]) -> Sequence[Event]:
    match block.kind, delta["type"]:
        case _, "input_json_delta":
            if piece := delta["partial_json"]:
                block.json.append(piece)
                if block.kind == "tool_use":
                    return (ArgumentsDelta(block.part, piece),)
        case "thinking", "thinking_delta":
            if thought := delta["thinking"]:
                return (ReasoningDelta(block.part, thought),)
        case "text", "citations_delta":
            return (CitationAdded(block.part, citation_of(delta["citation"])),)
        case "text" | "thinking" | "tool_use", _:  # a signature, or what a later version of the format adds
            told = {key: value for key, value in delta.items() if key != "type"}
            return (PartNoted(block.part, extras_of("messages", **told)),)
        case _:
            block.absorb(delta)
    return ()
