"""A reply to events: the inverse of `fold`, for a server that answers a stream request with one whole body.

Nothing is divided into smaller pieces: a text becomes one delta.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.core.content import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
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
from cfaig_integrations.errors import ProtocolError


def unfold(reply: ChatReply) -> list[Event]:
    """The events of a stream that would have carried a reply; folded, they are the reply again.

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
