"""A deep agent that writes a file and delegates to a subagent; its model is an object or a string."""

from __future__ import annotations

import json
import os

from deepagents import create_deep_agent

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import calls, chat_model

ANTHROPIC = "anthropic/claude-haiku-4.5"


def weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


def run(simulator: Simulator) -> str:
    """The same program on a model of OpenAI, and on one of Anthropic as an object and as a string."""
    os.environ.update(simulator.environment)
    string = f"cloudflare_ai_gateway:{ANTHROPIC}"
    for model in (chat_model(simulator), chat_model(simulator, model=ANTHROPIC), string):
        helper = {"name": "helper", "description": "Helps.", "system_prompt": "You help.", "tools": [weather]}
        agent = create_deep_agent(model=model, tools=[weather], system_prompt="Be brief.", subagents=[helper])
        calls(simulator, "write_file", file_path="/notes.md", content="Rain.")
        calls(simulator, "task", description="The weather of Oslo?", subagent_type="helper")
        calls(simulator, "weather", city="Oslo")
        simulator.reply("The helper says: rain.")
        simulator.reply("It rains in Oslo.")
        state = agent.invoke({"messages": [("user", "What is the weather in Oslo?")]})
        assert state["messages"][-1].text == "It rains in Oslo.", state
        assert "/notes.md" in state["files"], state
    marked = ["cache_control" in json.dumps(request.body) for request in simulator.requests]
    assert marked == [False] * 5 + [True] * 10, marked
    return "files, subagent; OpenAI and Anthropic models, one from a string; prompt caching"
