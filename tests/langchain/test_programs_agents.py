"""Agents as people write them, on every wire: what they answer, what their tools did, what the gateway saw."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command
from pydantic import BaseModel

from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import MODELS, Make
from tests.langchain.programs import (
    ASK,
    MANY,
    SUNNY,
    TWO,
    answers,
    asked,
    both_versions,
    check_usage,
    every_pair,
    every_wire,
    models_seen,
    population,
    results,
    run,
    sent,
    weather,
)


class Report(BaseModel):
    """A weather report."""

    city: str
    degrees: int


@every_wire
@both_versions
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streaming"])
@pytest.mark.parametrize("path", ["invoke", "ainvoke", "stream", "astream"])
async def test_an_agent_uses_two_tools_and_answers_from_both(
    make: Make, simulator: Simulator, api: str, version: str, streaming: bool, path: str
) -> None:
    model = make(api=api, output_version=version, streaming=streaming)
    agent = create_agent(model, [weather, population], system_prompt="Be brief.")
    messages = await run(agent, path, asked(TWO))
    assert [type(message).__name__ for message in messages] == [
        "HumanMessage",
        "AIMessage",
        "ToolMessage",
        "ToolMessage",
        "AIMessage",
    ]
    assert results(messages) == [SUNNY, MANY]
    assert messages[-1].text == f"{SUNNY} {MANY}"
    assert [call["args"] for call in answers(messages)[0].tool_calls] == [{"city": "Oslo"}] * 2
    assert models_seen(simulator) == [MODELS[api]] * 2
    assert "Be brief." in sent(simulator, 0)
    assert all(call["id"] in sent(simulator) for call in answers(messages)[0].tool_calls)
    check_usage(simulator, answers(messages))


@every_wire
@both_versions
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_the_tokens_of_an_agent_add_up_to_its_answer(
    make: Make, simulator: Simulator, api: str, version: str, asynchronous: bool
) -> None:
    agent = create_agent(make(api=api, output_version=version), [weather])
    if asynchronous:
        parts: list[Any] = [part async for part in agent.astream(asked(ASK), stream_mode="messages")]
    else:
        parts = list(agent.stream(asked(ASK), stream_mode="messages"))
    pieces = [message for message, about in parts if about["langgraph_node"] == "model"]
    assert "".join(piece.text for piece in pieces) == SUNNY
    assert len([piece for piece in pieces if piece.text]) > 2
    assert [message.text for message, about in parts if about["langgraph_node"] == "tools"] == [SUNNY]
    assert len(simulator.requests) == 2
    assert sum(bool(piece.usage_metadata) for piece in pieces) == 2


@every_wire
@pytest.mark.parametrize("strategy", [ProviderStrategy, ToolStrategy, None], ids=lambda it: getattr(it, "__name__", ""))
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_an_agent_ends_with_an_object(
    make: Make, simulator: Simulator, api: str, strategy: Any, asynchronous: bool
) -> None:
    agent: Any = create_agent(make(api=api), [weather], response_format=strategy(Report) if strategy else Report)
    state = await agent.ainvoke(asked(ASK)) if asynchronous else agent.invoke(asked(ASK))
    assert state["structured_response"] == Report(city="Oslo", degrees=21)
    assert results(state["messages"])[0] == SUNNY
    assert len(simulator.requests) == 2
    assert "degrees" in sent(simulator, 0)
    check_usage(simulator, answers(state["messages"]))


@every_wire
def test_an_agent_ends_with_an_object_and_streams_it(make: Make, api: str) -> None:
    for strategy in (ProviderStrategy(Report), ToolStrategy(Report)):
        agent: Any = create_agent(make(api=api), [weather], response_format=strategy)
        parts = list(agent.stream(asked(ASK), stream_mode=["messages", "values"]))
        assert parts[-1][1]["structured_response"] == Report(city="Oslo", degrees=21)
        assert any(kind == "messages" for kind, _ in parts)


@every_wire
def test_an_invalid_object_is_requested_again(make: Make, simulator: Simulator, api: str) -> None:
    """ToolStrategy tells the model what was wrong with its call."""
    simulator.reply(calls=[{"id": "call_1", "name": "Report", "arguments": {"city": "Oslo", "degrees": "mild"}}])
    simulator.reply(calls=[{"id": "call_2", "name": "Report", "arguments": {"city": "Oslo", "degrees": 3}}])
    agent: Any = create_agent(make(api=api), [], response_format=ToolStrategy(Report))
    state = agent.invoke(asked("Report."))
    assert state["structured_response"] == Report(city="Oslo", degrees=3)
    assert "valid integer" in sent(simulator)


@every_wire
def test_a_tool_failure_is_sent_to_the_model(make: Make, simulator: Simulator, api: str) -> None:
    @tool
    def flaky_weather(city: str) -> str:
        """The weather of a city."""
        raise ToolException(f"No station in {city}.")

    flaky_weather.handle_tool_error = True
    messages = create_agent(make(api=api), [flaky_weather]).invoke(asked(ASK))["messages"]
    [failed] = [message for message in messages if isinstance(message, ToolMessage)]
    assert (failed.status, failed.text) == ("error", "No station in Oslo.")
    assert "No station in Oslo." in sent(simulator)
    assert ('"is_error": true' in sent(simulator)) is (api == "messages")
    assert messages[-1].text


@every_wire
@both_versions
@pytest.mark.parametrize("path", ["invoke", "ainvoke", "astream"])
async def test_a_thread_continues_its_conversation(
    make: Make, simulator: Simulator, api: str, version: str, path: str
) -> None:
    agent = create_agent(make(api=api, output_version=version), [weather], checkpointer=InMemorySaver())
    ann, bob = ({"configurable": {"thread_id": name}} for name in ("ann", "bob"))
    await run(agent, path, asked(f"My name is Ann. {ASK}"), ann)
    await run(agent, path, asked("My name is Bob."), bob)
    rome = await run(agent, path, asked("What about Rome?"), ann)
    assert rome[-1].text == "It is 21 degrees and sunny in Rome."
    named = await run(agent, path, asked("What is my name?"), ann)
    assert named[-1].text == "Your name is Ann."
    assert "Bob" not in sent(simulator)
    assert len(named) == 10
    assert len(simulator.requests) == 6
    assert {message.id for message in answers(named)} == {
        message.id for message in answers(agent.get_state(ann)[0]["messages"])
    }


@every_pair
def test_a_thread_may_change_the_model_and_the_wire(make: Make, simulator: Simulator, first: str, second: str) -> None:
    saved, config = InMemorySaver(), {"configurable": {"thread_id": "1"}}
    before: Any = create_agent(make(api=first), [weather], checkpointer=saved)
    before.invoke(asked(f"My name is Ann. {ASK}"), config)
    after: Any = create_agent(make(api=second), [weather], checkpointer=saved)
    rome = after.invoke(asked("What about Rome?"), config)["messages"]
    assert results(rome) == [SUNNY, "It is 21 degrees and sunny in Rome."]
    assert rome[-1].text == "It is 21 degrees and sunny in Rome."
    assert after.invoke(asked("What is my name?"), config)["messages"][-1].text == "Your name is Ann."
    assert models_seen(simulator) == [MODELS[first]] * 2 + [MODELS[second]] * 3


DECISIONS: dict[str, tuple[dict[str, Any], str]] = {
    "approve": ({"type": "approve"}, SUNNY),
    "edit": (
        {"type": "edit", "edited_action": {"name": "weather", "args": {"city": "Rome"}}},
        "It is 21 degrees and sunny in Rome.",
    ),
    "reject": ({"type": "reject", "message": "Not on Sundays."}, "Not on Sundays."),
}


@every_wire
@pytest.mark.parametrize("decision", DECISIONS)
async def test_a_human_approves_a_call(make: Make, simulator: Simulator, api: str, decision: str) -> None:
    value, result = DECISIONS[decision]
    agent: Any = create_agent(
        make(api=api),
        [weather],
        checkpointer=InMemorySaver(),
        middleware=[HumanInTheLoopMiddleware(interrupt_on={"weather": True})],
    )
    config = {"configurable": {"thread_id": "1"}}
    stopped = await agent.ainvoke(asked(ASK), config)
    [interrupt] = stopped["__interrupt__"]
    assert interrupt.value["action_requests"][0]["args"] == {"city": "Oslo"}
    assert len(simulator.requests) == 1
    messages = (await agent.ainvoke(Command(resume={"decisions": [value]}), config))["messages"]
    assert result in results(messages)[0]
    assert result in messages[-1].text
    assert result in sent(simulator)
    assert len(simulator.requests) == 2


def clock(city: str) -> str:
    """The time in a city."""
    return f"The clock in {city} says 12:30."


LATE = "The clock in Oslo says 12:30."


def desk_of(scout: ChatCloudflareAIGateway, keeper: ChatCloudflareAIGateway) -> Any:
    """Two agents with tools of their own, one after the other, who share one conversation."""
    graph = StateGraph(MessagesState)
    graph.add_node("find", create_agent(scout, [weather, population], name="scout"))
    graph.add_node("turn", lambda state: {"messages": [HumanMessage("What is the time on the clock in Oslo?")]})
    graph.add_node("look", create_agent(keeper, [clock], name="keeper"))
    for start, end in pairwise([START, "find", "turn", "look", END]):
        graph.add_edge(start, end)
    return graph.compile()


@every_pair
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_two_agents_in_a_graph_stream_their_answers(
    make: Make, simulator: Simulator, first: str, second: str, asynchronous: bool
) -> None:
    desk = desk_of(make(api=first), make(api=second))
    if asynchronous:
        parts: list[Any] = [part async for part in desk.astream(asked(TWO), stream_mode="messages", subgraphs=True)]
    else:
        parts = list(desk.stream(asked(TWO), stream_mode="messages", subgraphs=True))
    result: dict[str, str] = {}
    for _, (piece, about) in parts:
        if isinstance(piece, AIMessage):
            result[about["lc_agent_name"]] = result.get(about["lc_agent_name"], "") + piece.text
    assert result == {"scout": f"{SUNNY} {MANY}", "keeper": LATE}
    assert models_seen(simulator) == [MODELS[first]] * 2 + [MODELS[second]] * 2
    agents = [entry["metadata"]["agent"] for entry in simulator.logs()]
    assert agents == ["scout:model"] * 2 + ["keeper:model"] * 2
    assert all(text in sent(simulator) for text in (SUNNY, MANY, LATE))


@every_pair
def test_two_agents_in_a_graph_leave_one_conversation(
    make: Make, simulator: Simulator, first: str, second: str
) -> None:
    messages = desk_of(make(api=first), make(api=second)).invoke(asked(TWO))["messages"]
    assert [answer.text for answer in answers(messages)] == ["", f"{SUNNY} {MANY}", "", LATE]
    assert results(messages) == [SUNNY, MANY, LATE]
    check_usage(simulator, answers(messages))


@every_wire
def test_an_agent_is_the_tool_of_another(make: Make, simulator: Simulator, api: str) -> None:
    scout: Any = create_agent(make(api="chat_completions"), [weather], name="scout")

    @tool
    def weather_scout(question: str) -> str:
        """Ask the scout about the weather."""
        return str(scout.invoke(asked(question))["messages"][-1].text)

    chief: Any = create_agent(make(api=api), [weather_scout], name="chief")
    messages = chief.invoke(asked(ASK))["messages"]
    assert results(messages) == [SUNNY]
    assert messages[-1].text == SUNNY
    agents = [entry["metadata"]["agent"] for entry in simulator.logs()]
    assert agents == ["chief:model", "scout:model", "scout:model", "chief:model"]
