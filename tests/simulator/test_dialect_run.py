"""The bare input of `/ai/run` and the content of `result`, by model family."""

from __future__ import annotations

from typing import Any

import pytest

from cfaig_integrations.simulator import fake_model
from cfaig_integrations.simulator.dialects import DIALECTS
from cfaig_integrations.simulator.types import Answer, Call, InvalidBody

from . import oracle

RUN = DIALECTS["run"]
LLAMA, KIMI = "@cf/meta/llama-3.3-70b-instruct-fp8-fast", "@cf/moonshotai/kimi-k2.6"
GPT, CLAUDE = "openai/gpt-4.1", "anthropic/claude-sonnet-4.5"
USER = {"role": "user", "content": "Weather in Paris?"}
FORM = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FLAT = {"name": "get_weather", "description": "Weather", "parameters": FORM}


def body(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [USER], **({"max_tokens": 99} if model == CLAUDE else {}), **more}


def test_native_answers_natively() -> None:
    whole = RUN.whole(RUN.read({"model": LLAMA, "prompt": "Say hi"}), Answer(text="hi", tokens_in=2, tokens_out=1))
    usage = whole["usage"]
    assert whole["response"] == "hi"
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (2, 1, 3)


@pytest.mark.parametrize("tool", [FLAT, {"type": "function", "function": FLAT}])
def test_native_calls_have_objects_and_no_id(tool: dict[str, Any]) -> None:
    request = RUN.read(body(LLAMA, tools=[tool]))
    whole = RUN.whole(request, fake_model.generate_answer(request))
    assert whole["tool_calls"] == [{"name": "get_weather", "arguments": {"city": "Paris"}}]
    assert whole["response"] is None


def test_native_calls_can_be_sent_back_without_ids() -> None:
    call = {"name": "get_weather", "arguments": {"city": "Paris"}}
    calling = {"role": "assistant", "content": "", "tool_calls": [call]}
    result = {"role": "tool", "name": "get_weather", "content": "sunny"}
    request = RUN.read(body(LLAMA, messages=[USER, calling, result], tools=[FLAT]))
    assert request.messages[1].calls[0].arguments == {"city": "Paris"}
    assert "sunny" in fake_model.generate_answer(request).text


def test_native_json_mode_reads_an_envelope_as_a_schema_without_rules() -> None:
    wish = {"type": "json_schema", "json_schema": {"name": "w", "schema": FORM}}
    assert RUN.read(body(LLAMA, response_format=wish)).schema == {}


def test_native_json_mode_gives_an_object_and_no_stream() -> None:
    wish = {"type": "json_schema", "json_schema": FORM}
    request = RUN.read(body(LLAMA, response_format=wish))
    assert RUN.whole(request, fake_model.generate_answer(request))["response"] == {"city": "Paris"}
    with pytest.raises(InvalidBody, match="streaming"):
        RUN.read(body(LLAMA, response_format=wish, stream=True))


def test_a_lone_figure_is_a_number() -> None:
    request = RUN.read(body(LLAMA))
    assert RUN.whole(request, Answer(text="5"))["response"] == 5
    assert RUN.whole(request, Answer(text="55"))["response"] == "55"


def test_native_stream() -> None:
    answer = Answer(text="one two", calls=[Call("", "f", {"a": 1})], tokens_in=3, tokens_out=4)
    raw = list(RUN.stream(RUN.read(body(LLAMA, stream=True)), answer))
    assert raw[-1] == b"data: [DONE]\n\n"
    *pieces, calls, tail = oracle.events(iter(raw))
    assert "".join(p["response"] for p in pieces) == "one two"
    assert all(p["p"] for p in pieces)
    assert calls["tool_calls"] == [{"name": "f", "arguments": {"a": 1}}]
    assert (tail["response"], tail["usage"]["total_tokens"]) == ("", 7)


def test_newer_workers_ai_models_answer_chat_completions() -> None:
    request = RUN.read(body(KIMI, tools=[FLAT], stream=True))
    answer = fake_model.generate_answer(request)
    assert RUN.whole(request, answer)["object"] == "chat.completion"
    assert oracle.events(RUN.stream(request, answer))[-1]["response"] == ""


def test_third_party_answers_in_its_own_format_with_the_key_source() -> None:
    for model, kind in ((GPT, "chat"), (CLAUDE, "messages")):
        request = RUN.read(body(model))
        oracle.check(kind, RUN, request, fake_model.generate_answer(request))
        assert RUN.whole(request, Answer(text="x"))["gatewayMetadata"] == {"keySource": "Unified"}
    assert "gatewayMetadata" not in RUN.whole(RUN.read(body(KIMI)), Answer(text="x"))


@pytest.mark.parametrize(
    ("wrong", "code", "message"),
    [
        ({"model": LLAMA}, 5006, "AiError: Bad input: Error: oneOf at '/' not met"),
        ({"model": LLAMA, "prompt": 5}, 5006, "AiError: Bad input: Error: Type mismatch of '/prompt'"),
        ({"model": LLAMA, "prompt": "x", "ls_a": 1}, 5006, "AiError: Bad input: Error: Additional property 'ls_a'"),
        (body(GPT, tools=[FLAT]), 7003, "Missing required parameter: 'tools[0].type'."),
        (body(GPT, response_format={"type": "json_schema", "json_schema": FORM}), 7003, "Missing required parameter"),
        ({"model": CLAUDE, "messages": [USER]}, 7003, "max_tokens: Field required"),
        (body(LLAMA, tools=[FLAT], tool_choice="any"), 8001, "tool_choice: Input should be 'auto'"),
    ],
)
def test_refusals(wrong: dict[str, Any], code: int, message: str) -> None:
    with pytest.raises(InvalidBody) as caught:
        RUN.read(wrong)
    assert caught.value.code == code
    assert caught.value.message.startswith(message)


def test_errors() -> None:
    assert RUN.error(400, 7003, "no")["error"]["code"] == 7003
    assert oracle.events(iter([RUN.error_event("broke")]))[0]["error"]["message"] == "broke"
