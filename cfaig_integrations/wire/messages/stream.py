"""A streamed message to events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cfaig_integrations.core.content import Opaque, extras_of
from cfaig_integrations.core.events import (
    ArgumentsDelta,
    CitationAdded,
    Event,
    Finished,
    PartAdded,
    PartExtras,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    ReplyExtras,
    Started,
    TextDelta,
    UsageUpdated,
)
from cfaig_integrations.core.json_types import JsonObject
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.decoder import EventDecoder
from cfaig_integrations.wire.encoding import arguments_object
from cfaig_integrations.wire.jsonio import as_str, count_of, is_object_text, object_of, object_or_empty, text_of
from cfaig_integrations.wire.messages.decode import (
    BLOCK_KEYS,
    REFUSED,
    block_extras,
    block_type,
    blocks_of,
    call_id_and_name,
    choice_extras,
    citation_of,
    citations_of,
    finish_reason,
    input_text,
    missing,
    refusal_of,
    reply_extras,
    required_str,
    usage_of,
)

_EVENT_TYPES = frozenset(
    {
        *("message_start", "message_delta", "message_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
    }
)


@dataclass(frozen=True, slots=True)
class _DeltaForm:
    """The delta that continues a modeled block: its type, the key of its text, and the event that it becomes."""

    delta_type: str
    key: str
    event: type[TextDelta | ReasoningDelta | ArgumentsDelta]


_DELTA_FORMS: Mapping[str, _DeltaForm] = {
    "text": _DeltaForm("text_delta", "text", TextDelta),
    "thinking": _DeltaForm("thinking_delta", "thinking", ReasoningDelta),
    "tool_use": _DeltaForm("input_json_delta", "partial_json", ArgumentsDelta),
}
_NO_DELTA_FORM = _DeltaForm("", "", TextDelta)
_BLOCK_OF_DELTA: Mapping[str, str] = {
    **{form.delta_type: block for block, form in _DELTA_FORMS.items()},
    "citations_delta": "text",
    "signature_delta": "thinking",
}
_BLOCK_OF_KEY: Mapping[str, str] = {form.key: block for block, form in _DELTA_FORMS.items()}


class _OpenBlock:
    """A block that has begun.

    Attributes:
        raw: The block as it began; an unmodeled one with its deltas.
        pieces: The pieces of its text, or of its input's JSON text.
        form: The form of its usual deltas.
    """

    __slots__ = ("form", "part", "pieces", "raw", "type")

    def __init__(self, part: int, type_: str, raw: JsonObject) -> None:
        self.part = part
        self.type = type_
        self.raw = raw
        self.pieces: list[str] = []
        has_text_input = isinstance(raw.get("input"), str)
        self.form = _NO_DELTA_FORM if has_text_input else _DELTA_FORMS.get(type_, _NO_DELTA_FORM)

    def take(self, delta: JsonObject, target: str | None) -> Sequence[Event]:
        """Takes a delta that is meant for a block of type `target`."""
        if self.type not in BLOCK_KEYS:
            if target == "tool_use":
                self.pieces.append(self._text_in(delta))
            else:
                self._update_raw(delta)
        elif "citation" in delta:
            citation = delta["citation"]
            return (CitationAdded(self.part, citation_of(citation)),) if isinstance(citation, dict) else ()
        elif target is not None and _DELTA_FORMS[target].key in delta:
            return self.append(self._text_in(delta))
        else:  # a signature, or what a later version of the format adds
            extras = {key: value for key, value in delta.items() if key != "type"}
            if "signature" in extras:
                extras["signature"] = as_str(extras["signature"])
            return (PartExtras(self.part, extras_of("messages", **extras)),) if extras else ()
        return ()

    def append(self, text: str) -> Sequence[Event]:
        """Continues a modeled block."""
        if not text:
            return ()
        self.pieces.append(text)
        return (_DELTA_FORMS[self.type].event(self.part, text),)

    def _update_raw(self, delta: JsonObject) -> None:
        """Adds a delta to an unmodeled block: texts are appended, other values replaced."""
        for key, value in delta.items():
            if key != "type":
                before = self.raw.get(key)
                self.raw[key] = before + value if isinstance(before, str) and isinstance(value, str) else value

    def _text_in(self, delta: JsonObject) -> str:
        """The text of a delta; with the first one, the text of an input that began in the block and is continued."""
        text = text_of(delta, _DELTA_FORMS.get(self.type, _DELTA_FORMS["tool_use"]).key)
        begun = self.raw.get("input")
        if not text or self.pieces or not isinstance(begun, str):
            return text
        repeated = is_object_text(begun) or text.startswith(begun) or begun.startswith(text)
        return text if repeated else begun + text

    def finish(self) -> Sequence[Event]:
        """The last events of the block."""
        match self.type:
            case "text" | "thinking":
                return ()
            case "tool_use":
                return () if self.pieces else (ArgumentsDelta(self.part, input_text(self.raw)),)
            case _:
                if self.pieces:
                    self.raw["input"] = arguments_object("".join(self.pieces))
                return (PartAdded(self.part, Opaque("messages", self.raw)),)


@dataclass(slots=True, eq=False)
class MessagesDecoder(EventDecoder):
    """Push decoder of one stream, ended by `message_stop`.

    Without that marker an answer is complete, too, once it has its stop reason: only the marker comes after that (facts
    §14.2).

    A second message after the first one's end continues the answer: its parts follow, its id, model, usage and finish
    reason replace the first ones. A second message inside an unfinished one means that the first was truncated.
    """

    payload_keys = frozenset({"delta", "content_block", "message"})
    _id: str = ""
    _open: dict[object, _OpenBlock] = field(default_factory=dict[object, _OpenBlock])
    _next_part: int = 0
    _usage: JsonObject = field(default_factory=JsonObject)
    _texts: list[str] = field(default_factory=list[str])
    _has_content: bool = False
    _refused: bool = False
    _stopped: bool = False  # whether it has a stop reason, and no content after that

    def _reopens(self, data: bytes) -> bool:
        return b'"message_start"' in data

    def _missing(self) -> str:
        complete = (self.ended or self._stopped) and not isinstance(self.pending_error, EmbeddedError)
        return "" if complete else "The stream ended before message_stop."

    def _partial_text(self) -> str:
        return "".join(self._texts)

    def _take(self, name: str, event: JsonObject) -> Sequence[Event]:
        kind = event.get("type")
        if kind == "content_block_delta":
            index, delta = event.get("index"), event.get("delta")
            block = self._open.get(index) if type(index) is int else None
            if block is not None and isinstance(delta, dict):
                form = block.form
                text = delta.get(form.key)
                if delta.get("type") == form.delta_type and isinstance(text, str) and text:
                    block.pieces.append(text)
                    return (form.event(block.part, text),)
        return self._take_type(kind if isinstance(kind, str) and kind in _EVENT_TYPES else name, event)

    def _take_type(self, type_: str, event: JsonObject) -> Sequence[Event]:
        match type_:
            case "content_block_delta":
                return self._delta(event)
            case "content_block_start":
                return self._begin(count_of(event.get("index")), _required_object(event, "content_block"))
            case "content_block_stop":
                index = count_of(event.get("index"))
                return self._finish(next(reversed(self._open), None) if index is None else index)
            case "message_start":
                return self._message(_required_object(event, "message"))
            case "message_delta":
                return self._message_delta(event)
            case "message_stop":
                return self._message_stop()
            case _:
                return self._take_unknown(event)

    def _delta(self, event: JsonObject) -> Sequence[Event]:
        index, delta = count_of(event.get("index")), _required_object(event, "delta")
        kind, block = delta.get("type"), None if index is None else self._open.get(index)
        target = _BLOCK_OF_DELTA.get(kind) if isinstance(kind, str) else None
        target = target or next((_BLOCK_OF_KEY[key] for key in delta if key in _BLOCK_OF_KEY), None)
        if target is None:
            required_str(delta, "type", "type of a delta", "delta.type")
        events: list[Event] = []
        if block is None or (block.type in BLOCK_KEYS and target not in (None, block.type)):
            block = self._open_for(target, index if block is None else None, events)
        if block is not None:
            events += block.take(delta, target)
        return events

    def _open_for(self, type_: str | None, index: int | None, events: list[Event]) -> _OpenBlock | None:
        """The block of a delta whose index names none: the last one that fits, otherwise a new one."""
        for block in reversed(self._open.values()):
            if block.type == type_ or (type_ == "tool_use" and block.type not in BLOCK_KEYS and "input" in block.raw):
                return block
        if type_ == "tool_use":
            raise ProtocolError("The stream has a piece of a tool's input, but no start of a tool_use block.")
        if type_ is None:
            return None
        events += self._begin(index, {"type": type_})
        return self._open[next(reversed(self._open))]

    def _message(self, message: JsonObject) -> list[Event]:
        if self._has_content and not self._stopped:
            raise self._truncated("A new message begins before the message_stop of the previous one.")
        self.ended = self._has_content = self._refused = False
        self._usage = dict(object_or_empty(message.get("usage")))
        self._id = as_str(message.get("id"))
        events: list[Event] = [Started(self._id, as_str(message.get("model")))]
        for index, block in enumerate(blocks_of(message)):
            events += self._begin(index, block)
            events += self._finish(index)
        if self._usage:
            events.append(UsageUpdated(usage_of(self._usage)))
        if extras := reply_extras(message):
            events.append(ReplyExtras(extras))
        self._stopped = self._has_content and bool(as_str(message.get("stop_reason")))
        return [*events, *self._finish_message(message)]

    def _message_delta(self, event: JsonObject) -> list[Event]:
        delta = _required_object(event, "delta")
        events: list[Event] = []
        if as_str(delta.get("stop_reason")):
            events += self._finish_all()
            self._stopped = True
        events += self._finish_message(delta)
        if usage := object_or_empty(event.get("usage")):
            # Counts are totals so far, and omitted ones keep message_start's value.
            self._usage = {**self._usage, **{key: value for key, value in usage.items() if value is not None}}
            events.append(UsageUpdated(usage_of(self._usage)))
        for holder, keys in ((delta, ("stop_reason", "stop_sequence")), (event, ("type", "delta", "usage"))):
            if extras := reply_extras(holder, keys):
                events.append(ReplyExtras(extras))
        return events

    def _message_stop(self) -> list[Event]:
        if not (self._has_content or self._stopped):
            raise self._truncated("The stream ended with message_stop, but there was no message in it.")
        events = self._finish_all()
        self.ended, self._has_content = True, False
        return events

    def _begin(self, index: int | None, raw: JsonObject) -> list[Event]:
        part, type_ = self._next_part, block_type(raw)
        if index is None:
            index = -1 - part  # distinct from all others
        events = list(self._finish(index))
        self._next_part += 1
        self._has_content, self._stopped = True, False
        block = self._open[index] = _OpenBlock(part, type_, raw)
        match type_:
            case "text":
                block.pieces = self._texts
                events += [PartStarted(part, "text"), *block.append(text_of(raw, "text"))]
                events += [CitationAdded(part, citation) for citation in citations_of(raw)]
            case "thinking":
                events += [PartStarted(part, "reasoning"), *block.append(text_of(raw, "thinking"))]
            case "tool_use":
                id_, name = call_id_and_name(raw, self._id, part)
                events.append(PartStarted(part, "tool_call", id=id_, name=name))
            case "fallback":
                # The model that takes over; a whole body names it in `model`, message_start named the first one.
                return [*events, Started(model=as_str(object_or_empty(raw.get("to")).get("model")))]
            case _:
                return events
        if extras := block_extras(raw):
            events.append(PartExtras(part, extras))
        return events

    def _finish_message(self, message: JsonObject) -> list[Event]:
        """The events of a stop reason, in `message_start` or in a `message_delta`."""
        events: list[Event] = []
        if stop_reason := as_str(message.get("stop_reason")):
            events.append(Finished(finish_reason(stop_reason), stop_reason))
            if stop_reason == REFUSED and not self._refused:
                self._refused = True
                part, refusal = self._next_part, refusal_of(message)
                self._next_part += 1
                events += [PartStarted(part, "refusal"), RefusalDelta(part, refusal.text)]
                events.append(PartExtras(part, refusal.extras))
        if extras := choice_extras(message):
            events.append(ReplyExtras(extras, choice=0))
        return events

    def _finish_all(self) -> list[Event]:
        return [event for index in list(self._open) for event in self._finish(index)]

    def _finish(self, index: object) -> Sequence[Event]:
        block = self._open.pop(index, None)
        return block.finish() if block else ()


def _required_object(event: JsonObject, key: str) -> JsonObject:
    value = object_of(event, key)
    if value is None:
        raise missing(f"{key} in an event {event.get('type')!r}")
    return value
