"""What LangChain makes of every recorded reply: nothing is lost on the way in, through a stream, or on the way back."""

from __future__ import annotations

from typing import Any, cast

import pytest
from langchain_core.language_models._utils import _update_message_content_to_blocks
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    message_chunk_to_message,
    messages_from_dict,
    messages_to_dict,
)

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.core.content import Opaque, Reasoning, Refusal, Wire
from cfaig_integrations.core.events import Event
from cfaig_integrations.core.fold import fold
from cfaig_integrations.langchain.chunks import ChunkMaker
from cfaig_integrations.langchain.inbound import assistant_turn
from cfaig_integrations.langchain.outbound import to_result, to_usage
from tests.recorded_replies import WIRES, info, replies, streams
from tests.wire.harness import needs_recordings

pytestmark = needs_recordings


def as_message(reply: ChatReply) -> AIMessage:
    message = to_result(reply, info(reply.wire), "asked").generations[0].message
    assert isinstance(message, AIMessage)
    return message


def as_stream(wire: Wire, events: list[Event], *, as_blocks: bool) -> AIMessage:
    maker = ChunkMaker(info(wire), "asked", as_blocks=as_blocks)
    chunks = [chunk.message for event in events if (chunk := maker.make(event)) is not None]
    chunks.append(maker.last().message)
    if as_blocks:
        chunks = [_update_message_content_to_blocks(chunk, "v1") for chunk in chunks]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = cast("AIMessageChunk", whole + chunk)
    message = message_chunk_to_message(whole)
    assert isinstance(message, AIMessage)
    return message


def assert_holds(message: AIMessage, reply: ChatReply) -> None:
    """The message shows what the reply says, and gives back exactly what it was made from."""
    turn = reply.turn
    assert message.text == turn.text
    assert len(message.tool_calls) + len(message.invalid_tool_calls) == len(turn.tool_calls)
    assert {call["name"] for call in message.tool_calls} <= {call.name for call in turn.tool_calls}
    assert message.usage_metadata == (None if reply.usage is None else to_usage(reply.usage))
    shown = message.content_blocks
    reasoning = "".join(part.text for part in turn.parts if isinstance(part, Reasoning))
    assert "".join(str(block.get("reasoning", "")) for block in shown if block["type"] == "reasoning") == reasoning
    assert len(shown) >= len([part for part in turn.parts if isinstance(part, Opaque | Refusal)])
    assert assistant_turn(message) == turn


def through_json(message: AIMessage) -> AIMessage:
    again = messages_from_dict(messages_to_dict([message]))[0]
    assert isinstance(again, AIMessage)
    return again


@pytest.mark.parametrize("kind", WIRES)
def test_every_whole_reply(kind: str) -> None:
    result = replies(kind)
    assert len(result) > 50
    for line, reply in result:
        message = as_message(reply)
        try:
            assert_holds(message, reply)
            assert_holds(through_json(message), reply)
            assert_holds(_update_message_content_to_blocks(message, "v1"), reply)
        except AssertionError as error:
            raise AssertionError(f"{kind}.jsonl line {line}") from error


@pytest.mark.parametrize("as_blocks", [False, True], ids=["v0", "v1"])
@pytest.mark.parametrize("kind", WIRES)
def test_every_stream(kind: str, as_blocks: bool) -> None:
    result = streams(kind)
    assert len(result) > 40
    for line, events in result:
        reply = fold(WIRES[kind], events)
        message = as_stream(WIRES[kind], events, as_blocks=as_blocks)
        try:
            assert_holds(message, reply)
            assert_holds(through_json(message), reply)
            whole = as_message(reply)
            assert comparable(message, as_blocks) == comparable(whole, as_blocks)
        except AssertionError as error:
            raise AssertionError(f"{kind}.jsonl line {line}") from error


def comparable(message: AIMessage, as_blocks: bool) -> dict[str, Any]:
    """What must not depend on whether the answer was streamed."""
    result = {
        "text": message.text,
        "calls": message.tool_calls,
        "usage": message.usage_metadata,
        "metadata": {key: value for key, value in message.response_metadata.items() if key != "output_version"},
        "reasoning": message.additional_kwargs.get("reasoning_content"),
        # A server tool's block comes when it is done, which may be after the text that follows it began.
        "kinds": sorted(block["type"] for block in message.content_blocks),
    }
    if as_blocks:
        del result["reasoning"]
    else:
        result["content"] = message.content
    return result
