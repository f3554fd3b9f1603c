"""Agents with LangChain's own middleware: limits, summaries, models that take over, calls that are tried again."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
    ToolCallLimitMiddleware,
)
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from cfaig_integrations import errors
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import MODELS, Make
from tests.langchain.programs import (
    ASK,
    SUNNY,
    answers,
    asked,
    every_pair,
    every_wire,
    models_seen,
    results,
    sent,
    weather,
)

CITIES = "What is the weather in Oslo and in Rome and in Paris?"


@every_wire
def test_tool_calls_are_limited(make: Make, simulator: Simulator, api: str) -> None:
    going_on: Any = create_agent(make(api=api), [weather], middleware=[ToolCallLimitMiddleware(run_limit=1)])
    messages = going_on.invoke(asked(CITIES))["messages"]
    assert len(answers(messages)[0].tool_calls) == 3
    assert sum(text.startswith("It is 21") for text in results(messages)) == 1
    assert messages[-1].text
    assert len(simulator.requests) == 2
    limit = ToolCallLimitMiddleware(run_limit=1, exit_behavior="end")
    ending: Any = create_agent(make(api=api), [weather], middleware=[limit])
    messages = ending.invoke(asked(CITIES))["messages"]
    assert "limit" in messages[-1].text
    assert len(simulator.requests) == 3


@every_wire
def test_a_conversation_continues_after_a_limit(make: Make, simulator: Simulator, api: str) -> None:
    """The history then holds an AI message that no model wrote."""
    limit = ToolCallLimitMiddleware(run_limit=1, exit_behavior="end")
    agent: Any = create_agent(make(api=api), [weather], middleware=[limit], checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    agent.invoke(asked(CITIES), config)
    messages = agent.invoke(asked("What is the weather in Bonn?"), config)["messages"]
    assert messages[-1].text == "It is 21 degrees and sunny in Bonn."
    assert len(simulator.requests) == 3


@every_wire
def test_model_calls_are_limited(make: Make, simulator: Simulator, api: str) -> None:
    agent: Any = create_agent(make(api=api), [weather], middleware=[ModelCallLimitMiddleware(run_limit=1)])
    assert "limit" in agent.invoke(asked(ASK))["messages"][-1].text
    assert len(simulator.requests) == 1


HISTORY: list[BaseMessage] = [
    HumanMessage("I live in Oslo, where it rains a lot, and I have two cats called Tic and Tac."),
    AIMessage("I will remember Oslo, the rain and the cats."),
    HumanMessage("They are brothers and sleep all day long. " * 20),
    AIMessage("Lovely."),
]


@every_wire
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_a_long_conversation_is_summarized(
    make: Make, simulator: Simulator, api: str, asynchronous: bool
) -> None:
    model = make(api=api)
    counted: list[int] = []

    def count(messages: Any) -> int:
        counted.append(model.get_num_tokens_from_messages(list(messages)))
        return counted[-1]

    small = make(model="@cf/zai-org/glm-5.2")
    summing = SummarizationMiddleware(small, trigger=("tokens", 200), keep=("messages", 2), token_counter=count)
    agent: Any = create_agent(model, [weather], middleware=[summing])
    simulator.reply("The user lives in Oslo.")
    ask = {"messages": [*HISTORY, HumanMessage(ASK)]}
    messages = (await agent.ainvoke(ask) if asynchronous else agent.invoke(ask))["messages"]
    assert counted[0] > 200
    assert messages[0].text.endswith("The user lives in Oslo.")
    assert messages[-1].text == SUNNY
    assert "Tic and Tac" in sent(simulator, 0)
    assert all("Tic and Tac" not in sent(simulator, number) for number in (1, 2))
    assert "The user lives in Oslo." in sent(simulator, 1)
    assert models_seen(simulator) == ["@cf/zai-org/glm-5.2", MODELS[api], MODELS[api]]


def test_a_short_conversation_is_unchanged(make: Make, simulator: Simulator) -> None:
    model = make()
    count: Any = model.get_num_tokens_from_messages
    summing = SummarizationMiddleware(model, trigger=("tokens", 1000), keep=("messages", 2), token_counter=count)
    agent: Any = create_agent(model, [weather], middleware=[summing])
    agent.invoke({"messages": [*HISTORY, HumanMessage(ASK)]})
    assert len(simulator.requests) == 2
    assert "Tic and Tac" in sent(simulator)


@every_pair
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_a_fallback_model_continues_the_conversation(
    make: Make, simulator: Simulator, first: str, second: str, asynchronous: bool
) -> None:
    """The first model calls the tool and then fails: the second answers from a history that it did not write."""
    simulator.fault("gateway_rate_limit", after=1)
    other = ModelFallbackMiddleware(make(api=second, max_retries=0))
    agent: Any = create_agent(make(api=first, max_retries=0), [weather], middleware=[other])
    messages = (await agent.ainvoke(asked(ASK)) if asynchronous else agent.invoke(asked(ASK)))["messages"]
    assert messages[-1].text == SUNNY
    assert len(simulator.requests) == 3
    tried = [(entry["model"], entry["success"]) for entry in simulator.logs()]
    assert tried[0] == (MODELS[first], True)
    assert tried[-1] == (MODELS[second], True)
    assert messages[-1].response_metadata["gateway"]["requested_model"] == MODELS[second]


@every_wire
def test_a_fallback_model_replaces_a_failed_stream(make: Make, simulator: Simulator, api: str) -> None:
    simulator.fault("out_of_capacity")
    other = ModelFallbackMiddleware(make(api="chat_completions", max_retries=0))
    agent: Any = create_agent(make(api=api, max_retries=0), [weather], middleware=[other])
    parts = list(agent.stream(asked(ASK), stream_mode="messages"))
    assert "".join(part.text for part, about in parts if about["langgraph_node"] == "model") == SUNNY
    assert len(simulator.requests) == 3


@every_wire
def test_middleware_retries_a_model(make: Make, simulator: Simulator, api: str) -> None:
    simulator.fault("gateway_rate_limit", times=2)
    retry = ModelRetryMiddleware(max_retries=2, retry_on=(errors.RateLimited,), initial_delay=0.0, jitter=False)
    agent: Any = create_agent(make(api=api, max_retries=0), [weather], middleware=[retry])
    assert agent.invoke(asked(ASK))["messages"][-1].text == SUNNY
    assert len(simulator.requests) == 4
