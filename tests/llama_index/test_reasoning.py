"""Reasoning is shown, and goes back to whom it came from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ThinkingBlock

from cfaig_integrations.simulator import Simulator
from tests.handmade import chat_chunk, last_request, play
from tests.llama_index.call_methods import (
    CALL,
    MODELS,
    QUESTION,
    REASONING_MODELS,
    WEATHER,
    Make,
    answer,
    both_modes,
    every_chat,
    every_method,
    result,
    user,
)

REASONING_TEXT = "It must be looked up."


def stored(message: ChatMessage) -> ChatMessage:
    """A message out of a chat store."""
    return ChatMessage.model_validate_json(message.model_dump_json())


@every_chat
@pytest.mark.parametrize("store", [None, True, False])
@pytest.mark.parametrize("form", ["as it is", "stored"])
async def test_a_reasoning_item_precedes_its_call(
    make: Make, simulator: Simulator, method: str, store: bool | None, form: str
) -> None:
    """run-llama#19089."""
    llm = make(api="responses", store=store, **REASONING_MODELS["responses"])
    simulator.reply(reasoning=REASONING_TEXT, calls=[CALL])
    said = (await answer(llm, method, tools=[WEATHER])).message
    await answer(llm, method, [user(), said if form == "as it is" else stored(said), result()], tools=[WEATHER])
    items = last_request(simulator)["input"]
    kinds = [item.get("type", "message") for item in items]
    assert kinds == ["message", "reasoning", "function_call", "function_call_output"]
    thought = items[1]
    assert thought["summary"] == [{"type": "summary_text", "text": REASONING_TEXT}]
    (block,) = [block for block in said.blocks if isinstance(block, ThinkingBlock)]
    assert block.content == REASONING_TEXT
    entries = block.additional_information
    if store is False:  # else the provider has it, and finds it by its id
        assert thought["encrypted_content"] == entries["encrypted_content"] != ""
    else:
        assert thought["id"] == entries["id"] != ""


@every_chat
@pytest.mark.parametrize("form", ["as it is", "stored"])
async def test_a_thinking_block_precedes_its_call(make: Make, simulator: Simulator, method: str, form: str) -> None:
    """run-llama#20072, PR #18834."""
    llm = make(api="messages", **REASONING_MODELS["messages"])
    simulator.reply("I will look.", reasoning=REASONING_TEXT, calls=[CALL])
    said = (await answer(llm, method, tools=[WEATHER])).message
    await answer(llm, method, [user(), said if form == "as it is" else stored(said), result()], tools=[WEATHER])
    content = last_request(simulator)["messages"][1]["content"]
    assert [block["type"] for block in content] == ["thinking", "text", "tool_use"]
    assert content[0]["thinking"] == REASONING_TEXT
    (block,) = [block for block in said.blocks if isinstance(block, ThinkingBlock)]
    assert content[0]["signature"] == block.additional_information["signature"] != ""


USAGE = {"input_tokens": 1, "output_tokens": 1}
BLOCKS: list[dict[str, Any]] = [
    {"type": "redacted_thinking", "data": "c2VjcmV0"},
    {"type": "thinking", "thinking": REASONING_TEXT, "signature": "c2ln"},
    {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Paris"}},
]
MESSAGE = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "usage": USAGE}


def redacted(simulator: Simulator, *, streamed: bool) -> None:
    """An answer with a redacted block before reasoning and a call."""
    if not streamed:
        simulator.reply_raw(body=json.dumps({**MESSAGE, "content": BLOCKS, "stop_reason": "tool_use"}))
        return
    empty = [BLOCKS[0], {**BLOCKS[1], "thinking": "", "signature": ""}, {**BLOCKS[2], "input": {}}]
    starts = [{"type": "content_block_start", "index": n, "content_block": block} for n, block in enumerate(empty)]
    stops = [{"type": "content_block_stop", "index": n} for n in range(3)]
    deltas = [
        {"type": "thinking_delta", "thinking": REASONING_TEXT},
        {"type": "signature_delta", "signature": "c2ln"},
        {"type": "input_json_delta", "partial_json": '{"city": "Paris"}'},
    ]
    said = [{"type": "content_block_delta", "index": max(n, 1), "delta": delta} for n, delta in enumerate(deltas)]
    said[1]["index"] = 1
    events = [
        {"type": "message_start", "message": {**MESSAGE, "content": []}},
        *(starts[0], stops[0], starts[1], said[0], said[1], stops[1], starts[2], said[2], stops[2]),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": USAGE},
        {"type": "message_stop"},
    ]
    play(simulator, *events)


@every_chat
@pytest.mark.parametrize("form", ["as it is", "stored"])
async def test_encrypted_reasoning_precedes_its_call(make: Make, simulator: Simulator, method: str, form: str) -> None:
    llm = make(api="messages", **REASONING_MODELS["messages"])
    redacted(simulator, streamed="stream" in method)
    said = (await answer(llm, method, tools=[WEATHER])).message
    await answer(llm, method, [user(), said if form == "as it is" else stored(said), result()], tools=[WEATHER])
    assert last_request(simulator)["messages"][1]["content"] == BLOCKS


FAMILY = {"chat_completions", "run"}
FOREIGN_BLOCKS = [
    (maker, other) for maker in REASONING_MODELS for other in MODELS if maker != other and not {maker, other} <= FAMILY
]


@pytest.mark.parametrize(("maker", "other"), FOREIGN_BLOCKS)
@every_chat
async def test_reasoning_is_not_sent_to_other_providers(
    make: Make, simulator: Simulator, maker: str, other: str, method: str
) -> None:
    simulator.reply(reasoning=REASONING_TEXT, calls=[CALL])
    said = (await answer(make(api=maker, **REASONING_MODELS[maker]), method, tools=[WEATHER])).message
    actual = await answer(make(api=other), method, [user(), said, result()], tools=[WEATHER])
    assert "rains in Paris" in actual.message.content
    sent = simulator.requests[-1].raw.decode()
    assert "signature" not in sent
    assert "encrypted_content" not in sent


def only_reasoning(simulator: Simulator, *, streamed: bool) -> None:
    """An answer inside the reasoning, as some servers send it."""
    if streamed:
        pieces = [chat_chunk({"reasoning_content": piece}) for piece in ("Paris ", "it is.")]
        play(simulator, chat_chunk({"role": "assistant", "content": ""}), *pieces, chat_chunk({}, "stop"), "[DONE]")
        return
    message = {"role": "assistant", "content": None, "reasoning_content": "Paris it is."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    simulator.reply_raw(body=json.dumps(body))


@every_method
async def test_an_answer_in_the_reasoning_is_kept_as_reasoning(make: Make, simulator: Simulator, method: str) -> None:
    """run-llama#21337: a program may read it; it is not taken for the answer."""
    only_reasoning(simulator, streamed="stream" in method)
    last = await answer(make(api="chat_completions"), method)
    if method.endswith("complete"):
        assert last.text == ""
        return
    block = last.message.blocks[0]
    assert isinstance(block, ThinkingBlock)
    assert block.content == "Paris it is."
    assert last.message.content == ""


@both_modes
async def test_an_agents_output_holds_the_reasoning(make: Make, simulator: Simulator, streaming: bool) -> None:
    only_reasoning(simulator, streamed=streaming)
    agent = FunctionAgent(tools=[WEATHER], llm=make(api="chat_completions"), streaming=streaming)
    handler = agent.run(QUESTION)
    visible = "".join(
        [event.thinking_delta or "" async for event in handler.stream_events() if isinstance(event, AgentStream)]
    )
    end = await handler
    assert [block.content for block in end.response.blocks if isinstance(block, ThinkingBlock)] == ["Paris it is."]
    assert visible == ("Paris it is." if streaming else "")
