"""Every middleware that langchain ships, once, with its effect; those that other files test are listed at the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent, middleware
from langchain_core import exceptions as lc

from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import Make
from tests.langchain.programs import asked, population, weather

both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


def shipped(name: str) -> Any:
    """A class of `langchain.agents.middleware`; the test is skipped where the installed version lacks it."""
    found = getattr(middleware, name, None)
    if found is None:
        pytest.skip(f"this langchain has no {name}")
    return found


def run(agent: Any, asynchronous: bool, ask: Any) -> Any:
    return asyncio.run(agent.ainvoke(ask)) if asynchronous else agent.invoke(ask)


@both
@pytest.mark.parametrize("api", ["chat_completions", "responses", "messages"])
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
def test_refusals_are_errors(make: Make, simulator: Simulator, api: str, asynchronous: bool, streaming: bool) -> None:
    agent: Any = create_agent(make(api=api, streaming=streaming), middleware=[shipped("ModelRefusalMiddleware")()])
    simulator.reply(refusal="I will not do that.")
    with pytest.raises(lc.ModelRefusalError, match="I will not do that"):  # type: ignore[attr-defined]
        run(agent, asynchronous, asked("Do it."))


@both
@pytest.mark.parametrize(
    ("model", "search"),
    [
        ("openai/gpt-5.4", {"type": "tool_search"}),
        ("anthropic/claude-haiku-4.5", {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}),
    ],
)
def test_tools_are_deferred_behind_the_providers_search(
    make: Make, simulator: Simulator, asynchronous: bool, model: str, search: dict[str, Any]
) -> None:
    searching = shipped("ProviderToolSearchMiddleware")(searchable_tools=["population"])
    agent: Any = create_agent(make(model=model), [weather, population], middleware=[searching])
    simulator.reply("Fine.")
    run(agent, asynchronous, asked("Hi"))
    sent = simulator.requests[0].body["tools"]
    assert [tool.get("defer_loading") for tool in sent] == [None, True, None]
    assert sent[2] == search


def test_other_providers_have_no_search(make: Make, simulator: Simulator) -> None:
    searching = shipped("ProviderToolSearchMiddleware")(searchable_tools=["population"])
    agent: Any = create_agent(make(model="google/gemini-3-flash"), [population], middleware=[searching])
    with pytest.raises(ValueError, match="'google'"):
        agent.invoke(asked("Hi"))
    assert not simulator.requests
