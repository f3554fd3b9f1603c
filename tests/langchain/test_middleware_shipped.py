"""Every middleware that langchain ships, with its effect; other files test limits, summaries, fallbacks, decisions."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent, middleware
from langchain_core import exceptions as lc
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import MODELS, Make
from tests.langchain.programs import asked, models_seen, population, results, sent, weather
from tests.waiting import until

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


OSLO: Any = [{"name": "weather", "arguments": {"city": "Oslo"}}]
SEVERAL = "What is the weather in Oslo?"


def the_calls(*calls: tuple[str, dict[str, Any]]) -> Any:
    return [{"name": name, "arguments": arguments} for name, arguments in calls]


@both
def test_old_tool_results_are_cleared(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    edit = middleware.ClearToolUsesEdit(trigger=1, keep=1, placeholder="[cleared]")
    editing = shipped("ContextEditingMiddleware")(edits=[edit])
    agent: Any = create_agent(make(), [weather], middleware=[editing])
    for _ in range(2):
        simulator.reply(calls=OSLO)
    simulator.reply("Done.")
    state = run(agent, asynchronous, asked(SEVERAL))
    assert sent(simulator, 1).count("[cleared]") == 0
    assert (sent(simulator, 2).count("[cleared]"), sent(simulator, 2).count("It is 21 degrees")) == (1, 1)
    assert results(state["messages"]) == ["It is 21 degrees and sunny in Oslo."] * 2


@both
def test_files_are_searched(make: Make, simulator: Simulator, asynchronous: bool, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("answer = 42\n")
    searching = shipped("FilesystemFileSearchMiddleware")(root_path=str(tmp_path), use_ripgrep=False)
    agent: Any = create_agent(make(), middleware=[searching])
    simulator.reply(calls=the_calls(("glob_search", {"pattern": "*.py"}), ("grep_search", {"pattern": "answer"})))
    simulator.reply("Found.")
    state = run(agent, asynchronous, asked("Which file has the answer?"))
    assert all("a.py" in result for result in results(state["messages"]))
    assert sent(simulator).count("/a.py") == 2


@both
def test_a_person_decides_about_a_call(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    asking = shipped("HumanInTheLoopMiddleware")({"weather": True})
    agent: Any = create_agent(make(), [weather], middleware=[asking], checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    simulator.reply(calls=OSLO)
    simulator.reply("As you wish.")

    def step(ask: Any) -> Any:
        return asyncio.run(agent.ainvoke(ask, config)) if asynchronous else agent.invoke(ask, config)

    assert step(asked(SEVERAL))["__interrupt__"]
    assert len(simulator.requests) == 1
    messages = step(Command(resume={"decisions": [{"type": "reject", "message": "Not now."}]}))["messages"]
    assert "Not now." in results(messages)[0]
    assert "Not now." in sent(simulator)
    assert messages[-1].text == "As you wish."


@both
def test_tools_are_emulated(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    emulator = shipped("LLMToolEmulator")(tools=["weather"], model=make(api="messages"))
    agent: Any = create_agent(make(), [weather], middleware=[emulator])
    simulator.reply(calls=OSLO)
    simulator.reply("Snow in Oslo.")
    simulator.reply("It snows.")
    state = run(agent, asynchronous, asked(SEVERAL))
    assert results(state["messages"]) == ["Snow in Oslo."]
    assert models_seen(simulator) == [MODELS["chat_completions"], MODELS["messages"], MODELS["chat_completions"]]


@both
def test_tools_are_selected(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    selector = shipped("LLMToolSelectorMiddleware")(model=make(), max_tools=1)
    agent: Any = create_agent(make(), [weather, population], middleware=[selector])
    simulator.reply('{"tools": ["population"]}')
    simulator.reply("Fine.")
    run(agent, asynchronous, asked("How many people live in Oslo?"))
    assert [tool["name"] for tool in simulator.requests[1].body["tools"]] == ["population"]


@both
@pytest.mark.parametrize("strategy", ["redact", "block"])
def test_personal_data_are_redacted(make: Make, simulator: Simulator, asynchronous: bool, strategy: Any) -> None:
    redacting = shipped("PIIMiddleware")("email", strategy=strategy)
    agent: Any = create_agent(make(), middleware=[redacting])
    if strategy == "block":
        with pytest.raises(middleware.PIIDetectionError):
            run(agent, asynchronous, asked("Write to ann@example.com."))
        assert not simulator.requests
    else:
        run(agent, asynchronous, asked("Write to ann@example.com."))
        assert "ann@example.com" not in sent(simulator)
        assert "[REDACTED_EMAIL]" in sent(simulator)


@both
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves the shell's pipes open
@pytest.mark.skipif(sys.platform == "win32", reason="the shell is a POSIX one")
def test_a_shell_runs_commands(make: Make, simulator: Simulator, asynchronous: bool, tmp_path: Path) -> None:
    shell = shipped("ShellToolMiddleware")(workspace_root=tmp_path)
    agent: Any = create_agent(make(), middleware=[shell])
    simulator.reply(calls=the_calls(("shell", {"command": "echo $((40 + 2)) > answer"})))
    simulator.reply("Written.")
    run(agent, asynchronous, asked("Write the answer."))
    assert (tmp_path / "answer").read_text() == "42\n"
    # The threads that read the pipes drop them when they end, which must not be during another test.
    assert until(lambda: not any("_enqueue_stream" in thread.name for thread in threading.enumerate()))


@both
def test_todos_are_kept_in_the_state(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    agent: Any = create_agent(make(), middleware=[shipped("TodoListMiddleware")()])
    todos = [{"content": "Look outside", "status": "in_progress"}]
    simulator.reply(calls=the_calls(("write_todos", {"todos": todos})))
    simulator.reply("Planned.")
    state = run(agent, asynchronous, asked("Plan it."))
    assert state["todos"] == todos
    assert "write_todos" in sent(simulator, 0)


def failing(calls: list[str]) -> Any:
    def weather(city: str) -> str:
        """The weather of a city."""
        calls.append(city)
        if len(calls) == 1:
            raise OSError("no network")
        return f"It is 21 degrees and sunny in {city}."

    return weather


@both
def test_failed_tools_are_called_again(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    retrying = shipped("ToolRetryMiddleware")(max_retries=1, initial_delay=0.0, jitter=False)
    calls: list[str] = []
    agent: Any = create_agent(make(), [failing(calls)], middleware=[retrying])
    simulator.reply(calls=OSLO)
    simulator.reply("Sunny.")
    state = run(agent, asynchronous, asked(SEVERAL))
    assert calls == ["Oslo", "Oslo"]
    assert results(state["messages"]) == ["It is 21 degrees and sunny in Oslo."]


@both
def test_errors_of_tools_become_results(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    handling = shipped("ToolErrorMiddleware")(lambda error, _: f"Failed: {error}")
    agent: Any = create_agent(make(api="messages"), [failing([])], middleware=[handling])
    simulator.reply(calls=OSLO)
    simulator.reply("There is no network.")
    state = run(agent, asynchronous, asked(SEVERAL))
    assert results(state["messages"]) == ["Failed: no network"]
    [result] = simulator.requests[1].body["messages"][-1]["content"]
    assert (result["type"], result["is_error"]) == ("tool_result", True)


def test_every_shipped_middleware_has_a_test() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    names = {name for name in middleware.__all__ if name.endswith(("Middleware", "Emulator"))} - {"AgentMiddleware"}
    assert {name for name in names if not re.search(rf"\b{name}\b", tests)} == set()
