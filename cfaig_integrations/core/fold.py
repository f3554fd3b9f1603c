"""Events to a reply: the only accumulator of the package.

`fold` of a stream's events is the reply that the same answer would have been as a whole body.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from cfaig_integrations.core.chat import ChatReply, Choice, FinishReason, Usage
from cfaig_integrations.core.content import (
    NO_EXTRAS,
    Citation,
    Extras,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Turn,
    Wire,
    merged,
)
from cfaig_integrations.core.events import (
    ArgumentsDelta,
    CitationAdded,
    Event,
    Finished,
    PartAdded,
    PartKind,
    PartNoted,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    ReplyNoted,
    Started,
    TextDelta,
    UsageUpdated,
)
from cfaig_integrations.core.text import repair_surrogates
from cfaig_integrations.errors import ProtocolError

_Rare: TypeAlias = Started | PartStarted | CitationAdded | PartNoted | PartAdded | ReplyNoted | UsageUpdated | Finished


@dataclass(slots=True)
class _Slot:
    """A part under construction."""

    kind: PartKind
    choice: int
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list[str])
    citations: list[Citation] = field(default_factory=list[Citation])
    extras: Extras = NO_EXTRAS

    def part(self) -> Part:
        text = repair_surrogates("".join(self.pieces))
        match self.kind:
            case "text":
                return Text(text, tuple(self.citations), self.extras)
            case "reasoning":
                return Reasoning(text, self.extras)
            case "refusal":
                return Refusal(text, self.extras)
            case "tool_call":
                return ToolCall(self.id, self.name, text, "function", self.extras)
            case "custom_tool_call":
                return ToolCall(self.id, self.name, text, "custom", self.extras)


@dataclass(slots=True)
class _Whole:
    """A part that came whole."""

    value: Media | Opaque
    choice: int

    def part(self) -> Part:
        return self.value


@dataclass(slots=True)
class _End:
    """What is known of one answer besides its parts."""

    finish: FinishReason = "unknown"
    word: str = ""
    extras: Extras = NO_EXTRAS
    turn_extras: Extras = NO_EXTRAS


class Fold:
    """Collects the events of one stream.

    Example:
        >>> fold = Fold("chat_completions")
        >>> fold.add(PartStarted(0, "text"))
        >>> fold.add(TextDelta(0, "Hello"))
        >>> fold.reply().turn.text
        'Hello'
    """

    __slots__ = ("_ends", "_slots", "_wire", "extras", "id", "model", "usage")

    def __init__(self, wire: Wire) -> None:
        self._wire: Wire = wire
        self._slots: dict[int, _Slot | _Whole] = {}
        self._ends: dict[int, _End] = {}
        self.id = ""
        self.model = ""
        self.usage: Usage | None = None
        self.extras: Extras = NO_EXTRAS

    def add(self, event: Event) -> None:
        """Takes one more event."""
        if isinstance(event, TextDelta | ArgumentsDelta | ReasoningDelta | RefusalDelta):
            self._slot(event.part).pieces.append(event.text)
            return
        self._add_rare(event)

    def _add_rare(self, event: _Rare) -> None:
        match event:
            case PartStarted(part, kind, choice, id_, name):
                self._slots[part] = _Slot(kind, choice, id_, name)
            case CitationAdded(part, citation):
                self._slot(part).citations.append(citation)
            case PartNoted(part, extras):
                slot = self._slot(part)
                slot.extras = merged(slot.extras, extras)
            case PartAdded(part, value, choice):
                self._slots[part] = _Whole(value, choice)
            case Started(id_, model):
                self.id, self.model = id_ or self.id, model or self.model
            case ReplyNoted():
                self._note(event)
            case UsageUpdated(usage):
                self.usage = usage
            case Finished(finish, word, choice):
                end = self._end(choice)
                end.finish, end.word = finish, word
            case _:
                assert_never(event)

    def _note(self, event: ReplyNoted) -> None:
        if event.turn:
            end = self._end(event.choice or 0)
            end.turn_extras = merged(end.turn_extras, event.extras)
        elif event.choice is not None:
            end = self._end(event.choice)
            end.extras = merged(end.extras, event.extras)
        else:
            self.extras = merged(self.extras, event.extras)

    def _slot(self, part: int) -> _Slot:
        slot = self._slots[part]
        if not isinstance(slot, _Slot):
            raise ProtocolError(f"Part {part} of the stream came whole and then grew.")
        return slot

    def _end(self, choice: int) -> _End:
        return self._ends.setdefault(choice, _End())

    def turn(self, choice: int = 0) -> Turn:
        """The answer so far."""
        slots = (self._slots[number] for number in sorted(self._slots))
        parts = tuple(slot.part() for slot in slots if slot.choice == choice)
        return Turn("assistant", parts, extras=self._end(choice).turn_extras)

    def reply(self) -> ChatReply:
        """The reply so far; whole once the stream's end marker came."""
        numbers = {0, *self._ends, *(slot.choice for slot in self._slots.values())}
        choices: list[Choice] = []
        for number in sorted(numbers):
            end = self._end(number)
            choices.append(Choice(self.turn(number), end.finish, end.word, end.extras))
        return ChatReply(self._wire, self.id, self.model, tuple(choices), self.usage, self.extras)


def fold(wire: Wire, events: Iterable[Event]) -> ChatReply:
    """The reply that a stream's events add up to."""
    collected = Fold(wire)
    for event in events:
        collected.add(event)
    return collected.reply()
