"""The chat model as a LangChain program sees it, against the simulator on every wire."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from langchain_core import exceptions as lc
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_core.tracers.context import collect_runs

from cfaig_integrations import GatewayOptions, errors
from cfaig_integrations.core.chat import Usage
from cfaig_integrations.langchain.outbound import to_usage
from cfaig_integrations.langchain.outbound_blocks import HAS_REFUSAL_BLOCK
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import MODELS, Make
from tests.waiting import until, until_async
from tests.wire.messages_forms import stream_from_whole

every_wire = pytest.mark.parametrize("api", MODELS)


@tool
def weather(city: str) -> str:
    """Weather in a city."""
    return f"It rains in {city}."


def summed(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk  # type: ignore[assignment]
    return whole


def last_request(simulator: Simulator) -> Any:
    return simulator.requests[-1]


@every_wire
@pytest.mark.parametrize("output_version", ["v0", "v1"])
def test_streamed_and_whole_answers_are_the_same_message(
    make: Make, simulator: Simulator, api: str, output_version: str
) -> None:
    model = make(api=api, output_version=output_version)
    simulator.reply("Hello there, friend.", reasoning="They greet.", tokens_in=7, tokens_out=5, times=2)
    whole, streamed = model.invoke("Hi"), summed(list(model.stream("Hi")))
    assert streamed.text == whole.text == "Hello there, friend."
    assert streamed.usage_metadata == whole.usage_metadata
    assert [block["type"] for block in streamed.content_blocks] == [block["type"] for block in whole.content_blocks]
    for key in ("model_name", "model_provider", "finish_reason"):
        assert streamed.response_metadata[key] == whole.response_metadata[key]
    assert isinstance(whole.content, str if output_version == "v0" else list)
    assert isinstance(streamed.content, str if output_version == "v0" else list)


@every_wire
async def test_async_is_sync(make: Make, simulator: Simulator, api: str) -> None:
    model = make(api=api)
    simulator.reply("The same words.", times=4)
    sync, whole = model.invoke("Hi"), await model.ainvoke("Hi")
    streamed = [chunk.content for chunk in model.stream("Hi")]
    astreamed = [chunk.content async for chunk in model.astream("Hi")]
    assert sync.content == whole.content == "The same words."
    assert streamed == astreamed
    assert sync.usage_metadata == whole.usage_metadata


@every_wire
def test_metadata_of_model_and_call_reach_the_log(make: Make, simulator: Simulator, api: str) -> None:
    model = make(api=api, gateway_metadata={"team": "docs", "tier": 1})
    one, two = uuid4(), uuid4()
    answer = model.invoke("Hi", {"run_id": one}, gateway_metadata={"user": "u1", "tier": 2})
    list(model.bind(gateway_metadata={"user": "u2"}).stream("Hi", {"run_id": two}))
    logged = {entry["id"]: entry["metadata"] for entry in simulator.logs()}
    first = {"user": "u1", "tier": 2, "team": "docs", "run_id": str(one), "op": "chat"}
    assert logged.pop(answer.response_metadata["gateway"]["log_id"]) == first
    assert list(logged.values()) == [{"user": "u2", "team": "docs", "tier": 1, "run_id": str(two), "op": "chat"}]


@pytest.mark.parametrize(
    "metadata", [{"a": None}, {"a": {"b": 1}}, {"cf.x": 1}, {str(n): n for n in range(6)}, {"a": float("nan")}]
)
def test_metadata_that_the_gateway_would_drop_raises(
    make: Make, simulator: Simulator, metadata: dict[str, Any]
) -> None:
    with pytest.raises(errors.ConfigError):
        make().invoke("Hi", gateway_metadata=metadata)
    assert not simulator.requests


def test_an_answer_reports_its_gateway_info(make: Make, simulator: Simulator) -> None:
    answer = make(model="openai/gpt-4.1").invoke("Hi")
    meta = answer.response_metadata
    assert meta["model_name"] == "openai/gpt-4.1"
    assert meta["model_provider"] == "cloudflare_ai_gateway"
    assert meta["finish_reason"] == "stop"
    assert meta["gateway"]["wire"] == "chat_completions"
    assert meta["gateway"]["log_id"] == simulator.logs()[0]["id"]
    assert meta["gateway"]["cache_status"] == "MISS"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("prompt", "model", "provider"),
    [
        ("openai/gpt-4.1", "openai/gpt-4.1", "openai"),
        ("@cf/zai-org/glm-5.2", "@cf/zai-org/glm-5.2", "workers-ai"),
        ("cloudflare/auto", "anthropic/claude-sonnet-5", "anthropic"),
    ],
)
def test_traces_name_the_model_and_provider(make: Make, streamed: bool, prompt: str, model: str, provider: str) -> None:
    with collect_runs() as runs:
        chat = make(model=prompt, api="chat_completions")
        list(chat.stream("Hi")) if streamed else chat.invoke("Hi")
    result = runs.traced_runs[0].extra["metadata"]["ls_gateway_info"]  # type: ignore[index]
    assert (result["model"], result["provider"]) == (model, provider)
    assert result["log_id"]


SAMPLING = {
    "chat_completions": {
        "temperature": (0.5, "temperature", 0.5),
        "max_tokens": (50, "max_completion_tokens", 50),
        "top_p": (0.9, "top_p", 0.9),
        "stop": (["x"], "stop", ["x"]),
        "seed": (3, "seed", 3),
        "frequency_penalty": (0.1, "frequency_penalty", 0.1),
        "presence_penalty": (0.2, "presence_penalty", 0.2),
        "n": (2, "n", 2),
        "logprobs": (True, "logprobs", True),
        "reasoning_effort": ("low", "reasoning_effort", "low"),
        "service_tier": ("flex", "service_tier", "flex"),
        "store": (True, "store", True),
        "extra_body": ({"user": "u"}, "user", "u"),
    },
    "responses": {
        "temperature": (0.5, "temperature", 0.5),
        "max_tokens": (50, "max_output_tokens", 50),
        "top_p": (0.9, "top_p", 0.9),
        "reasoning_effort": ("low", "reasoning", {"effort": "low"}),
        "reasoning": ({"summary": "auto"}, "reasoning", {"summary": "auto"}),
        "service_tier": ("flex", "service_tier", "flex"),
        "store": (True, "store", True),
    },
    "messages": {
        "temperature": (0.5, "temperature", 0.5),
        "max_tokens": (50, "max_tokens", 50),
        "top_p": (0.9, "top_p", 0.9),
        "top_k": (4, "top_k", 4),
        "stop": (["x"], "stop_sequences", ["x"]),
        "thinking": (
            {"type": "enabled", "budget_tokens": 1024},
            "thinking",
            {"type": "enabled", "budget_tokens": 1024},
        ),
    },
}


@pytest.mark.parametrize(("api", "word"), [(api, word) for api, arguments in SAMPLING.items() for word in arguments])
@pytest.mark.parametrize("how", ["constructor", "call", "bind"])
def test_every_argument_changes_the_request(make: Make, simulator: Simulator, api: str, word: str, how: str) -> None:
    value, field, expected = SAMPLING[api][word]
    match how:
        case "constructor":
            make(api=api, **{word: value}).invoke("Hi")
        case "call":
            make(api=api).invoke("Hi", **{word: value})
        case _:
            make(api=api).bind(**{word: value}).invoke("Hi")
    assert last_request(simulator).body[field] == expected
    make(api=api).invoke("Hi")
    assert last_request(simulator).body.get(field) != expected


def test_unset_arguments_are_not_sent(make: Make, simulator: Simulator) -> None:
    make(api="chat_completions").invoke("Hi")
    assert last_request(simulator).body == {"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": "Hi"}]}
    make(api="messages").invoke("Hi")
    assert last_request(simulator).body.keys() == {"model", "messages", "max_tokens"}
    make(api="responses").invoke("Hi")
    assert last_request(simulator).body.keys() == {"model", "input"}


def test_arguments_of_one_call(make: Make, simulator: Simulator) -> None:
    model = make(gateway=GatewayOptions(cache_ttl=60, collect_log=True), extra_headers={"x-a": "1"})
    model.invoke(
        "Hi",
        model="openai/gpt-4.1-mini",
        gateway_options={"skip_cache": True},
        extra_headers={"x-b": "2"},
        extra_body={"user": "u"},
        safety_identifier="s",
        ls_anything={"is": "ours"},
    )
    sent = last_request(simulator)
    assert sent.body["model"] == "openai/gpt-4.1-mini"
    assert sent.body["user"] == "u"
    assert sent.body["safety_identifier"] == "s"
    assert "ls_anything" not in sent.body
    assert sent.headers["cf-aig-skip-cache"] == "true"
    assert sent.headers["cf-aig-cache-ttl"] == "60"
    assert (sent.headers["x-a"], sent.headers["x-b"]) == ("1", "2")
    assert sent.headers["cf-aig-gateway-id"] == "default"


def test_different_models_share_no_cache_entry(make: Make, simulator: Simulator) -> None:
    cache = InMemoryCache()
    simulator.reply("one")
    simulator.reply("two")
    assert make(cache=cache).invoke("Hi").content == "one"
    assert make(cache=cache, temperature=0.5).invoke("Hi").content == "two"
    assert make(cache=cache).invoke("Hi").content == "one"
    assert len(simulator.requests) == 2


@every_wire
def test_a_tool_loop_ends_in_an_answer_from_the_tool(make: Make, api: str) -> None:
    model = make(api=api).bind_tools([weather])
    messages: list[Any] = [SystemMessage("Use tools."), HumanMessage("What is the weather in Paris?")]
    call = model.invoke(messages)
    assert [result["name"] for result in call.tool_calls] == ["weather"]
    assert call.tool_calls[0]["args"] == {"city": "Paris"}
    answer = model.invoke([*messages, call, weather.invoke(call.tool_calls[0])])
    assert "rains in Paris" in answer.text
    assert not answer.tool_calls


@every_wire
@pytest.mark.parametrize("output_version", ["v0", "v1"])
def test_a_streamed_tool_call_can_be_answered(make: Make, api: str, output_version: str) -> None:
    model = make(api=api, output_version=output_version).bind_tools([weather], tool_choice="any")
    question = HumanMessage("What is the weather in Paris?")
    call = summed(list(model.stream([question])))  # type: ignore[arg-type]
    assert call.tool_calls[0]["args"] == {"city": "Paris"}
    free = make(api=api, output_version=output_version).bind_tools([weather])
    assert "rains" in free.invoke([question, call, weather.invoke(call.tool_calls[0])]).text


@pytest.mark.parametrize("raw", ["  ", "{}", "[1]", "null", '{"city": "Paris"} and'])
def test_unusual_arguments_are_the_same_call_streamed_and_whole(make: Make, simulator: Simulator, raw: str) -> None:
    simulator.reply(calls=[{"id": "call_1", "name": "weather", "raw": raw}], times=2)
    model = make(api="chat_completions").bind_tools([weather])
    streamed, whole = summed(list(model.stream("Hi"))), model.invoke("Hi")  # type: ignore[arg-type]
    assert streamed.tool_calls == whole.tool_calls
    assert len(streamed.invalid_tool_calls) == len(whole.invalid_tool_calls)
    assert len(whole.tool_calls) == (raw in {"  ", "{}", "null"})


def test_auto_selects_responses_for_tools(make: Make, simulator: Simulator) -> None:
    make().invoke("Hi")
    assert last_request(simulator).path.endswith("/ai/v1/chat/completions")
    make().bind_tools([weather]).invoke("What is the weather in Paris?")
    assert last_request(simulator).path.endswith("/ai/v1/responses")
    make(model="anthropic/claude-haiku-4.5").invoke("Hi")
    assert last_request(simulator).path.endswith("/ai/v1/messages")


@every_wire
def test_truncated_arguments_are_an_invalid_call(make: Make, simulator: Simulator, api: str) -> None:
    cut = {"id": "call_1", "name": "weather", "arguments": {}, "raw": '{"city": "Par'}
    simulator.reply(calls=[cut], finish="length", times=2)
    model = make(api=api).bind_tools([weather])
    streamed = summed(list(model.stream("What is the weather in Paris?")))  # type: ignore[arg-type]
    assert not streamed.tool_calls
    assert streamed.invalid_tool_calls
    if api != "messages":  # its whole form carries parsed input, never half of it
        whole = model.invoke("What is the weather in Paris?")
        assert not whole.tool_calls
        assert whole.invalid_tool_calls[0]["args"] == '{"city": "Par'


@pytest.mark.parametrize("api", ["chat_completions", "responses"])
@pytest.mark.parametrize("output_version", ["v0", "v1"])
def test_refusals_are_not_content(make: Make, simulator: Simulator, api: str, output_version: str) -> None:
    simulator.reply(refusal="I cannot help with that.", finish="refusal", times=3)
    model = make(api=api, output_version=output_version)
    whole, streamed = model.invoke("Hi"), summed(list(model.stream("Hi")))
    assert [drop_index(block) for block in streamed.content_blocks] == whole.content_blocks
    third = model.stream_events("Hi", version="v3").output
    for message in (whole, streamed, third):
        assert message.additional_kwargs["refusal"] == "I cannot help with that."
        assert message.text == ""
        model.invoke([HumanMessage("Hi"), message, HumanMessage("Why?")])
        result = last_request(simulator).body.get("messages") or last_request(simulator).body["input"]
        assert "I cannot help with that." in str(result[1])


@pytest.mark.parametrize("explanation", ["Not that.", None])
@pytest.mark.parametrize("text", ["", "Sure, "])
@pytest.mark.parametrize("output_version", ["v0", "v1"])
def test_a_stop_reason_of_refusal_is_a_refusal_block(
    make: Make, simulator: Simulator, output_version: str, text: str, explanation: str | None
) -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": explanation}
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "stop_sequence": None,
        "content": [{"type": "text", "text": text}] if text else [],
        "usage": {},
        "stop_reason": "refusal",
        "stop_details": details,
    }
    simulator.reply_raw(body=json.dumps(body))
    simulator.reply_raw(body=stream_from_whole(body), content_type="text/event-stream", times=2)
    model = make(api="messages", output_version=output_version)
    whole, streamed = model.invoke("Hi"), summed(list(model.stream("Hi")))
    third = model.stream_events("Hi", version="v3").output
    block = {"type": "refusal", "refusal": explanation or "", "extras": {"category": "cyber"}}
    assert third.response_metadata["finish_reason"] == "refusal"
    # In version v3, core puts no refusal beside other blocks (langchain-core 1.8).
    for message in (whole, streamed) if text else (whole, streamed, third):
        [found] = [drop_index(each) for each in message.content_blocks if each["type"] != "text"]
        if HAS_REFUSAL_BLOCK:
            assert found == block
        else:
            assert found["value"]["refusal"] == block["refusal"]
        assert message.text == text
        assert message.additional_kwargs.get("refusal") == explanation
        assert message.response_metadata["finish_reason"] == "refusal"
        simulator.reply("Fine.")
        model.invoke([HumanMessage("Hi"), message, HumanMessage("Then?")])
        sent = [each["content"] for each in last_request(simulator).body["messages"] if each["role"] == "assistant"]
        assert sent == ([text] if text else []) or sent == [[{"type": "text", "text": text}]]


def drop_index(block: Any) -> dict[str, Any]:
    return {key: value for key, value in block.items() if key != "index"}


@every_wire
def test_chunks_share_an_id_that_no_other_message_has(make: Make, simulator: Simulator, api: str) -> None:
    model = make(api=api, gateway=GatewayOptions(cache_ttl=60))
    assert len({chunk.id for chunk in model.stream("Hi")}) == 1
    one, two = model.invoke("Hello"), model.invoke("Hello")
    assert two.response_metadata["gateway"]["cache_status"] == "HIT"
    assert one.response_metadata["id"] == two.response_metadata["id"]
    assert one.id != two.id


@pytest.mark.parametrize("streamed", [False, True])
def test_errors_are_gateway_and_langchain_errors(make: Make, simulator: Simulator, streamed: bool) -> None:
    simulator.fault("gateway_rate_limit")
    model = make(max_retries=0)
    with pytest.raises(errors.RateLimited) as caught:
        list(model.stream("Hi")) if streamed else model.invoke("Hi")
    assert isinstance(caught.value, lc.ModelRateLimitError)
    assert caught.value.is_retryable
    assert caught.value.code == 2003
    assert caught.value.requests_sent == 1


def test_a_broken_stream_is_an_error(make: Make, simulator: Simulator) -> None:
    simulator.reply("one two three four five six")
    simulator.fault("cut_clean", after_events=3)
    seen: list[str] = []
    with pytest.raises(errors.StreamBroken) as caught:
        seen.extend(chunk.text for chunk in make(api="chat_completions").stream("Hi"))
    assert isinstance(caught.value, lc.ModelError)
    assert "".join(seen) == caught.value.partial
    assert "six" not in caught.value.partial


def test_abandoned_streams_are_closed(make: Make, simulator: Simulator) -> None:
    model = make(api="chat_completions")
    simulator.reply("word " * 500, times=3)
    for chunk in model.stream("Hi"):
        assert chunk
        break
    stream = model.stream("Hi")
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert until(lambda: simulator.in_flight == 0)


async def test_cancelled_calls_and_streams_are_closed(make: Make, simulator: Simulator) -> None:
    model = make(api="chat_completions")
    simulator.fault("slow_first_byte", seconds=30)
    call = asyncio.create_task(model.ainvoke("Hi"))
    assert await until_async(lambda: bool(simulator.requests) or call.done())
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await until_async(lambda: simulator.in_flight == 0)


def test_several_event_loops_and_threads(make: Make, simulator: Simulator) -> None:
    from concurrent.futures import ThreadPoolExecutor

    model = make(api="chat_completions")

    async def work() -> list[AIMessage]:
        return list(await asyncio.gather(*(model.ainvoke("Hi") for _ in range(5))))

    assert len(asyncio.run(work())) == 5
    assert len(asyncio.run(work())) == 5
    with ThreadPoolExecutor(4) as pool:
        assert [len(result) for result in pool.map(lambda _: asyncio.run(work()), range(4))] == [5] * 4
    assert len(simulator.requests) == 30


@every_wire
def test_images_in_tool_messages(make: Make, api: str) -> None:
    from base64 import b64encode

    from tests.langchain.media import png

    image = {"type": "image", "base64": b64encode(png()).decode(), "mime_type": "image/png"}
    model = make(api=api).bind_tools([weather])
    call = AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Paris"}, "id": "call_1"}])
    answer = model.invoke([HumanMessage("Look."), call, ToolMessage([image], tool_call_id="call_1")])
    assert answer.text


@pytest.mark.parametrize("arguments", [{"n": 2}, {"extra_body": {"n": 2}}], ids=["n", "extra_body"])
@pytest.mark.parametrize("streamed", [False, True])
def test_several_answers_are_whole_or_refused(
    make: Make, simulator: Simulator, streamed: bool, arguments: dict[str, Any]
) -> None:
    model = make(api="chat_completions", **arguments)
    if streamed:
        with pytest.raises(errors.ConfigError, match="n=2"):
            list(model.stream("Hi"))
    else:
        answers = [result.message for result in model.generate([[HumanMessage("Hi")]]).generations[0]]  # type: ignore[union-attr]
        assert len({answer.id for answer in answers}) == 2


FINISHES = {
    "chat_completions": {"stop": "stop", "length": "length", "tool_calls": "tool_calls"},
    "responses": {"stop": "completed", "length": "max_output_tokens", "tool_calls": "completed"},
    "messages": {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"},
    "run": {"stop": "stop", "length": "length", "tool_calls": "tool_calls"},
}
STATES = {"stop": "complete", "tool_calls": "complete", "length": "incomplete"}


@pytest.mark.parametrize(
    ("api", "finish", "word"), [(api, *each) for api, all_ in FINISHES.items() for each in all_.items()]
)
@pytest.mark.parametrize("streamed", [False, True])
def test_finish_reasons_in_one_vocabulary(
    make: Make, simulator: Simulator, api: str, finish: str, word: str, streamed: bool
) -> None:
    calls: Any = [{"name": "weather", "arguments": {"city": "Oslo"}}] if finish == "tool_calls" else []
    simulator.reply("It is", calls=calls, finish=finish)
    model = make(api=api, streaming=streamed).bind_tools([weather])
    with collect_runs() as runs:
        meta = model.invoke("Hi").response_metadata
    assert (meta["finish_reason"], meta["normalized_finish_reason"]) == (word, finish)
    assert meta["finish_state"] == STATES[finish]
    [[generation]] = runs.traced_runs[0].outputs["generations"]  # type: ignore[index]
    assert generation["generation_info"]["finish_reason"] == finish


@every_wire
@pytest.mark.parametrize("streamed", [False, True])
def test_token_counts_and_model_name_where_tracers_read_them(
    make: Make, simulator: Simulator, api: str, streamed: bool
) -> None:
    simulator.reply("Yes.", times=4, tokens_in=5, tokens_out=2)
    model = make(api=api, streaming=streamed)
    results = [model.generate([[HumanMessage("a")], [HumanMessage("b")]])]
    results.append(asyncio.run(make(api=api, streaming=streamed).agenerate([[HumanMessage("a")], [HumanMessage("b")]])))
    for result in results:
        for [generation] in result.generations:
            info: Any = generation.generation_info
            assert info["token_usage"] == {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
            assert (info["model_name"], info["finish_reason"]) == (MODELS[api], "stop")
        if not streamed:  # in a stream core has no place for it
            counts = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
            assert result.llm_output == {"token_usage": counts, "model_name": MODELS[api]}


def test_token_counts_of_the_cache_of_reasoning_and_of_audio_are_told_apart() -> None:
    usage = Usage(20, 9, 29, cache_read=1, cache_write=2, reasoning=3, audio_in=4, audio_out=5)
    assert to_usage(usage) == {
        "input_tokens": 20,
        "output_tokens": 9,
        "total_tokens": 29,
        "input_token_details": {"cache_read": 1, "cache_creation": 2, "audio": 4},
        "output_token_details": {"reasoning": 3, "audio": 5},
    }
