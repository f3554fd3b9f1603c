"""Tools, whatever a provider makes of their calls."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core import exceptions as lc
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel, ConfigDict

from cfaig_integrations import errors
from cfaig_integrations.simulator import Simulator
from tests.handmade import call_piece, chat_chunk, last_request, play
from tests.langchain.call_methods import CALL_METHODS, STREAMS, every_way, every_wire, weather
from tests.langchain.conftest import Make

ASK: Any = {"messages": [("user", "What is the weather in Paris?")]}


@every_wire
@pytest.mark.parametrize("streaming", [False, True])
def test_an_agent_calls_its_tool_and_answers(make: Make, simulator: Simulator, api: str, streaming: bool) -> None:
    """mcp-use#50."""
    agent: Any = create_agent(make(api=api, streaming=streaming), [weather])
    result: list[Any] = agent.invoke(ASK)["messages"]
    assert [type(message) for message in result] == [HumanMessage, AIMessage, ToolMessage, AIMessage]
    assert result[1].tool_calls[0]["args"] == {"city": "Paris"}
    assert "rains in Paris" in result[-1].text
    assert len(simulator.requests) == 2


@every_wire
@pytest.mark.parametrize("choice", ["any", "required", True, "weather", {"type": "function", "name": "weather"}])
def test_a_call_can_be_forced(make: Make, api: str, choice: Any) -> None:
    answer = make(api=api).bind_tools([weather], tool_choice=choice).invoke("Paris, please.")
    assert [call["name"] for call in answer.tool_calls] == ["weather"]


@every_wire
@every_way
async def test_tool_choice_errors_are_readable(make: Make, simulator: Simulator, api: str, call_method: str) -> None:
    simulator.fault("invalid_provider")
    with pytest.raises(lc.ModelInvalidRequestError) as caught:
        await CALL_METHODS[call_method](make(api=api).bind_tools([weather]), "Hi")
    assert isinstance(caught.value, errors.ApiError)
    assert (caught.value.status, caught.value.code) == (400, 2008)
    for word in ("Invalid provider", "400", "2008"):
        assert word in str(caught.value)


LIMITS: dict[str, tuple[str, str, Any]] = {
    "no choice of tools": ("@cf/mistralai/mistral-small-3.1-24b-instruct", "chat_completions", "any"),
    "one tool at most": ("@cf/zai-org/glm-4.7-flash", "chat_completions", "any"),
    "no choice on run": ("@cf/mistralai/mistral-small-3.1-24b-instruct", "run", "any"),
    "no choice on responses": ("@cf/mistralai/mistral-small-3.1-24b-instruct", "responses", "any"),
    "one tool on responses": ("@cf/zai-org/glm-4.7-flash", "responses", "any"),
    "no choice on messages": ("@cf/mistralai/mistral-small-3.1-24b-instruct", "messages", "any"),
    "one tool on messages": ("@cf/zai-org/glm-4.7-flash", "messages", "any"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_models_limit_raises_before_the_request(make: Make, simulator: Simulator, limit: str) -> None:
    """Flowise PR #4846."""

    def time(zone: str) -> str:
        """The time of a zone."""
        return zone

    model, api, choice = LIMITS[limit]
    with pytest.raises(errors.ConfigError) as caught:
        make(model=model, api=api).bind_tools([weather, time], tool_choice=choice).invoke("Hi")
    assert caught.value.field == "tool_choice"
    assert model in str(caught.value)
    assert caught.value.remedy
    assert not simulator.requests


def test_a_limit_that_the_server_names_is_explained(make: Make, simulator: Simulator) -> None:
    simulator.fault("invalid_input")
    with pytest.raises(errors.InvalidRequest, match="tool_choice") as caught:
        make(model="@cf/meta/llama-4-scout-17b-16e-instruct").bind_tools([weather], tool_choice="any").invoke("Hi")
    assert caught.value.hint
    assert caught.value.hint in str(caught.value)


def stream_of(*pieces: list[dict[str, Any]]) -> list[Any]:
    chunks = [chat_chunk({"tool_calls": entries}) for entries in pieces]
    return [chat_chunk({"role": "assistant", "content": None}), *chunks, chat_chunk({}, "tool_calls"), "[DONE]"]


ONE = {"name": "weather", "args": {"city": "Paris"}, "id": "call_1", "type": "tool_call"}
TWO = {"name": "weather", "args": {"city": "Rome"}, "id": "call_2", "type": "tool_call"}


@pytest.mark.parametrize("call_method", STREAMS)
@pytest.mark.parametrize("output_version", ["v0", "v1"])
async def test_a_repeated_tool_name_is_kept_once(
    make: Make, simulator: Simulator, call_method: str, output_version: str
) -> None:
    """langchain#40044, #40041."""
    pieces = [call_piece(0, id_="call_1", name="weather", args=args) for args in ("", '{"city":', ' "Par', 'is"}')]
    play(simulator, *stream_of(*([piece] for piece in pieces)))
    answer = await CALL_METHODS[call_method](make(api="chat_completions", output_version=output_version), "Hi")
    assert answer.tool_calls == [ONE]


@every_wire
def test_only_one_chunk_has_the_tool_name(make: Make, simulator: Simulator, api: str) -> None:
    simulator.reply(calls=[{"name": "weather", "arguments": {"city": "Paris"}, "id": "call_1"}])
    chunks = list(make(api=api).bind_tools([weather]).stream("Hi"))
    named = [piece for chunk in chunks for piece in chunk.tool_call_chunks if piece["name"] or piece["id"]]  # type: ignore[attr-defined]
    assert [(piece["name"], piece["id"]) for piece in named] == [("weather", "call_1")]


PARIS, ROME = ('{"city": ', '"Paris"}'), ('{"city": ', '"Rome"}')
PAIRS: dict[str, list[list[dict[str, Any]]]] = {
    "one after the other": [
        [call_piece(0, id_="call_1", name="weather", args=PARIS[0])],
        [call_piece(0, args=PARIS[1])],
        [call_piece(1, id_="call_2", name="weather", args=ROME[0])],
        [call_piece(1, args=ROME[1])],
    ],
    "interleaved": [
        [call_piece(0, id_="call_1", name="weather"), call_piece(1, id_="call_2", name="weather")],
        [call_piece(0, args=PARIS[0])],
        [call_piece(1, args=ROME[0])],
        [call_piece(0, args=PARIS[1])],
        [call_piece(1, args=ROME[1])],
    ],
    "one index for both": [
        [call_piece(0, id_="call_1", name="weather", args=PARIS[0])],
        [call_piece(0, args=PARIS[1])],
        [call_piece(0, id_="call_2", name="weather", args=ROME[0])],
        [call_piece(0, args=ROME[1])],
    ],
    "no index, whole": [
        [
            call_piece(None, id_="call_1", name="weather", args="".join(PARIS)),
            call_piece(None, id_="call_2", name="weather", args="".join(ROME)),
        ]
    ],
    "no index, in pieces": [
        [call_piece(None, id_="call_1", name="weather", args=PARIS[0])],
        [call_piece(None, args=PARIS[1])],
        [call_piece(None, id_="call_2", name="weather", args=ROME[0])],
        [call_piece(None, args=ROME[1])],
    ],
    "a gap between the indexes": [
        [call_piece(3, id_="call_1", name="weather", args="".join(PARIS))],
        [call_piece(7, id_="call_2", name="weather", args="".join(ROME))],
    ],
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("call_method", STREAMS)
@pytest.mark.parametrize("output_version", ["v0", "v1"])
async def test_two_tool_calls_stay_separate(
    make: Make, simulator: Simulator, pair: str, call_method: str, output_version: str
) -> None:
    """hermes-agent PR #3468, ml-intern PR #341, Qwen-Agent PR #943."""
    play(simulator, *stream_of(*PAIRS[pair]))
    answer = await CALL_METHODS[call_method](make(api="chat_completions", output_version=output_version), "Hi")
    assert answer.tool_calls == [ONE, TWO]
    assert not answer.invalid_tool_calls


CUTS = ('{"city"', '{"city": ', '{"city": "Par', '{"city": "Paris"', '{"city": "Paris", "days": [1, 2')


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("api", ["chat_completions", "responses"])
@pytest.mark.parametrize("output_version", ["v0", "v1"])
@every_way
async def test_a_truncated_call_is_invalid(
    make: Make, simulator: Simulator, api: str, call_method: str, cut: str, output_version: str
) -> None:
    """langchain#39275, PR #39274, #39276; langchainjs#11469."""
    simulator.reply(calls=[{"id": "call_1", "name": "weather", "raw": cut}], finish="length")
    answer = await CALL_METHODS[call_method](make(api=api, output_version=output_version).bind_tools([weather]), "Hi")
    assert not answer.tool_calls
    assert [call["name"] for call in answer.invalid_tool_calls] == ["weather"]
    assert "tool_call" not in {block["type"] for block in answer.content_blocks}


@pytest.mark.parametrize("call_method", STREAMS)
async def test_a_truncated_call_is_invalid_on_messages(make: Make, simulator: Simulator, call_method: str) -> None:
    """Its whole form carries parsed input, never half of it."""
    simulator.reply(calls=[{"id": "call_1", "name": "weather", "raw": '{"city": "Par'}], finish="length")
    answer = await CALL_METHODS[call_method](make(api="messages").bind_tools([weather]), "Hi")
    assert not answer.tool_calls
    assert len(answer.invalid_tool_calls) == 1


class City(BaseModel):
    """A city and its weather."""

    model_config = ConfigDict(extra="forbid")  # as OpenAI asks of a strict schema

    city: str
    rainy: bool


def schema_sent(simulator: Simulator, api: str) -> Any:
    body = last_request(simulator)
    match api:
        case "responses":
            return body["text"]["format"]
        case "messages":
            return body["output_config"]["format"]
        case _:
            return body["response_format"]["json_schema"]


@every_wire
@pytest.mark.parametrize("strict", [None, True])
def test_an_agent_uses_provider_structured_output(
    make: Make, simulator: Simulator, api: str, strict: bool | None
) -> None:
    """langchain#34463, #34796, #34797, #33863, PR #38370."""
    agent: Any = create_agent(make(api=api), [weather], response_format=ProviderStrategy(City, strict=strict))
    simulator.reply(calls=[{"name": "weather", "arguments": {"city": "Paris"}, "id": "call_1"}])
    simulator.reply('{"city": "Paris", "rainy": true}')
    assert agent.invoke(ASK)["structured_response"] == City(city="Paris", rainy=True)
    sent = schema_sent(simulator, api)
    assert sent["schema"]["properties"].keys() == {"city", "rainy"}
    if api in {"chat_completions", "responses"}:  # Anthropic always enforces, and for Workers AI nothing is sent
        assert sent.get("strict") is strict
    assert "weather" in json.dumps(last_request(simulator)["tools"])


@every_wire
def test_an_agent_uses_a_tool_for_structured_output(make: Make, simulator: Simulator, api: str) -> None:
    agent: Any = create_agent(make(api=api), [weather], response_format=ToolStrategy(City))
    simulator.reply(calls=[{"name": "City", "arguments": {"city": "Paris", "rainy": True}, "id": "call_1"}])
    assert agent.invoke(ASK)["structured_response"] == City(city="Paris", rainy=True)
    body = last_request(simulator)
    assert "City" in json.dumps(body["tools"])
    assert body["tool_choice"] in ("required", {"type": "any"})
    assert not {"response_format", "text", "output_config"} & body.keys()


@every_wire
@pytest.mark.parametrize("strict", [True, False])
def test_strict_is_set_on_the_tool(make: Make, simulator: Simulator, api: str, strict: bool) -> None:
    make(api=api).bind_tools([weather], strict=strict).invoke("What is the weather in Paris?")
    body = last_request(simulator)
    [sent] = body["tools"]
    assert sent.get("function", sent)["strict"] is strict
    assert "strict" not in body
