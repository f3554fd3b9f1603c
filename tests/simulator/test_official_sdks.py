"""The vendors' own SDKs, pointed at the simulator: they parse strictly what it writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import anthropic
import openai
import pytest

from cfaig_integrations.simulator import Simulator

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
QUESTION = "What is the weather in Paris?"
CLAUDE = "anthropic/claude-haiku-4.5"
GPT = "openai/gpt-4.1"
KIMI = "@cf/moonshotai/kimi-k2.6"


@pytest.fixture
def vendor(sim: Simulator) -> Iterator[openai.OpenAI]:
    base = f"{sim.base_url}/accounts/{sim.account_id}/ai/v1"
    with openai.OpenAI(api_key=sim.api_token, base_url=base, max_retries=0) as client:
        yield client


@pytest.fixture
def claude(sim: Simulator) -> Iterator[anthropic.Anthropic]:
    base = f"{sim.base_url}/accounts/{sim.account_id}/ai"
    with anthropic.Anthropic(auth_token=sim.api_token, base_url=base, max_retries=0) as client:
        yield client


def chat_tools() -> list[Any]:
    return [{"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": WEATHER}}]


@pytest.mark.parametrize("model", [GPT, CLAUDE, "google/gemini-3-flash", KIMI, "cloudflare/auto", "dynamic/x"])
def test_chat_completions(sim: Simulator, vendor: openai.OpenAI, model: str) -> None:
    sim.reply("Good morning", tokens_in=5, tokens_out=2)
    answer = vendor.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == "Good morning"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 2)


@pytest.mark.parametrize("model", [GPT, KIMI])
def test_chat_completions_stream(sim: Simulator, vendor: openai.OpenAI, model: str) -> None:
    sim.reply("Good morning to you all", tokens_in=5, tokens_out=7)
    usage, text = None, ""
    for chunk in vendor.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "hi"}],
        stream=True,
        stream_options={"include_usage": True},
        extra_headers={"cf-aig-gateway-id": "default"},
    ):
        usage = chunk.usage or usage
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
    assert text == "Good morning to you all"
    assert usage is not None
    assert usage.completion_tokens == 7
    (entry,) = sim.logs()
    assert (entry["tokens_in"], entry["tokens_out"], entry["success"]) == (5, 7, True)


@pytest.mark.parametrize("model", [GPT, KIMI, CLAUDE, "google/gemini-3-flash"])
def test_chat_completions_tools(vendor: openai.OpenAI, model: str) -> None:
    history: list[Any] = [{"role": "user", "content": QUESTION}]
    first = vendor.chat.completions.create(model=model, messages=history, tools=chat_tools()).choices[0]
    assert first.finish_reason == "tool_calls"
    (call,) = cast("list[Any]", first.message.tool_calls)
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    turn = first.message.model_dump(exclude_none=True)
    history += [{**turn, "content": ""}, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees, sunny"}]
    second = vendor.chat.completions.create(model=model, messages=history, tools=chat_tools()).choices[0]
    assert second.finish_reason == "stop"
    assert "21" in (second.message.content or "")


def test_chat_completions_tool_stream(sim: Simulator, vendor: openai.OpenAI) -> None:
    sim.reply(calls=[{"name": "get_weather", "arguments": {"city": city}} for city in ("Paris", "Rome")])
    arguments: dict[int, str] = {}
    for chunk in vendor.chat.completions.create(
        model=GPT, messages=[{"role": "user", "content": QUESTION}], tools=chat_tools(), stream=True
    ):
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or []:
                assert call.function is not None
                arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    assert {index: json.loads(text)["city"] for index, text in arguments.items()} == {0: "Paris", 1: "Rome"}


def test_responses(sim: Simulator, vendor: openai.OpenAI) -> None:
    sim.reply("Good morning", reasoning="They said hi.", tokens_in=5, tokens_out=9)
    answer = vendor.responses.create(model="openai/gpt-5.6-luna", input="hi")
    assert answer.output_text == "Good morning"
    assert answer.status == "completed"
    assert answer.usage is not None
    assert answer.usage.input_tokens == 5


def test_responses_stream(sim: Simulator, vendor: openai.OpenAI) -> None:
    sim.reply("Good morning to you")
    with vendor.responses.stream(model=GPT, input="hi") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert stream.get_final_response().output_text == text == "Good morning to you"


def test_responses_tools(vendor: openai.OpenAI) -> None:
    tools: list[Any] = [
        {"type": "function", "name": "get_weather", "description": "Weather", "parameters": WEATHER, "strict": False}
    ]
    first = vendor.responses.create(model=GPT, input=QUESTION, tools=tools)
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert json.loads(call.arguments) == {"city": "Paris"}
    history: list[Any] = [{"role": "user", "content": QUESTION}, *first.output]
    history.append({"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"})
    second = vendor.responses.create(model=GPT, input=history, tools=tools)
    assert "21" in second.output_text
    with vendor.responses.stream(model=GPT, input=QUESTION, tools=tools) as stream:
        final = stream.get_final_response()
    assert json.loads(cast("Any", final.output[-1]).arguments) == {"city": "Paris"}


def test_messages(sim: Simulator, claude: anthropic.Anthropic) -> None:
    sim.reply("Good morning", tokens_in=5, tokens_out=2)
    answer = claude.messages.create(
        model=CLAUDE, max_tokens=100, system="Be kind", messages=[{"role": "user", "content": "hi"}]
    )
    assert cast("Any", answer.content[0]).text == "Good morning"
    assert (answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens) == ("end_turn", 5, 2)


def test_messages_stream(sim: Simulator, claude: anthropic.Anthropic) -> None:
    sim.reply("Good morning to you", tokens_in=5, tokens_out=6)
    with claude.messages.stream(model=CLAUDE, max_tokens=100, messages=[{"role": "user", "content": "hi"}]) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == "Good morning to you"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (5, 6)


@pytest.mark.parametrize("streamed", [False, True])
def test_messages_tools(claude: anthropic.Anthropic, streamed: bool) -> None:
    tools: list[Any] = [{"name": "get_weather", "description": "Weather", "input_schema": WEATHER}]

    def ask(messages: list[Any]) -> anthropic.types.Message:
        sent: dict[str, Any] = {"model": CLAUDE, "max_tokens": 500, "messages": messages, "tools": tools}
        if not streamed:
            return cast("anthropic.types.Message", claude.messages.create(**sent))
        with claude.messages.stream(**sent) as stream:
            return cast("anthropic.types.Message", stream.get_final_message())

    history: list[Any] = [{"role": "user", "content": QUESTION}]
    first = ask(history)
    assert first.stop_reason == "tool_use"
    call = cast("Any", first.content[-1])
    assert call.input == {"city": "Paris"}
    history.append({"role": "assistant", "content": first.content})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"}
    history.append({"role": "user", "content": [result]})
    second = ask(history)
    assert second.stop_reason == "end_turn"
    assert "21" in cast("Any", second.content[-1]).text


def test_embeddings(vendor: openai.OpenAI) -> None:
    answer = vendor.embeddings.create(model="@cf/baai/bge-m3", input=["cat", "dog"], encoding_format="float")
    assert [row.index for row in answer.data] == [0, 1]
    assert len(answer.data[0].embedding) == 1024


def test_errors_are_the_sdks_own_classes(sim: Simulator, vendor: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    sim.fault("provider_rate_limit")
    with pytest.raises(openai.RateLimitError):
        vendor.chat.completions.create(model=GPT, messages=[{"role": "user", "content": "hi"}])
    sim.fault("provider_overloaded")
    with pytest.raises(anthropic.APIStatusError) as caught:
        claude.messages.create(model=CLAUDE, max_tokens=9, messages=[{"role": "user", "content": "hi"}])
    assert caught.value.status_code == 529
    assert cast("Any", caught.value.body)["error"]["type"] == "overloaded_error"
    sim.fault("error_event", message="Broken off")
    with pytest.raises(openai.APIError, match="Broken off"):
        list(vendor.chat.completions.create(model=GPT, messages=[{"role": "user", "content": "hi"}], stream=True))
    sim.fault("error_event", message="Broken off")
    with (
        pytest.raises(anthropic.APIError, match="Broken off"),
        claude.messages.stream(model=CLAUDE, max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as stream,
    ):
        stream.get_final_message()
    sim.fault("close_before_response")
    with pytest.raises(openai.APIConnectionError):
        vendor.chat.completions.create(model=GPT, messages=[{"role": "user", "content": "hi"}])
