"""What the agents share: tools, questions, a run with its events, and what the gateway received."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from llama_index.core.agent.workflow import AgentOutput, AgentStream, ToolCallResult
from llama_index.core.workflow import Event

from cfaig_integrations.simulator import Simulator

ASK = "What is the weather in Oslo?"
TWO = "What is the weather in Oslo and what is the population of Oslo?"
SUNNY = "It is 21 degrees and sunny in Oslo."
ROMAN = "It is 21 degrees and sunny in Rome."
MANY = "Oslo has 709000 people."
OSLO = {"city": "Oslo"}


def weather(city: str) -> str:
    """The weather of a city."""
    return f"It is 21 degrees and sunny in {city}."


def population(city: str) -> str:
    """The population of a city."""
    return f"{city} has 709000 people."


@dataclass(slots=True)
class AgentRun:
    """A run of an agent: its result and its events."""

    end: Any
    events: list[Event] = field(default_factory=list[Event])

    @property
    def answer(self) -> str:
        return str(self.end)

    @property
    def streamed(self) -> list[AgentStream]:
        return [event for event in self.events if isinstance(event, AgentStream)]

    @property
    def steps(self) -> list[AgentOutput]:
        """The model's text of each step."""
        return [event for event in self.events if isinstance(event, AgentOutput)]

    @property
    def results(self) -> list[str]:
        """What the tools gave, in the order in which they were called."""
        order = [call.tool_id for step in self.steps for call in step.tool_calls]
        result = {event.tool_id: event for event in self.events if isinstance(event, ToolCallResult)}
        return [str(result[id_].tool_output) for id_ in dict.fromkeys(order) if id_ in result]

    @property
    def streamed_text(self) -> str:
        return "".join(event.delta for event in self.streamed)

    @property
    def thought(self) -> str:
        return "".join(event.thinking_delta or "" for event in self.streamed)


async def run_agent(handler: Any) -> AgentRun:
    """A run until its end."""
    events = [event async for event in handler.stream_events()]
    return AgentRun(await handler, events)


def sent(simulator: Simulator, number: int = -1) -> str:
    """The body of a request, as text in which every script is readable."""
    return json.dumps(simulator.requests[number].body, ensure_ascii=False)


def turns(simulator: Simulator, number: int = -1) -> list[str]:
    """The role of each item of a request; calls and results have the same names on every wire."""
    body: dict[str, Any] = simulator.requests[number].body
    result = ["system"] if "system" in body or "instructions" in body else []
    for item in body.get("messages") or body["input"]:
        result += _kinds(item)
    return result


_SAME = {
    "tool_use": "call",
    "function_call": "call",
    "tool_result": "result",
    "function_call_output": "result",
    "tool": "result",
    "thinking": "thought",
    "reasoning": "thought",
}


def _kinds(item: dict[str, Any]) -> list[str]:
    role: str = item.get("role") or item["type"]
    blocks = item.get("content")
    result = ["thought"] if item.get("reasoning_content") else []
    if isinstance(blocks, list) and role in {"user", "assistant"}:
        result += list(dict.fromkeys(_SAME.get(block["type"], role) for block in blocks))
    elif blocks or role != "assistant":
        result += [_SAME.get(role, role)]
    result += ["call"] if item.get("tool_calls") else []
    return result


def merged(kinds: list[str]) -> list[str]:
    """The same without repetitions: some wires have an item for each call, some one for all."""
    return [kind for place, kind in enumerate(kinds) if place == 0 or kinds[place - 1] != kind]


def models_seen(simulator: Simulator) -> list[str]:
    return [entry["model"] for entry in simulator.logs()]


def agents_seen(simulator: Simulator) -> list[str]:
    return [entry["metadata"]["agent"] for entry in simulator.logs()]


def tool_names(simulator: Simulator, number: int = -1) -> list[str]:
    """The tools of a request."""
    tools: list[dict[str, Any]] = simulator.requests[number].body.get("tools") or []
    return [tool.get("function", tool)["name"] for tool in tools]
