"""An answer ends before the first stop text, however it arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfaig_integrations.core.chat import ChatReply, Choice
from cfaig_integrations.core.content import Citation, Part, Text, ToolCall, Turn, extras_of
from cfaig_integrations.core.events import Event, Finished, PartStarted, TextDelta
from cfaig_integrations.core.fold import fold
from cfaig_integrations.core.stops import Stopper, cut


def reply(*parts: Part) -> ChatReply:
    return ChatReply("responses", "r", "m", (Choice(Turn("assistant", parts), "length", "max_output_tokens"),))


def streamed(stops: list[str], *parts: list[str]) -> ChatReply:
    """The reply of a stream whose text parts come in these pieces."""
    stopper = Stopper(stops)
    sent: list[Event] = []
    for number, pieces in enumerate(parts):
        sent += [PartStarted(number, "text"), *(TextDelta(number, piece) for piece in pieces)]
    sent.append(Finished("length", "max_output_tokens"))
    shown: list[Event] = []
    for event in sent:
        shown += stopper.feed([event])
    return fold("responses", shown)


@pytest.mark.parametrize(
    ("text", "stops", "remaining"),
    [
        ("one two three", [" two"], "one"),
        ("one two three", ["three", "two"], "one "),
        ("one", ["two"], "one"),
        ("one", [""], "one"),
        ("one", ["o"], ""),
        ("abc", ["abc", "b"], "a"),
        ("xabc", ["abc", "c"], "x"),
        ("aab", ["ab"], "a"),
        ("a\nObservation: b", ["\nObservation"], "a"),
    ],
)
def test_text_before_the_stop_remains(text: str, stops: list[str], remaining: str) -> None:
    whole = cut(reply(Text(text)), stops)
    assert whole.turn.text == streamed(stops, [*text]).turn.text == remaining
    assert (whole.finish, whole.choices[0].provider_finish) == (
        ("length", "max_output_tokens") if remaining == text else ("stop",) * 2
    )


TEXTS = st.text("ab", max_size=12)


@given(st.lists(st.lists(TEXTS, max_size=4), min_size=1, max_size=3), st.lists(st.text("ab", max_size=4), max_size=3))
def test_a_stream_ends_where_the_whole_reply_does(parts: list[list[str]], stops: list[str]) -> None:
    whole = cut(reply(*(Text("".join(pieces)) for pieces in parts)), stops)
    live = streamed(stops, *parts)
    assert (live.turn.text, live.finish) == (whole.turn.text, whole.finish)


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.text("ab", min_size=1, max_size=3), max_size=2))
def test_only_a_possible_stop_is_buffered(letters: list[str], stops: list[str]) -> None:
    stopper, shown, final = Stopper(stops), "", cut(reply(Text("".join(letters))), stops).turn.text
    for number, letter in enumerate(letters):
        shown += "".join(event.text for event in stopper.feed([TextDelta(0, letter)]) if isinstance(event, TextDelta))
        assert final.startswith(shown)
        received = "".join(letters[: number + 1])
        buffered = received[len(shown) :]
        assert stopper.stopped or not buffered or any(stop.startswith(buffered) for stop in stops)


def test_parts_after_the_stop_are_removed() -> None:
    stopped = cut(reply(Text("go STOP on"), ToolCall("c", "f", "{}")), ["STOP"])
    assert stopped.turn.parts == (Text("go "),)
    stopper = Stopper(["STOP"])
    shown = stopper.feed([TextDelta(0, "go STOP"), PartStarted(1, "tool_call", id="c", name="f")])
    assert shown == [TextDelta(0, "go "), Finished("stop", "stop")]
    assert stopper.feed([TextDelta(0, "x")]) == []


def test_extras_of_the_whole_text_are_removed() -> None:
    inside, outside = Citation(url="a", start=0, end=2), Citation(url="b", start=3, end=7)
    part = Text("go STOP", (inside, outside), extras_of("responses", item={"id": "m"}))
    assert cut(reply(part), ["STOP"]).turn.parts == (Text("go ", (inside,)),)
    assert cut(reply(part), ["HALT"]).turn.parts == (part,)


def test_buffered_text_is_released_when_the_next_part_begins() -> None:
    stopper = Stopper(["STOP"])
    assert stopper.feed([TextDelta(0, "go ST")]) == [TextDelta(0, "go ")]
    begun = PartStarted(1, "text")
    assert stopper.feed([begun]) == [TextDelta(0, "ST"), begun]
    assert stopper.feed([TextDelta(1, "OP")]) == [TextDelta(1, "OP")]
