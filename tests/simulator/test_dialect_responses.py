"""Responses: what is refused and how it is worded, and what comes back whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cfaig_integrations.simulator import fake_model
from cfaig_integrations.simulator.dialects import DIALECTS
from cfaig_integrations.simulator.types import Answer, Call, InvalidBody

from . import oracle

RESPONSES = DIALECTS["responses"]
GPT = "openai/gpt-5.4"
USER = {"role": "user", "content": "Weather in Paris?"}
FORM = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "name": "get_weather", "description": "Weather", "parameters": FORM}
CALL = {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": '{"city":"Rome"}', "id": "fc_1"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "abc"}
SAID = {
    "type": "message",
    "role": "assistant",
    "id": "msg_1",
    "status": "completed",
    "content": [{"type": "output_text", "text": "hi", "annotations": []}],
}


def body(*items: Any, **more: Any) -> dict[str, Any]:
    return {"model": GPT, "input": list(items) or "Hello", **more}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": GPT}, 'One of "input" or'),
        ({"model": GPT, "input": 5}, "Invalid type for 'input'"),
        (body({"type": "text", "text": "x"}), "Invalid value: 'text'. Supported values are: 'message', "),
        (body({"role": "tool", "content": "x"}), "Invalid value: 'tool'."),
        (body({"role": "user", "content": [{"type": "text", "text": "x"}]}), "Invalid value: 'text'. Supported values"),
        (
            body({"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}, USER),
            "Invalid value: 'input_t",
        ),
        (body({**USER, "name2": "x"}), "Unknown parameter: 'input[0].name2'."),
        (
            body(USER, {**SAID, "id": "run-1"}, USER),
            "Invalid 'input[1].id': 'run-1'. Expected an ID that begins with 'msg'",
        ),
        (body(USER, {**CALL, "id": "call_1"}, OUTPUT), "Invalid 'input[1].id': 'call_1'. Expected an ID that begins"),
        (body(USER, CALL), "No tool output found for function call c1."),
        (body(USER, OUTPUT), "No tool call found for function call output with call_id c1."),
        (body(USER, {**CALL, "arguments": {}}, OUTPUT), "Invalid type for 'input[1].arguments'"),
        (body(USER, CALL, {**OUTPUT, "output": None}), "Missing required parameter: 'input[2].output'."),
        (body(USER, THOUGHT), "Item 'rs_1' of type 'reasoning' was provided without its required following item."),
        (body(USER, THOUGHT, USER), "Item 'rs_1' of type 'reasoning' was provided without its required following"),
        (body(USER, {"type": "reasoning", "id": "rs_1"}, SAID), "Missing required parameter: 'input[1].summary'."),
        (body(messages=[USER]), "Unknown parameter: 'messages'."),
        (body(max_tokens=20), "Unknown parameter: 'max_tokens'."),
        (body(stop=["x"]), "Unknown parameter: 'stop'."),
        (body(ls_provider="x"), "Unknown parameter: 'ls_provider'."),
        (body(response_format={"type": "json_object"}), "Unknown parameter: 'response_format'."),
        (
            body(max_output_tokens=15),
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16",
        ),
        (body(include=["everything"]), "Invalid value: 'everything'."),
        (body(reasoning={"effort": "huge"}), "Invalid value: 'huge'."),
        (body(tools=[{"type": "function", "function": {"name": "x"}}]), "Missing required parameter: 'tools[0].name'."),
        (body(tools=[{"type": "browse"}]), "Invalid value: 'browse'."),
        (body(tools=[{"type": "mcp"}]), "Missing required parameter: 'tools[0].server_label'."),
        (body(USER, {**CALL, "call_id": "c" * 65}, OUTPUT), "Invalid 'input[1].call_id': string too long."),
        (body(tools=[{**TOOL, "name": "a" * 65}]), "Invalid 'tools[0].name': string does not match pattern."),
        (
            body(tools=[{**TOOL, "parameters": {"type": "object"}}]),
            "Invalid schema for function 'get_weather': In context=(), object schema missing properties.",
        ),
        (body(tools=[{**TOOL, "name": "a b"}]), "Invalid 'tools[0].name': string does not match pattern."),
        (body(tools=[TOOL], tool_choice="any"), "Invalid value: 'any'."),
        (body(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "x"}}), "Missing required parameter"),
        (body(tools=[TOOL], tool_choice={"type": "function", "name": "x"}), "Tool choice 'function' with name 'x' not"),
        (
            body(text={"format": {"type": "json_schema", "json_schema": {}}}),
            "Missing required parameter: 'text.format.name",
        ),
        (body(text={"format": {"type": "json_object"}}), "Response input messages must contain the word 'json'"),
        (body(previous_response_id="resp_none"), "Previous response with id 'resp_none' not found."),
    ],
)
def test_refusals(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidBody) as caught:
        RESPONSES.read(wrong)
    assert caught.value.message.startswith(message)
    assert caught.value.code == 7003


@pytest.mark.parametrize(
    "right",
    [
        body(USER, THOUGHT, CALL, OUTPUT),
        body(USER, THOUGHT, SAID, USER),
        body(USER, {"type": "web_search_call", "id": "ws_1", "status": "completed"}, SAID, USER),
        body({"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,aGk="}]}),
        body({"role": "user", "content": [{"type": "input_image", "file_id": "file-1", "detail": "auto"}]}),
        body(USER, CALL, {**OUTPUT, "output": [{"type": "input_text", "text": "x"}]}),
        body(tools=[TOOL, {"type": "web_search"}, {"type": "code_interpreter", "container": {"type": "auto"}}]),
        body(tools=[{"type": "image_generation"}], tool_choice={"type": "image_generation"}),
    ],
)
def test_accepted(right: dict[str, Any]) -> None:
    assert RESPONSES.read(right).messages


def test_reads_what_was_said() -> None:
    request = RESPONSES.read(body(USER, THOUGHT, SAID, CALL, OUTPUT, instructions="Be brief", tools=[TOOL]))
    assert [s.role for s in request.messages] == ["system", "user", "assistant", "tool"]
    assert (request.messages[2].text, request.messages[2].calls[0].arguments) == ("hi", {"city": "Rome"})


ANSWERS = [
    Answer(text="Hello there, this is it.", tokens_in=9, tokens_out=6),
    Answer(text="Thought over", reasoning="Let me think", tokens_in=9, tokens_out=9, tokens_reasoning=4),
    Answer(text="Both", calls=[Call("", "f", {"a": "\u4f60"}), Call("x9", "g", {})], finish="tool_calls"),
    Answer(calls=[Call("", "f", {"a": 1}, raw='{"a')], finish="length"),
    Answer(refusal="I cannot help with that.", finish="refusal"),
    Answer(text="cut", finish="length"),
    Answer(reasoning="cut while thinking", finish="length"),
    Answer(text="Found it.", searches=["ruby version"]),
    Answer(),
]


@oracle.complete
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("model", [GPT, "@cf/openai/gpt-oss-120b"])
def test_answers_pass_the_official_types(answer: Answer, model: str) -> None:
    include = ["reasoning.encrypted_content"]
    request = RESPONSES.read(
        {**body(include=include, reasoning={"summary": "auto"}, tools=[TOOL, {"type": "web_search"}]), "model": model}
    )
    oracle.check("responses", RESPONSES, request, answer)


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_stream_tells_its_items(answer: Answer) -> None:
    request = RESPONSES.read(body(reasoning={"summary": "auto"}))
    events = oracle.events(RESPONSES.stream(request, answer))
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    assert [e["type"] for e in events[:2]] == ["response.created", "response.in_progress"]
    last = events[-1]
    cut = answer.finish == "length"
    assert last["type"] == ("response.incomplete" if cut else "response.completed")
    assert [e["item"] for e in events if e["type"] == "response.output_item.done"] == last["response"]["output"]
    assert last["response"]["incomplete_details"] == ({"reason": "max_output_tokens"} if cut else None)
    for index, item in enumerate(last["response"]["output"]):
        own = [e for e in events if e.get("output_index") == index]
        assert own[0]["type"] == "response.output_item.added"
        assert all(e.get("item_id", item["id"]) == item["id"] for e in own)
        deltas = "".join(e["delta"] for e in own if e["type"].endswith(".delta"))
        part = item.get("content") or item.get("summary") or [item]
        assert deltas == (part[0].get("text") or part[0].get("refusal") or part[0].get("arguments") or "")


def test_encrypted_reasoning_only_if_included() -> None:
    answer = Answer(text="x", reasoning="hm")
    bare = RESPONSES.whole(RESPONSES.read(body(reasoning={"effort": "low"})), answer)["output"][0]
    assert (bare["summary"], "encrypted_content" in bare) == ([], False)
    request = RESPONSES.read(body(reasoning={"effort": "low"}, include=["reasoning.encrypted_content"], store=False))
    item, message = RESPONSES.whole(request, answer)["output"]
    assert item["encrypted_content"]
    assert RESPONSES.read(body(USER, item, message, USER)).messages


def test_a_web_search_is_shown_and_cited() -> None:
    request = RESPONSES.read({**body(tools=[{"type": "web_search_preview"}]), "input": "Search for the Ruby version"})
    answer = fake_model.generate_answer(request)
    assert answer.searches == ["Ruby version"]
    call, message = RESPONSES.whole(request, answer)["output"]
    assert call["type"] == "web_search_call"
    (part,) = message["content"]
    note = part["annotations"][0]
    assert note["url"] in part["text"][note["start_index"] : note["end_index"]]


def test_previous_response_id_continues_unless_not_stored() -> None:
    first = RESPONSES.read({"model": GPT, "input": "My name is Bob"})
    stored = RESPONSES.whole(first, Answer(text="Hi", reasoning="hm"))["id"]
    request = RESPONSES.read({"model": GPT, "input": "What is my name?", "previous_response_id": stored})
    assert "Bob" in fake_model.generate_answer(request).text
    unstored = RESPONSES.whole(RESPONSES.read(body(store=False)), Answer(text="Hi"))["id"]
    with pytest.raises(InvalidBody, match="not found"):
        RESPONSES.read(body(previous_response_id=unstored))


@oracle.complete
def test_recorded_requests_are_accepted_and_answered() -> None:
    seen = 0
    for exchange in oracle.recorded("responses", "api.openai.com"):
        sent = exchange["request_body"]
        if "previous_response_id" in sent:
            continue
        request = RESPONSES.read({**sent, "model": f"openai/{sent['model']}"})
        oracle.check("responses", RESPONSES, request, fake_model.generate_answer(request))
        seen += 1
    assert seen > 400


def test_errors() -> None:
    assert RESPONSES.error(500, "x", "no")["error"]["type"] == "server_error"
    name, data = RESPONSES.error_event("broke").decode().strip().split("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: "))["message"] == "broke"
