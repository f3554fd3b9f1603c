"""Turns, extras, and what lets a framework's message carry a turn without loss."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

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
    extras_of,
    merged,
)
from cfaig_integrations.core.skeleton import restored, skeleton

WIRES = ("chat_completions", "responses", "messages", "run")
WORDS = st.text(max_size=6)
OBJECTS = st.dictionaries(WORDS, st.integers() | WORDS | st.none() | st.lists(WORDS, max_size=2), max_size=3)
EXTRAS: st.SearchStrategy[Extras] = st.dictionaries(st.sampled_from(WIRES), OBJECTS, max_size=2).map(
    lambda found: found or NO_EXTRAS
)
CITATIONS = st.lists(
    st.builds(Citation, url=WORDS, title=WORDS, quoted=WORDS, start=st.none() | st.integers(), raw=OBJECTS), max_size=2
).map(tuple)
ARGUMENTS = OBJECTS.map(json.dumps) | WORDS
PARTS = st.one_of(
    st.builds(Text, WORDS, CITATIONS, EXTRAS),
    st.builds(Reasoning, WORDS, EXTRAS),
    st.builds(Refusal, WORDS, EXTRAS),
    st.builds(ToolCall, WORDS, WORDS, ARGUMENTS, st.sampled_from(["function", "custom"]), EXTRAS),
    st.builds(Media, st.just("image"), url=WORDS, extras=EXTRAS),
    st.builds(Opaque, st.sampled_from(WIRES), OBJECTS),
)
TURNS = st.builds(Turn, st.just("assistant"), st.lists(PARTS, max_size=6).map(tuple), extras=EXTRAS)


def shown(turn: Turn) -> Turn:
    """The turn as a framework's message holds it: every kind joined, tool calls as objects, nothing else."""
    found: list[Part] = []
    for kind in (Reasoning, Text, Refusal):
        texts = [part.text for part in turn.parts if isinstance(part, kind)]
        if "".join(texts):
            found.append(kind("".join(texts)))
    for call in turn.tool_calls:
        found.append(ToolCall(call.id, call.name, respelled(call), call.kind))
    return replace(turn, parts=tuple(found), extras=NO_EXTRAS)


def respelled(call: ToolCall) -> str:
    try:
        return json.dumps(json.loads(call.arguments), ensure_ascii=False, separators=(",", ":"))
    except ValueError:
        return call.arguments


@given(TURNS)
def test_a_message_and_its_skeleton_give_the_turn_back(turn: Turn) -> None:
    bones = skeleton(turn)
    if bones is None:
        # Then the message alone says it all, but for texts that say nothing.
        parts = tuple(part for part in turn.parts if part not in (Text(""), Reasoning("")))
        assert restored(shown(turn), None) == replace(turn, parts=parts)
    else:
        assert restored(shown(turn), json.loads(json.dumps(bones))) == turn


@given(TURNS, WORDS)
def test_an_edited_message_wins_over_its_skeleton(turn: Turn, more: str) -> None:
    bones = skeleton(turn)
    assume(bones)
    assume(more)
    seen = shown(turn)
    edited = replace(seen, parts=(*seen.parts, Text(more)))
    assert restored(edited, bones) == edited


def test_a_plain_turn_needs_no_skeleton() -> None:
    call = ToolCall("id", "name", '{"a":1}')
    assert skeleton(Turn("assistant", (Reasoning("so"), Text("hi"), call, call))) is None
    assert skeleton(Turn("assistant", ())) is None
    assert skeleton(Turn("assistant", (Text("hi"), Reasoning("so")))) is not None, "order"
    assert skeleton(Turn("assistant", (Text("hi"), Text("so")))) is not None, "a border between texts"
    assert skeleton(Turn("assistant", (Text("hi"),), extras=extras_of("run", a=1))) is not None


@given(EXTRAS, EXTRAS)
def test_merged_extras_hold_both_and_the_later_wins(extras: Extras, more: Extras) -> None:
    before = copy.deepcopy((dict(extras), dict(more)))
    both = merged(extras, more)
    assert set(both) == {*extras, *more}
    for wire in both:
        assert dict(both[wire]) == {**extras.get(wire, {}), **more.get(wire, {})}
    assert (dict(extras), dict(more)) == before, "the values merged are not changed"


def test_extras_of_leaves_out_what_is_none() -> None:
    assert extras_of("messages", signature="s", caller=None) == {"messages": {"signature": "s"}}
    assert extras_of("messages", caller=None) is NO_EXTRAS


def test_no_extras_cannot_be_filled_and_survive_copies() -> None:
    assert dict(NO_EXTRAS) == {} == NO_EXTRAS
    assert len(NO_EXTRAS) == 0
    assert hash(Text("a")) == hash(Text("a"))
    with pytest.raises(TypeError):
        NO_EXTRAS["run"] = {}  # type: ignore[index]
    with pytest.raises(KeyError):
        NO_EXTRAS["run"]
    for twin in (copy.deepcopy(Text("a")), pickle.loads(pickle.dumps(Text("a")))):
        assert twin == Text("a")


def test_a_turn_shows_its_text_and_its_tool_calls_in_order() -> None:
    first, second = ToolCall("1", "a", "{}"), ToolCall("2", "b", "{}")
    turn = Turn("assistant", (Text("one "), first, Reasoning("not this"), Text("two"), second))
    assert turn.text == "one two"
    assert turn.tool_calls == (first, second)
    assert Turn("tool", (ToolResult("1", (Text("result"),)),)).text == ""


def test_values_are_frozen() -> None:
    part: Any = Text("a")
    with pytest.raises(AttributeError):
        part.text = "b"
