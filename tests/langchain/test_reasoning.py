"""Reasoning is shown, and goes back to whom it came from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from cfaig_integrations.simulator import Simulator
from tests.handmade import chat_chunk, last_request, play
from tests.langchain.call_methods import CALL_METHODS, STREAMS, every_way, weather
from tests.langchain.conftest import MODELS, Make


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("output_version", ["v0", "v1"])
@every_way
async def test_reasoning_is_kept_under_either_name(
    make: Make, simulator: Simulator, call_method: str, field: str, output_version: str
) -> None:
    """langchain#35059, PRs #35065, #35411, #34359, #34362 for #34153."""
    if call_method in STREAMS:
        deltas = [{"role": "assistant", field: "Let me "}, {field: "think."}, {"content": "Yes."}]
        play(simulator, *map(chat_chunk, deltas), chat_chunk({}, "stop"), "[DONE]")
    else:
        message = {"role": "assistant", "content": "Yes.", field: "Let me think."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        simulator.reply_raw(body=json.dumps(body))
    answer = await CALL_METHODS[call_method](make(api="chat_completions", output_version=output_version), "Hi")
    assert answer.text == "Yes."
    assert [block["reasoning"] for block in answer.content_blocks if block["type"] == "reasoning"] == ["Let me think."]
    if output_version == "v0":
        assert answer.additional_kwargs["reasoning_content"] == "Let me think."


THOUGHT = "It must be looked up."
CALL = {"name": "weather", "arguments": {"city": "Paris"}, "id": "call_1"}
QUESTION = HumanMessage("What is the weather in Paris?")
MAKERS: dict[str, dict[str, Any]] = {
    "chat_completions": {"model": "@cf/zai-org/glm-5.2"},
    "run": {},
    "responses": {"reasoning": {"effort": "low", "summary": "auto"}},
    "messages": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
}


def thought_sent(simulator: Simulator, api: str) -> Any:
    """The reasoning in what was sent, before the call that it led to."""
    body = last_request(simulator)
    if api == "responses":
        [item] = [item for item in body["input"] if item.get("type") == "reasoning"]
        return item["summary"][0]["text"]
    [message] = [message for message in body["messages"] if message["role"] == "assistant"]
    if api == "messages":
        assert [block["type"] for block in message["content"]] == ["thinking", "tool_use"]
        assert message["content"][0]["signature"]
        return message["content"][0]["thinking"]
    assert message["tool_calls"]
    return message["reasoning_content"]


@pytest.mark.parametrize("api", MAKERS)
@pytest.mark.parametrize("output_version", ["v0", "v1"])
@every_way
async def test_reasoning_before_a_call_is_sent_back(
    make: Make, simulator: Simulator, api: str, call_method: str, output_version: str
) -> None:
    """charmbracelet/fantasy#195."""
    model = make(api=api, output_version=output_version, **MAKERS[api]).bind_tools([weather])
    simulator.reply(reasoning=THOUGHT, calls=[CALL])
    result = await CALL_METHODS[call_method](model, [QUESTION])
    await CALL_METHODS[call_method](model, [QUESTION, result, weather.invoke(result.tool_calls[0])])
    assert thought_sent(simulator, api) == THOUGHT
    simulator.reset()  # Workers AI's `reasoning_content` is no word of the official types, which judge what is left


FAMILY = {"chat_completions", "run"}
STRANGERS = [(maker, other) for maker in MAKERS for other in MODELS if maker != other and not {maker, other} <= FAMILY]


@pytest.mark.parametrize(("maker", "other"), STRANGERS)
@pytest.mark.parametrize("output_version", ["v0", "v1"])
def test_reasoning_is_not_sent_to_other_providers(
    make: Make, simulator: Simulator, maker: str, other: str, output_version: str
) -> None:
    simulator.reply(reasoning=THOUGHT, calls=[CALL])
    arguments = MAKERS[maker]
    result = make(api=maker, output_version=output_version, **arguments).bind_tools([weather]).invoke([QUESTION])
    model = make(api=other, output_version=output_version).bind_tools([weather])
    answer = model.invoke([QUESTION, result, weather.invoke(result.tool_calls[0])])
    assert "rains in Paris" in answer.text
    sent = simulator.requests[-1].raw.decode()
    assert "signature" not in sent
    assert "encrypted_content" not in sent
    if other not in FAMILY:
        assert THOUGHT not in sent
