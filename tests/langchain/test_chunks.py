"""Chunks built without validation are the chunks that their constructors build."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from cfaig_integrations.core.content import Opaque
from cfaig_integrations.core.events import ArgumentsDelta, Event, Finished, PartAdded, PartStarted
from cfaig_integrations.langchain.chunks import ChunkMaker, quick_chunk
from cfaig_integrations.langchain.inbound import to_turns
from cfaig_integrations.langchain.outbound import PROVIDER
from tests.langchain.kit import INFO, invoked, summed

CALL = {"type": "tool_call_chunk", "name": None, "args": '{"a"', "id": None, "index": 2}
BLOCK: dict[str, Any] = {"type": "text", "text": "x", "index": 0}


def constructed(content: Any, calls: list[Any], beside: dict[str, Any]) -> ChatGenerationChunk:
    message = AIMessageChunk(
        content=content,
        additional_kwargs=beside,
        response_metadata={"model_provider": PROVIDER},
        tool_call_chunks=calls,
    )
    message.tool_calls, message.invalid_tool_calls = [], []  # what core would guess from a fragment
    return ChatGenerationChunk(message=message)


@pytest.mark.parametrize(
    ("content", "calls", "extra"),
    [
        ("hello", [], {}),
        ("", [CALL], {}),
        ("", [], {"reasoning_content": "hm"}),
        ([BLOCK], [], {}),
        ([], [CALL], {}),
        ([{"type": "reasoning", "reasoning": "r", "index": 1}], [], {}),
    ],
)
def test_quick_chunk_equals_the_constructed_one(content: Any, calls: list[Any], extra: dict[str, Any]) -> None:
    quick, slow = quick_chunk(content, list(calls) or None, dict(extra) or None), constructed(content, calls, extra)
    assert quick == slow
    assert quick.message.__dict__.keys() == slow.message.__dict__.keys()
    assert quick.__dict__.keys() == slow.__dict__.keys()
    assert quick.model_dump() == slow.model_dump()
    assert (quick + quick).message.content == (slow + slow).message.content
    assert quick.model_copy(deep=True) == slow


def test_quick_chunks_share_nothing() -> None:
    one, two = quick_chunk("a"), quick_chunk("b")
    for name in ("additional_kwargs", "response_metadata", "tool_calls", "invalid_tool_calls", "tool_call_chunks"):
        assert getattr(one.message, name) is not getattr(two.message, name)


def streamed(pieces: Sequence[str]) -> tuple[AIMessage, AIMessage]:
    """The message of a call whose arguments come in these pieces, and that of the call as a whole."""
    events: list[Event] = [PartStarted(0, "tool_call", 0, "call_1", "f")]
    events += [*(ArgumentsDelta(0, piece) for piece in pieces), Finished("tool_calls", "tool_calls")]
    return summed(events, as_blocks=False), invoked(events)


@pytest.mark.parametrize("choice", [0, 1])
def test_the_state_of_a_whole_part_is_in_one_chunk_if_it_is_of_the_first_answer(choice: int) -> None:
    events: list[Event] = [PartAdded(0, Opaque("chat_completions", {"type": "x"}), choice), Finished("stop", "stop")]
    assert summed(events, as_blocks=False).additional_kwargs == invoked(events).additional_kwargs
    assert bool(invoked(events).additional_kwargs) is (choice == 0)


ARGUMENTS = {
    "no arguments": ["", " ", "null", " null ", '""', "{}", '"{}"', "[{}]", "[null]"],
    "whole": ['{"a": 1}', ' {"a": "]"} ', '{"a": "\\n\\"\\\\"}', '{"a": "\\\\ud83d"}', '{"a": NaN}'],
    "control characters": ['{"a": "x\ny\tz\x01"}'],
    "encoded twice": ['"{\\"a\\": 1}"', json.dumps(json.dumps({"a": "\\ \n é"}))],
    "wrapped": ['[{"a": 1}]', '```json\n{"a": 1}\n```', '```JSON\n{"a": 1}\n```', '\ufeff{"a": 1}'],
    "surrogates": [
        '{"a": "\\ud83d\\ude00"}',
        '{"a": "x\\ud83d"}',
        '{"\\ude00": "\\uD83Dx\\ud83d\\n\\udE00"}',
        '{"a": "\\ud83d\\ud83d\\ude00\\\\"}',
    ],
    "cut": ['{"city": "Par', '{"city": "Paris"', '{"a": [1, 2', '{"a": {"b": "c\\', '{"a"', '{"a": tru', '{"a": "x\\"'],
    "cut in an escape": ['{"a": "\\u', '{"a": "\\ud83d', '{"a": "\\ud83d\\ude', '{"a": "\\ud8zz"}', '{"a": "\\x"}'],
    "cut and wrapped": ['"{\\"a\\": 1', '[{"a": 1}', '```json\n{"a": 1', "nul", '"{\\"a\\": 1"'],
    "no object": ["[1, 2]", "[]", "7", '"x"', "I call f", '{"a": 1} or so', '{"a": 1}{"b": 2}', "}", "[" * 100_000],
}


@pytest.mark.parametrize("arguments", [each for group in ARGUMENTS.values() for each in group])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 200_000])
def test_a_streamed_call_is_read_as_the_whole_one(arguments: str, size: int) -> None:
    if len(arguments) > 1000 and size < 1000:
        arguments = arguments[:1000]
    stream, whole = streamed([arguments[at : at + size] for at in range(0, len(arguments), size)])
    assert stream.tool_calls == whole.tool_calls
    broken = [(call["id"], call["name"]) for call in stream.invalid_tool_calls]
    assert broken == [(call["id"], call["name"]) for call in whole.invalid_tool_calls]
    assert len(stream.tool_calls) + len(broken) == 1
    assert to_turns([stream]) == to_turns([whole])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=5),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(st.characters(), max_size=3), inner),
        max_leaves=5,
    ),
    st.integers(1, 5),
    st.integers(0, 60),
    st.sampled_from(["{}", "[{}]", "```\n{}\n```", "{} x"]),
    st.booleans(),
)
def test_arguments_are_parsed_alike_streamed_and_whole(value: Any, size: int, cut: int, form: str, twice: bool) -> None:
    text = json.dumps({"a": value})
    text = form.replace("{}", json.dumps(text) if twice else text)
    for arguments in (text, text[:cut]):
        stream, whole = streamed([arguments[at : at + size] for at in range(0, len(arguments), size)])
        assert stream.tool_calls == whole.tool_calls
        assert len(stream.invalid_tool_calls) == len(whole.invalid_tool_calls)


@pytest.mark.parametrize(
    "arguments", [*ARGUMENTS["cut"], *ARGUMENTS["cut in an escape"], *ARGUMENTS["cut and wrapped"]]
)
def test_broken_arguments_are_never_completed(arguments: str) -> None:
    for message in streamed([arguments]):
        assert not message.tool_calls
        assert len(message.invalid_tool_calls) == 1


def test_arguments_of_an_object_are_passed_on_as_they_arrive() -> None:
    maker = ChunkMaker(INFO, "asked", as_blocks=False)
    maker.make(PartStarted(0, "tool_call", 0, "call_1", "f"))
    pieces = ['{"a": "', "x\\n", 'y"}']
    chunks = [
        cast("AIMessageChunk", result.message) for each in pieces if (result := maker.make(ArgumentsDelta(0, each)))
    ]
    assert [chunk.tool_call_chunks[0]["args"] for chunk in chunks] == pieces
    assert cast("AIMessageChunk", maker.last().message).tool_call_chunks == []
