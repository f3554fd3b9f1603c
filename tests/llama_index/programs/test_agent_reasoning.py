"""Agents with reasoning models: reasoning is streamed, and goes back to its provider with the calls."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ThinkingBlock
from llama_index.core.memory import ChatMemoryBuffer

from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.llama_index.programs.agents_kit import OSLO, SUNNY, merged, run_agent, turns, weather
from tests.llama_index.programs.conftest import Make

WORDS: dict[str, dict[str, Any]] = {
    "responses": {"reasoning": {"effort": "low", "summary": "auto"}, "store": False},
    "messages": {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096},
    "run": {"reasoning_effort": "low"},
}
"""How thinking is asked for; the chat model of these tests does not think."""
REASONING_TEXT = "I had better look at the sky over Oslo."
both_modes = pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])


@pytest.fixture(params=WORDS)
def api(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def reasoning_model(make: Make, api: str) -> CloudflareAIGateway:
    return make(**WORDS[api])


def think(simulator: Simulator) -> None:
    simulator.reply(reasoning=REASONING_TEXT, calls=[{"id": "call_1", "name": "weather", "arguments": OSLO}])


def thoughts(simulator: Simulator, api: str) -> list[dict[str, Any]]:
    """The reasoning in the last request, in the form of the wire."""
    body = simulator.requests[-1].body
    if api == "responses":
        return [item for item in body["input"] if item.get("type") == "reasoning"]
    if api == "messages":
        blocks = [block for message in body["messages"] for block in message["content"] if isinstance(block, dict)]
        return [block for block in blocks if block["type"] == "thinking"]
    return [message for message in body["messages"] if message.get("reasoning_content")]


def check_thought(thought: dict[str, Any], api: str) -> None:
    """Its text, and what its provider recognizes it by."""
    match api:
        case "responses":
            assert thought["summary"] == [{"type": "summary_text", "text": REASONING_TEXT}]
            assert thought["encrypted_content"]
        case "messages":
            assert thought["thinking"] == REASONING_TEXT
            assert thought["signature"]
        case _:
            assert thought["reasoning_content"] == REASONING_TEXT


@both_modes
async def test_reasoning_is_shown_and_sent_back(
    reasoning_model: CloudflareAIGateway, simulator: Simulator, api: str, streaming: bool
) -> None:
    think(simulator)
    run = await run_agent(
        FunctionAgent(tools=[weather], llm=reasoning_model, streaming=streaming).run("Weather in Oslo?")
    )
    assert run.answer == SUNNY
    assert len(simulator.requests) == 2
    if streaming:
        first = [
            event for event in run.streamed if event.thinking_delta and REASONING_TEXT.find(event.thinking_delta) >= 0
        ]
        assert len(first) > 1
        assert run.thought.startswith(REASONING_TEXT)
        assert run.streamed_text == SUNNY
    blocks = [block for block in run.steps[0].response.blocks if isinstance(block, ThinkingBlock)]
    assert [block.content for block in blocks] == [REASONING_TEXT]
    (thought,) = thoughts(simulator, api)
    check_thought(thought, api)
    assert merged(turns(simulator)) == ["user", "thought", "call", "result"]


@both_modes
async def test_reasoning_is_kept_across_the_turns_of_a_memory(
    reasoning_model: CloudflareAIGateway, simulator: Simulator, api: str, streaming: bool
) -> None:
    memory = ChatMemoryBuffer.from_defaults(llm=reasoning_model)
    agent = FunctionAgent(tools=[weather], llm=reasoning_model, streaming=streaming)
    think(simulator)
    await agent.run("Weather in Oslo?", memory=memory)
    assert str(await agent.run("What about Rome?", memory=memory)) == SUNNY.replace("Oslo", "Rome")
    assert len(simulator.requests) == 4
    check_thought(thoughts(simulator, api)[0], api)


REDACTED = {"type": "redacted_thinking", "data": "c2VjcmV0"}


@pytest.mark.parametrize("api", ["messages"])
async def test_encrypted_reasoning_is_sent_back(reasoning_model: CloudflareAIGateway, simulator: Simulator) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": OSLO}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use"}
    usage = {"input_tokens": 0, "output_tokens": 0}
    simulator.reply_raw(body=json.dumps({**message, "content": [REDACTED, call], "usage": usage}))
    run = await run_agent(FunctionAgent(tools=[weather], llm=reasoning_model, streaming=False).run("Weather in Oslo?"))
    assert run.answer == SUNNY
    text = simulator.requests[-1].body["messages"][1]["content"]
    assert text[0] == REDACTED
    assert text[1]["id"] == "toolu_1"
