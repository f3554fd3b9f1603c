"""Runs that are written down as JSON and go on later, in another object and another event loop."""

# LlamaIndex does not find the context in annotations that are text: no `from __future__ import annotations` here.

import asyncio
import json
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.workflow import Context, HumanResponseEvent, InputRequiredEvent, JsonSerializer

from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.llama_index.programs.agents_kit import ASK, ROMAN, SUNNY, merged, run_agent, sent, turns, weather
from tests.llama_index.programs.conftest import Make
from tests.llama_index.programs.test_agent_reasoning import REASONING_TEXT, WORDS, check_thought, think, thoughts

pytestmark = pytest.mark.filterwarnings("ignore:Skipping serialization of known unserializable key")
both_modes = pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])


class Collector:
    """What is left of a run: text. LlamaIndex leaves out the memory, whose messages are for the user to write down."""

    def __init__(self, context: Context[Any], memory: ChatMemoryBuffer) -> None:
        self.context = json.dumps(context.to_dict(serializer=JsonSerializer()))
        self.memory = json.dumps([message.model_dump(mode="json") for message in memory.get_all()])

    def restore(self, agent: Any) -> tuple[Context[Any], ChatMemoryBuffer]:
        context = Context.from_dict(agent, json.loads(self.context), serializer=JsonSerializer())
        history = [ChatMessage.model_validate(message) for message in json.loads(self.memory)]
        return context, ChatMemoryBuffer.from_defaults(history, token_limit=3000)


def agent_of(llm: CloudflareAIGateway, kind: str, tool: Any = weather, **arguments: Any) -> Any:
    if kind == "workflow":
        return AgentWorkflow([FunctionAgent(name="guide", description="Knows.", tools=[tool], llm=llm, **arguments)])
    return FunctionAgent(tools=[tool], llm=llm, **arguments)


@both_modes
@pytest.mark.parametrize("kind", ["agent", "workflow"])
async def test_a_conversation_resumes_from_json(make: Make, simulator: Simulator, streaming: bool, kind: str) -> None:
    memory = ChatMemoryBuffer.from_defaults(token_limit=3000)
    agent = agent_of(make(), kind, streaming=streaming)
    context: Context[Any] = Context(agent)
    await agent.run(f"My name is Ann. {ASK}", ctx=context, memory=memory)
    stored = Collector(context, memory)
    later = agent_of(make(), kind, streaming=streaming)
    context, memory = stored.restore(later)
    assert str(await later.run("What about Rome?", ctx=context, memory=memory)) == ROMAN
    assert str(await later.run("What is my name?", ctx=context, memory=memory)) == "Your name is Ann."
    assert merged(turns(simulator)) == [*["user", "call", "result", "assistant"] * 2, "user"]
    assert len(simulator.requests) == 5


async def confirmed_weather(ctx: Context[Any], city: str) -> str:
    """The weather of a city, if a human agrees."""
    reply = await ctx.wait_for_event(
        HumanResponseEvent, waiter_event=InputRequiredEvent(prefix=f"May I look at {city}?")
    )
    return weather(city) if reply.response == "yes" else "Nobody may know."


@both_modes
@pytest.mark.parametrize(("answer", "result"), [("yes", SUNNY), ("no", "Nobody may know.")])
def test_a_run_that_waits_for_a_human_resumes_from_json(
    make: Make, simulator: Simulator, streaming: bool, answer: str, result: str
) -> None:
    """In another event loop: only the serialized state contains the tool call."""

    async def ask() -> Collector:
        memory = ChatMemoryBuffer.from_defaults(token_limit=3000)
        agent = agent_of(make(), "agent", confirmed_weather, streaming=streaming)
        handler = agent.run(ASK, memory=memory)
        async for event in handler.stream_events():
            if isinstance(event, InputRequiredEvent):
                break
        stored = Collector(handler.ctx, memory)
        await handler.cancel_run()
        return stored

    async def go_on(stored: Collector) -> str:
        agent = agent_of(make(), "agent", confirmed_weather, streaming=streaming)
        context, memory = stored.restore(agent)
        handler = agent.run(ctx=context)
        await handler.ctx.store.set("memory", memory)
        handler.ctx.send_event(HumanResponseEvent(response=answer))
        return (await run_agent(handler)).answer

    stored = asyncio.run(ask())
    assert len(simulator.requests) == 1
    assert asyncio.run(go_on(stored)) == result
    assert len(simulator.requests) == 2
    assert merged(turns(simulator)) == ["user", "call", "result"]
    assert result in sent(simulator)


@both_modes
@pytest.mark.parametrize("api", WORDS)
async def test_reasoning_survives_json(make: Make, simulator: Simulator, api: str, streaming: bool) -> None:
    memory = ChatMemoryBuffer.from_defaults(token_limit=3000)
    agent = agent_of(make(**WORDS[api]), "agent", streaming=streaming)
    context: Context[Any] = Context(agent)
    think(simulator)
    await agent.run("Weather in Oslo?", ctx=context, memory=memory)
    entries = sent(simulator)
    stored = Collector(context, memory)
    assert REASONING_TEXT in stored.memory
    context, memory = stored.restore(agent)
    assert str(await agent.run("What about Rome?", ctx=context, memory=memory)) == ROMAN
    thought = thoughts(simulator, api)[0]
    check_thought(thought, api)
    for secret in (thought.get("signature"), thought.get("encrypted_content")):
        assert secret is None or secret in entries
