"""The output items of a Responses stream and their parts, and which of them an event belongs to.

Part numbers follow the output's order: an item has its number from its first event on, and an index that a stream skips
keeps one. Items are identified by `output_index`, not by `item_id`: there are proxies that give an item a new id in
every event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from cfaig_integrations.core.content import NO_EXTRAS, Extras, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from cfaig_integrations.core.events import (
    ArgumentsDelta,
    CitationAdded,
    Event,
    PartAdded,
    PartExtras,
    PartKind,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
)
from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.jsonio import as_str, count_of, excerpt, is_object_text
from cfaig_integrations.wire.responses.decode import parts_of

_MAX_SKIPPED = 100
"""Most numbers kept for indexes that a stream skips."""

DELTA_OF: Mapping[PartKind, type[TextDelta | RefusalDelta | ReasoningDelta | ArgumentsDelta]] = {
    "text": TextDelta,
    "refusal": RefusalDelta,
    "reasoning": ReasoningDelta,
    "tool_call": ArgumentsDelta,
    "custom_tool_call": ArgumentsDelta,
}


@dataclass(slots=True, eq=False)
class OpenPart:
    """A part that is being received.

    Attributes:
        number: Its number.
        pending: Text that came before it began, or with its beginning, and has not become an event yet.
        kind: Its kind, once begun.
        pieces: The texts that became events.
        citations: How many citations became events.
        section: Of a reasoning, its latest section.
        extras: The extras that became an event.
        added: It came as a whole.
        announced: Its `content_part.added` came.
    """

    number: int
    pending: str = ""
    kind: PartKind | None = None
    pieces: list[str] = field(default_factory=list[str])
    citations: int = 0
    section: tuple[str, int | None] | None = None
    extras: Extras = NO_EXTRAS
    added: bool = False
    announced: bool = False

    def begin(self, kind: PartKind, events: list[Event], call: Part | None = None) -> None:
        """Begins the part unless it has begun."""
        if self.kind is None:
            self.kind = kind
            id_, name = (call.id, call.name) if isinstance(call, ToolCall) else ("", "")
            events.append(PartStarted(self.number, kind, id=id_, name=name))

    def _emit(self, text: str, events: list[Event]) -> None:
        if text and self.kind is not None:
            self.pieces.append(text)
            events.append(DELTA_OF[self.kind](self.number, text))

    def append(self, piece: str, events: list[Event]) -> None:
        """Continues the part, after the pending text unless the pieces repeat that."""
        if piece:
            pending, self.pending = self.pending, ""
            repeated = piece.startswith(pending) or pending.startswith(piece)
            if not repeated and not (self.kind == "tool_call" and is_object_text(pending)):
                self._emit(pending, events)
        self._emit(piece, events)

    def complete(self, whole: str, events: list[Event]) -> None:
        """Adds what is missing of the whole text; text that became events remains, even if a vendor retracts it."""
        text = "".join(self.pieces)
        self.pieces[:] = [text]
        if whole:
            self.pending = ""
        if len(whole) > len(text) and whole.startswith(text):
            self._emit(whole[len(text) :], events)

    def finish(self, part: Part, events: list[Event]) -> None:
        """Adds whatever a finished part has beyond the events so far."""
        if not isinstance(part, Text | Refusal | Reasoning | ToolCall):
            if isinstance(part, Opaque) and self.kind is None and not self.added:
                self.added = True
                events.append(PartAdded(self.number, part))
            return
        kind = kind_of(part)
        self.begin(kind, events, part)
        if self.kind != kind:
            return
        self.complete(part.arguments if isinstance(part, ToolCall) else part.text, events)
        if isinstance(part, Text):
            events += [CitationAdded(self.number, citation) for citation in part.citations[self.citations :]]
            self.citations = max(self.citations, len(part.citations))
        if part.extras != self.extras:
            self.extras = part.extras
            events.append(PartExtras(self.number, part.extras))

    def flush(self, events: list[Event]) -> None:
        """Adds the pending text at the end, if no other text came.

        Raises:
            ProtocolError: It belongs to a tool call whose name never came.
        """
        pending, self.pending = self.pending, ""
        if pending and self.kind is None:
            raise ProtocolError("The stream has the arguments of a tool call, but not its name.", body=excerpt(pending))
        if not self.pieces:
            self._emit(pending, events)


def kind_of(part: Part) -> PartKind:
    """The kind of a part."""
    match part:
        case Refusal():
            return "refusal"
        case Reasoning():
            return "reasoning"
        case ToolCall():
            return "custom_tool_call" if part.kind == "custom" else "tool_call"
        case _:
            return "text"


def _initial_text(part: Part) -> str:
    match part:
        case Text() | Refusal() | Reasoning():
            return part.text
        case ToolCall():
            return part.arguments if part.arguments != "{}" else ""  # what some servers begin with
        case _:
            return ""


@dataclass(slots=True, eq=False)
class OpenItem:
    """An output item that is being received.

    Attributes:
        items: All items of the stream.
        number: The number reserved for its first part.
        type: Its type; empty as long as only its index is known.
        id: Its id.
        call_id: Of a call, the id that its result refers to; proxies that give an item new ids do not change this one.
        parts: Its parts by content index, in order of appearance.
        announced: Its `output_item.added` came.
        done: Its `output_item.done` came.
    """

    items: OpenItems
    number: int
    type: str = ""
    id: str = ""
    call_id: str = ""
    parts: dict[int, OpenPart] = field(default_factory=dict[int, OpenPart])
    announced: bool = False
    done: bool = False
    _initial: JsonObject | None = None
    _initial_texts: list[str] = field(default_factory=list[str])

    @property
    def is_placeholder(self) -> bool:
        """Whether nothing is known of it but that its index was skipped."""
        return not (self.type or self.parts)

    def announce(self, item: JsonObject) -> None:
        """Stores the item as it began, if it has any text; most have none, and most others repeat it in deltas."""
        texts = [_initial_text(part) for part in parts_of(item)]
        if any(texts):
            self._initial, self._initial_texts = item, texts

    def finish(self, item: JsonObject, events: list[Event]) -> None:
        """Adds whatever the finished item has beyond the events so far."""
        self.done = True
        for position, part in enumerate(parts_of(item)):
            self._at_position(position).finish(part, events)

    def flush(self, events: list[Event]) -> None:
        """Adds at the end what only came with the item's beginning.

        Raises:
            ProtocolError: It belongs to a tool call whose name never came.
        """
        if self._initial is not None and not self.done:
            self.finish(self._initial, events)
        for part in self.parts.values():
            part.flush(events)

    def _next_index(self) -> int:
        return max(self.parts) + 1

    def part(self, index: JsonValue, *, begins: bool = False) -> OpenPart:
        """The part at a content index; without one the first, or a new one if that was announced already."""
        at = count_of(index)
        if at is None:
            at = self._next_index() if begins and self.parts and self.parts[min(self.parts)].announced else 0
        part = self.parts.get(at)
        if part is None:
            count = len(self.parts)
            number = self.items.next_number() if self.parts else self.number
            pending = self._initial_texts[count] if count < len(self._initial_texts) else ""
            part = self.parts[at] = OpenPart(number, pending)
        return part

    def part_of_kind(self, kind: PartKind, index: JsonValue) -> OpenPart:
        """The part of a kind that an event continues; its index may be wrong: then the last part of that kind."""
        at = count_of(index)
        indexed = None if at is None else self.parts.get(at)
        if indexed is not None and (indexed.kind == kind or (indexed.kind is None and not indexed.announced)):
            return indexed
        for part in reversed(self.parts.values()):
            if part.kind == kind and (part.announced or at is None):
                return part
        new = self.part(at if indexed is None else self._next_index())
        new.announced = indexed is not None
        return new

    def _at_position(self, position: int) -> OpenPart:
        """The part at a position of the finished item.

        That is its content index, unless the vendor does not begin at 0 in each item: Bedrock's GPT-OSS gives the only
        part of its second item the content index 1.
        """
        if 0 in self.parts or not self.parts:
            return self.part(position)
        parts = list(self.parts.values())
        return parts[position] if position < len(parts) else self.part(self._next_index())

    def identify(self, item: JsonObject) -> OpenItem:
        """Stores the type and the ids of its JSON object, and returns the item."""
        self.type = as_str(item.get("type")) or self.type
        self.id = as_str(item.get("id")) or self.id
        self.call_id = as_str(item.get("call_id")) or self.call_id
        return self

    def differs_from(self, item: JsonObject, *, begins: bool) -> bool:
        """Whether `item` is another one, although it has the same index: some vendors do not increment it."""
        if self.type and item.get("type") != self.type:
            return True
        return self.done and (begins or self.id != as_str(item.get("id")))


@dataclass(slots=True, eq=False)
class OpenItems:
    """All items of one stream."""

    _all: list[OpenItem] = field(default_factory=list[OpenItem])
    _by_index: dict[object, OpenItem] = field(default_factory=dict[object, OpenItem])
    _latest: OpenItem | None = None
    _next_index: int = 0
    _next_number: int = 0

    def next_number(self) -> int:
        """The number of a new part."""
        self._next_number += 1
        return self._next_number - 1

    def find(self, event: JsonObject) -> OpenPart | None:
        """The part that an event continues, if that exists and is unambiguous."""
        try:
            item = self._by_index.get(event.get("output_index"))
            if item is None or item.id != event.get("item_id", item.id):
                return None
            return item.parts.get(event.get("content_index", 0))  # type: ignore[arg-type]
        except TypeError:  # a list or an object for an index
            return None

    def item(self, event: JsonObject, item: JsonObject, *, begins: bool = False) -> OpenItem:
        """The item of an event; a new one if there is none at its index or if that is another."""
        index = count_of(event.get("output_index"))
        known = self._latest if index is None else self._by_index.get(index)
        if known is None or known.is_placeholder or known.differs_from(item, begins=begins):
            id_, type_, call_id = (as_str(item.get(key)) for key in ("id", "type", "call_id"))
            same = None if begins else self._find_open(id_, type_, call_id)
            known = same or (known if known and known.is_placeholder else self._new(index))
        known.announced = known.announced or begins
        self._latest = known
        return known.identify(item)

    def part(self, event: JsonObject, type_: str, kind: PartKind, index: JsonValue, *, begins: bool) -> OpenPart:
        """The part of an event, in an item that is of type `type_` if nothing else is known of it.

        Where a server announces its items, an index that it did not announce is wrong, and the id identifies the item.
        """
        output_index, id_ = count_of(event.get("output_index")), as_str(event.get("item_id"))
        item = self._latest if output_index is None else self._by_index.get(output_index)
        if item is None or item.is_placeholder or item.type not in ("", type_):
            other = self._find_open(id_, type_)
            if item is not None and not item.is_placeholder:
                other = other or next((each for each in reversed(self._all) if each.type == type_), None)
                item, output_index = None, None
            item = other or item or self._new(output_index)
            self._latest = item
        elif id_ and item.id and id_ != item.id:
            item = self._find_by_id(id_, type_) or item
        item.type, item.id = item.type or type_, item.id or id_
        return item.part(index, begins=True) if begins else item.part_of_kind(kind, index)

    def _find_by_id(self, id_: str, type_: str, call_id: str = "") -> OpenItem | None:
        """The item of an id and a type that is not done yet; an id alone does not identify reasonings, see `match`."""
        for item in reversed(self._all):
            same = (id_ and item.id == id_) or (call_id and item.call_id == call_id)
            if same and item.type == type_ and not item.done:
                return item if item.announced or type_ != "reasoning" else None
        return None

    def _find_open(self, id_: str, type_: str, call_id: str = "") -> OpenItem | None:
        """The item of an event without a usable index: the one of its id, otherwise the last that was announced."""
        items = (item for item in reversed(self._all) if item.type == type_ and item.announced and not item.done)
        item = self._find_by_id(id_, type_, call_id)
        return item or (next(items, None) if type_ in ("message", "reasoning") else None)

    def _new(self, index: int | None) -> OpenItem:
        at = self._next_index if index is None else index
        if 0 < at - self._next_index < _MAX_SKIPPED:
            for skipped in range(self._next_index, at):
                self._add(skipped)
        return self._add(at)

    def _add(self, at: int) -> OpenItem:
        item = self._by_index[at] = OpenItem(self, self.next_number())
        self._all.append(item)
        self._next_index = max(self._next_index, at + 1)
        return item

    def match(self, output: list[JsonObject]) -> Iterator[tuple[OpenItem, JsonObject]]:
        """Each item of a final output with its open item: by id in order, then by position, then by type.

        The id alone is not enough: xAI gives it to several items of one response, and others change it in the end.
        """
        unmatched = list(self._all)
        matches: dict[int, OpenItem] = {}
        for criterion in _CRITERIA:
            for position, item in enumerate(output):
                if position not in matches:
                    at = self._by_index.get(position)
                    match = next((each for each in unmatched if criterion(each, item, each is at)), None)
                    if match is not None:
                        unmatched.remove(match)
                        matches[position] = match
        for position, item in enumerate(output):
            yield (matches.get(position) or self._add(self._next_index)).identify(item), item

    def items(self) -> list[OpenItem]:
        """All items except placeholders."""
        return [item for item in self._all if not item.is_placeholder]

    def parts(self) -> list[OpenPart]:
        """All parts in the order of their numbers."""
        return sorted((part for item in self._all for part in item.parts.values()), key=lambda part: part.number)


_CRITERIA: tuple[Callable[[OpenItem, JsonObject, bool], bool], ...] = (
    lambda known, item, _: bool(known.id) and known.id == item.get("id") and known.type in ("", item.get("type")),
    lambda known, item, _: bool(known.call_id) and known.call_id == item.get("call_id"),
    lambda known, item, same_index: same_index and known.type == item.get("type"),
    lambda known, item, _: known.type == item.get("type"),
    lambda known, item, same_index: same_index and not known.type,
    lambda known, item, _: not known.type,
)
