"""Streams: each response holds the message so far, and the last equals the response to the whole reply."""

from __future__ import annotations

import json

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, TextBlock, ThinkingBlock, ToolCallBlock

from cfaig_integrations.core.content import Wire
from cfaig_integrations.core.events import (
    ArgumentsDelta,
    Event,
    Finished,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
)
from cfaig_integrations.core.fold import fold
from cfaig_integrations.llama_index.inbound import to_turns
from cfaig_integrations.llama_index.outbound import to_response
from cfaig_integrations.llama_index.responses import ResponseMaker
from tests.recorded_replies import WIRES, info, replies, streams
from tests.wire.harness import COMPLETE, needs_recordings

EVERYTHING: list[Event] = [
    PartStarted(0, "reasoning"),
    ReasoningDelta(0, "Let me "),
    ReasoningDelta(0, "think."),
    PartStarted(1, "text"),
    TextDelta(1, "It is "),
    TextDelta(1, "sunny."),
    PartStarted(2, "tool_call", id="a", name="wind"),
    PartStarted(3, "tool_call", id="b", name="Box[int]"),
    ArgumentsDelta(3, '{"v'),
    ArgumentsDelta(2, '{"city": '),
    ArgumentsDelta(3, '": 1}'),
    ArgumentsDelta(2, '"Rome"}'),
    PartStarted(4, "refusal"),
    RefusalDelta(4, "No "),
    RefusalDelta(4, "more."),
    Finished("tool_calls", "tool_calls"),
]


def logged(wire: Wire, events: list[Event]) -> list[ChatResponse]:
    maker = ResponseMaker(info(wire))
    responses = [response for event in events if (response := maker.make(event)) is not None]
    return [*responses, maker.last()]


def assert_cumulative(responses: list[ChatResponse]) -> None:
    so_far = ""
    for response in responses:
        so_far += response.delta or ""
        assert (response.message.content or "") == so_far


def constructed(response: ChatResponse) -> ChatResponse:
    """The same, through every constructor."""
    created = [type(block)(**block.__dict__) for block in response.message.blocks]
    message = ChatMessage(
        role=response.message.role, blocks=created, additional_kwargs=response.message.additional_kwargs
    )
    kwargs = {"delta": response.delta, "raw": response.raw, "additional_kwargs": response.additional_kwargs}
    return ChatResponse(message=message, **kwargs)


def test_a_response_without_validation_equals_a_constructed_one() -> None:
    for response in logged("chat_completions", EVERYTHING)[:-1]:
        twin = constructed(response)
        assert response == twin
        assert response.model_dump() == twin.model_dump()
        assert response.model_dump_json() == twin.model_dump_json()
        assert response.model_copy(deep=True) == twin
        assert response.message.blocks[0].model_fields_set <= twin.message.blocks[0].model_fields_set


def test_every_response_holds_the_whole_message() -> None:
    responses = logged("chat_completions", EVERYTHING)
    assert_cumulative(responses)
    assert responses[-1].message.content == "It is sunny.\nNo more."
    thoughts = "".join(response.additional_kwargs.get("thinking_delta", "") for response in responses)
    assert thoughts == "Let me think."
    growing = [
        [block.tool_kwargs for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        for response in responses
    ]
    assert growing[-4:-2] == [['{"city": "Rome"}', '{"v": 1}']] * 2
    assert growing[-1] == [{"city": "Rome"}, {"v": 1}]


def test_streamed_calls_have_the_names_of_the_tools() -> None:
    for response in logged("chat_completions", EVERYTHING):
        named = [block.tool_name for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        visible = [call["function"]["name"] for call in response.message.additional_kwargs.get("tool_calls", [])]
        assert named == visible
        assert named in ([], ["wind"], ["wind", "Box[int]"])


def test_an_observers_changes_to_a_response_stay_in_it() -> None:
    maker = ResponseMaker(info("chat_completions"))
    for event in EVERYTHING:
        response = maker.make(event)
        if response is not None:
            for place in (response.raw, response.additional_kwargs, response.message.additional_kwargs):
                assert "seen" not in place
                place["seen"] = True


def test_an_earlier_response_does_not_change() -> None:
    maker, stored = ResponseMaker(info("chat_completions")), []
    for event in EVERYTHING:
        response = maker.make(event)
        if response is not None:
            stored.append((response, response.model_dump_json()))
    maker.last()
    assert stored
    assert all(response.model_dump_json() == then for response, then in stored)


@needs_recordings
@pytest.mark.parametrize("kind", WIRES)
def test_every_recorded_stream(kind: str) -> None:
    result = streams(kind)
    assert len(result) > 40
    for line, events in result:
        if any(getattr(event, "choice", 0) for event in events):
            continue  # LlamaIndex's responses hold one choice
        responses = logged(WIRES[kind], events)
        complete = to_response(fold(WIRES[kind], events), info(WIRES[kind]), delta="")
        try:
            assert_cumulative(responses)
            assert responses[-1] == complete
            assert sum(isinstance(block, TextBlock) for block in complete.message.blocks) <= 2
        except AssertionError as error:
            raise AssertionError(f"{kind}.jsonl line {line}") from error


@needs_recordings
@pytest.mark.parametrize("kind", WIRES)
def test_every_recorded_reply_survives_the_round_trip(kind: str) -> None:
    result = replies(kind)
    assert len(result) > 50
    for line, reply in result:
        response = to_response(reply, info(reply.wire))
        again = ChatMessage.model_validate_json(response.message.model_dump_json())
        try:
            assert to_turns([response.message]) == (reply.turn,)
            assert to_turns([again]) == (reply.turn,)
            json.dumps(response.raw)
            json.dumps(response.additional_kwargs)
        except (AssertionError, TypeError) as error:
            raise AssertionError(f"{kind}.jsonl line {line}") from error


@needs_recordings
@pytest.mark.parametrize("kind", WIRES)
def test_recorded_reasoning_is_a_thinking_block(kind: str) -> None:
    seen = 0
    for _, reply in replies(kind):
        blocks = to_response(reply, info(reply.wire)).message.blocks
        thoughts = [block for block in blocks if isinstance(block, ThinkingBlock)]
        seen += len(thoughts)
        if kind == "messages":
            assert all(block.additional_information.get("signature") for block in thoughts if block.content)
    assert seen > 10 or not COMPLETE
