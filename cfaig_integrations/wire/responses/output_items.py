"""Which part of the reply an event of a Responses stream speaks of.

Part numbers follow the output's order: an item has its number from the moment it is first heard of, and an index that a
stream jumps over keeps one. Items are told apart by `output_index`, not by `item_id`: there are proxies that give an
item a new id in every event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from cfaig_integrations.core.content import NO_EXTRAS, Extras
from cfaig_integrations.core.events import PartKind
from cfaig_integrations.wire.common import as_str
from cfaig_integrations.wire.fields import count_of

_MOST_SKIPPED = 100
"""Most numbers kept for indexes that a stream jumps over."""


class Slot:
    """A part under way.

    Attributes:
        number: Its number.
        kind: What it is, once begun.
        pieces: What was said of it.
        cited: How many citations were told.
        section: Of a reasoning, which section was last spoken of.
        noted: The extras that were told.
        whole: It came whole.
        announced: Its `content_part.added` came.
        given: What was said of it before it began, or with its beginning, and not passed on yet.
    """

    __slots__ = ("announced", "cited", "given", "kind", "noted", "number", "pieces", "section", "whole")

    def __init__(self, number: int) -> None:
        self.number = number
        self.kind: PartKind | None = None
        self.pieces: list[str] = []
        self.cited = 0
        self.section: tuple[str, Any] | None = None
        self.noted: Extras = NO_EXTRAS
        self.whole = False
        self.announced = False
        self.given = ""


class Item:
    """An output item under way.

    Attributes:
        type: Its type; empty as long as nothing but its index is known.
        id: Its id.
        call_id: If it is a call, what its result will name; proxies that give an item new ids leave this one alone.
        slots: Its parts by content index, in order of appearance. The first takes the number that the item was given.
        announced: Its `output_item.added` came.
        settled: Its `output_item.done` came.
        added: The item as it was announced, if that already held some of its words, and its parts' words.
    """

    __slots__ = ("_number", "_places", "added", "announced", "call_id", "id", "settled", "slots", "type", "words")

    def __init__(self, places: Places, number: int) -> None:
        self._places = places
        self._number = number
        self.type = ""
        self.id = ""
        self.call_id = ""
        self.slots: dict[int, Slot] = {}
        self.announced = False
        self.settled = False
        self.added: dict[str, Any] | None = None
        self.words: list[str] = []

    @property
    def blank(self) -> bool:
        """Whether nothing is known of it but that an index was jumped over."""
        return not (self.type or self.slots)

    def slot(self, index: Any, *, begins: bool = False) -> Slot:
        """The part at a content index; without one the first, or one more if that was announced already."""
        at = count_of(index)
        if at is None:
            at = max(self.slots) + 1 if begins and self.slots and self.slots[min(self.slots)].announced else 0
        found = self.slots.get(at)
        if found is None:
            count = len(self.slots)
            found = self.slots[at] = Slot(self._places.next_number() if self.slots else self._number)
            found.given = self.words[count] if count < len(self.words) else ""
        return found

    def slot_for(self, kind: PartKind, index: Any) -> Slot:
        """The part that more of a kind belongs to, whose index may be wrong: then the last one of that kind."""
        at = count_of(index)
        found = None if at is None else self.slots.get(at)
        if found is not None and (found.kind == kind or (found.kind is None and not found.announced)):
            return found
        for slot in reversed(self.slots.values()):
            if slot.kind == kind and (slot.announced or at is None):
                return slot
        made = self.slot(at if found is None else max(self.slots) + 1)
        made.announced = found is not None
        return made

    def nth(self, position: int) -> Slot:
        """The part at a position of the finished item.

        That is its content index, unless the vendor counts on from item to item: Bedrock's GPT-OSS gives the only part
        of its second item the content index 1.
        """
        if 0 in self.slots or not self.slots:
            return self.slot(position)
        slots = list(self.slots.values())
        return slots[position] if position < len(slots) else self.slot(max(self.slots) + 1)

    def named(self, item: dict[str, Any]) -> Item:
        """The same, knowing what its item says of itself."""
        self.type = as_str(item.get("type")) or self.type
        self.id = as_str(item.get("id")) or self.id
        self.call_id = as_str(item.get("call_id")) or self.call_id
        return self

    def is_other_than(self, item: dict[str, Any], *, begins: bool) -> bool:
        """Whether `item` cannot be this one, although it has the same index: some vendors count nothing up."""
        if self.type and item.get("type") != self.type:
            return True
        return self.settled and (begins or self.id != as_str(item.get("id")))


class Places:
    """All items of one stream."""

    __slots__ = ("_all", "_at", "_expected", "_latest", "_number")

    def __init__(self) -> None:
        self._all: list[Item] = []
        self._at: dict[int, Item] = {}
        self._expected = 0
        self._latest: Item | None = None
        self._number = 0

    def next_number(self) -> int:
        """A number that no part has."""
        self._number += 1
        return self._number - 1

    def found(self, event: dict[str, Any]) -> Slot | None:
        """The part that an event speaks of, if that is known and beyond doubt."""
        try:
            item = self._at.get(event.get("output_index"))  # type: ignore[arg-type]
            if item is None or item.id != event.get("item_id", item.id):
                return None
            return item.slots.get(event.get("content_index", 0))
        except TypeError:  # a list or an object for an index
            return None

    def item(self, event: dict[str, Any], item: dict[str, Any], *, begins: bool = False) -> Item:
        """The item that an event brings; a new one if there is none at its index or if that is another."""
        index = count_of(event.get("output_index"))
        known = self._latest if index is None else self._at.get(index)
        if known is None or known.blank or known.is_other_than(item, begins=begins):
            same = None if begins else self._open(as_str(item.get("id")), item.get("type"), as_str(item.get("call_id")))
            known = same or (known if known and known.blank else self._new(index))
        known.announced = known.announced or begins
        self._latest = known
        return known.named(item)

    def slot(self, event: dict[str, Any], type_: str, kind: PartKind, content_index: Any, *, begins: bool) -> Slot:
        """The part that an event speaks of, in an item that is of type `type_` if nothing else was said of it.

        Where a server announces its items, an index that it did not announce is wrong, and the id tells which is meant.
        """
        index, id_ = count_of(event.get("output_index")), as_str(event.get("item_id"))
        known = self._latest if index is None else self._at.get(index)
        if known is None or known.blank or known.type not in ("", type_):
            other = self._open(id_, type_)
            if known is not None and not known.blank:
                other = other or next((item for item in reversed(self._all) if item.type == type_), None)
                known, index = None, None
            known = other or known or self._new(index)
            self._latest = known
        elif id_ and known.id and id_ != known.id:
            known = self._of_id(id_, type_) or known
        known.type, known.id = known.type or type_, known.id or id_
        return known.slot(content_index, begins=True) if begins else known.slot_for(kind, content_index)

    def _of_id(self, id_: str, type_: Any, call_id: str = "") -> Item | None:
        """The item of an id and a type that is not done yet; an id alone does not tell reasonings, see `matched`."""
        for item in reversed(self._all):
            same = (id_ and item.id == id_) or (call_id and item.call_id == call_id)
            if same and item.type == type_ and not item.settled:
                return item if item.announced or type_ != "reasoning" else None
        return None

    def _open(self, id_: str, type_: Any, call_id: str = "") -> Item | None:
        """The item that an event means whose index names none: the one of its id, else the last that was announced."""
        items = (item for item in reversed(self._all) if item.type == type_ and item.announced and not item.settled)
        found = self._of_id(id_, type_, call_id)
        return found or (next(items, None) if type_ in ("message", "reasoning") else None)

    def _new(self, index: int | None) -> Item:
        at = self._expected if index is None else index
        if 0 < at - self._expected < _MOST_SKIPPED:
            for skipped in range(self._expected, at):
                self._add(skipped)
        return self._add(at)

    def _add(self, at: int) -> Item:
        made = self._at[at] = Item(self, self.next_number())
        self._all.append(made)
        self._expected = max(self._expected, at + 1)
        return made

    def matched(self, output: list[dict[str, Any]]) -> Iterator[tuple[Item, dict[str, Any]]]:
        """Each item of a final output with its place: by id in order, else by position, else the first of its type.

        The id alone does not tell: xAI gives it to several items of one response, and others change it in the end.
        """
        left = list(self._all)
        found: dict[int, Item] = {}
        for fits in _FITS:
            for position, item in enumerate(output):
                if position not in found:
                    at = self._at.get(position)
                    place = next((place for place in left if fits(place, item, place is at)), None)
                    if place is not None:
                        left.remove(place)
                        found[position] = place
        for position, item in enumerate(output):
            yield (found.get(position) or self._add(self._expected)).named(item), item

    def items(self) -> Iterator[Item]:
        """All items of which anything is known."""
        return (item for item in self._all if not item.blank)

    def kinds(self) -> set[PartKind | None]:
        """The kinds of all parts."""
        return {slot.kind for item in self._all for slot in item.slots.values()}

    def text(self) -> str:
        """The text so far."""
        slots = sorted((slot for item in self._all for slot in item.slots.values()), key=lambda slot: slot.number)
        return "".join(piece for slot in slots if slot.kind == "text" for piece in slot.pieces)


_Fits: TypeAlias = Callable[[Item, dict[str, Any], bool], bool]
_FITS: tuple[_Fits, ...] = (
    lambda place, item, _: bool(place.id) and place.id == item.get("id") and place.type in ("", item.get("type")),
    lambda place, item, _: bool(place.call_id) and place.call_id == item.get("call_id"),
    lambda place, item, here: here and place.type == item.get("type"),
    lambda place, item, _: place.type == item.get("type"),
    lambda place, item, here: here and not place.type,
    lambda place, item, _: not place.type,
)
