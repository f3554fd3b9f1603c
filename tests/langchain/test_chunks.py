"""Chunks built without validation are the chunks that their constructors build."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from cfaig_integrations.core.content import ToolCall
from cfaig_integrations.langchain.chunks import quick_chunk
from cfaig_integrations.langchain.inbound import PROVIDER
from cfaig_integrations.langchain.toolcalls import parsed, tail

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
    ("content", "calls", "beside"),
    [
        ("hello", [], {}),
        ("", [CALL], {}),
        ("", [], {"reasoning_content": "hm"}),
        ([BLOCK], [], {}),
        ([], [CALL], {}),
        ([{"type": "reasoning", "reasoning": "r", "index": 1}], [], {}),
    ],
)
def test_quick_chunk_equals_the_constructed_one(content: Any, calls: list[Any], beside: dict[str, Any]) -> None:
    quick, slow = quick_chunk(content, list(calls) or None, dict(beside) or None), constructed(content, calls, beside)
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


@pytest.mark.parametrize(
    "arguments",
    [
        '{"city": "Par',
        '{"city": "Paris"',
        '{"a": [1, 2',
        '{"a": {"b": "c\\',
        '{"a"',
        "[1, 2]",
        '{"a": tru',
        '{"a": "x\\"',
    ],
)
def test_broken_arguments_become_invalid_calls_however_lenient_the_parser(arguments: str) -> None:
    call = ToolCall("1", "weather", arguments)
    first = quick_chunk("", [{**CALL, "id": "1", "name": "weather", "args": ""}]).message
    piece = quick_chunk("", [{**CALL, "args": arguments}]).message
    last = quick_chunk("", [{**CALL, "args": tail(call)}]).message
    whole = first + piece + last
    assert not whole.tool_calls
    assert len(whole.invalid_tool_calls) == 1
    assert parsed(call)[1]


@pytest.mark.parametrize("arguments", ["{}", '{"a": 1}', '{"a": "]"}', ""])
def test_whole_arguments_are_left_alone(arguments: str) -> None:
    assert tail(ToolCall("1", "weather", arguments)) == ""
    assert parsed(ToolCall("1", "weather", arguments))[1] is None
