"""Agents and workflows: each call names the agent that makes it, and all of a run share one run id."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, CodeActAgent, FunctionAgent, ReActAgent
from llama_index.core.instrumentation.dispatcher import instrument_tags
from llama_index.core.tools import FunctionTool, QueryEngineTool
from llama_index.core.workflow import Event, StartEvent, StopEvent, Workflow, step
from pydantic import BaseModel

from cfaig_integrations import gateway_context
from cfaig_integrations.llama_index import CloudflareAIGateway, CloudflareAIGatewayEmbedding
from cfaig_integrations.simulator import Simulator
from tests.llama_index.call_methods import Make
from tests.llama_index.run_metadata.kit import ANN, PRIVATE, QUESTION, QUESTIONS, USERS, Entries, index_of, logged

USER = {"user": "ann"}


def weather(city: str) -> str:
    """The weather of a city."""
    return f"Sunny in {city}, says {PRIVATE}."


def scout(llm: CloudflareAIGateway, *tools: Any, **kwargs: Any) -> FunctionAgent:
    return FunctionAgent(name="scout", llm=llm, tools=list(tools) or [weather], **kwargs)


def calling(simulator: Simulator, name: str, **arguments: Any) -> None:
    """The next answer is a call."""
    simulator.reply(calls=[{"name": name, "arguments": arguments}])


async def finished_run(runner: Any, tags: Entries = USER) -> str:
    """A program of the usual form: tags around the start of a run only. Gives the run's id."""
    with instrument_tags(tags):
        handler = runner.run(user_msg=QUESTION)
    assert await handler
    run_id: str = handler.run_id
    return run_id


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
async def test_an_agent_reports_its_name_and_run(
    llm: CloudflareAIGateway, simulator: Simulator, streaming: bool
) -> None:
    calling(simulator, "weather", city="Oslo")
    run_id = await finished_run(scout(llm, streaming=streaming))
    assert logged(simulator) == [{"user": "ann", "run_id": run_id, "agent": "scout", "op": "chat"}] * 2


async def test_tags_come_first_and_four_entries_are_sent(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    run_id = await finished_run(scout(llm), ANN)
    await finished_run(scout(llm), {**ANN, "one": 1, "two": 2, "three": 3})
    assert logged(simulator) == [
        {**ANN, "run_id": run_id, "agent": "scout"},
        {**ANN, "one": 1, "two": 2},
    ]


async def test_each_run_has_its_own_id(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    agent = scout(llm)
    ids = [await finished_run(agent), await finished_run(agent)]
    assert [entry["run_id"] for entry in logged(simulator)] == ids
    assert ids[0] != ids[1]


async def test_an_agent_in_a_gateway_context(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    with gateway_context(metadata={"team": "docs"}):
        handler = scout(llm).run(user_msg=QUESTION)
    await handler
    assert logged(simulator) == [{"team": "docs", "run_id": handler.run_id, "agent": "scout", "op": "chat"}]


def run_code(code: str) -> str:
    """Runs nothing."""
    return code


@pytest.mark.parametrize("kind", [ReActAgent, CodeActAgent])
async def test_agents_without_function_calls_report_their_name(
    llm: CloudflareAIGateway, simulator: Simulator, kind: Any
) -> None:
    kwargs = {"code_execute_fn": run_code} if kind is CodeActAgent else {}
    simulator.reply("Thought: I know it.\nAnswer: It opens.")
    run_id = await finished_run(kind(name="thinker", llm=llm, tools=[FunctionTool.from_defaults(weather)], **kwargs))
    assert logged(simulator) == [{"user": "ann", "run_id": run_id, "agent": "thinker", "op": "chat"}]


class Report(BaseModel):
    """A report."""

    city: str


async def test_an_agent_with_an_output_class_reports_its_name(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    run_id = await finished_run(scout(llm, output_cls=Report))
    assert logged(simulator) == [{"user": "ann", "run_id": run_id, "agent": "scout", "op": "chat"}] * 2


async def test_each_agent_of_a_handoff_reports_its_name(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    agents: Any = [
        FunctionAgent(name=name, description=f"Agent {name}.", llm=llm, tools=[weather]) for name in ("A", "B")
    ]
    calling(simulator, "handoff", to_agent="B", reason="It knows.")
    calling(simulator, "weather", city="Oslo")
    run_id = await finished_run(AgentWorkflow(agents=agents, root_agent="A"))
    assert logged(simulator) == [
        {"user": "ann", "run_id": run_id, "agent": name, "op": "chat"} for name in ("A", "B", "B")
    ]


# Tools


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
async def test_a_tool_that_queries(
    llm: CloudflareAIGateway, embed_model: CloudflareAIGatewayEmbedding, simulator: Simulator, streaming: bool
) -> None:
    engine = index_of(embed_model, simulator).as_query_engine(llm=llm)
    calling(simulator, "library", input="Sesame?")
    run_id = await finished_run(scout(llm, QueryEngineTool.from_defaults(engine, name="library"), streaming=streaming))
    custom = {"user": "ann", "run_id": run_id, "agent": "scout", "op": "chat"}
    of_tool = {"user": "ann", "run_id": run_id, "op": "query"}
    assert logged(simulator) == [custom, of_tool, of_tool, custom]


async def test_tools_that_call_the_llm_report_the_run(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    def in_a_thread(text: str) -> str:
        """Asks from a thread."""
        return llm.complete(text).text

    async def in_the_loop(text: str) -> str:
        """Asks from the event loop."""
        return (await llm.acomplete(text)).text

    calling(simulator, "in_a_thread", text="Sesame?")
    simulator.reply("Yes.")
    calling(simulator, "in_the_loop", text="Sesame?")
    run_id = await finished_run(scout(llm, in_a_thread, in_the_loop))
    custom = {"user": "ann", "run_id": run_id, "agent": "scout", "op": "chat"}
    of_tool = {"user": "ann", "run_id": run_id, "op": "completion"}
    assert logged(simulator) == [custom, of_tool, custom, of_tool, custom]


async def test_an_agent_as_a_tool_reports_its_name(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    inner = FunctionAgent(name="inner", llm=llm, tools=[weather])
    ids: list[str] = []

    async def ask_inner(text: str) -> str:
        """Asks the inner agent."""
        handler = inner.run(user_msg=text)
        ids.append(handler.run_id)
        return str(await handler)

    calling(simulator, "ask_inner", text="Sesame?")
    simulator.reply("Yes.")
    run_id = await finished_run(scout(llm, ask_inner))
    custom = {"user": "ann", "run_id": run_id, "agent": "scout", "op": "chat"}
    assert logged(simulator) == [custom, {**custom, "run_id": ids[0], "agent": "inner"}, custom]


# Workflows


class PartialObject(Event):
    """Between the steps."""


class Steps(Workflow):
    """One asynchronous step, one that runs in a thread."""

    def __init__(self, llm: CloudflareAIGateway) -> None:
        super().__init__(timeout=30)
        self.llm = llm

    @step
    async def first(self, ev: StartEvent) -> PartialObject:
        await self.llm.achat(QUESTIONS)
        _ = [each async for each in await self.llm.astream_chat(QUESTIONS)]
        return PartialObject()

    @step
    def second(self, ev: PartialObject) -> StopEvent:
        self.llm.complete(QUESTION)
        return StopEvent(result=len(list(self.llm.stream_complete(QUESTION))))


async def test_a_workflow(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    run_id = await finished_run(Steps(llm))
    entries = {"user": "ann", "run_id": run_id}
    assert logged(simulator) == [{**entries, "op": op} for op in ("chat", "chat", "completion", "completion")]


async def test_a_workflow_of_bound_copies(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    run_id = await finished_run(Steps(llm.with_gateway(metadata={"user": "bound", "job": "j1"})))
    assert [*logged(simulator)[0].items()] == [("user", "bound"), ("job", "j1"), ("run_id", run_id), ("op", "chat")]


async def test_no_automatic_entries_when_run_metadata_is_off(make: Make, simulator: Simulator) -> None:
    await finished_run(scout(make(run_metadata=False)))
    assert "cf-aig-metadata" not in simulator.requests[-1].headers


# Several at once

RUNNERS: dict[str, Callable[[CloudflareAIGateway], Any]] = {"agent": scout, "workflow": Steps}


def not_swapped(simulator: Simulator, ids: dict[str, str]) -> None:
    """Each user's calls are as many, and name that user's run."""
    actual = [(entry["user"], entry["run_id"]) for entry in logged(simulator)]
    assert set(actual) == set(ids.items())
    assert {actual.count(pair) for pair in ids.items()} == {len(actual) // len(USERS)}


@pytest.mark.parametrize("runner", RUNNERS)
async def test_four_users_in_one_loop(llm: CloudflareAIGateway, simulator: Simulator, runner: str) -> None:
    it = RUNNERS[runner](llm)
    ids = await asyncio.gather(*(finished_run(it, {"user": user}) for user in USERS))
    not_swapped(simulator, dict(zip(USERS, ids, strict=True)))


@pytest.mark.parametrize("runner", RUNNERS)
def test_four_users_in_threads(llm: CloudflareAIGateway, simulator: Simulator, runner: str) -> None:
    together = threading.Barrier(len(USERS))

    def work(user: str) -> str:
        together.wait()
        return asyncio.run(finished_run(RUNNERS[runner](llm), {"user": user}))

    with ThreadPoolExecutor(len(USERS)) as pool:
        ids = list(pool.map(work, USERS))
    not_swapped(simulator, dict(zip(USERS, ids, strict=True)))
