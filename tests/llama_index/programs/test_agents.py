"""FunctionAgent, streaming and not: tools, several calls at once, forced calls, direct answers, objects."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentStreamStructuredOutput, FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock, ToolCallBlock
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.llama_index.call_methods import MODELS
from tests.llama_index.programs.agents_kit import (
    ASK,
    MANY,
    OSLO,
    ROMAN,
    SUNNY,
    TWO,
    agents_seen,
    merged,
    models_seen,
    population,
    run_agent,
    sent,
    turns,
    weather,
)
from tests.llama_index.programs.conftest import Make
from tests.llama_index.programs.tool_call_streams import Begin, More, Pieces, stream_of

both_modes = pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])


@both_modes
async def test_an_agent_uses_two_tools_and_answers_from_both(
    llm: CloudflareAIGateway, simulator: Simulator, api: str, streaming: bool
) -> None:
    agent = FunctionAgent(
        name="guide", tools=[weather, population], llm=llm, system_prompt="Be brief.", streaming=streaming
    )
    run = await run_agent(agent.run(TWO))
    assert run.answer in (f"{SUNNY} {MANY}", f"{MANY} {SUNNY}")  # tools run at the same time
    assert sorted(run.results) == sorted([SUNNY, MANY])
    assert [call.tool_kwargs for call in run.steps[0].tool_calls] == [OSLO, OSLO]
    kwargs = run.steps[0].response.additional_kwargs["tool_calls"]
    assert [json.loads(call["function"]["arguments"]) for call in kwargs] == [OSLO, OSLO]
    assert ('"id": "fc_' in sent(simulator)) is (api == "responses")  # the item as its maker knows it
    assert models_seen(simulator) == [MODELS[api]] * 2
    assert agents_seen(simulator) == ["guide"] * 2
    assert turns(simulator, 0) == ["system", "user"]
    assert merged(turns(simulator)) == ["system", "user", "call", "result"]
    assert "Be brief." in sent(simulator, 0)
    assert all(sent(simulator).count(call.tool_id) == 2 for call in run.steps[0].tool_calls)
    assert all(f'"{name}"' in sent(simulator, 0) for name in ("weather", "population"))


async def test_the_deltas_of_an_agent_add_up_to_its_answer(llm: CloudflareAIGateway) -> None:
    run = await run_agent(FunctionAgent(name="guide", tools=[weather, population], llm=llm).run(TWO))
    assert run.streamed_text == run.answer == run.streamed[-1].response
    assert len([event for event in run.streamed if event.delta]) > 3
    assert {event.current_agent_name for event in run.streamed} == {"guide"}
    so_far = ""
    for event in run.streamed:
        so_far += event.delta
        assert event.response == so_far
    called = [event.tool_calls for event in run.streamed if event.tool_calls]
    assert [call.tool_name for call in called[-1]] == ["weather", "population"]
    assert [call.tool_kwargs for call in called[-1]] == [OSLO, OSLO]
    assert [call.tool_name for call in called[0]] == ["weather"]


ARGUMENTS = ('{"city"', ': "Oslo"}')
SHAPES: dict[str, Pieces] = {
    "one_chunk": [
        [Begin(0, "weather"), Begin(1, "population")],
        [More(0, ARGUMENTS[0]), More(1, ARGUMENTS[0])],
        [More(0, ARGUMENTS[1]), More(1, ARGUMENTS[1])],
    ],
    "all_at_once": [
        [Begin(0, "weather"), More(0, "".join(ARGUMENTS)), Begin(1, "population"), More(1, "".join(ARGUMENTS))]
    ],
    "interleaved": [
        [Begin(0, "weather")],
        [Begin(1, "population")],
        *([More(place, text)] for text in ARGUMENTS for place in (1, 0)),
    ],
    "letter_by_letter": [
        [Begin(0, "weather")],
        *([More(0, letter)] for letter in "".join(ARGUMENTS)),
        [Begin(1, "population")],
        *([More(1, letter)] for letter in "".join(ARGUMENTS)),
    ],
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_calls_may_be_streamed_in_any_shape(
    llm: CloudflareAIGateway, simulator: Simulator, api: str, shape: str
) -> None:
    simulator.reply_raw(chunks=stream_of(api, SHAPES[shape]), content_type="text/event-stream")
    run = await run_agent(FunctionAgent(tools=[weather, population], llm=llm).run(TWO))
    assert [(call.tool_id, call.tool_name, call.tool_kwargs) for call in run.steps[0].tool_calls] == [
        ("call_0", "weather", OSLO),
        ("call_1", "population", OSLO),
    ]
    assert run.answer in (f"{SUNNY} {MANY}", f"{MANY} {SUNNY}")  # tools run at the same time
    assert merged(turns(simulator)) == ["user", "call", "result"]
    assert sent(simulator).count("call_0") == sent(simulator).count("call_1") == 2
    for event in run.streamed:
        for call in event.tool_calls:
            assert not set(call.tool_kwargs) - {"city"}
            assert "Oslo".startswith(call.tool_kwargs.get("city", ""))


@both_modes
async def test_one_call_at_a_time_takes_a_step_each(
    llm: CloudflareAIGateway, simulator: Simulator, streaming: bool
) -> None:
    agent = FunctionAgent(tools=[weather, population], llm=llm, streaming=streaming, allow_parallel_tool_calls=False)
    run = await run_agent(agent.run(TWO))
    assert run.results == [SUNNY, MANY]
    assert [len(step.tool_calls) for step in run.steps[:2]] == [1, 1]
    assert len(simulator.requests) == 3
    assert merged(turns(simulator)) == ["user", "call", "result", "call", "result"]


@both_modes
async def test_the_first_call_can_be_forced(
    llm: CloudflareAIGateway, simulator: Simulator, api: str, streaming: bool
) -> None:
    agent = FunctionAgent(tools=[weather, population], llm=llm, streaming=streaming, initial_tool_choice="population")
    run = await run_agent(agent.run(ASK))
    assert [call.tool_name for call in run.steps[0].tool_calls] == ["population"]
    assert MANY in run.answer
    forced = {
        "chat_completions": {"type": "function", "function": {"name": "population"}},
        "run": {"type": "function", "function": {"name": "population"}},
        "responses": {"type": "function", "name": "population"},
        "messages": {"type": "tool", "name": "population"},
    }
    assert simulator.requests[0].body["tool_choice"] == forced[api]
    assert simulator.requests[1].body.get("tool_choice") in (None, "auto", {"type": "auto"})


@both_modes
async def test_a_tools_result_can_be_the_answer(
    llm: CloudflareAIGateway, simulator: Simulator, streaming: bool
) -> None:
    direct = FunctionTool.from_defaults(weather, return_direct=True)
    memory = ChatMemoryBuffer.from_defaults(llm=llm)
    agent = FunctionAgent(tools=[direct], llm=llm, streaming=streaming)
    assert str(await agent.run(ASK, memory=memory)) == SUNNY
    assert len(simulator.requests) == 1
    # What such a run leaves behind is a conversation that can go on.
    run = await run_agent(agent.run("What is 2 + 3?", memory=memory))
    assert run.answer == "2 + 3 = 5."
    assert merged(turns(simulator)) == ["user", "call", "result", "assistant", "user"]


@both_modes
async def test_a_failing_tool_is_reported_to_the_model(
    llm: CloudflareAIGateway, simulator: Simulator, streaming: bool
) -> None:
    def broken_weather(city: str) -> str:
        """The weather of a city."""
        raise RuntimeError(f"No station in {city}.")

    run = await run_agent(FunctionAgent(tools=[broken_weather], llm=llm, streaming=streaming).run(ASK))
    assert run.results == ["No station in Oslo."]
    assert "No station in Oslo." in sent(simulator)
    assert "No station in Oslo." in run.answer


@both_modes
async def test_a_call_of_an_unknown_tool_is_reported_to_the_model(
    llm: CloudflareAIGateway, simulator: Simulator, streaming: bool
) -> None:
    simulator.reply(calls=[{"name": "wether", "arguments": OSLO}])
    run = await run_agent(FunctionAgent(tools=[weather], llm=llm, streaming=streaming).run(ASK))
    assert "wether not found" in run.results[0]
    assert run.results[0] in sent(simulator, 1)


@both_modes
async def test_a_truncated_call_is_reported_to_the_model(
    llm: CloudflareAIGateway, simulator: Simulator, api: str, streaming: bool
) -> None:
    simulator.reply(calls=[{"name": "weather", "raw": '{"city": "Os'}], finish="length")
    run = await run_agent(FunctionAgent(tools=[weather], llm=llm, streaming=streaming).run(ASK))
    complete = api == "messages" and not streaming  # where the server parses the arguments itself
    assert ("argument: 'city'" if complete else "invalid_arguments") in run.results[0]
    assert run.results[0] in sent(simulator, 1)


async def test_tools_may_have_any_name(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    tools = [FunctionTool.from_defaults(weather, name=name) for name in ("weather.of città", "weather of città")]
    run = await run_agent(FunctionAgent(tools=tools, llm=llm).run(ASK))
    assert run.answer == SUNNY
    assert {call.tool_name for step in run.steps for call in step.tool_calls} <= {tool.metadata.name for tool in tools}
    names = re.findall(r'"name": "([^"]*)"', sent(simulator, 1))
    assert len(names) == 3
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names)


@both_modes
async def test_an_agent_ends_with_an_answer_at_its_last_iteration(
    llm: CloudflareAIGateway, simulator: Simulator, streaming: bool
) -> None:
    for number in range(2):
        simulator.reply(calls=[{"id": f"call_{number}", "name": "weather", "arguments": OSLO}])
    simulator.reply("I give up.")
    agent = FunctionAgent(tools=[weather], llm=llm, streaming=streaming, early_stopping_method="generate")
    run = await run_agent(agent.run(ASK, max_iterations=2))
    assert run.answer == "I give up."
    assert len(simulator.requests) == 3
    assert "maximum number of" in sent(simulator)


@both_modes
async def test_text_beside_calls_is_kept(
    llm: CloudflareAIGateway, simulator: Simulator, api: str, streaming: bool
) -> None:
    simulator.reply("Let me look.", calls=[{"id": "call_1", "name": "weather", "arguments": OSLO}])
    run = await run_agent(FunctionAgent(tools=[weather], llm=llm, streaming=streaming).run(ASK))
    assert run.answer == SUNNY
    assert str(run.steps[0]) == "Let me look."
    assert run.steps[0].response.content == "Let me look."
    assert merged(turns(simulator)) == ["user", "assistant", "call", "result"]
    assert "Let me look." in sent(simulator)
    assert run.streamed_text == (f"Let me look.{SUNNY}" if streaming else "")


@both_modes
async def test_an_answer_without_tools_is_one_request(
    llm: CloudflareAIGateway, simulator: Simulator, streaming: bool
) -> None:
    run = await run_agent(FunctionAgent(tools=[weather], llm=llm, streaming=streaming).run("What is 2 + 3?"))
    assert run.answer == "2 + 3 = 5."
    assert len(simulator.requests) == len(run.steps) == 1


@both_modes
async def test_a_conversation_continues_from_memory(
    llm: CloudflareAIGateway, simulator: Simulator, streaming: bool
) -> None:
    memory = ChatMemoryBuffer.from_defaults(llm=llm)
    agent = FunctionAgent(tools=[weather], llm=llm, streaming=streaming)
    assert str(await agent.run(f"My name is Ann. {ASK}", memory=memory)) == SUNNY
    assert str(await agent.run("What about Rome?", memory=memory)) == ROMAN
    assert str(await agent.run("What is my name?", memory=memory)) == "Your name is Ann."
    assert len(simulator.requests) == 5
    assert merged(turns(simulator)) == [*["user", "call", "result", "assistant"] * 2, "user"]
    stored = memory.get_all()
    assert [message.role.value for message in stored] == [
        *["user", "assistant", "tool", "assistant"] * 2,
        "user",
        "assistant",
    ]
    (call,) = [block for block in stored[1].blocks if isinstance(block, ToolCallBlock)]
    assert call.tool_kwargs == OSLO


@both_modes
async def test_tool_calls_of_another_provider_are_accepted(
    llm: CloudflareAIGateway, simulator: Simulator, streaming: bool
) -> None:
    """History in the forms of other packages: arguments as text, and calls in `additional_kwargs`."""
    called = {"id": "call_2", "type": "function", "function": {"name": "population", "arguments": '{"city": "Oslo"}'}}
    history = [
        ChatMessage(role=MessageRole.USER, content=TWO),
        ChatMessage(
            role=MessageRole.ASSISTANT,
            blocks=[
                TextBlock(text="First the weather."),
                ToolCallBlock(tool_call_id="call_1", tool_name="weather", tool_kwargs='{"city": "Oslo"}'),
            ],
        ),
        ChatMessage(role=MessageRole.TOOL, content=SUNNY, additional_kwargs={"tool_call_id": "call_1"}),
        ChatMessage(role=MessageRole.ASSISTANT, content="", additional_kwargs={"tool_calls": [called]}),
        ChatMessage(role=MessageRole.TOOL, content=MANY, additional_kwargs={"tool_call_id": "call_2"}),
    ]
    agent = FunctionAgent(tools=[weather, population], llm=llm, streaming=streaming)
    run = await run_agent(agent.run(chat_history=history))
    assert run.answer == f"{SUNNY} {MANY}"
    assert merged(turns(simulator)) == ["user", "assistant", "call", "result", "call", "result"]


class Report(BaseModel):
    """A weather report."""

    city: str
    degrees: int


@pytest.mark.parametrize("way", ["auto", "json_schema", "function_calling", "prompt"])
@both_modes
async def test_an_agent_ends_with_an_object(make: Make, simulator: Simulator, streaming: bool, way: str) -> None:
    llm = make(structured_output=way)
    agent = FunctionAgent(tools=[weather], llm=llm, streaming=streaming, output_cls=Report, system_prompt="Be brief.")
    run = await run_agent(agent.run(ASK))
    assert run.end.structured_response == {"city": "Oslo", "degrees": 21}
    assert run.end.get_pydantic_model(Report) == Report(city="Oslo", degrees=21)
    assert run.answer == SUNNY
    assert [event.output for event in run.events if isinstance(event, AgentStreamStructuredOutput)] == [
        run.end.structured_response
    ]
    assert len(simulator.requests) == 3
    assert turns(simulator) == ["system", "user"]
    assert "Be brief." in sent(simulator)
    assert "degrees" in sent(simulator)
    assert "weather report" in sent(simulator)


async def test_structured_output_covers_the_whole_conversation(make: Make, simulator: Simulator) -> None:
    agent: Any = FunctionAgent(tools=[weather, population], llm=make(), output_cls=Report)
    run = await run_agent(agent.run(TWO))
    assert run.end.structured_response["city"] == "Oslo"
    assert all(text in sent(simulator) for text in (TWO, SUNNY, MANY))
