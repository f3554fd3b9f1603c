"""Events to a reply, and back: the only accumulator of the package.

`fold` of a stream's events equals the reply that a whole body with the same answer decodes to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import assert_never

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
    ToolResult,
    Turn,
    Wire,
    merge_extras,
)
from cfaig_integrations.core.events import (
    ArgumentsDelta,
    CitationAdded,
    Delta,
    Event,
    Finished,
    PartAdded,
    PartExtras,
    PartKind,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    ReplyExtras,
    Started,
    TextDelta,
    UsageUpdated,
)
from cfaig_integrations.core.text import repair_surrogates
from cfaig_integrations.errors import ProtocolError


@dataclass(slots=True)
class _OpenPart:
    """A part that is being received."""

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
class _ChoiceState:
    """One answer without its parts."""

    finish: FinishReason = "unknown"
    raw_finish: str = ""
    extras: Extras = NO_EXTRAS
    turn_extras: Extras = NO_EXTRAS


@dataclass(slots=True)
class Fold:
    """Collects the events of one stream.

    Example:
        >>> fold = Fold("chat_completions")
        >>> fold.add(PartStarted(0, "text"))
        >>> fold.add(TextDelta(0, "Hello"))
        >>> fold.reply().turn.text
        'Hello'
    """

    wire: Wire
    id: str = ""
    model: str = ""
    usage: Usage | None = None
    extras: Extras = NO_EXTRAS
    _parts: dict[int, _OpenPart | PartAdded] = field(default_factory=dict[int, _OpenPart | PartAdded])
    _choices: dict[int, _ChoiceState] = field(default_factory=dict[int, _ChoiceState])

    def add(self, event: Event) -> None:
        """Takes one more event."""
        if isinstance(event, Delta):
            self._open_part(event.part).pieces.append(event.text)
            return
        match event:
            case PartStarted(part, kind, choice, id_, name):
                self._parts[part] = _OpenPart(kind, choice, id_, name)
            case CitationAdded(part, citation):
                self._open_part(part).citations.append(citation)
            case PartExtras(part, extras):
                open_part = self._open_part(part)
                open_part.extras = merge_extras(open_part.extras, extras)
            case PartAdded(part):
                self._parts[part] = event
            case Started(id_, model):
                self.id, self.model = id_ or self.id, model or self.model
            case ReplyExtras():
                self._add_extras(event)
            case UsageUpdated(usage):
                self.usage = usage
            case Finished(finish, raw_finish, choice):
                state = self._choice(choice)
                state.finish, state.raw_finish = finish, raw_finish
            case _:
                assert_never(event)

    def _add_extras(self, event: ReplyExtras) -> None:
        if event.turn:
            choice = self._choice(event.choice or 0)
            choice.turn_extras = merge_extras(choice.turn_extras, event.extras)
        elif event.choice is not None:
            choice = self._choice(event.choice)
            choice.extras = merge_extras(choice.extras, event.extras)
        else:
            self.extras = merge_extras(self.extras, event.extras)

    def _open_part(self, number: int) -> _OpenPart:
        part = self._parts[number]
        if not isinstance(part, _OpenPart):
            raise ProtocolError(f"Part {number} of the stream was already complete and then continued.")
        return part

    def _choice(self, number: int) -> _ChoiceState:
        return self._choices.setdefault(number, _ChoiceState())

    def turn(self, choice: int = 0) -> Turn:
        """The answer so far."""
        chosen = [self._parts[number] for number in sorted(self._parts) if self._parts[number].choice == choice]
        parts = tuple([each.value if isinstance(each, PartAdded) else each.part() for each in chosen])
        return Turn("assistant", parts, extras=self._choice(choice).turn_extras)

    def reply(self) -> ChatReply:
        """The reply so far; complete once the stream's end marker came."""
        choices: list[Choice] = []
        for number in sorted({0, *self._choices, *(part.choice for part in self._parts.values())}):
            state = self._choice(number)
            choices.append(Choice(self.turn(number), state.finish, state.raw_finish, state.extras))
        return ChatReply(self.wire, self.id, self.model, tuple(choices), self.usage, self.extras)


def fold(wire: Wire, events: Iterable[Event]) -> ChatReply:
    """The reply of a stream's events."""
    accumulator = Fold(wire)
    for event in events:
        accumulator.add(event)
    return accumulator.reply()


def unfold(reply: ChatReply) -> list[Event]:
    """The events of a stream that would have carried a reply; folded, they are the reply again.

    For a server that answers a stream request with one whole body: a text becomes one delta.

    Raises:
        ProtocolError: The reply holds a tool's result, which no model writes.
    """
    events: list[Event] = [Started(reply.id, reply.model)]
    numbers = count()
    for index, choice in enumerate(reply.choices):
        for part in choice.turn.parts:
            events += _part_events(part, next(numbers), index)
        if choice.turn.extras:
            events.append(ReplyExtras(choice.turn.extras, index, turn=True))
        if choice.extras:
            events.append(ReplyExtras(choice.extras, index))
        events.append(Finished(choice.finish, choice.provider_finish, index))
    if reply.extras:
        events.append(ReplyExtras(reply.extras))
    if reply.usage is not None:
        events.append(UsageUpdated(reply.usage))
    return events


def _part_events(part: Part, number: int, choice: int) -> Iterator[Event]:
    match part:
        case Media() | Opaque():
            yield PartAdded(number, part, choice)
            return
        case ToolResult(call_id):
            raise ProtocolError("The reply holds a tool's result, which only a caller provides.", body=call_id)
        case ToolCall(id_, name, arguments, kind):
            yield PartStarted(number, "custom_tool_call" if kind == "custom" else "tool_call", choice, id_, name)
            yield ArgumentsDelta(number, arguments)
        case Text(text, citations):
            yield PartStarted(number, "text", choice)
            yield TextDelta(number, text)
            for citation in citations:
                yield CitationAdded(number, citation)
        case Reasoning(text):
            yield PartStarted(number, "reasoning", choice)
            yield ReasoningDelta(number, text)
        case Refusal(text):
            yield PartStarted(number, "refusal", choice)
            yield RefusalDelta(number, text)
    if part.extras:
        yield PartExtras(number, part.extras)
