"""Chat Completions: what is refused and how it is worded, and what comes back whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cfaig_integrations.simulator import fake_model
from cfaig_integrations.simulator.dialects import DIALECTS
from cfaig_integrations.simulator.types import Answer, Call, InvalidBody

from . import oracle

CHAT, RUN = DIALECTS["chat_completions"], DIALECTS["run"]
GPT, KIMI, DEEPSEEK, GEMINI = (
    "openai/gpt-4.1",
    "@cf/moonshotai/kimi-k2.6",
    "deepseek/deepseek-v4",
    "google/gemini-3-flash",
)
USER = {"role": "user", "content": "Weather in Paris and Rome?"}
FORM = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": FORM}}
CALL = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'}}
CALLING = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "sunny"}
PIXEL = "data:image/png;base64,aGVsbG8="


def body(*messages: Any, model: str = GPT, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": list(messages) or [USER], **more}


def part(**fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": [fields]}


def with_tool(**function: Any) -> dict[str, Any]:
    return body(tools=[{"type": "function", "function": function}])


def rejection(wrong: dict[str, Any]) -> InvalidBody:
    with pytest.raises(InvalidBody) as caught:
        CHAT.read(wrong)
    return caught.value


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": GPT}, "Missing required parameter: 'messages'."),
        ({"model": GPT, "messages": []}, "Invalid 'messages': empty array."),
        ({"messages": [USER]}, "Missing required parameter: 'model'."),
        (body({"role": "human", "content": "x"}), "Invalid value: 'human'. Supported values are: 'system', "),
        (body({"role": "user"}), "Missing required parameter: 'messages[0].content'."),
        (body({"role": "user", "content": 5}), "Invalid type for 'messages[0].content': expected one of a string or"),
        (body({"role": "user", "content": []}), "Invalid 'messages[0].content': empty array."),
        (body({**USER, "id": "m1"}), "Unknown parameter: 'messages[0].id'."),
        (body(part(type="input_text", text="x")), "Invalid value: 'input_text'."),
        (body(part(type="image_url", image_url={"url": "data:image/png;base64,@@"})), "Invalid 'messages[0]"),
        (body(part(type="image_url", image_url={"url": "cat.png"})), "Invalid 'messages[0]"),
        (
            body(part(type="image_url", image_url={"url": "data:text/html;base64,aGk="})),
            "Invalid MIME type 'text/html'",
        ),
        (body(USER, CALLING), "An assistant message with 'tool_calls' must be followed by tool messages"),
        (body(USER, CALLING, USER), "An assistant message with 'tool_calls' must be followed by tool messages"),
        (body(USER, RESULT), "Invalid parameter: messages with role 'tool' must be a response"),
        (body(USER, CALLING, {**RESULT, "tool_call_id": "c2"}), "Invalid parameter: messages with role 'tool'"),
        (body(USER, {"role": "assistant", "content": None}), "Invalid type for 'messages[1].content'"),
        (
            body(USER, {**CALLING, "reasoning_content": "x"}, RESULT),
            "Unknown parameter: 'messages[1].reasoning_content'",
        ),
        (body(thread_id="x"), "Unknown parameter: 'thread_id'."),
        (body(ls_model_name="x"), "Unknown parameter: 'ls_model_name'."),
        (body(max_output_tokens=20), "Unknown parameter: 'max_output_tokens'."),
        (body(temperature=3), "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3"),
        (body(max_tokens="5"), "Invalid type for 'max_tokens': expected an integer, but got a string instead."),
        (body(max_tokens=0), "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got 0"),
        (body(stop=["a"] * 5), "Invalid 'stop': array too long."),
        (body(stream_options={"include_usage": True}), "The 'stream_options' parameter is only allowed when"),
        (body(tools=[]), "Invalid 'tools': empty array."),
        (body(tools=[{"type": "function", "name": "x"}]), "Missing required parameter: 'tools[0].function'."),
        (body(tools=[{"type": "web_search"}]), "Invalid value: 'web_search'."),
        (with_tool(name="get weather"), "Invalid 'tools[0].function.name': string does not match pattern."),
        (with_tool(name="x" * 65), "Invalid 'tools[0].function.name': string does not match pattern."),
        (
            with_tool(name="x", parameters={"type": "object"}),
            "Invalid schema for function 'x': In context=(), object schema missing properties.",
        ),
        (body({**USER, "name": "Ann Lee"}), "Invalid 'messages[0].name': string does not match pattern."),
        (
            body(USER, {**CALLING, "tool_calls": [{**CALLING["tool_calls"][0], "id": "c" * 65}]}),
            "Invalid 'messages[1].tool_calls[0].id': string too long. Expected a string with maximum length 64",
        ),
        (body(USER, {**RESULT, "tool_call_id": "c" * 65}), "Invalid 'messages[1].tool_call_id': string too long."),
        (with_tool(name="x", parameters={"type": "array"}), "Invalid schema for function 'x': schema must be"),
        (with_tool(name="x", parameters={**FORM, "properties": {"a": {"type": "str"}}}), "Invalid schema for function"),
        (with_tool(name="x", parameters={**FORM, "properties": {"a": {"$ref": "#/a"}}}), "Invalid schema for function"),
        (
            with_tool(name="x", parameters=FORM, strict=True),
            "Invalid schema for function 'x': In context=(), 'additional",
        ),
        (body(tool_choice="auto"), "'tool_choice' is only allowed when 'tools' are specified."),
        (body(tools=[TOOL], tool_choice="any"), "Invalid value: 'any'."),
        (
            body(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "nope"}}),
            "Tool choice 'nope' not found in 'tools' parameter.",
        ),
        (body(tools=[TOOL], tool_choice={"type": "function", "name": "get_weather"}), "Missing required parameter"),
        (body(response_format={"type": "json_schema", "json_schema": FORM}), "Missing required parameter: 'response"),
        (body(response_format={"type": "json_object"}), "'messages' must contain the word 'json'"),
    ],
)
def test_refusals_in_openai_words(wrong: dict[str, Any], message: str) -> None:
    error = rejection(wrong)
    assert error.message.startswith(message)
    assert (error.code, error.status) == (7003, 400)


@pytest.mark.parametrize(
    ("wrong", "code", "message"),
    [
        ({"model": KIMI}, 5006, "AiError: Bad input: Error: required properties at '/' are 'messages'"),
        (body({"role": "user", "content": 5}, model=KIMI), 5006, "AiError: Bad input: Error: Type mismatch of '/mess"),
        (body(model=KIMI, tools=[TOOL], tool_choice="any"), 8001, "tool_choice: Input should be 'auto'"),
        (
            body(model=KIMI, tools=[{"type": "function", "function": {"name": "x", "description": False}}]),
            8001,
            "AiError: Invalid input",
        ),
    ],
)
def test_refusals_in_workers_ai_words(wrong: dict[str, Any], code: int, message: str) -> None:
    error = rejection(wrong)
    assert error.code == code
    assert error.message.startswith(message)


@pytest.mark.parametrize(
    "right",
    [
        body(USER, CALLING, RESULT),
        body(USER, {**CALLING, "content": None}, RESULT, {"role": "assistant", "content": "ok"}, USER),
        body(
            part(type="image_url", image_url={"url": PIXEL}), part(type="image_url", image_url={"url": "https://a.b/c"})
        ),
        body(part(type="file", file={"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"})),
        body(part(type="input_audio", input_audio={"data": "aGk=", "format": "wav"})),
        body(model=DEEPSEEK, messages=[USER, {"role": "assistant", "content": "x", "reasoning_content": "y"}, USER]),
        body(model=KIMI, chat_template_kwargs={"enable_thinking": False}, options={"rejectIfBusy": True}),
        body(response_format={"type": "json_schema", "json_schema": {"name": "w", "schema": FORM}}),
    ],
)
def test_accepted(right: dict[str, Any]) -> None:
    assert CHAT.read(right).messages


def test_reads_what_was_said() -> None:
    request = CHAT.read(
        body(
            {"role": "developer", "content": "Be brief"},
            USER,
            CALLING,
            RESULT,
            tools=[TOOL],
            tool_choice="required",
            n=2,
        )
    )
    assert [s.role for s in request.messages] == ["system", "user", "assistant", "tool"]
    assert request.messages[2].calls == [Call("c1", "get_weather", {"city": "Rome"})]
    assert request.messages[3].results[0].call_id == "c1"
    assert (request.choice, request.choices, request.tools[0].parameters) == ("required", 2, FORM)


ANSWERS = [
    Answer(text="Hello there, this is it.", tokens_in=9, tokens_out=6),
    Answer(text="Thought over", reasoning="Let me think", tokens_in=9, tokens_out=9, tokens_reasoning=4),
    Answer(calls=[Call("", "f", {"a": "\u4f60"}), Call("x9", "g", {})], finish="tool_calls", tokens_in=1, tokens_out=1),
    Answer(calls=[Call("", "f", {"a": 1}, raw='{"a')], finish="length", tokens_in=1, tokens_out=1),
    Answer(refusal="I cannot help with that.", finish="refusal", tokens_in=1, tokens_out=1),
    Answer(text="cut", finish="length", tokens_in=1, tokens_out=1),
    Answer(),
]


@oracle.complete
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("model", [GPT, DEEPSEEK, GEMINI])
def test_answers_pass_the_official_types(answer: Answer, model: str) -> None:
    request = CHAT.read(body(model=model, n=2, stream=True, stream_options={"include_usage": True}))
    oracle.check("chat", CHAT, request, answer)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("model", [GPT, KIMI, DEEPSEEK])
def test_the_deltas_join_to_the_whole(answer: Answer, model: str) -> None:
    request = CHAT.read(body(model=model))
    message = CHAT.whole(request, answer)["choices"][0]["message"]
    deltas = [c["delta"] for e in oracle.events(CHAT.stream(request, answer)) for c in e.get("choices", [])]
    for key in ("content", "reasoning_content", "refusal"):
        assert "".join(d.get(key) or "" for d in deltas) == (message.get(key) or "")
    texts: dict[int, str] = {}
    for piece in (c for d in deltas for c in d.get("tool_calls", [])):
        texts[piece["index"]] = texts.get(piece["index"], "") + piece["function"]["arguments"]
    assert list(texts.values()) == [c["function"]["arguments"] for c in message.get("tool_calls", [])]


def test_usage_counts_all_choices() -> None:
    answer = Answer(text="a", reasoning="b", tokens_in=9, tokens_out=7, tokens_reasoning=4)
    request = CHAT.read(body(n=2, stream=True, stream_options={"include_usage": True}))
    for usage in (CHAT.whole(request, answer)["usage"], oracle.events(CHAT.stream(request, answer))[-1]["usage"]):
        assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (9, 14, 23)
        assert usage["completion_tokens_details"]["reasoning_tokens"] == 8


def test_plain_stream_gives_usage_only_when_asked() -> None:
    answer = Answer(text="a b c", tokens_in=3, tokens_out=3)
    quiet = oracle.events(CHAT.stream(CHAT.read(body(stream=True)), answer))
    assert not any("usage" in e for e in quiet)
    loud = CHAT.stream(CHAT.read(body(stream=True, stream_options={"include_usage": True})), answer)
    *rest, last = oracle.events(loud)
    assert all(e["usage"] is None for e in rest)
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 6)
    assert rest[0]["choices"][0]["delta"]["role"] == "assistant"


@pytest.mark.parametrize("tokens_out", [1, 4, 40])
def test_workers_ai_streams_on_the_run_path_with_usage_that_adds_up_and_a_tail(tokens_out: int) -> None:
    answer = Answer(text="one two three", tokens_in=30, tokens_out=tokens_out, tokens_cached=8)
    raw = list(RUN.stream(RUN.read(body(model=KIMI, stream=True)), answer))
    assert raw[-1] == b"data: [DONE]\n\n"
    *chunks, tail = oracle.events(iter(raw))
    assert all("usage" in c and "p" in c for c in chunks)
    assert chunks[-1]["choices"] == []
    assert tail["response"] == ""
    assert isinstance(tail["usage"]["neurons"], float)
    for key in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert sum(c["usage"][key] for c in chunks) == tail["usage"][key], key
    assert all(c["usage"]["completion_tokens"] >= 0 for c in chunks)


@pytest.mark.parametrize(("text", "content"), [("7", 7), ("012", "012"), ("x", "x")])
def test_some_models_stream_a_single_digit_as_a_number(text: str, content: Any) -> None:
    request = CHAT.read(body(model="@cf/mistralai/mistral-small-3.1-24b-instruct", stream=True))
    chunks = [json.loads(event[6:]) for event in CHAT.stream(request, Answer(text=text)) if b"[DONE]" not in event]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert [delta["content"] for delta in deltas if delta.get("content", "") != ""] == [content]


def test_workers_ai_streams_on_chat_completions_without_the_tail() -> None:
    answer = Answer(text="one two three", tokens_in=30, tokens_out=4)
    *chunks, last = oracle.events(CHAT.stream(CHAT.read(body(model=KIMI, stream=True)), answer))
    assert not any("response" in c or "usage" in c for c in chunks)
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 34)


@pytest.mark.parametrize("choice", ["required", {"type": "custom", "custom": {"name": "run_sql"}}])
def test_a_custom_tool_is_called_with_text(choice: Any) -> None:
    tools = [{"type": "custom", "custom": {"name": "run_sql", "description": "Runs SQL"}}]
    request = CHAT.read(body(tools=tools, tool_choice=choice))
    answer = fake_model.generate_answer(request)
    answer.calls[0].custom = True
    (call,) = CHAT.whole(request, answer)["choices"][0]["message"]["tool_calls"]
    assert (call["type"], call["custom"]["name"]) == ("custom", "run_sql")
    assert call["custom"]["input"]
    chunks = oracle.events(CHAT.stream(request, answer))
    deltas = [d for c in chunks for choice in c["choices"] for d in choice["delta"].get("tool_calls", [])]
    assert "".join(d["custom"]["input"] for d in deltas) == call["custom"]["input"]


def test_model_ids_are_echoed_as_vendors_do() -> None:
    def echo(model: str) -> str:
        return str(CHAT.whole(CHAT.read(body(model=model)), Answer(text="x"))["model"])

    assert echo(GPT) == "gpt-4.1"
    assert echo("@cf/google/gemma-4-26b") == "@cf/google/gemma-4-26b-external"
    assert echo(KIMI) == KIMI


def test_reasoning_is_hidden_by_openai_and_shown_by_others() -> None:
    answer = Answer(text="x", reasoning="hm", tokens_reasoning=1, tokens_out=2)
    whole = CHAT.whole(CHAT.read(body()), answer)
    assert "reasoning_content" not in whole["choices"][0]["message"]
    assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] == 1
    shown = CHAT.whole(CHAT.read(body(model=KIMI)), answer)["choices"][0]["message"]
    assert shown["reasoning_content"] == "hm"


def test_gemini_signs_its_calls_and_mistral_ids_are_short() -> None:
    answer = Answer(calls=[Call("", "f", {})], finish="tool_calls")
    signed = CHAT.whole(CHAT.read(body(model=GEMINI)), answer)["choices"][0]["message"]["tool_calls"][0]
    assert signed["extra_content"]["google"]["thought_signature"]
    mistral = CHAT.whole(CHAT.read(body(model="@cf/mistralai/mistral-small")), answer)["choices"][0]["message"]
    assert len(mistral["tool_calls"][0]["id"]) == 9


@oracle.complete
def test_recorded_requests_are_accepted_and_answered() -> None:
    seen = 0
    for exchange in oracle.recorded("chat", "api.openai.com"):
        sent = exchange["request_body"]
        request = CHAT.read({**sent, "model": f"openai/{sent['model']}"})
        oracle.check("chat", CHAT, request, fake_model.generate_answer(request))
        seen += 1
    assert seen > 150


def test_errors() -> None:
    assert CHAT.error(400, 7003, "no")["error"] == {
        "message": "no",
        "type": "invalid_request_error",
        "param": None,
        "code": 7003,
    }
    assert json.loads(CHAT.error_event("broke").decode().removeprefix("data: "))["error"]["message"] == "broke"
