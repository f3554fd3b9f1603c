"""The arguments of one call: timeouts, stop texts, response formats, tools; and images, files and audio in messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from langchain_core import exceptions as lc
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, FunctionMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_core.tracers.context import collect_runs

from cfaig_integrations import errors
from cfaig_integrations.core.chat import FunctionTool, NativeTool
from cfaig_integrations.langchain.tools import bound
from cfaig_integrations.simulator import Simulator
from tests.handmade import chat_chunk, last_request, play
from tests.langchain.call_methods import CALL_METHODS, STREAMS, every_way, every_wire, weather
from tests.langchain.conftest import Make

PIXEL = "iVBORw0KGgo="
THREE = ("chat_completions", "responses", "messages")


def body_of(simulator: Simulator) -> Any:
    return simulator.requests[-1].body


# Words of a call


@every_way
async def test_a_timeout_for_one_call(make: Make, simulator: Simulator, call_method: str) -> None:
    model = make(max_retries=0)
    simulator.fault("slow_first_byte", seconds=30)
    with pytest.raises(errors.TimeoutFault) as caught:
        await CALL_METHODS[call_method](model, "Hi", timeout=0.05)
    assert isinstance(caught.value, lc.ModelTimeoutError)
    assert caught.value.is_retryable
    simulator.fault("slow_first_byte", seconds=0.2)
    assert (await CALL_METHODS[call_method](model, "Hi")).text  # the next call has the model's own patience again


@pytest.mark.parametrize("wrong", [-1, "soon", (1, 2, 3)])
def test_a_timeout_that_is_none_is_refused(make: Make, simulator: Simulator, wrong: Any) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        make().invoke("Hi", timeout=wrong)
    assert caught.value.field == "timeout"
    assert not simulator.requests


@every_way
async def test_stop_texts_of_a_call_may_be_one_text(make: Make, simulator: Simulator, call_method: str) -> None:
    for api, field in (("chat_completions", "stop"), ("messages", "stop_sequences")):
        model = make(api=api, stop=["model"])
        await CALL_METHODS[call_method](model, "Hi", stop="call")
        assert body_of(simulator)[field] == ["call"]
        await CALL_METHODS[call_method](model.bind(stop_sequences="bound"), "Hi")
        assert body_of(simulator)[field] == ["bound"]
        await CALL_METHODS[call_method](model, "Hi")
        assert body_of(simulator)[field] == ["model"]


@pytest.mark.parametrize("call_method", ["invoke", "stream"])
async def test_traces_show_the_stop_texts(make: Make, call_method: str) -> None:
    model = make(api="chat_completions", stop="model")
    with collect_runs() as runs:
        await CALL_METHODS[call_method](model, "Hi")
        await CALL_METHODS[call_method](model, "Hi", stop=["call"])
    traced = [(run.extra or {})["metadata"]["ls_stop"] for run in runs.traced_runs]
    assert traced == [["model"], ["call"]]


@every_wire
@pytest.mark.parametrize("call_method", ["invoke", "stream"])
async def test_a_response_format_of_any_object(make: Make, simulator: Simulator, api: str, call_method: str) -> None:
    model = make(api=api).bind(response_format={"type": "json_object"})
    if api == "messages":
        with pytest.raises(errors.ConfigError, match="JSON"):
            await CALL_METHODS[call_method](model, "Give the city of Paris as JSON.")
        assert not simulator.requests
        return
    answer = await CALL_METHODS[call_method](model, "Give the city of Paris as JSON.")
    assert isinstance(json.loads(answer.text), dict)
    sent = last_request(simulator)
    form = sent["text"]["format"] if api == "responses" else sent["response_format"]
    assert form == {"type": "json_object"}


CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


@every_wire
@pytest.mark.parametrize("call_method", ["invoke", "stream"])
async def test_a_response_format_with_a_description(
    make: Make, simulator: Simulator, api: str, call_method: str
) -> None:
    held = {"name": "City", "description": "Where it is.", "schema": CITY}
    model = make(api=api).bind(response_format={"type": "json_schema", "json_schema": held})
    answer = await CALL_METHODS[call_method](model, "I live in Paris.")
    assert json.loads(answer.text).keys() == {"city"}
    sent = last_request(simulator)
    match api:
        case "responses":
            assert sent["text"]["format"] == {"type": "json_schema", **held}
        case "messages":
            assert sent["output_config"]["format"]["schema"] == {**CITY, "description": "Where it is."}
        case _:
            assert sent["response_format"] == {"type": "json_schema", "json_schema": held}


# Tools


def test_a_tool_can_hold_a_providers_definition(make: Make, simulator: Simulator) -> None:
    raw = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    search = weather.model_copy(update={"extras": {"provider_tool_definition": raw}})
    result = bound(search)
    assert result == raw
    assert isinstance(result.spec, NativeTool)
    make(api="messages").bind_tools([search, weather]).invoke("Hi")
    assert [each["name"] for each in body_of(simulator)["tools"]] == ["web_search", "weather"]
    assert body_of(simulator)["tools"][0] == raw


@pytest.mark.parametrize("strict", [True, False])
def test_a_bound_tool_can_be_bound_again(make: Make, simulator: Simulator, strict: bool) -> None:
    once = bound(weather, strict=not strict)
    again = bound(once, strict=strict)
    assert isinstance(again.spec, FunctionTool)
    assert (again.spec.strict, again["function"]["strict"]) == (strict, strict)
    assert once.spec.strict is not strict  # type: ignore[union-attr]
    assert bound(once) is once
    make(api="chat_completions").bind_tools([once], strict=strict).invoke("Hi")
    assert body_of(simulator)["tools"][0]["function"]["strict"] is strict


MARK = {"type": "ephemeral"}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
MARKED: dict[str, Any] = {
    "openai": {"type": "function", "function": {"name": "w", "parameters": PARAMETERS}, "cache_control": MARK},
    "responses": {"type": "function", "name": "w", "parameters": PARAMETERS, "cache_control": MARK},
    "anthropic": {"name": "w", "input_schema": PARAMETERS, "cache_control": MARK},
    "tool": weather.model_copy(update={"name": "w", "extras": {"cache_control": MARK}}),
}


@pytest.mark.parametrize("form", MARKED)
@every_wire
@pytest.mark.parametrize("strict", [None, True])
def test_cache_markers_of_tools_reach_anthropic_alone(
    make: Make, simulator: Simulator, api: str, form: str, strict: bool | None
) -> None:
    make(api=api).bind_tools([MARKED[form]], strict=strict).invoke("Hi")
    [sent] = last_request(simulator)["tools"]
    assert sent.get("function", sent)["name"] == "w"
    assert sent.get("cache_control") == (MARK if api == "messages" else None)
    assert ("cache_control" in json.dumps(sent)) is (api == "messages")


def test_markers_decide_where_auto_goes(make: Make, simulator: Simulator) -> None:
    make(model="anthropic/claude-haiku-4.5").bind_tools([MARKED["openai"]]).invoke("Hi")
    assert simulator.requests[-1].path.endswith("/messages")
    assert body_of(simulator)["tools"][0]["cache_control"] == MARK


# Messages


CALL = {"name": "weather", "args": {"city": "Paris"}, "id": "call_1", "type": "tool_call"}


@every_wire
def test_a_failed_tool_is_reported(make: Make, simulator: Simulator, api: str) -> None:
    @tool
    def broken(city: str) -> str:
        """Weather in a city."""
        raise ValueError(city)

    broken.handle_tool_error = True
    failed = ToolMessage("There is no such city.", tool_call_id="call_1", status="error")
    fine = ToolMessage("It rains.", tool_call_id="call_2")
    calls = AIMessage("", tool_calls=[CALL, {**CALL, "id": "call_2"}])
    answer = make(api=api).bind_tools([broken, weather]).invoke([HumanMessage("Hi"), calls, failed, fine])
    assert answer.text
    assert "no such city" in json.dumps(body_of(simulator))
    if api == "messages":
        results = body_of(simulator)["messages"][2]["content"]
        assert [block.get("is_error") for block in results] == [True, None]


ARGUMENTS = {"city": "Paris"}
LEGACY = AIMessage("", additional_kwargs={"function_call": {"name": "weather", "arguments": json.dumps(ARGUMENTS)}})


@every_wire
def test_legacy_function_messages_are_calls_and_results(make: Make, simulator: Simulator, api: str) -> None:
    messages = [
        HumanMessage("What is the weather in Paris?"),
        LEGACY,
        FunctionMessage(content="It rains in Paris.", name="weather"),
    ]
    answer = make(api=api).bind_tools([weather]).invoke(messages)
    assert "rains in Paris" in answer.text
    sent = last_request(simulator)
    match api:
        case "responses":
            call, value = sent["input"][1:]
            assert (call["call_id"], call["name"], json.loads(call["arguments"])) == ("weather", "weather", ARGUMENTS)
            assert (value["call_id"], value["output"]) == ("weather", "It rains in Paris.")
        case "messages":
            call, value = (message["content"][-1] for message in sent["messages"][1:])
            assert (call["id"], call["name"], call["input"]) == ("weather", "weather", ARGUMENTS)
            assert value["tool_use_id"] == "weather"
        case _:
            call, value = sent["messages"][1]["tool_calls"][0], sent["messages"][2]
            assert (call["id"], json.loads(call["function"]["arguments"])) == ("weather", ARGUMENTS)
            assert (value["tool_call_id"], value["content"]) == ("weather", "It rains in Paris.")


IMAGE_URL = f"data:image/png;base64,{PIXEL}"


@pytest.mark.parametrize("detail", ["low", "high"])
def test_an_images_detail_is_sent_where_the_format_has_it(make: Make, simulator: Simulator, detail: str) -> None:
    messages = [HumanMessage([{"type": "image_url", "image_url": {"url": IMAGE_URL, "detail": detail}}])]
    make(api="chat_completions").invoke(messages)
    assert body_of(simulator)["messages"][0]["content"][0]["image_url"] == {"url": IMAGE_URL, "detail": detail}
    make(api="responses").invoke(messages)
    assert body_of(simulator)["input"][0]["content"][0] == {
        "type": "input_image",
        "image_url": IMAGE_URL,
        "detail": detail,
    }
    make(api="messages").invoke(messages)
    assert body_of(simulator)["messages"][0]["content"][0] == {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
    }


def test_an_input_image_keeps_its_detail(make: Make, simulator: Simulator) -> None:
    block = {"type": "input_image", "image_url": IMAGE_URL, "detail": "low"}
    make(api="responses").invoke([HumanMessage([block])])
    assert body_of(simulator)["input"][0]["content"] == [block]


BY_ID: dict[str, list[dict[str, Any]]] = {
    "file": [{"type": "file", "source_type": "id", "id": "file-1"}, {"type": "file", "file_id": "file-1"}],
    "image": [{"type": "image", "source_type": "id", "id": "file-1"}, {"type": "image", "file_id": "file-1"}],
}
PLACES: Mapping[tuple[str, str], Any] = {
    ("file", "chat_completions"): {"type": "file", "file": {"file_id": "file-1"}},
    ("file", "responses"): {"type": "input_file", "file_id": "file-1"},
    ("file", "messages"): {"type": "document", "source": {"type": "file", "file_id": "file-1"}},
    ("image", "responses"): {"type": "input_image", "file_id": "file-1"},
    ("image", "messages"): {"type": "image", "source": {"type": "file", "file_id": "file-1"}},
}


@pytest.mark.parametrize("api", THREE)
@pytest.mark.parametrize("kind", BY_ID)
@pytest.mark.parametrize("generation", [0, 1])
def test_files_by_id(make: Make, simulator: Simulator, api: str, kind: str, generation: int) -> None:
    messages = [HumanMessage([BY_ID[kind][generation]])]
    if (kind, api) not in PLACES:
        with pytest.raises(errors.UnsupportedContent, match=r"file id.*responses"):
            make(api=api).invoke(messages)
        assert not simulator.requests
        return
    make(api=api).invoke(messages)
    said_to_it = body_of(simulator).get("messages") or body_of(simulator)["input"]
    sent = said_to_it[0]["content"][0]
    assert {key: value for key, value in sent.items() if key != "detail"} == PLACES[kind, api]


NOT_BASE64 = ("data:image/svg+xml;utf8,<svg/>", "data:image/svg+xml,%3Csvg%2F%3E", "data:text/plain,hi", "data:")


@pytest.mark.parametrize("url", NOT_BASE64)
@pytest.mark.parametrize(
    "block",
    [
        lambda url: {"type": "image_url", "image_url": {"url": url}},
        lambda url: {"type": "image_url", "image_url": url},
        lambda url: {"type": "input_image", "image_url": url},
        lambda url: {"type": "image", "url": url},
        lambda url: {"type": "image", "source_type": "url", "url": url},
        lambda url: {"type": "image", "source": {"type": "url", "url": url}},
        lambda url: {"type": "document", "source": {"type": "url", "url": url}},
        lambda url: {"type": "file", "file": {"file_data": url, "filename": "a.txt"}},
        lambda url: {"type": "file", "url": url},
    ],
    ids=["image_url", "text", "responses", "v1", "v0", "anthropic", "document", "openai file", "file"],
)
@pytest.mark.parametrize("api", THREE)
def test_a_data_url_without_base64_is_refused(make: Make, simulator: Simulator, api: str, block: Any, url: str) -> None:
    with pytest.raises(errors.UnsupportedContent, match="base64") as caught:
        make(api=api).invoke([HumanMessage([block(url)])])
    assert caught.value.field == "url"
    assert caught.value.remedy
    assert not simulator.requests


AUDIO: dict[str, tuple[dict[str, Any], str]] = {
    "openai": ({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}, "wav"),
    "openai mp3": ({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}}, "mp3"),
    "wav": ({"type": "audio", "base64": "UklGRg==", "mime_type": "audio/wav"}, "wav"),
    "x-wav": ({"type": "audio", "base64": "UklGRg==", "mime_type": "audio/x-wav"}, "wav"),
    "mpeg": ({"type": "audio", "base64": "UklGRg==", "mime_type": "audio/mpeg"}, "mp3"),
    "v0": ({"type": "audio", "source_type": "base64", "data": "UklGRg==", "mime_type": "audio/mp3"}, "mp3"),
}


@pytest.mark.parametrize("form", AUDIO)
def test_audio_goes_by_format(make: Make, simulator: Simulator, form: str) -> None:
    block, expected = AUDIO[form]
    make(api="chat_completions").invoke([HumanMessage([block])])
    sent = body_of(simulator)["messages"][0]["content"]
    assert sent == [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": expected}}]


@pytest.mark.parametrize("api", THREE)
@pytest.mark.parametrize(
    "block",
    [
        {"type": "audio", "base64": "UklGRg=="},
        {"type": "audio", "url": "https://example.com/a.wav"},
        {"type": "audio", "file_id": "file-1"},
    ],
    ids=["no type", "address", "id"],
)
def test_audio_of_unknown_type_raises(make: Make, simulator: Simulator, api: str, block: Any) -> None:
    with pytest.raises(errors.UnsupportedContent) as caught:
        make(api=api).invoke([HumanMessage([block])])
    assert caught.value.remedy
    assert not simulator.requests


def test_lists_of_extra_body_are_extended_and_other_values_replaced(make: Make, simulator: Simulator) -> None:
    model = make(api="responses", extra_body={"tools": [{"type": "web_search"}], "temperature": 1})
    model.bind_tools([weather]).invoke("Hi", temperature=0.5)
    assert {tool["type"] for tool in body_of(simulator)["tools"]} == {"function", "web_search"}
    assert body_of(simulator)["temperature"] == 0.5


def test_betas_of_extra_body_are_added_to_those_of_the_constructor(make: Make, simulator: Simulator) -> None:
    make(api="messages", betas=["one"]).invoke("Hi", extra_body={"betas": ["two"]})
    (request,) = simulator.requests
    assert request.headers["anthropic-beta"].split(",") == ["one", "two"]
    assert "betas" not in request.body


# Answers


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_the_first_of_several_answers_has_the_usage(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    model: BaseChatModel = make(api="chat_completions", n=3)
    ask = [[HumanMessage("Hi")]]
    result = await model.agenerate(ask) if asynchronous else model.generate(ask)  # type: ignore[arg-type]
    answers = [results.message for results in result.generations[0]]  # type: ignore[union-attr]
    assert len(answers) == 3
    told = [answer.usage_metadata for answer in answers]  # type: ignore[union-attr]
    assert told[0] is not None
    assert told[0]["output_tokens"] > 0
    assert told[1:] == [None, None]


CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}
CHAT = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [CHOICE]}
MESSAGE = {"type": "message", "id": "m1", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]}
RESPONSE = {"id": "r1", "object": "response", "model": "m", "status": "completed", "output": [MESSAGE]}
TIERED: dict[str, tuple[Any, list[Any]]] = {
    "chat_completions": (
        {**CHAT, "service_tier": "flex"},
        [chat_chunk({"content": "Hi."}, "stop", service_tier="flex"), "[DONE]"],
    ),
    "responses": (
        {**RESPONSE, "service_tier": "flex"},
        [{"type": "response.completed", "response": {**RESPONSE, "service_tier": "flex"}}],
    ),
}


@pytest.mark.parametrize("api", TIERED)
@every_way
async def test_the_service_tier_is_reported(make: Make, simulator: Simulator, api: str, call_method: str) -> None:
    whole, events = TIERED[api]
    if call_method in STREAMS:
        play(simulator, *events)
    else:
        simulator.reply_raw(body=json.dumps(whole))
    answer = await CALL_METHODS[call_method](make(api=api, service_tier="auto"), "Hi")
    assert body_of(simulator)["service_tier"] == "auto"
    assert answer.text == "Hi."
    assert answer.response_metadata["service_tier"] == "flex"


@pytest.mark.parametrize("call_method", ["invoke", "stream"])
async def test_anthropics_service_tier_is_reported(make: Make, simulator: Simulator, call_method: str) -> None:
    usage = {"input_tokens": 5, "output_tokens": 2, "service_tier": "priority"}
    result = {"type": "message", "id": "m1", "role": "assistant", "model": "m"}
    if call_method == "stream":
        play(
            simulator,
            {"type": "message_start", "message": {**result, "content": [], "usage": usage}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hi."}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        )
    else:
        content = [{"type": "text", "text": "Hi."}]
        simulator.reply_raw(body=json.dumps({**result, "content": content, "usage": usage, "stop_reason": "end_turn"}))
    answer = await CALL_METHODS[call_method](make(api="messages"), "Hi")
    assert answer.response_metadata["service_tier"] == "priority"


# Failures


@every_way
async def test_an_error_keeps_its_cause(make: Make, simulator: Simulator, call_method: str) -> None:
    simulator.fault("close_before_response")
    with pytest.raises(errors.ConnectFault) as caught:
        await CALL_METHODS[call_method](make(max_retries=0), "Hi")
    assert isinstance(caught.value, lc.ModelConnectionError)
    assert isinstance(caught.value.__cause__, httpx.HTTPError)


@pytest.mark.parametrize("call_method", STREAMS)
@every_wire
async def test_an_idle_stream_is_a_timeout(make: Make, simulator: Simulator, api: str, call_method: str) -> None:
    simulator.reply("one two three four five")
    simulator.fault("stall", seconds=30, after_events=5)
    with pytest.raises(errors.TimeoutFault, match="idle") as caught:
        await CALL_METHODS[call_method](make(api=api, stream_idle_timeout=0.1, max_retries=0), "Hi")
    assert isinstance(caught.value, lc.ModelTimeoutError)
    assert isinstance(caught.value.__cause__, httpx.ReadTimeout)
