"""Programs that stop early: the connection is released, and the next call works."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from llama_index.core import SummaryIndex
from llama_index.core.agent.workflow import AgentStream, AgentWorkflow, FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from workflows.errors import WorkflowTimeoutError

from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.llama_index.call_methods import MODELS
from tests.llama_index.programs.agents_kit import ASK, SUNNY, weather
from tests.llama_index.programs.conftest import Make
from tests.llama_index.programs.kit import Observers, nodes
from tests.waiting import until, until_async

MESSAGES = [ChatMessage(role=MessageRole.USER, content="Go on for ever.")]


@pytest.fixture
def observers() -> Observers:
    """Without checks: a stopped call has no end event and no token counts."""
    return Observers()


@pytest.fixture(params=["chat_completions", "responses", "messages"])
def api(request: pytest.FixtureRequest) -> Any:
    return request.param


def endless(simulator: Simulator) -> None:
    """An answer that takes far longer than any of these tests."""
    simulator.reply("word " * 2000)
    simulator.fault("slow_stream", seconds=0.02)


def test_breaking_out_of_a_stream_releases_its_connection(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    endless(simulator)
    for response in llm.stream_chat(MESSAGES):
        if (response.message.content or "").count("word") > 2:
            break
    gc.collect()
    assert until(lambda: simulator.in_flight == 0)
    assert llm.complete("What is 2 + 3?").text == "2 + 3 = 5."
    assert len(simulator.requests) == 2


async def test_breaking_out_of_an_async_stream_releases_its_connection(
    llm: CloudflareAIGateway, simulator: Simulator
) -> None:
    """LlamaIndex's wrapper does not close the inner stream, which is garbage then."""
    endless(simulator)
    async for response in await llm.astream_chat(MESSAGES):
        if (response.message.content or "").count("word") > 2:
            break
    assert await until_async(lambda: simulator.in_flight == 0)
    assert (await llm.acomplete("What is 2 + 3?")).text == "2 + 3 = 5."
    assert len(simulator.requests) == 2


async def test_an_asynchronous_stream_can_be_closed(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    endless(simulator)
    stream: Any = await llm.astream_chat(MESSAGES)
    await anext(stream)
    await stream.aclose()
    del stream
    assert await until_async(lambda: simulator.in_flight == 0)


@pytest.mark.parametrize("method", ["achat", "astream_chat", "acomplete"])
async def test_a_call_is_cancelled_by_its_timeout(llm: CloudflareAIGateway, simulator: Simulator, method: str) -> None:
    simulator.fault("slow_first_byte", seconds=30)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await getattr(llm, method)("Go on." if method == "acomplete" else MESSAGES)
    assert await until_async(lambda: simulator.in_flight == 0)


async def test_a_stream_is_cancelled_by_its_timeout(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    endless(simulator)

    async def read_until_it_is_too_late() -> None:
        async with asyncio.timeout(None) as limit:
            async for response in await llm.astream_chat(MESSAGES):
                if response.message.content:
                    limit.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError):
        await read_until_it_is_too_late()
    assert await until_async(lambda: simulator.in_flight == 0)


def agent_of(llm: CloudflareAIGateway, kind: str, **arguments: Any) -> Any:
    if kind == "workflow":
        return AgentWorkflow([FunctionAgent(name="a", description="b", tools=[weather], llm=llm)], **arguments)
    return FunctionAgent(tools=[weather], llm=llm, **arguments)


async def cancelled(agent: Any) -> None:
    """A run that is cancelled after its first piece of text."""
    handler = agent.run("Go on for ever.")
    async for event in handler.stream_events():
        if isinstance(event, AgentStream) and event.response:
            break
    assert not handler.is_done()
    await handler.cancel_run()
    assert handler.is_done()


@pytest.mark.parametrize("kind", ["agent", "workflow"])
async def test_an_agents_run_can_be_cancelled(llm: CloudflareAIGateway, simulator: Simulator, kind: str) -> None:
    endless(simulator)
    agent = agent_of(llm, kind)
    await cancelled(agent)
    assert await until_async(lambda: simulator.in_flight == 0)
    assert str(await agent.run(ASK)) == SUNNY
    assert len(simulator.requests) == 3


@pytest.mark.parametrize("kind", ["agent", "workflow"])
async def test_an_agents_run_is_cancelled_by_its_timeout(
    llm: CloudflareAIGateway, simulator: Simulator, kind: str
) -> None:
    endless(simulator)
    with pytest.raises(WorkflowTimeoutError):
        await agent_of(llm, kind, timeout=0.3).run("Go on for ever.")
    assert await until_async(lambda: simulator.in_flight == 0)


async def test_a_query_can_be_cancelled(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    """The connections of concurrent requests are all released."""
    simulator.fault("slow_first_byte", times=None, seconds=30)
    index = SummaryIndex(nodes())
    engine = index.as_query_engine(llm=llm, response_mode="accumulate", use_async=True)
    query = asyncio.create_task(engine.aquery("What is this about?"))
    assert await until_async(lambda: simulator.in_flight > 1)
    query.cancel()
    with pytest.raises(asyncio.CancelledError):
        await query
    assert await until_async(lambda: simulator.in_flight == 0)


async def test_breaking_out_of_a_streaming_query_releases_its_connection(
    llm: CloudflareAIGateway, simulator: Simulator
) -> None:
    endless(simulator)
    engine = SummaryIndex(nodes()).as_query_engine(llm=llm, streaming=True)
    response: Any = await engine.aquery("What is this about?")
    async for _ in response.async_response_gen():
        break
    del response
    assert await until_async(lambda: simulator.in_flight == 0)


async def test_many_cancelled_runs_leave_no_connection_behind(make: Make, simulator: Simulator, api: str) -> None:
    """Uses `cancel_run`: if the `await` of a handler is cancelled, LlamaIndex lets the step run forever."""
    llm = make()
    connections = simulator.connections

    for _ in range(8):
        endless(simulator)
    await asyncio.gather(*(cancelled(agent_of(llm, "agent")) for _ in range(8)))
    assert len(simulator.requests) == 8
    assert await until_async(lambda: simulator.in_flight == 0)
    assert await until_async(lambda: simulator.connections <= connections)
    simulator.reset()
    assert str(await agent_of(llm, "agent").run(ASK)) == SUNNY
    assert {entry["model"] for entry in simulator.logs()} == {MODELS[api]}
