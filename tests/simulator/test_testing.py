"""The scripted gateway of the pytest fixture: replies in every format, and the requests to assert on."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from cfaig_integrations.simulator import ScriptedGateway, Simulator
from cfaig_integrations.simulator.scripting.script import KEYS

from .conftest import Caller

NO_FIELDS = {"type": "object", "properties": {}}
TOOL = {
    "name": "weather",
    "description": "Weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
PATHS = {
    "chat_completions": "/ai/v1/chat/completions",
    "responses": "/ai/v1/responses",
    "messages": "/ai/v1/messages",
    "run": "/ai/run",
}


@pytest.fixture
def gateway(sim: Simulator) -> ScriptedGateway:
    return ScriptedGateway(sim)


def body(api: str, prompt: str, *, stream: bool = False) -> dict[str, Any]:
    """A request with one tool."""
    messages = [{"role": "user", "content": prompt}]
    function = {"type": "function", "function": TOOL}
    match api:
        case "responses":
            return {
                "model": "openai/gpt-5.4",
                "input": messages,
                "tools": [{"type": "function", **TOOL}],
                "stream": stream,
            }
        case "messages":
            tool = {"name": "weather", "input_schema": TOOL["parameters"]}
            model = "anthropic/claude-haiku-4.5"
            return {"model": model, "messages": messages, "tools": [tool], "max_tokens": 100, "stream": stream}
        case "run":
            inner = {"messages": messages, "tools": [function], "stream": stream}
            return {"model": "@cf/openai/gpt-oss-120b", "input": inner}
        case _:
            return {"model": "openai/gpt-4.1", "messages": messages, "tools": [function], "stream": stream}


def send(caller: Caller, api: str, prompt: str = "Hello?", *, stream: bool = False) -> httpx.Response:
    headers = {"cf-aig-metadata": '{"team": "docs"}', "cf-aig-gateway-id": "default"}
    return caller.post(PATHS[api], body(api, prompt, stream=stream), headers)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", PATHS)
def test_every_format_answers_by_the_script(gateway: ScriptedGateway, caller: Caller, api: str, stream: bool) -> None:
    gateway.strict = True
    gateway.script(
        [
            {"tool_calls": [{"name": "weather", "arguments": {"city": "Paris"}}]},
            {"text": "Rain", "times": 2},
            {"error": "no_credits"},
        ]
    )
    responses = [send(caller, api, f"Question {number}", stream=stream) for number in range(5)]
    assert [response.status_code for response in responses] == [200, 200, 200, 402, 422]
    assert "weather" in responses[0].text
    assert all("Rain" in response.text for response in responses[1:3])
    assert "No scripted reply" in responses[4].text
    assert gateway.remaining == 0
    (refused,) = gateway.unscripted
    assert refused.endswith(": 'Question 4'")


@pytest.mark.parametrize("api", PATHS)
def test_requests_read_alike_in_every_format(gateway: ScriptedGateway, caller: Caller, api: str) -> None:
    send(caller, api, "Where is Paris?", stream=True)
    (request,) = gateway.requests
    assert (request.api, request.model) == (api, body(api, "")["model"])
    assert (request.prompt, request.system, request.tools) == ("Where is Paris?", "", ["weather"])
    assert (request.stream, request.metadata, request.schema) == (True, {"team": "docs"}, None)
    assert request.headers["cf-aig-gateway-id"] == "default"
    assert request.body == body(api, "Where is Paris?", stream=True)


@pytest.mark.parametrize(
    ("path", "model", "expected"),
    [
        ("/v1/{account}/default/compat/chat/completions", "openai/gpt-4.1", ("chat_completions", "openai/gpt-4.1")),
        ("/compat/chat/completions", "openai/gpt-4.1", ("chat_completions", "openai/gpt-4.1")),
        ("/v1/{account}/default/openai/chat/completions", "gpt-4.1", ("chat_completions", "openai/gpt-4.1")),
        ("/v1/{account}/default/anthropic/v1/messages", "claude-haiku-4.5", ("messages", "anthropic/claude-haiku-4.5")),
        ("/v1/{account}/default/workers-ai/@cf/openai/gpt-oss-120b", "", ("run", "@cf/openai/gpt-oss-120b")),
        ("/client/v4/accounts/{account}/ai/run/@cf/openai/gpt-oss-120b", "", ("run", "@cf/openai/gpt-oss-120b")),
    ],
)
def test_requests_to_every_host(gateway: ScriptedGateway, path: str, model: str, expected: tuple[str, str]) -> None:
    gateway.strict = True
    gateway.reply("Rain")
    sim = gateway.simulator
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9, **({"model": model} if model else {})}
    name = "cf-aig-authorization" if path.startswith("/v1/") and "workers-ai" not in path else "authorization"
    headers = {name: f"Bearer {sim.api_token}"}
    response = httpx.post(sim.url + path.format(account=sim.account_id), json=body, headers=headers)
    assert "Rain" in response.text
    (request,) = gateway.requests
    assert (request.api, request.model) == expected
    assert request.prompt == "Hi"


def test_other_requests_are_not_chat_requests(gateway: ScriptedGateway, caller: Caller) -> None:
    gateway.strict = True
    gateway.reply("for the chat")
    assert caller.post("/ai/v1/embeddings", {"model": "@cf/baai/bge-m3", "input": ["a"]}).status_code == 200
    assert caller.post("/ai/run/@cf/baai/bge-m3", {"text": ["a"]}).status_code == 200
    assert caller.post("/ai/run", {"model": "@cf/baai/bge-m3", "input": {"text": ["a"]}}).status_code == 200
    decision = {
        "model": "clef",
        "state": "Late",
        "questions": {"late": {"type": "noul", "instructions": "Late?"}},
    }
    assert caller.post("/ai/run/@cf/cloudflare/clef", decision).status_code == 200
    assert caller.get("/ai-gateway/gateways").status_code == 200
    assert gateway.requests == []
    assert (gateway.remaining, gateway.unscripted) == (1, [])


def test_a_refused_request_can_still_be_looked_at(gateway: ScriptedGateway, caller: Caller) -> None:
    assert caller.chat(messages=[]).status_code == 400
    assert [(request.model, request.messages) for request in gateway.requests] == [("openai/gpt-4.1", [])]


def test_without_strict_the_fake_model_answers(gateway: ScriptedGateway, caller: Caller) -> None:
    gateway.reply("scripted")
    contents = [caller.chat().json()["choices"][0]["message"]["content"] for _ in range(2)]
    assert contents[0] == "scripted"
    assert contents[1] != "scripted"
    assert gateway.unscripted == []


def test_token_counts_that_are_not_set_are_estimated(gateway: ScriptedGateway, caller: Caller) -> None:
    gateway.reply("scripted", tokens_out=99)
    usage = caller.chat().json()["usage"]
    assert usage["completion_tokens"] == 99
    assert 0 < usage["prompt_tokens"] < 20


def test_a_reply_waits_until_a_fault_is_over(gateway: ScriptedGateway, caller: Caller) -> None:
    gateway.reply("scripted")
    gateway.simulator.fault("gateway_rate_limit")
    assert caller.chat().status_code == 429
    assert gateway.remaining == 1
    assert caller.chat().json()["choices"][0]["message"]["content"] == "scripted"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"content": '{"city": "Paris"}'}),
        ({"tools": [{"type": "function", "function": TOOL}]}, {"name": "weather"}),
        (
            {
                "tools": [
                    {"type": "function", "function": {**TOOL, "name": "other", "parameters": NO_FIELDS}},
                    {"type": "function", "function": TOOL},
                ],
                "tool_choice": "required",
            },
            {"name": "weather"},
        ),
        (
            {
                "tools": [{"type": "function", "function": TOOL}],
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": TOOL["parameters"]},
                },
            },
            {"content": '{"city": "Paris"}'},
        ),
    ],
    ids=["plain", "tool", "one of two tools", "schema beside a tool"],
)
def test_structured_replies_take_the_form_that_is_asked_for(
    gateway: ScriptedGateway, caller: Caller, fields: dict[str, Any], expected: dict[str, str]
) -> None:
    gateway.reply(structured={"city": "Paris"})
    message = caller.chat(**fields).json()["choices"][0]["message"]
    if "name" in expected:
        (call,) = message["tool_calls"]
        assert call["function"]["name"] == expected["name"]
        assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    else:
        assert message["content"] == expected["content"]
        assert "tool_calls" not in message


def test_truncated_at_the_token_limit(gateway: ScriptedGateway, caller: Caller) -> None:
    gateway.reply("Once upon", truncated="length")
    gateway.reply(tool_calls=[{"name": "weather", "arguments": {"city": "Paris"}}], truncated="length")
    choices = [caller.chat(tools=[{"type": "function", "function": TOOL}]).json()["choices"][0] for _ in range(2)]
    assert [choice["finish_reason"] for choice in choices] == ["length", "length"]
    arguments = choices[1]["message"]["tool_calls"][0]["function"]["arguments"]
    assert '{"city": "Paris"}'.startswith(arguments)
    with pytest.raises(json.JSONDecodeError):
        json.loads(arguments)


@pytest.mark.parametrize("stream", [False, True])
def test_truncated_by_the_connection(gateway: ScriptedGateway, caller: Caller, stream: bool) -> None:
    gateway.reply("A long answer that does not arrive as a whole", truncated="connection")
    with pytest.raises(httpx.TransportError):
        caller.chat(stream=stream)
    assert caller.chat().status_code == 200


def test_a_slow_reply(gateway: ScriptedGateway, caller: Caller) -> None:
    gateway.reply("slow", delay=30)
    caller.http.timeout = httpx.Timeout(5, read=0.05)
    with pytest.raises(httpx.ReadTimeout):
        caller.chat()


def test_a_slow_stream(gateway: ScriptedGateway, caller: Caller) -> None:
    gateway.reply("slow", pace=30)
    caller.http.timeout = httpx.Timeout(5, read=0.05)
    with pytest.raises(httpx.ReadTimeout):
        caller.chat(stream=True)


@pytest.mark.parametrize(
    ("api", "place"),
    [
        ("chat_completions", lambda answer: answer["choices"][0]["finish_reason"]),
        ("messages", lambda answer: answer["stop_reason"]),
    ],
)
def test_a_refusal_after_a_call_ends_the_reply(gateway: ScriptedGateway, caller: Caller, api: str, place: Any) -> None:
    gateway.reply(refusal="I cannot.")
    gateway.reply(refusal="I cannot.", tool_calls=[{"name": "weather", "arguments": {"city": "Paris"}}])
    alone, after_a_call = (place(send(caller, api).json()) for _ in range(2))
    assert after_a_call == alone


def test_the_details_of_an_error(gateway: ScriptedGateway, caller: Caller) -> None:
    gateway.reply(error={"name": "gateway_rate_limit", "message": "Slow down", "retry_after": 7})
    response = caller.chat()
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert "Slow down" in response.text


WRONG: list[tuple[Any, type[Exception], str]] = [
    ({"txt": "a"}, TypeError, f"no key 'txt'; the keys are: {', '.join(KEYS)}"),
    ({"tool_calls": [{"name": "a", "args": {}}]}, TypeError, "no key 'args'; the keys are: name, arguments, id"),
    ({"tool_calls": ["weather"]}, TypeError, "list of mappings"),
    ({"tool_calls": [{"arguments": {}}]}, ValueError, "needs a name"),
    ("Hello", TypeError, "must be a mapping, not str"),
    ({"text": 1}, ValueError, "text=1"),
    ({"error": "no_credit"}, ValueError, "did you mean no_credits"),
    ({"error": "cut"}, ValueError, "'cut' is not an error"),
    ({"error": 402}, ValueError, "name of an error"),
    ({"error": {"name": "no_credits", "speed": 1}}, TypeError, "no detail"),
    ({"error": "no_credits", "text": "a"}, ValueError, "error excludes text"),
    ({"structured": {}, "text": "a"}, ValueError, "structured excludes text"),
    ({"structured": 1}, ValueError, "structured must be"),
    ({"truncated": True}, ValueError, "use one of 'length', 'connection'"),
    ({"delay": -1}, ValueError, "delay=-1"),
    ({"pace": "1"}, ValueError, "pace='1'"),
    ({"times": 0}, ValueError, "times=0"),
    ({"tool_calls": 5}, TypeError, "list of mappings"),
    ({"tool_calls": [{"name": "a", "arguments": {"x": {1}}}]}, ValueError, "cannot be written as JSON"),
    ({"structured": {"x": float("nan")}}, ValueError, "cannot be written as JSON"),
    ({"searches": "Paris"}, ValueError, "list of queries"),
    ({"tokens_in": -1}, ValueError, "tokens_in=-1"),
    ({"tokens_out": True}, ValueError, "tokens_out=True"),
    ({"error": {"name": "no_credits", "status": "402"}}, ValueError, "status='402'"),
    ({"error": {"name": "no_credits", "status": 99_999}}, ValueError, "less than or equal to 599"),
    ({"error": {"name": "no_credits", "message": 5}}, ValueError, "message=5"),
    ({"error": {"name": "no_credits", "shape": "round"}}, ValueError, "shape='round'"),
    ({"error": {"name": "no_credits", "headers": {"x-a": "b\n"}}}, ValueError, "headers="),
    ({"error": {"name": "no_credits", "extra": 5}}, ValueError, "extra=5"),
    ({"error": {"name": "gateway_rate_limit", "retry_after": "soon"}}, ValueError, "retry_after='soon'"),
]


@pytest.mark.parametrize(("entry", "kind", "message"), WRONG, ids=[str(entry) for entry, _, _ in WRONG])
def test_wrong_entries_are_refused(gateway: ScriptedGateway, entry: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as error:
        gateway.script([{"text": "not queued, because the next one is wrong"}, entry])
    assert message in str(error.value)
    assert gateway.remaining == 0


def test_a_summary_names_every_call(gateway: ScriptedGateway, caller: Caller) -> None:
    assert gateway.summary() == "no chat request was received"
    send(caller, "responses", "Where is Paris?", stream=True)
    assert gateway.summary() == "1. openai/gpt-5.4 (responses, stream) tools=weather: 'Where is Paris?'"


def test_images_sound_and_results_that_come_later_are_no_chat_requests(
    gateway: ScriptedGateway, caller: Caller
) -> None:
    gateway.strict = True
    image = {"model": "cloudflare/image", "input": {"prompt": "a cat"}, "options": {"background": True}}
    receipt = caller.post("/ai/run", image).json()["result"]
    caller.post("/ai/run", {"request_id": receipt["request_id"]})
    caller.post("/ai/run/@cf/baai/bge-m3?queueRequest=true", {"requests": [{"text": "a"}]})
    assert caller.post("/ai/websearch/", {"query": "a"}).status_code == 200
    assert len(gateway.simulator.requests) == 4
    assert not gateway.requests
    assert not gateway.unscripted
