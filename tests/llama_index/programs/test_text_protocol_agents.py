"""Agents without function calls: ReActAgent reads lines of text, CodeActAgent runs code."""

from __future__ import annotations

import contextlib
import io

import pytest
from llama_index.core.agent.workflow import CodeActAgent, FunctionAgent, ReActAgent
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import FunctionTool

from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.llama_index.programs.agents_kit import (
    ASK,
    MANY,
    SUNNY,
    TWO,
    merged,
    population,
    run_agent,
    sent,
    turns,
    weather,
)

both_modes = pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])


def act(name: str) -> str:
    return f'Thought: I need a tool.\nAction: {name}\nAction Input: {{"city": "Oslo"}}'


def answer(text: str) -> str:
    return f"Thought: I can answer without using any more tools.\nAnswer: {text}"


@both_modes
async def test_a_react_agent_calls_tools_in_text(
    llm: CloudflareAIGateway, simulator: Simulator, streaming: bool
) -> None:
    content = [act("weather"), act("population"), answer(f"{SUNNY} {MANY}")]
    for text in content:
        simulator.reply(text)
    agent = ReActAgent(tools=[weather, population], llm=llm, streaming=streaming)
    run = await run_agent(agent.run(TWO))
    assert run.answer == f"{SUNNY} {MANY}"
    assert run.results == [SUNNY, MANY]
    assert run.streamed_text == ("".join(content) if streaming else "")
    assert len(simulator.requests) == 3
    assert turns(simulator) == ["system", "user", "assistant", "user", "assistant", "user"]
    assert f"Observation: {SUNNY}" in sent(simulator)
    assert "tools" not in simulator.requests[0].body
    assert "The weather of a city." in sent(simulator, 0)


@both_modes
@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ("Thought: I need a tool.\nAction: weather", "Error while parsing the output"),
        ("", "Your previous response was empty"),  # LlamaIndex puts the empty message into the history
    ],
    ids=["unreadable", "empty"],
)
async def test_a_step_that_is_none_is_requested_again(
    llm: CloudflareAIGateway, simulator: Simulator, streaming: bool, step: str, complaint: str
) -> None:
    simulator.reply(step)
    simulator.reply(answer(SUNNY))
    run = await run_agent(ReActAgent(tools=[weather], llm=llm, streaming=streaming).run(ASK))
    assert run.answer == SUNNY
    assert len(simulator.requests) == 2
    assert complaint in sent(simulator)


@both_modes
async def test_a_tools_result_can_be_the_answer(
    llm: CloudflareAIGateway, simulator: Simulator, streaming: bool
) -> None:
    simulator.reply(act("weather"))
    direct = FunctionTool.from_defaults(weather, return_direct=True)
    run = await run_agent(ReActAgent(tools=[direct], llm=llm, streaming=streaming).run(ASK))
    assert run.answer == SUNNY
    assert len(simulator.requests) == 1


@both_modes
async def test_a_function_agent_continues_a_react_agents_conversation(
    llm: CloudflareAIGateway, simulator: Simulator, streaming: bool
) -> None:
    memory = ChatMemoryBuffer.from_defaults(llm=llm)
    simulator.reply(act("weather"))
    simulator.reply(answer(SUNNY))
    await ReActAgent(tools=[weather], llm=llm, streaming=streaming).run(ASK, memory=memory)
    after = FunctionAgent(tools=[population], llm=llm, streaming=streaming)
    assert str(await after.run("What is the population of Oslo?", memory=memory)) == MANY
    assert merged(turns(simulator)) == ["user", "assistant", "user", "call", "result"]


def execute(code: str) -> str:
    """What a piece of code prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {"weather": weather, "population": population})
    return printed.getvalue().strip()


@both_modes
async def test_a_code_agent_runs_what_the_model_writes(
    llm: CloudflareAIGateway, simulator: Simulator, streaming: bool
) -> None:
    code = "for tool in (weather, population):\n    print(tool('Oslo'))"
    written = f"I ask both.\n<execute>\n{code}\n</execute>"
    simulator.reply(written)
    simulator.reply("Mild, and full of people.")
    agent = CodeActAgent(
        code_execute_fn=execute,
        tools=[weather, population],
        llm=llm,
        streaming=streaming,
        system_prompt="Be brief.",
    )
    run = await run_agent(agent.run(TWO))
    assert run.answer == "Mild, and full of people."
    assert run.results == [f"{SUNNY}\n{MANY}"]
    assert run.steps[0].tool_calls[0].tool_kwargs == {"code": code}
    assert run.streamed_text == (f"{written}Mild, and full of people." if streaming else "")
    assert len(simulator.requests) == 2
    assert turns(simulator) == ["system", "user", "assistant", "user"]
    assert "tools" not in simulator.requests[0].body
    assert all(text in sent(simulator, 0) for text in ("def weather(city", "def population(city", "Be brief."))
    assert SUNNY in sent(simulator)
