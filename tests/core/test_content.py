"""Turns, extras, and what lets a framework's message carry a turn without loss."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, example, given
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
    merge_extras,
)
from cfaig_integrations.core.records import record
from cfaig_integrations.core.replay import (
    free_text_calls,
    matches,
    part_state,
    replay_state,
    restore,
    whole_parts,
)

WIRES = ("chat_completions", "responses", "messages", "run")
TEXTS = st.text(max_size=6)
OBJECTS = st.dictionaries(TEXTS, st.integers() | TEXTS | st.none() | st.lists(TEXTS, max_size=2), max_size=3)
EXTRAS: st.SearchStrategy[Extras] = st.dictionaries(st.sampled_from(WIRES), OBJECTS, max_size=2).map(
    lambda parts: parts or NO_EXTRAS
)
CITATIONS = st.lists(
    st.builds(Citation, url=TEXTS, title=TEXTS, quoted=TEXTS, start=st.none() | st.integers(), raw=OBJECTS), max_size=2
).map(tuple)
ARGUMENTS = OBJECTS.map(json.dumps) | TEXTS
PARTS = st.one_of(
    st.builds(Text, TEXTS, CITATIONS, EXTRAS),
    st.builds(Reasoning, TEXTS, EXTRAS),
    st.builds(Refusal, TEXTS, EXTRAS),
    st.builds(ToolCall, TEXTS, TEXTS, ARGUMENTS, st.sampled_from(["function", "custom"]), EXTRAS),
    st.builds(Media, st.just("image"), url=TEXTS, extras=EXTRAS),
    st.builds(Opaque, st.sampled_from(WIRES), OBJECTS),
)
TURNS = st.builds(Turn, st.just("assistant"), st.lists(PARTS, max_size=6).map(tuple), extras=EXTRAS)


def shown(turn: Turn) -> Turn:
    """The turn as a framework's message holds it: every kind joined, tool calls as objects, nothing else."""
    parts: list[Part] = []
    for kind in (Reasoning, Text, Refusal):
        texts = [part.text for part in turn.parts if isinstance(part, kind)]
        if "".join(texts):
            parts.append(kind("".join(texts)))
    for call in turn.tool_calls:
        parts.append(ToolCall(call.id, call.name, reformatted(call), call.kind))
    return replace(turn, parts=tuple(parts), extras=NO_EXTRAS)


def reformatted(call: ToolCall) -> str:
    try:
        return json.dumps(json.loads(call.arguments), ensure_ascii=False, separators=(",", ":"))
    except ValueError:
        return call.arguments


@given(TURNS)
def test_a_message_and_its_replay_state_restore_the_turn(turn: Turn) -> None:
    state = replay_state(turn)
    if state is None:
        # Then the message alone says it all, but for texts that say nothing.
        parts = tuple(part for part in turn.parts if part not in (Text(""), Reasoning("")))
        assert restore(shown(turn), None) == replace(turn, parts=parts)
    else:
        assert restore(shown(turn), json.loads(json.dumps(state))) == turn


@given(TURNS, TEXTS)
def test_an_edited_message_goes_back_as_edited(turn: Turn, more: str) -> None:
    state = replay_state(turn)
    assume(state)
    assume(more)
    message = shown(turn)
    edited = replace(message, parts=(*message.parts, Text(more)))
    assert restore(edited, state).parts == tuple(part for part in edited.parts if not isinstance(part, Reasoning))


@pytest.mark.parametrize("edited_text", ["Ann lives in Rome.", "[...] lives in Rome.", "XXX lives in Rome.", ""])
def test_edited_text_drops_the_parts_that_may_repeat_the_original(edited_text: str) -> None:
    cited = Text("Ann lives in Rome.", (Citation(quoted="Ann"),), extras_of("responses", id="msg_1"))
    secret = Opaque("messages", {"type": "redacted_thinking", "data": "Ann"})
    call = ToolCall("call_1", "f", '{"a": 1}', extras=extras_of("run", thoughtSignature="s"))
    turn = Turn("assistant", (Reasoning("It is Ann.", extras_of("messages", signature="s")), secret, cited, call))
    parts = (Reasoning("It is Ann."), Text(edited_text, cited.citations), replace(call, extras=NO_EXTRAS))
    restored = restore(Turn("assistant", parts), json.loads(json.dumps(replay_state(turn))))
    if edited_text == cited.text:
        assert restored == turn
    else:
        assert restored == Turn("assistant", (Text(edited_text), parts[2]))


def test_edited_reasoning_goes_back_without_its_signature() -> None:
    turn = Turn("assistant", (Reasoning("It is Ann.", extras_of("messages", signature="s")), Text("So.")))
    parts = (Reasoning("It is ___.", extras_of("messages", signature="s")), Text("So."))
    restored = restore(Turn("assistant", parts), replay_state(turn))
    assert restored.parts == (Reasoning("It is ___."), Text("So."))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def changed(value: Any, number: int, new: Any) -> Any:
    """The JSON value with the node of this number replaced; below 0, a key is lost."""
    places: list[tuple[Any, Any]] = []

    def walk(inner: Any) -> None:
        for key, each in inner.items() if isinstance(inner, dict) else enumerate(inner):
            places.append((inner, key))
            if isinstance(each, dict | list):
                walk(each)

    copied = copy.deepcopy(value)
    walk(copied)
    holder, key = places[number % len(places)]
    if number < 0:
        del holder[key]
    else:
        holder[key] = new
    return copied


@example(Turn("assistant", (), extras={"chat_completions": {}}), 1, {})
@given(TURNS, st.integers(-50, 50), JSON)
def test_a_damaged_replay_state_is_ignored(turn: Turn, number: int, new: Any) -> None:
    state = replay_state(turn)
    assume(state)
    message = shown(turn)
    damaged = changed(state, number, new)
    assume(json.dumps(damaged, sort_keys=True) != json.dumps(state, sort_keys=True))
    assert restore(message, damaged) is message
    assert not matches(message, damaged)
    list(whole_parts(damaged))
    assert free_text_calls(damaged) == set()


@given(TURNS, JSON)
def test_any_stored_data_can_be_read(turn: Turn, data: Any) -> None:
    message = shown(turn)
    assert restore(message, data) is message
    assert free_text_calls(data) == set()
    list(whole_parts(data))


def test_a_replay_state_of_another_version_is_ignored() -> None:
    turn = Turn("assistant", (Text("a"), Text("b", extras=extras_of("responses", id="msg_1"))))
    message, state = shown(turn), replay_state(turn)
    assert state
    old = {"parts": state["parts"]}  # as it was before there were versions
    for data in (old, {**state, "version": 1}, {**state, "version": 3}, {**state, "version": "2"}):
        assert restore(message, data) is message


def test_a_replay_state_sent_in_pieces_restores_the_turn() -> None:
    picture, note = Media("image", data="QUJD", mime="image/png"), Opaque("run", {"a": 1})
    turn = Turn("assistant", (Text("a"), picture, Text("b"), note))
    pieces = [{"parts": [part_state(1, picture)]}, {"parts": [part_state(3, note)]}]
    last = replay_state(turn, sent=[1, 3])
    assert last
    whole = {**last, "parts": [each for piece in [*pieces, last] for each in piece["parts"]]}
    assert whole == replay_state(turn)
    assert restore(Turn("assistant", (Text("ab"),)), whole) == turn


def test_a_plain_turn_needs_no_replay_state() -> None:
    call = ToolCall("id", "name", '{"a":1}')
    assert replay_state(Turn("assistant", (Text("hi"), call, call))) is None
    assert replay_state(Turn("assistant", ())) is None
    assert replay_state(Turn("assistant", (Text("hi"), Reasoning("so")))) is not None, "order"
    assert replay_state(Turn("assistant", (Text("hi"), Text("so")))) is not None, "a border between texts"
    assert replay_state(Turn("assistant", (Text("hi"),), extras=extras_of("run", a=1))) is not None
    thought = Turn("assistant", (Reasoning("so"), Text("hi"), call))
    state = replay_state(thought)
    assert state, "the reasoning is tied to the text"
    assert state["parts"] == []
    assert restore(thought, state) is thought


@given(EXTRAS, EXTRAS)
def test_merged_extras_hold_both_and_the_later_value_wins(extras: Extras, more: Extras) -> None:
    before = copy.deepcopy((dict(extras), dict(more)))
    both = merge_extras(extras, more)
    assert set(both) == {*extras, *more}
    for wire in both:
        assert dict(both[wire]) == {**extras.get(wire, {}), **more.get(wire, {})}
    assert (dict(extras), dict(more)) == before, "the values merged are not changed"


def test_extras_of_leaves_out_none() -> None:
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


def test_a_turn_returns_its_text_and_its_tool_calls_in_order() -> None:
    first, second = ToolCall("1", "a", "{}"), ToolCall("2", "b", "{}")
    turn = Turn("assistant", (Text("one "), first, Reasoning("not this"), Text("two"), second))
    assert turn.text == "one two"
    assert turn.tool_calls == (first, second)
    assert Turn("tool", (ToolResult("1", (Text("result"),)),)).text == ""


def test_values_can_be_keys_and_are_frozen_for_type_checkers() -> None:
    assert len({Text("a"), Text("a"), Text("b")}) == 2
    transform: Any = vars(record)["__dataclass_transform__"]
    assert {**transform, **transform["kwargs"]}["frozen_default"] is True  # a parameter of its own from 3.12 on
