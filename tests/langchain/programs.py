"""What the programs in these tests share: tools, questions, and how to read what came of them."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import MODELS

every_wire = pytest.mark.parametrize("api", MODELS)
every_pair = pytest.mark.parametrize(("first", "second"), [*permutations(MODELS, 2)])
both_versions = pytest.mark.parametrize("version", ["v0", "v1"])

ASK = "What is the weather in Oslo?"
TWO = "What is the weather in Oslo and what is the population of Oslo?"
SUNNY = "It is 21 degrees and sunny in Oslo."
MANY = "Oslo has 709000 people."


def weather(city: str) -> str:
    """The weather of a city."""
    return f"It is 21 degrees and sunny in {city}."


def population(city: str) -> str:
    """The population of a city."""
    return f"{city} has 709000 people."


def asked(text: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(text)]}


def results(messages: list[BaseMessage]) -> list[str]:
    return [message.text for message in messages if isinstance(message, ToolMessage)]


def answers(messages: list[BaseMessage]) -> list[AIMessage]:
    return [message for message in messages if isinstance(message, AIMessage)]


def models_seen(simulator: Simulator) -> list[str]:
    return [entry["model"] for entry in simulator.logs()]


def sent(simulator: Simulator, number: int = -1) -> str:
    """The body of a request, as text in which every script is readable."""
    return json.dumps(simulator.requests[number].body, ensure_ascii=False)


def check_usage(simulator: Simulator, said: list[AIMessage]) -> None:
    """Every answer tells its tokens, and they are those that the gateway logged."""
    reported = [(message.usage_metadata or {}).get("output_tokens") for message in said]
    assert reported == [entry["tokens_out"] for entry in simulator.logs()]
    assert all(reported)


async def run(agent: Any, path: str, ask: Any, config: Any = None) -> list[BaseMessage]:
    """The conversation when the agent is done, on any path."""
    match path:
        case "invoke":
            state = agent.invoke(ask, config)
        case "ainvoke":
            state = await agent.ainvoke(ask, config)
        case "stream":
            state = list(agent.stream(ask, config, stream_mode="values"))[-1]
        case _:
            state = [part async for part in agent.astream(ask, config, stream_mode="values")][-1]
    messages: list[BaseMessage] = state["messages"]
    return messages
