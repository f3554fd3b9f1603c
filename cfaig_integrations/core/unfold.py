"""A reply to events: the inverse of `fold`, for a server that answers a stream request with one whole body.

Nothing is cut into smaller pieces: a text comes as one delta.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from cfaig_integrations.core.chat import ChatReply, Choice
from cfaig_integrations.core.content import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from cfaig_integrations.core.events import (
    ArgumentsDelta,
    CitationAdded,
    Event,
    Finished,
    PartAdded,
    PartNoted,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    ReplyNoted,
    Started,
    TextDelta,
    UsageUpdated,
)
from cfaig_integrations.errors import ProtocolError


def unfold(reply: ChatReply) -> list[Event]:
    """The events of a stream that would have carried a reply; folded, they are the reply again.

    Raises:
        ProtocolError: The reply holds a tool's result, which no model says.
    """
    events: list[Event] = [Started(reply.id, reply.model)]
    numbers = count()
    for index, choice in enumerate(reply.choices):
        events.extend(_answer(choice, index, numbers))
    if reply.extras:
        events.append(ReplyNoted(reply.extras))
    if reply.usage is not None:
        events.append(UsageUpdated(reply.usage))
    return events


def _answer(choice: Choice, index: int, numbers: Iterator[int]) -> Iterator[Event]:
    for part, number in zip(choice.turn.parts, numbers, strict=False):
        yield from _part(part, number, index)
    if choice.turn.extras:
        yield ReplyNoted(choice.turn.extras, index, turn=True)
    if choice.extras:
        yield ReplyNoted(choice.extras, index)
    yield Finished(choice.finish, choice.finish_word, index)


def _part(part: Part, number: int, choice: int) -> Iterator[Event]:
    match part:
        case Media() | Opaque():
            yield PartAdded(number, part, choice)
        case ToolResult(call_id):
            raise ProtocolError("The reply holds a tool's result, which only a caller gives.", body=call_id)
        case ToolCall(id_, name, arguments, kind):
            yield PartStarted(number, "custom_tool_call" if kind == "custom" else "tool_call", choice, id_, name)
            yield ArgumentsDelta(number, arguments)
            if part.extras:
                yield PartNoted(number, part.extras)
        case _:
            yield from _words(part, number, choice)


def _words(part: Text | Reasoning | Refusal, number: int, choice: int) -> Iterator[Event]:
    match part:
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
        yield PartNoted(number, part.extras)
