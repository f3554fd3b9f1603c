"""What models are said to be able to do, and what a provider remembers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from cfaig_integrations.langchain import gateway_info
from cfaig_integrations.simulator import Simulator
from tests.handmade import last_request
from tests.langchain.call_methods import CALL_METHODS
from tests.langchain.conftest import Make

every_way = pytest.mark.parametrize("call_method", CALL_METHODS)


class City(BaseModel):
    """A city."""

    name: str


def test_a_model_says_whether_it_has_tools(make: Make) -> None:
    """Flowise PR #4846, as far as profiles go."""
    able, unable = make(model="@cf/zai-org/glm-5.2"), make(model="@cf/meta/llama-3.2-1b-instruct")
    assert (able.profile or {}).get("tool_calling") is True
    assert (unable.profile or {}).get("tool_calling") is False
    assert make(model="acme/unheard-of").profile is None


@pytest.mark.parametrize(("model", "native"), [("openai/gpt-5.4", True), ("openai/gpt-3.5-turbo", False)])
def test_an_agent_selects_the_structured_output_that_the_model_has(
    make: Make, simulator: Simulator, model: str, native: bool
) -> None:
    """langchain#34463, #34796: chosen by the profile."""
    agent: Any = create_agent(make(model=model, api="chat_completions"), [], response_format=City)
    simulator.reply('{"name": "Oslo"}') if native else simulator.reply(
        calls=[{"name": "City", "arguments": {"name": "Oslo"}, "id": "call_1"}]
    )
    answer = agent.invoke({"messages": [HumanMessage("Name a city.")]})
    assert answer["structured_response"] == City(name="Oslo")
    body = last_request(simulator)
    assert ("response_format" in body, "City" in json.dumps(body.get("tools", []))) == (native, not native)


@every_way
@pytest.mark.parametrize("lost", ["previous_response_not_found", "catalogue_previous_response_not_found"])
async def test_a_lost_previous_response_resends_the_history(
    make: Make, simulator: Simulator, call_method: str, lost: str
) -> None:
    """bifrost#2441, dotnet/extensions#7704: the provider forgot, and the caller does not notice."""
    model = make(model="openai/gpt-5.4", api="responses", use_previous_response_id=True)
    messages: list[Any] = [HumanMessage("My name is Ann.")]
    messages += [await CALL_METHODS[call_method](model, messages), HumanMessage("What is my name?")]
    simulator.fault(lost)
    simulator.reply("Ann.")
    answer = await CALL_METHODS[call_method](model, messages)
    info = gateway_info(answer)
    assert answer.text == "Ann."
    assert info is not None
    assert info.attempts == 2
    short, full = simulator.requests[-2].body, simulator.requests[-1].body
    assert "previous_response_id" in short
    assert "previous_response_id" not in full
    assert len(full["input"]) == 3 > len(short["input"])


@every_way
async def test_another_providers_answer_is_not_a_previous_response(
    make: Make, simulator: Simulator, call_method: str
) -> None:
    """Bamboo-agent PR #513: only what this provider stored can be continued there."""
    messages: list[Any] = [HumanMessage("My name is Ann.")]
    messages += [await CALL_METHODS[call_method](make(api="messages"), messages), HumanMessage("What is my name?")]
    await CALL_METHODS[call_method](
        make(model="openai/gpt-5.4", api="responses", use_previous_response_id=True), messages
    )
    body = last_request(simulator)
    assert "previous_response_id" not in body
    assert len(body["input"]) == 3
