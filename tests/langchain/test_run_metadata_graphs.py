"""The log names the agent of each call in graphs of agents, and the conversation that a config names."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import create_react_agent

from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import Make
from tests.langchain.programs import asked

pytestmark = pytest.mark.filterwarnings("ignore:.*was deprecated in|.*is deprecated")
PATHS = ["invoke", "ainvoke", "stream", "astream", "messages"]


async def run(runnable: Any, path: str, ask: Any, config: Any = None) -> None:
    match path:
        case "invoke":
            await asyncio.to_thread(runnable.invoke, ask, config)
        case "ainvoke":
            await runnable.ainvoke(ask, config)
        case "stream":
            list(runnable.stream(ask, config))
        case "astream":
            assert [each async for each in runnable.astream(ask, config)]
        case "messages":
            list(runnable.stream(ask, config, stream_mode="messages"))


def prebuilt(model: Any, name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return create_react_agent(model, [], name=name)


@pytest.mark.parametrize("path", PATHS)
async def test_agents_of_a_graph_are_told_apart(make: Make, simulator: Simulator, path: str) -> None:
    """As in supervisor and swarm graphs, whose agents are nodes; prebuilt agents call the model in a node `agent`."""
    model = make()
    first, second = prebuilt(model, "first"), prebuilt(model, "second")
    nodes = {
        "researcher": prebuilt(model, "researcher"),
        "writer": prebuilt(model, "writer"),
        "critic": create_agent(model, name="editor"),
        "both": lambda state: first.invoke(state) and second.invoke(state),
        "plain": lambda state: {"messages": model.invoke(state["messages"])},
    }
    graph = StateGraph(MessagesState)
    for before, (name, node) in zip([START, *nodes], nodes.items(), strict=False):
        graph.add_node(name, node)
        graph.add_edge(before, name)
    await run(graph.compile(), path, asked("Hi"))
    agents = [entry["metadata"]["agent"] for entry in simulator.logs()]
    assert agents == ["researcher:agent", "writer:agent", "editor:model", "both:agent", "both:agent", "plain"]


KEYS = ["thread_id", "session_id", "conversation_id"]


@pytest.mark.parametrize("path", PATHS[:4])
@pytest.mark.parametrize("key", KEYS)
async def test_a_conversation_in_the_config(make: Make, simulator: Simulator, path: str, key: str) -> None:
    model = make()
    chain = ChatPromptTemplate.from_template("{text}") | model
    around = RunnableLambda(lambda text: model.invoke(f"{text}!"))
    config = {"configurable": {key: "c1", "tenant": "acme"}}
    for runnable, ask in ((model, "Hi"), (chain, {"text": "Hi"}), (around, "Hi")):
        await run(runnable, path, ask, config)
    await run(model, path, "Hi", {**config, "metadata": {"thread_id": "m1"}})
    model.batch(["Hi"], [config])  # type: ignore[list-item]
    await run(model, path, "Hi")
    metadata = [entry["metadata"] for entry in simulator.logs()]
    assert [each.get("thread_id") for each in metadata] == ["c1", "c1", "c1", "m1", "c1", None]
    assert all("tenant" not in each for each in metadata)


@pytest.mark.parametrize("path", PATHS[:4])
async def test_a_history_of_messages(make: Make, simulator: Simulator, path: str) -> None:
    histories: dict[str, InMemoryChatMessageHistory] = {}
    chat: Any = RunnableWithMessageHistory(
        make(), lambda session_id: histories.setdefault(session_id, InMemoryChatMessageHistory())
    )
    await run(chat, path, "Hi", {"configurable": {"session_id": "s1"}})
    await run(chat, path, "And?", {"configurable": {"session_id": "s2"}})
    assert [entry["metadata"]["thread_id"] for entry in simulator.logs()] == ["s1", "s2"]


def test_a_thread_of_a_graph(make: Make, simulator: Simulator) -> None:
    agent: Any = create_agent(make(), checkpointer=InMemorySaver())
    agent.invoke(asked("Hi"), {"configurable": {"thread_id": "t1"}})
    assert simulator.logs()[0]["metadata"]["thread_id"] == "t1"


def test_a_conversation_with_the_number_zero(make: Make, simulator: Simulator) -> None:
    make().invoke("Hi", {"configurable": {"thread_id": 0}})
    assert str(simulator.logs()[0]["metadata"]["thread_id"]) == "0"
