"""AgentWorkflow: one agent hands the conversation to another, on the same wire and on another one."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.memory import ChatMemoryBuffer
from pydantic import BaseModel

from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.llama_index.call_methods import MODELS
from tests.llama_index.programs.agents_kit import (
    ASK,
    MANY,
    OSLO,
    SUNNY,
    agents_seen,
    merged,
    models_seen,
    population,
    run_agent,
    sent,
    tool_names,
    turns,
    weather,
)
from tests.llama_index.programs.conftest import Make
from tests.llama_index.programs.kit import Observers

both_modes = pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
ANSWER = "Sunny, 21 degrees."
REASON = "The scout knows the sky."


def desk(clerk: CloudflareAIGateway, scout: CloudflareAIGateway, *, streaming: bool, **kwargs: Any) -> AgentWorkflow:
    agents: list[Any] = [
        FunctionAgent(
            name="clerk",
            description="Counts people.",
            system_prompt="You are the clerk.",
            tools=[population],
            llm=clerk,
            streaming=streaming,
            can_handoff_to=["scout"],
        ),
        FunctionAgent(
            name="scout",
            description="Knows the weather.",
            system_prompt="You are the scout.",
            tools=[weather],
            llm=scout,
            streaming=streaming,
            can_handoff_to=[],
        ),
    ]
    return AgentWorkflow(agents, root_agent="clerk", **kwargs)


def hand_off(simulator: Simulator, *calls: dict[str, Any], text: str = "") -> None:
    """The clerk hands off, the scout checks the sky and reports it."""
    arguments = {"to_agent": "scout", "reason": REASON}
    simulator.reply(text, calls=[*calls, {"id": "call_h", "name": "handoff", "arguments": arguments}])
    simulator.reply(calls=[{"id": "call_w", "name": "weather", "arguments": OSLO}])
    simulator.reply(ANSWER)


def check_handoff(simulator: Simulator) -> None:
    """Two agents with different prompts and tools, in one conversation and one run."""
    assert agents_seen(simulator) == ["clerk", "scout", "scout"]
    assert len({entry["metadata"]["run_id"] for entry in simulator.logs()}) == 1
    assert "You are the clerk." in sent(simulator, 0)
    for number in (1, 2):
        assert "You are the scout." in sent(simulator, number)
        assert "You are the clerk." not in sent(simulator, number)
        assert REASON in sent(simulator, number)
    assert SUNNY in sent(simulator, 2)
    assert [tool_names(simulator, number) for number in range(3)] == [["population", "handoff"], *[["weather"]] * 2]


@both_modes
async def test_an_agent_hands_off_to_another(make: Make, simulator: Simulator, api: str, streaming: bool) -> None:
    hand_off(simulator)
    run = await run_agent(desk(make(), make(), streaming=streaming).run(ASK))
    assert run.answer == ANSWER
    assert [step.current_agent_name for step in run.steps] == ["clerk", "scout", "scout"]
    assert run.end.current_agent_name == "scout"
    assert models_seen(simulator) == [MODELS[api]] * 3
    check_handoff(simulator)
    assert merged(turns(simulator)) == ["system", "user", *["call", "result"] * 2]
    if streaming:
        assert {event.current_agent_name for event in run.streamed} == {"clerk", "scout"}
        assert run.streamed_text == ANSWER


@both_modes
async def test_a_call_next_to_a_handoff_is_answered(make: Make, simulator: Simulator, streaming: bool) -> None:
    hand_off(simulator, {"id": "call_p", "name": "population", "arguments": OSLO}, text="One moment.")
    run = await run_agent(desk(make(), make(), streaming=streaming).run(ASK))
    assert run.answer == ANSWER
    assert run.results[0] == MANY
    assert MANY in sent(simulator)
    assert "One moment." in sent(simulator)
    check_handoff(simulator)


@pytest.mark.parametrize(("api", "second"), [*permutations(MODELS, 2)])
async def test_the_other_agent_may_be_on_another_wire(
    make: Make, simulator: Simulator, observers: Observers, api: str, second: Any
) -> None:
    observers.models.add(MODELS[second])
    scout = CloudflareAIGateway(**where(simulator), model=MODELS[second], api=second)
    memory = ChatMemoryBuffer.from_defaults(token_limit=3000)
    hand_off(simulator, text="One moment.")
    workflow = desk(make(), scout, streaming=True)
    assert str(await workflow.run(ASK, memory=memory)) == ANSWER
    assert models_seen(simulator) == [MODELS[api], MODELS[second], MODELS[second]]
    check_handoff(simulator)
    # And back: the first one reads what the other left behind.
    back = FunctionAgent(name="clerk", tools=[population], llm=make())
    assert str(await back.run("What is the population of Oslo?", memory=memory)) == MANY
    assert all(text in sent(simulator) for text in (SUNNY, MANY, REASON))


class Report(BaseModel):
    """A weather report."""

    city: str
    degrees: int


@both_modes
async def test_a_workflow_ends_with_an_object(make: Make, simulator: Simulator, streaming: bool) -> None:
    hand_off(simulator)
    run = await run_agent(desk(make(), make(), streaming=streaming, output_cls=Report).run(ASK))
    assert run.answer == ANSWER
    assert run.end.get_pydantic_model(Report) == Report(city="Oslo", degrees=21)
    assert len(simulator.requests) == 4
    assert len({entry["metadata"]["run_id"] for entry in simulator.logs()}) == 1


async def test_a_react_agent_hands_off_in_text(make: Make, simulator: Simulator) -> None:
    simulator.reply(f'Thought: Not mine.\nAction: handoff\nAction Input: {{"to_agent": "scout", "reason": "{REASON}"}}')
    simulator.reply(calls=[{"id": "call_w", "name": "weather", "arguments": OSLO}])
    simulator.reply(ANSWER)
    llm = make()
    agents: list[Any] = [
        ReActAgent(name="clerk", description="Counts people.", tools=[population], llm=llm),
        FunctionAgent(name="scout", description="Knows the weather.", tools=[weather], llm=llm, can_handoff_to=[]),
    ]
    run = await run_agent(AgentWorkflow(agents, root_agent="clerk").run(ASK))
    assert run.answer == ANSWER
    assert agents_seen(simulator) == ["clerk", "scout", "scout"]


async def test_state_is_passed_to_each_agent(make: Make, simulator: Simulator) -> None:
    hand_off(simulator)
    workflow = desk(make(), make(), streaming=True, initial_state={"guest": "Ann"})
    assert str(await workflow.run(ASK)) == ANSWER
    assert all("Ann" in sent(simulator, number) for number in range(3))
