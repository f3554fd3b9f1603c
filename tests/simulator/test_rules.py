"""The table of rules: every row is refused where it should be, and the same request without the offence is served."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cfaig_integrations.simulator.gateway.rules import RULES

from .conftest import Caller

PATHS = {
    "chat_completions": "/ai/v1/chat/completions",
    "responses": "/ai/v1/responses",
    "messages": "/ai/v1/messages",
    "run": "/ai/run",
    "embeddings": "/ai/v1/embeddings",
}
HI = [{"role": "user", "content": "Say hi"}]
FORM = {"type": "object", "properties": {}}
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": FORM}}
LLAMA, KIMI, MISTRAL = (
    "@cf/meta/llama-3.1-8b-instruct",
    "@cf/moonshotai/kimi-k2.6",
    "@cf/mistralai/mistral-small-3.1-24b-instruct",
)


def turn(call: dict[str, Any] | None = None, **assistant: Any) -> list[dict[str, Any]]:
    """A history with one tool call and its result."""
    made = {"id": "abcdefghi", "type": "function", "function": {"name": "f", "arguments": "{}"}, **(call or {})}
    return [
        *HI,
        {"role": "assistant", "tool_calls": [made], **assistant},
        {"role": "tool", "tool_call_id": made["id"], "content": "1"},
    ]


REFUSED: list[tuple[str, str, dict[str, Any], int, int | str, str]] = [
    ("chat_completions", "gpt-4.1", {"messages": HI}, 404, 7003, "Model not found: gpt-4.1"),
    ("chat_completions", "mistral/mistral-large", {"messages": HI}, 404, 7003, "Model not found"),
    ("chat_completions", "openai/", {"messages": HI}, 404, 7003, "Model not found"),
    ("chat_completions", "@cf/llama", {"messages": HI}, 400, 5007, "No such model"),
    ("responses", "dynamic/x", {"input": "hi"}, 404, 7003, "Model not found"),
    ("messages", "cloudflare/auto", {"messages": HI, "max_tokens": 9}, 404, 7003, "Model not found"),
    ("run", "anthropic/claude-haiku-4-5", {"messages": HI, "max_tokens": 9}, 404, 7003, "Model not found"),
    ("chat_completions", "deepseek/deepseek-chat", {"messages": HI}, 402, 2021, "unified billing"),
    ("chat_completions", "perplexity/sonar", {"messages": HI}, 402, 2021, "unified billing"),
    ("messages", LLAMA, {"messages": HI, "max_tokens": 9}, 400, 5007, "No such model"),
    ("responses", LLAMA, {"input": "hi"}, 400, "invalid_prompt", "Bad input"),
    ("chat_completions", "openai/gpt-5.6-luna", {"messages": HI}, 400, 7003, "Invalid value at 'input'"),
    ("responses", "openai/gpt-5.4-pro", {"input": "hi", "store": False}, 400, 7003, "Unrecognized key"),
    ("responses", "xai/grok-4.6", {"input": "hi"}, 400, 7003, "Invalid value at 'messages'"),
    ("chat_completions", "openai/gpt-6.1-sol", {"messages": HI, "tools": [TOOL]}, 400, 7003, "/v1/responses"),
    ("chat_completions", "openai/gpt-5", {"messages": HI, "max_tokens": 9}, 400, 7003, "max_completion_tokens"),
    ("run", "anthropic/claude-haiku-4.5", {"messages": HI}, 400, 7003, "max_tokens"),
    ("messages", "anthropic/claude-haiku-4.5", {"messages": HI}, 400, 7003, "max_tokens"),
    (
        "messages",
        "anthropic/claude-haiku-4.5",
        {"messages": HI, "max_tokens": 9, "system": [{"type": "text", "text": "a"}]},
        400,
        7003,
        "Invalid value at 'system'",
    ),
    (
        "messages",
        "anthropic/claude-sonnet-5",
        {"messages": HI, "max_tokens": 9, "temperature": 0.5},
        400,
        7003,
        "`temperature` is not supported",
    ),
    ("chat_completions", "anthropic/claude-opus-5.5", {"messages": HI, "top_p": 0.5}, 400, 7003, "`top_p`"),
    (
        "messages",
        "anthropic/claude-opus-5.5",
        {
            "messages": HI,
            "max_tokens": 9,
            "tools": [{"name": "f", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "any"},
        },
        400,
        7003,
        "tool_choice.type",
    ),
    ("chat_completions", "google/gemini-3-flash", {"messages": turn(content="")}, 400, 7003, "thought_signature"),
    (
        "chat_completions",
        "openai/gpt-4.1",
        {"messages": HI, "response_format": {"type": "json_schema", "json_schema": {"type": "object"}}},
        400,
        7003,
        "response_format",
    ),
    ("embeddings", "openai/text-embedding-3-small", {"input": "a"}, 404, 7003, "Model not found"),
    ("chat_completions", LLAMA, {"messages": HI, "tools": [TOOL], "tool_choice": "any"}, 400, 8001, "tool_choice"),
    (
        "chat_completions",
        "@cf/zai-org/glm-4.7-flash",
        {"messages": HI, "tools": [TOOL], "tool_choice": "required"},
        400,
        8001,
        "required",
    ),
    ("chat_completions", KIMI, {"messages": turn(content=None)}, 400, 5006, "'null' not in 'string'"),
    ("chat_completions", KIMI, {"messages": turn()}, 400, 5006, "role,content"),
    (
        "chat_completions",
        LLAMA,
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
        400,
        5006,
        "'array' not in 'string'",
    ),
    (
        "chat_completions",
        KIMI,
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.invalid/b.png"}}]}
            ]
        },
        400,
        5006,
        "data URL",
    ),
    (
        "chat_completions",
        KIMI,
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "https://a.invalid/b.png"}]}]},
        400,
        5006,
        "data URL",
    ),
    ("chat_completions", MISTRAL, {"messages": turn({"id": "call_1"}, content="")}, 400, 5006, "9 characters"),
    ("chat_completions", MISTRAL, {"messages": [*turn(content=""), *HI]}, 400, 5006, "after role 'tool'"),
    ("chat_completions", LLAMA, {"messages": HI, "top_k": 51}, 400, 5006, "top_k"),
    ("chat_completions", "openai/gpt-5.4-pro", {"messages": HI}, 400, 7003, "Invalid value at 'input'"),
    ("chat_completions", "xai/grok-4.20-multi-agent-0309", {"messages": HI}, 400, 7003, "Invalid value at 'input'"),
    ("responses", "google/gemini-3-flash", {"input": "hi"}, 400, 7003, "Invalid value at 'messages'"),
    ("responses", "moonshotai/kimi-k3", {"input": "hi"}, 400, 7003, "Invalid value at 'messages'"),
    ("responses", "alibaba/qwen3-max", {"input": "hi"}, 400, 7003, "Invalid value at 'messages'"),
    ("chat_completions", "xai/grok-4.7", {"messages": HI, "stop": "END"}, 400, 7003, "Unrecognized key"),
    (
        "chat_completions",
        "xai/grok-4.6",
        {"messages": [*turn(content="", reasoning_content="hm"), *HI]},
        400,
        7003,
        "'messages'",
    ),
    ("chat_completions", "minimax/m3", {"messages": HI, "seed": 1}, 400, 7003, "Unrecognized key"),
    (
        "chat_completions",
        "minimax/m2.7",
        {"messages": HI, "tools": [TOOL], "tool_choice": "required"},
        400,
        7003,
        "tool_choice",
    ),
    (
        "messages",
        "anthropic/claude-sonnet-5",
        {"messages": HI, "max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}},
        400,
        7003,
        "thinking.type",
    ),
    ("chat_completions", KIMI, {"messages": HI, "reasoning_effort": "xhigh"}, 400, 8007, "reasoning_effort"),
]

SERVED: list[tuple[str, str, dict[str, Any]]] = [
    ("chat_completions", "openai/gpt-9-imaginary", {"messages": HI}),
    ("chat_completions", "fireworks/whatever", {"messages": HI}),
    ("chat_completions", "z-ai/glm-5", {"messages": HI}),
    ("messages", "anthropic/claude-sonnet-4-5", {"messages": HI, "max_tokens": 9}),
    ("messages", "openai/gpt-4.1", {"messages": HI, "max_tokens": 9}),
    ("responses", "openai/gpt-5.6-luna", {"input": "hi"}),
    ("responses", "@cf/openai/gpt-oss-120b", {"input": "hi"}),
    ("responses", "xai/grok-4.20-multi-agent-0309", {"input": "hi"}),
    ("chat_completions", "xai/grok-4.6", {"messages": HI}),
    ("chat_completions", "openai/gpt-6.1-sol", {"messages": HI, "tools": [TOOL], "reasoning_effort": "none"}),
    ("chat_completions", "openai/gpt-5", {"messages": HI, "max_completion_tokens": 9}),
    ("chat_completions", "openai/gpt-4.1", {"messages": HI, "max_tokens": 9}),
    ("messages", "anthropic/claude-haiku-4.5", {"messages": HI, "max_tokens": 9, "temperature": 0.5, "system": "a"}),
    ("run", "anthropic/claude-haiku-4.5", {"messages": HI, "max_tokens": 9}),
    ("chat_completions", KIMI, {"messages": turn(content="")}),
    ("chat_completions", MISTRAL, {"messages": turn(content="")}),
    ("chat_completions", LLAMA, {"messages": HI, "top_k": 50}),
    ("run", LLAMA, {"prompt": "hi"}),
    ("embeddings", "@cf/baai/bge-m3", {"input": ["a"]}),
    ("responses", "openai/gpt-5.4-pro", {"input": "hi"}),
    ("responses", "alibaba/qwen3.8-max", {"input": "hi"}),
    ("chat_completions", "xai/grok-4.7", {"messages": turn(content=""), "seed": 1}),
    ("chat_completions", "minimax/m3", {"messages": HI, "tools": [TOOL], "tool_choice": "auto"}),
    ("messages", "minimax/m3", {"messages": HI, "max_tokens": 9, "top_k": 4}),
    ("messages", "anthropic/claude-sonnet-5", {"messages": HI, "max_tokens": 9, "thinking": {"type": "adaptive"}}),
    ("chat_completions", KIMI, {"messages": HI, "reasoning_effort": "max"}),
]


def send(caller: Caller, endpoint: str, model: str, body: dict[str, Any]) -> Any:
    wrapped = {"model": model, "input": body} if endpoint == "run" else {"model": model, **body}
    return caller.post(PATHS[endpoint], wrapped)


@pytest.mark.parametrize(("endpoint", "model", "body", "status", "code", "text"), REFUSED)
def test_refused(
    caller: Caller, endpoint: str, model: str, body: dict[str, Any], status: int, code: int | str, text: str
) -> None:
    answer = send(caller, endpoint, model, body)
    found = answer.json()
    entry = (found.get("errors") or found.get("error")) or {}
    entry = entry[0] if isinstance(entry, list) else entry
    assert (answer.status_code, entry.get("code")) == (status, code)
    assert text in entry["message"]


@pytest.mark.parametrize(("endpoint", "model", "body"), SERVED)
def test_served(caller: Caller, endpoint: str, model: str, body: dict[str, Any]) -> None:
    answer = send(caller, endpoint, model, body)
    assert answer.status_code == 200, answer.text


def test_every_rule_is_tried_and_has_evidence() -> None:
    for rule in RULES:
        assert "facts §" in rule.evidence
        words = rule.message.replace("{model}", "").split(": ")[-1][:25]
        tried = [
            case
            for case in REFUSED
            if case[0] in rule.endpoints and re.fullmatch(rule.model, case[1]) and rule.code == case[4]
        ]
        assert tried, f"no test for: {words}"


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/ai/run", {"input": {}}, 500, 7000),
        ("/ai/run", {"model": LLAMA, "prompt": "hi"}, 400, 7003),
        (f"/ai/run/{LLAMA}", {"input": {"prompt": "hi"}}, 400, 5006),
        ("/ai/run/openai/gpt-4.1", {"model": "openai/gpt-4.1", "input": {"messages": HI}}, 400, 7003),
        ("/ai/v1/chat/completions", {"messages": HI}, 400, 7003),
        ("/ai/v1/chat/completions", [1], 400, 5006),
        ("/ai/run", {"model": LLAMA, "input": {"prompt": "a"}, "options": {"rejectIfBusy": "yes"}}, 400, 7003),
        ("/ai/run", {"model": LLAMA, "input": {"prompt": "a"}, "options": {"webhookUrl": "https://a"}}, 400, 7003),
        ("/ai/run", {"model": LLAMA, "input": {"prompt": "a"}, "options": {"webhookFormat": "raw"}}, 400, 7003),
        ("/ai/run", {"model": LLAMA, "input": {"prompt": "a"}, "options": {"tags": ["a"] * 6}}, 400, 7003),
    ],
)
def test_body_shapes(caller: Caller, path: str, body: Any, status: int, code: int) -> None:
    answer = caller.post(path, body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)


def test_no_body_and_no_json(caller: Caller) -> None:
    url = caller.account + "/ai/v1/chat/completions"
    assert caller.http.post(url).json()["errors"][0]["code"] == 3003
    assert caller.http.post(url, content=b"{").json()["errors"][0]["code"] == 5006


def test_run_answers_in_the_envelope_and_v1_does_not(caller: Caller) -> None:
    run = caller.post(f"/ai/run/{LLAMA}", {"messages": HI}).json()
    assert (run["success"], run["errors"], run["messages"]) == (True, [], [])
    assert run["result"]
    assert "success" not in caller.chat().json()


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ENVELOPE = {"name": "a", "schema": SCHEMA}
ASKED_FOR_JSON: list[tuple[str, dict[str, Any]]] = [
    (LLAMA, {"response_format": {"type": "json_schema", "json_schema": SCHEMA}}),
    ("@cf/openai/gpt-oss-120b", {"response_format": {"type": "json_schema", "json_schema": ENVELOPE}}),
    ("@cf/openai/gpt-oss-120b", {"response_format": {"type": "json_schema", "json_schema": SCHEMA}}),
    (MISTRAL, {"guided_json": SCHEMA}),
]


@pytest.mark.parametrize("path", ["/ai/v1/chat/completions", "/ai/run/"])
@pytest.mark.parametrize(("model", "wish"), ASKED_FOR_JSON)
def test_a_workers_ai_model_takes_a_schema_in_each_of_its_forms_on_both_endpoints(
    caller: Caller, path: str, model: str, wish: dict[str, Any]
) -> None:
    """facts §9.1."""
    on_run = path.endswith("/")
    answer = caller.post(
        path + model if on_run else path, {"messages": HI, **wish} | ({} if on_run else {"model": model})
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    held = body["result"] if on_run else body
    messages = held["response"] if "response" in held else held["choices"][0]["message"]["content"]
    found = json.loads(messages) if isinstance(messages, str) else messages
    assert isinstance(found["city"], str)


TEXT_PART = {"type": "text", "text": "a"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "1"}


@pytest.mark.parametrize(
    ("model", "messages", "path"),
    [
        (LLAMA, [*HI, {"role": "assistant", "content": "a"}, {"role": "user", "content": [TEXT_PART]}], "/messages/2/"),
        (KIMI, [*HI, {"role": "assistant", "content": None, "tool_calls": [CALL]}, RESULT], "/messages/1/"),
        (KIMI, [*HI, *HI, {"role": "assistant", "tool_calls": [CALL]}, RESULT], "/messages/2'"),
    ],
)
def test_an_error_names_the_message_that_is_wrong(caller: Caller, model: str, messages: list[Any], path: str) -> None:
    answer = caller.chat(model, messages=messages)
    assert answer.json()["errors"][0]["code"] == 5006
    assert path in answer.json()["errors"][0]["message"]


def test_empty_passages_are_refused(caller: Caller) -> None:
    """facts §14.3."""
    body = {"query": "a", "contexts": [{"text": "b"}, {"text": ""}]}
    answer = caller.post("/ai/run/@cf/baai/bge-reranker-base", body)
    assert answer.json()["errors"][0]["code"] == 5006
    assert "'/contexts/1/text'" in answer.json()["errors"][0]["message"]


def test_threads_of_the_newest_anthropic_clients_are_refused_at_once(caller: Caller) -> None:
    body = {"model": "anthropic/claude-haiku-4.5", "max_tokens": 9, "messages": HI, "thread": {"type": "create"}}
    answer = caller.post("/ai/v1/messages", body)
    assert answer.status_code == 400
    assert "thread" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_custom_tool_is_called_when_a_call_is_required(caller: Caller, *, stream: bool) -> None:
    chat_tool = {"type": "custom", "custom": {"name": "run_sql"}}
    chat = caller.chat(messages=HI, tools=[chat_tool], tool_choice="required", stream=stream)
    assert '"custom"' in chat.text
    tools = [{"type": "custom", "name": "run_sql"}]
    body = {"model": "openai/gpt-4.1", "input": "Say hi", "tools": tools, "tool_choice": "required", "stream": stream}
    answer = caller.post("/ai/v1/responses", body)
    assert '"custom_tool_call"' in answer.text
    assert ("response.custom_tool_call_input.done" in answer.text) is stream


FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
CLOSED: list[tuple[str, str, dict[str, Any]]] = [
    ("xai/grok-4.7", "chat", {"stop": ["a"]}),
    ("xai/grok-4.7", "chat", {"messages": [{"role": "developer", "content": "a"}, *HI]}),
    (
        "xai/grok-4.7",
        "chat",
        {"response_format": {"type": "json_schema", "json_schema": {**ENVELOPE, "description": "d"}}},
    ),
    ("minimax/m3", "chat", {"parallel_tool_calls": True}),
    ("minimax/m3", "chat", {"response_format": {"type": "json_object"}}),
    ("minimax/m3", "chat", {"response_format": {"type": "json_schema", "json_schema": {**ENVELOPE, "strict": True}}}),
    ("minimax/m3", "chat", {"response_format": {"type": "json_schema", "json_schema": ENVELOPE}}),
    ("minimax/m3", "chat", {"tools": [{"type": "function", "function": {**FUNCTION, "strict": True}}]}),
    ("openai/gpt-5.4-pro", "responses", {"store": False}),
    ("openai/gpt-5.5-pro", "responses", {"include": []}),
]


@pytest.mark.parametrize(("model", "path", "extra"), CLOSED)
def test_closed_schemas_of_the_catalogue(caller: Caller, model: str, path: str, extra: dict[str, Any]) -> None:
    """facts §14.3."""

    def send(**fields: Any) -> int:
        if path == "chat":
            return caller.chat(model, **{"messages": HI, **fields}).status_code
        return caller.post("/ai/v1/responses", {"model": model, "input": "hi", **fields}).status_code

    assert (send(), send(**extra)) == (200, 400)
