"""Events to a reply."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfaig_integrations.core.chat import ChatReply, Choice, Usage
from cfaig_integrations.core.content import (
    Citation,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Turn,
    extras_of,
)
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
from cfaig_integrations.core.fold import Fold, fold
from cfaig_integrations.errors import ProtocolError

CITED = Citation(url="https://a.example")
PIECES = st.lists(st.text(max_size=5), max_size=5)


def test_every_event_changes_the_reply() -> None:
    events: list[Event] = [
        Started("id-1", "model-1"),
        PartStarted(0, "reasoning"),
        ReasoningDelta(0, "so"),
        PartExtras(0, extras_of("messages", signature="early")),
        PartExtras(0, extras_of("messages", signature="s")),
        PartStarted(1, "text"),
        TextDelta(1, "Hel"),
        CitationAdded(1, CITED),
        TextDelta(1, "lo"),
        PartAdded(2, Opaque("messages", {"type": "server_tool_use"})),
        PartStarted(3, "tool_call", id="call-1", name="add"),
        ArgumentsDelta(3, '{"a"'),
        ArgumentsDelta(3, ":1}"),
        PartStarted(4, "custom_tool_call", id="call-2", name="shell"),
        ArgumentsDelta(4, "ls"),
        PartStarted(5, "refusal"),
        RefusalDelta(5, "no"),
        PartAdded(6, Media("image", data="AAAA")),
        UsageUpdated(Usage(input=1)),
        UsageUpdated(Usage(input=3, output=2, total=5)),
        ReplyExtras(extras_of("messages", container="c")),
        ReplyExtras(extras_of("messages", tier="t")),
        ReplyExtras(extras_of("messages", stop_sequence="END"), choice=0),
        ReplyExtras(extras_of("responses", item="i"), turn=True),
        Finished("length", "max_tokens"),
        Finished("stop", "end_turn"),
    ]
    assert fold("messages", events) == ChatReply(
        wire="messages",
        id="id-1",
        model="model-1",
        choices=(
            Choice(
                Turn(
                    "assistant",
                    (
                        Reasoning("so", extras_of("messages", signature="s")),
                        Text("Hello", (CITED,)),
                        Opaque("messages", {"type": "server_tool_use"}),
                        ToolCall("call-1", "add", '{"a":1}'),
                        ToolCall("call-2", "shell", "ls", "custom"),
                        Refusal("no"),
                        Media("image", data="AAAA"),
                    ),
                    extras=extras_of("responses", item="i"),
                ),
                "stop",
                "end_turn",
                extras_of("messages", stop_sequence="END"),
            ),
        ),
        usage=Usage(input=3, output=2, total=5),
        extras=extras_of("messages", container="c", tier="t"),
    )


@given(st.lists(PIECES, min_size=1, max_size=4), st.randoms())
def test_deltas_of_parts_may_be_interleaved(texts: list[list[str]], random: Any) -> None:
    """Each part's own pieces stay in order, whatever comes between them."""
    waiting = [[TextDelta(part, piece) for piece in pieces] for part, pieces in enumerate(texts)]
    events: list[Event] = [PartStarted(part, "text") for part in range(len(texts))]
    while any(waiting):
        events.append(random.choice([queue for queue in waiting if queue]).pop(0))
    assert fold("run", events).turn.parts == tuple(Text("".join(pieces)) for pieces in texts)


@given(st.permutations(range(5)))
def test_parts_stand_in_the_order_of_their_numbers(order: list[int]) -> None:
    """A part that comes as a whole may come after later ones began."""
    events = [PartAdded(number, Opaque("messages", {"n": number})) for number in order]
    assert [part.raw["n"] for part in fold("messages", events).turn.parts] == [0, 1, 2, 3, 4]


def test_answers_are_separate() -> None:
    events: list[Event] = [
        PartStarted(0, "text", choice=1),
        PartStarted(1, "text"),
        TextDelta(0, "second"),
        TextDelta(1, "first"),
        Finished("length", "length", choice=1),
        Finished("stop", "stop"),
        ReplyExtras(extras_of("chat_completions", logprobs=[]), choice=1),
    ]
    first, second = fold("chat_completions", events).choices
    assert (first.turn.text, first.finish, first.extras) == ("first", "stop", {})
    assert (second.turn.text, second.finish) == ("second", "length")
    assert second.extras == extras_of("chat_completions", logprobs=[])


def test_an_answer_without_events_is_empty_and_unfinished() -> None:
    reply = fold("run", [])
    assert (reply.id, reply.model, reply.usage) == ("", "", None)
    assert reply.choices == (Choice(Turn("assistant", ()), "unknown"),)


def test_later_ids_replace_earlier_ones_and_empty_ones_do_not() -> None:
    reply = fold("run", [Started("a", "m"), Started("", "m2"), Started("b", ""), Started()])
    assert (reply.id, reply.model) == ("b", "m2")


def test_the_reply_so_far_is_available_at_any_time() -> None:
    collected = Fold("run")
    collected.add(PartStarted(0, "text"))
    collected.add(TextDelta(0, "a"))
    early = collected.reply()
    collected.add(TextDelta(0, "b"))
    assert (early.turn.text, collected.turn().text) == ("a", "ab")


def test_a_whole_part_cannot_continue() -> None:
    events: list[Event] = [PartAdded(0, Opaque("run", {})), TextDelta(0, "more")]
    with pytest.raises(ProtocolError, match="was already complete and then continued"):
        fold("run", events)


def test_facts_are_the_wire_specific_fields() -> None:
    reply = fold("run", [ReplyExtras(extras_of("run", tier="t")), ReplyExtras(extras_of("messages", container="c"))])
    assert dict(reply.facts) == {"tier": "t", "container": "c"}
