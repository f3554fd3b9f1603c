"""One answer (a choice): messages and deltas to events.

A whole message is read as a single delta, so a body and a stream of the same answer add up to the same parts. Within
one delta the order is: reasoning, content, refusal, images, tool calls, audio.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field

from cfaig_integrations.core.content import Media, Opaque
from cfaig_integrations.core.events import (
    CitationAdded,
    Event,
    Finished,
    PartAdded,
    PartExtras,
    PartKind,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    ReplyExtras,
    TextDelta,
)
from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.wire.chat_completions.stream_tool_calls import ReplyState, ToolCalls
from cfaig_integrations.wire.chat_completions.values import (
    CHOICE_KEYS,
    MESSAGE_KEYS,
    REASONING_DETAILS,
    citations_of,
    finish_reason,
    is_empty,
    join_objects,
    join_values,
    reasoning_of,
    unmodeled,
    wire_extras,
)
from cfaig_integrations.wire.jsonio import (
    as_str,
    as_text,
    list_or_empty,
    object_of,
    object_or_empty,
    objects_among,
    objects_of,
)

_URL_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(slots=True, eq=False)
class ChoiceReader:
    """Converts the deltas of one choice to events.

    Attributes:
        number: Its number in the reply.
        reply: What it shares with the other answers.
        began: Whether it has any part.
        by_deltas: Whether its deltas are read, so that a message next to them only repeats them.
        raw_finish: The provider's finish reason.
    """

    number: int
    reply: ReplyState
    began: bool = False
    by_deltas: bool = False
    raw_finish: str = ""
    _tool_calls: ToolCalls = field(init=False)
    _text_part: int | None = None
    _first_text: int | None = None
    _reasoning_part: int | None = None
    _reasoning_field: str = ""
    _refusal_part: int | None = None
    _has_blocks: bool = False
    _in_thinking: bool = False
    _thinking: list[tuple[int, list[JsonObject]]] = field(default_factory=list[tuple[int, list[JsonObject]]])
    _audio: list[JsonObject] = field(default_factory=list[JsonObject])
    _audio_part: int | None = None
    _unmodeled: dict[str, list[JsonValue]] = field(default_factory=dict[str, list[JsonValue]])
    _extras: JsonObject = field(default_factory=JsonObject)
    _logprobs: list[JsonValue] = field(default_factory=list[JsonValue])

    def __post_init__(self) -> None:
        self._tool_calls = ToolCalls(self.number, self.reply)

    def take(self, delta: JsonObject, events: list[Event], *, whole: bool) -> None:
        """Takes a delta, or with `whole` a message."""
        parts = self.reply.parts
        self._take_reasoning(delta, events)
        self._take_content(delta.get("content"), events)
        if refusal := delta.get("refusal"):
            if self._refusal_part is None:
                self._refusal_part = self._start("refusal", events)
            events.append(RefusalDelta(self._refusal_part, as_text(refusal)))
        for image in objects_among(delta.get("images")):
            events.append(PartAdded(self.reply.next_part(), _image(image), self.number))
        for raw in objects_of(delta, "tool_calls", one=True):
            self._tool_calls.take(raw, events, whole=whole)
        if (call := object_of(delta, "function_call")) and not is_empty(call):
            self._tool_calls.take(call, events, whole=whole, legacy=True)
        if not is_empty(audio := object_or_empty(delta.get("audio"))):
            if self._audio_part is None:
                self._audio_part = self.reply.next_part()
            self._audio.append(audio)
        for key, value in unmodeled(delta, MESSAGE_KEYS).items():
            self._unmodeled.setdefault(key, []).append(value)
        self.began = self.began or self.reply.parts > parts

    def continuation(self, key: str, value: JsonValue) -> Event | None:
        """The event of a delta that has only `key`, if it continues a part that has begun."""
        if key == "content":
            if self._text_part is not None and isinstance(value, str):
                self.reply.text.append(value)
                return TextDelta(self._text_part, value)
        elif key == self._reasoning_field:
            if self._reasoning_part is not None and isinstance(value, str):
                return ReasoningDelta(self._reasoning_part, value)
        elif key == "tool_calls":
            return self._tool_calls.continuation(value)
        return None

    def take_metadata(self, choice: JsonObject) -> None:
        """Takes the fields of a choice other than its message."""
        fields = unmodeled(choice, CHOICE_KEYS)
        if "logprobs" in fields:
            self._logprobs.append(fields.pop("logprobs"))
        self._extras |= fields
        # Empty in every chunk of some servers, facts §14.2.
        self.raw_finish = as_str(choice.get("finish_reason")) or self.raw_finish

    def _start(self, kind: PartKind, events: list[Event]) -> int:
        part = self.reply.next_part()
        events.append(PartStarted(part, kind, self.number))
        return part

    def _take_reasoning(self, delta: JsonObject, events: list[Event]) -> None:
        field, text = reasoning_of(delta)
        if not text or (field == REASONING_DETAILS and self._reasoning_field not in ("", field)):
            return
        if self._reasoning_part is None:
            self._reasoning_field = field
            self._reasoning_part = self._start("reasoning", events)
            events.append(PartExtras(self._reasoning_part, wire_extras({"field": field})))
        events.append(ReasoningDelta(self._reasoning_part, text))

    def _add_text(self, text: str, events: list[Event]) -> None:
        if self._text_part is None:
            self._text_part = self._start_text(events)
        self.reply.text.append(text)
        events.append(TextDelta(self._text_part, text))

    def _start_text(self, events: list[Event]) -> int:
        part = self._start("text", events)
        self._in_thinking = False
        if self._first_text is None:
            self._first_text = part
        return part

    def _take_content(self, content: JsonValue, events: list[Event]) -> None:
        """Takes text, or a list of blocks as Mistral's reasoning models write."""
        if not isinstance(content, list):
            if content is not None and content != "":
                self._add_text(as_text(content), events)
            return
        self._has_blocks = self._has_blocks or bool(content)
        for block in content:
            if not isinstance(block, dict):
                if block is not None:
                    self._add_text(as_text(block), events)
                continue
            kind = block.get("type")
            match kind if isinstance(kind, str) or "text" not in block else "text":
                case "thinking":
                    self._take_thinking(block, events)
                case "text" if block.keys() <= {"type", "text"}:
                    if (text := block.get("text")) is not None and text != "":
                        self._add_text(as_text(text), events)
                case "text":
                    self._add_annotated_text(block, events)
                case _:
                    events.append(PartAdded(self.reply.next_part(), Opaque("chat_completions", block), self.number))
                    self._text_part, self._in_thinking = None, False

    def _add_annotated_text(self, block: JsonObject, events: list[Event]) -> None:
        """Adds a text block with further keys, which is a part of its own."""
        part = self._text_part = self._start_text(events)
        text = block.get("text")
        self._add_text("" if text is None else as_text(text), events)
        extras = {key: value for key, value in block.items() if key not in ("type", "text")}
        events.append(PartExtras(part, wire_extras(extras)))
        self._text_part = None

    def _take_thinking(self, block: JsonObject, events: list[Event]) -> None:
        if not self._in_thinking:
            self._thinking.append((self._start("reasoning", events), []))
            self._in_thinking, self._text_part = True, None
        part, pieces = self._thinking[-1]
        pieces.append(block)
        inner = block.get("thinking")
        texts = [inner] if isinstance(inner, str) else [chunk.get("text") for chunk in objects_among(inner)]
        if text := "".join(text for text in texts if isinstance(text, str)):
            events.append(ReasoningDelta(part, text))

    def end(self, events: list[Event]) -> None:
        """Adds the events that only the end makes final."""
        self._tool_calls.end(events)
        if self._audio_part is not None:
            events.append(PartAdded(self._audio_part, _join_audio(self._audio), self.number))
        for part, pieces in self._thinking:
            events.append(PartExtras(part, wire_extras({"block": _join_thinking(pieces)})))
        rest: JsonObject = {key: join_values(pieces, key) for key, pieces in self._unmodeled.items()}
        if self._first_text is not None:
            for citation in citations_of(rest.get("annotations")):
                events.append(CitationAdded(self._first_text, citation))
        if self._has_blocks:
            rest["listed"] = True
        if rest:
            events.append(ReplyExtras(wire_extras(rest), self.number, turn=True))
        if self._logprobs:
            self._extras["logprobs"] = join_values(self._logprobs)
        if self._extras:
            events.append(ReplyExtras(wire_extras(self._extras), self.number))
        finish = finish_reason(self.raw_finish, has_calls=bool(self._tool_calls))
        events.append(Finished(finish, self.raw_finish, self.number))


def _image(image: JsonObject) -> Media | Opaque:
    inner = image.get("image_url")
    url = inner.get("url") if isinstance(inner, dict) else inner
    if not isinstance(url, str) or not _URL_SCHEME.match(url):
        return Opaque("chat_completions", image)
    head, _, data = url.partition(";base64,")
    extras = wire_extras({"image": {key: value for key, value in image.items() if key != "image_url"}})
    if data and head.startswith("data:"):
        return Media("image", data=data, mime=head.removeprefix("data:"), extras=extras)
    return Media("image", url=url, extras=extras)


def _join_thinking(pieces: list[JsonObject]) -> JsonObject:
    """One thinking block from its pieces, without its text where that is only the part's own text."""
    block = join_objects([{key: value for key, value in piece.items() if key != "thinking"} for piece in pieces])
    contents = [piece.get("thinking") for piece in pieces]
    chunks = [chunk for content in contents for chunk in list_or_empty(content)]
    if any(isinstance(content, str) for content in contents):
        block["thinking"] = ""
    elif any(not isinstance(chunk, dict) or chunk.keys() != {"type", "text"} for chunk in chunks):
        block["thinking"] = chunks
    return block


def _join_audio(pieces: list[JsonObject]) -> Media:
    whole = join_objects([{key: value for key, value in piece.items() if key != "data"} for piece in pieces])
    data = [data for piece in pieces if isinstance(data := piece.get("data"), str)]
    if any(piece.endswith("=") for piece in data[:-1]):  # each piece was encoded separately
        data = [base64.b64encode(b"".join(map(base64.b64decode, data))).decode()]
    transcript = as_str(whole.pop("transcript", None))
    return Media("audio", data="".join(data), text=transcript, extras=wire_extras(whole))
