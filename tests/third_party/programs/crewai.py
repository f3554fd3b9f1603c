"""A crew whose agent calls a tool, and a task with structured output."""

from __future__ import annotations

import os
from typing import Any

os.environ.update({"CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_TRACING_ENABLED": "false", "OTEL_SDK_DISABLED": "true"})

from crewai import Agent, Crew, Task
from crewai.tools import tool
from pydantic import BaseModel

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import calls, recipe


class Plan(BaseModel):
    """What to pack."""

    item: str


@tool("forecast")
def forecast(city: str) -> str:
    """Weather in a city."""
    return f"Rain in {city}."


def run(simulator: Simulator) -> str:
    """A tool call, its result in the next request, an answer in a schema, and the tokens that crewai counts."""
    llm = recipe("crewai", simulator)["llm"]
    role: Any = {"role": "Guide", "goal": "Help people to pack", "backstory": "You know the weather.", "llm": llm}
    agent = Agent(**role, tools=[forecast])
    task = Task(description="What should I pack for Paris?", expected_output="One item", agent=agent)
    calls(simulator, "forecast", city="Paris")
    simulator.reply("An umbrella.")
    result = Crew(agents=[agent], tasks=[task]).kickoff()
    assert result.raw == "An umbrella.", result
    assert result.token_usage.total_tokens > 0 < result.token_usage.completion_tokens, result.token_usage
    assert "Rain in Paris." in str(simulator.requests[-1].body)

    simulator.reply('{"item": "umbrella"}', times=None)
    planner = Agent(**role)
    planned = Task(description="What should I pack?", expected_output="One item", agent=planner, output_pydantic=Plan)
    assert Crew(agents=[planner], tasks=[planned]).kickoff().pydantic == Plan(item="umbrella")
    return "tool call, structured output, token counts"
