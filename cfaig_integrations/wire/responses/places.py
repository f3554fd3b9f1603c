"""Which part of the reply an event of a Responses stream speaks of.

Knows the addresses of the wire (`output_index`, `content_index`) and no event kinds. Part numbers follow the output's
order: an item has its number from the moment it is first heard of, and an index that a stream jumps over keeps one.
Items are told apart by `output_index`, not by `item_id`: there are proxies that give an item a new id in every event.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cfaig_integrations.core.content import NO_EXTRAS, Extras
from cfaig_integrations.core.events import PartKind

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
    """

    __slots__ = ("cited", "kind", "noted", "number", "pieces", "section", "whole")

    def __init__(self, number: int) -> None:
        self.number = number
        self.kind: PartKind | None = None
        self.pieces: list[str] = []
        self.cited = 0
        self.section: tuple[str, Any] | None = None
        self.noted: Extras = NO_EXTRAS
        self.whole = False


class Item:
    """An output item under way.

    Attributes:
        type: Its type; empty as long as nothing but its index is known.
        id: Its id.
        slots: Its parts by content index, in order of appearance. The first takes the number that the item was given.
        settled: Its `output_item.done` came.
    """

    __slots__ = ("_number", "_places", "id", "settled", "slots", "type")

    def __init__(self, places: Places, number: int) -> None:
        self._places = places
        self._number = number
        self.type = ""
        self.id = ""
        self.slots: dict[Any, Slot] = {}
        self.settled = False

    def slot(self, index: Any) -> Slot:
        """The part at a content index; the first one if there is none."""
        at = index if isinstance(index, int) else 0
        found = self.slots.get(at)
        if found is None:
            found = self.slots[at] = Slot(self._places.next_number() if self.slots else self._number)
        return found

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
        self.type, self.id = str(item.get("type") or self.type), str(item.get("id") or self.id)
        return self

    def is_other_than(self, item: dict[str, Any], *, begins: bool) -> bool:
        """Whether `item` cannot be this one, although it has the same index: some vendors count nothing up."""
        if self.type and item.get("type") != self.type:
            return True
        return self.settled and (begins or self.id != str(item.get("id") or ""))


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

    def found(self, output_index: Any, content_index: Any) -> Slot | None:
        """The part at an address, if it is known."""
        try:
            item = self._at.get(output_index)
            return None if item is None else item.slots.get(content_index)
        except TypeError:  # a list or an object for an index
            return None

    def item(self, event: dict[str, Any], item: dict[str, Any], *, begins: bool = False) -> Item:
        """The item that an event brings; a new one if there is none at its index or if that is another."""
        index = _output_index(event)
        known = self._latest if index is None else self._at.get(index)
        if known is None or known.is_other_than(item, begins=begins):
            known = self._new(index)
        self._latest = known
        return known.named(item)

    def slot(self, event: dict[str, Any], type_: str, content_index: Any) -> Slot:
        """The part that an event speaks of, in an item that is of type `type_` if nothing else was said of it."""
        index = _output_index(event)
        known = self._latest if index is None else self._at.get(index)
        if known is None:
            self._latest = known = self._new(index)
        known.type = known.type or type_
        return known.slot(content_index)

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
        for position, item in enumerate(output):
            kind, id_ = item.get("type"), item.get("id")
            named = (place for place in left if id_ and place.id == id_)
            candidates = (place for place in (*named, self._at.get(position), *left) if place in left)
            place = next((place for place in candidates if place and place.type in ("", kind)), None)
            if place is None:
                place = self._add(self._expected)
            else:
                left.remove(place)
            yield place.named(item), item

    def kinds(self) -> set[PartKind | None]:
        """The kinds of all parts."""
        return {slot.kind for item in self._all for slot in item.slots.values()}

    def text(self) -> str:
        """The text so far."""
        slots = sorted((slot for item in self._all for slot in item.slots.values()), key=lambda slot: slot.number)
        return "".join(piece for slot in slots if slot.kind == "text" for piece in slot.pieces)


def _output_index(event: dict[str, Any]) -> int | None:
    index = event.get("output_index")
    return index if isinstance(index, int) else None
