"""Arguments that only some formats have are sent where those have them, and `auto` considers them."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

from langchain_core.messages import AIMessage, HumanMessage

from cfaig_integrations import errors
from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.models import METHODS, send

FRAMEWORKS = {"langchain": ChatCloudflareAIGateway, "llama_index": CloudflareAIGateway}
every_framework = pytest.mark.parametrize("framework", FRAMEWORKS)
SECRET = "hush-hush-1"


SERVERS = [{"type": "url", "name": "docs", "url": "https://x.example", "authorization_token": SECRET}]
EDITS = {"edits": [{"type": "clear_tool_uses_20250919"}]}
COMPACTION = [{"type": "compaction", "compact_threshold": 9000}]
# Argument and value, the format that `auto` chooses, and what the body has.
PLACES: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"verbosity": "low"}, "chat/completions", {"verbosity": "low"}),
    ({"verbosity": "low", "truncation": "auto"}, "responses", {"text": {"verbosity": "low"}, "truncation": "auto"}),
    ({"logit_bias": {50256: -100}}, "chat/completions", {"logit_bias": {"50256": -100}}),
    ({"include": ["message.output_text.logprobs"]}, "responses", {"include": ["message.output_text.logprobs"]}),
    (
        {"include": ["message.output_text.logprobs"], "logprobs": True},
        "responses",
        {"include": ["message.output_text.logprobs"]},
    ),
    ({"context_management": COMPACTION}, "responses", {"context_management": COMPACTION}),
    ({"prompt_cache_key": "k"}, "chat/completions", {"prompt_cache_key": "k"}),
    ({"prompt_cache_retention": "24h"}, "chat/completions", {"prompt_cache_retention": "24h"}),
    (
        {"prompt_cache_options": {"mode": "explicit"}},
        "chat/completions",
        {"prompt_cache_options": {"mode": "explicit"}},
    ),
    ({"effort": "low"}, "chat/completions", {"reasoning_effort": "low"}),
    ({"effort": "low", "truncation": "auto"}, "responses", {"reasoning": {"effort": "low"}}),
]
ANTHROPIC: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"effort": "low"}, "messages", {"output_config": {"effort": "low"}}),
    (
        {"effort": "low", "output_config": {"task_budget": {"type": "tokens", "total": 9000}}},
        "messages",
        {"output_config": {"effort": "low", "task_budget": {"type": "tokens", "total": 9000}}},
    ),
    ({"mcp_servers": SERVERS}, "messages", {"mcp_servers": SERVERS}),
    ({"container": "c1"}, "messages", {"container": "c1"}),
    ({"inference_geo": "us"}, "messages", {"inference_geo": "us"}),
    ({"context_management": EDITS}, "messages", {"context_management": EDITS}),
]
CASES = [("openai/gpt-5.4", *place) for place in PLACES] + [("anthropic/claude-haiku-4.5", *row) for row in ANTHROPIC]


@every_framework
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda case: "-".join(CASES[case][1]))
async def test_an_argument_is_sent_where_the_format_has_it(
    simulator: Simulator, framework: str, method: str, case: int
) -> None:
    model, arguments, path, expected = CASES[case]
    simulator.fault("gateway_rate_limit", times=None)  # only the body of the request matters
    create = FRAMEWORKS[framework]
    for constructor, call in ((arguments, {}), ({}, arguments)):
        with pytest.raises(errors.RateLimited):
            await send(create(model=model, max_retries=0, **where(simulator), **constructor), method, **call)
        request = simulator.requests[-1]
        assert request.path.endswith(path)
        assert {key: request.body.get(key) for key in expected} == expected


BETAS: list[tuple[dict[str, Any], str]] = [
    ({"betas": ["a-1", "b-2"]}, "a-1,b-2"),
    ({"mcp_servers": SERVERS}, "mcp-client-2025-11-20"),
    ({"mcp_servers": SERVERS, "betas": ["mcp-client-2025-11-20"]}, "mcp-client-2025-11-20"),
    ({"extra_body": {"mcp_servers": SERVERS}}, "mcp-client-2025-11-20"),
    ({"context_management": EDITS}, "context-management-2025-06-27"),
    ({"output_config": {"task_budget": {"type": "tokens", "total": 9}}}, "task-budgets-2026-03-13"),
    ({"tools": [{"type": "memory_20250818", "name": "memory"}]}, "context-management-2025-06-27"),
    (
        {
            "tools": [
                {"type": "web_fetch_20250910", "name": "web_fetch"},
                {"type": "mcp_toolset", "mcp_server_name": "a"},
            ]
        },
        "web-fetch-2025-09-10,mcp-client-2025-11-20",
    ),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, ""),
    ({"extra_body": {"betas": ["a-1"]}}, "a-1"),
    ({"model_kwargs": {"betas": ["a-1"]}, "betas": ["b-2"]}, "b-2,a-1"),
    ({"extra_headers": {"Anthropic-Beta": "a-1, b-2"}}, "a-1, b-2"),
    ({"extra_headers": {"Anthropic-Beta": "a-1, b-2"}, "betas": ["b-2", "c-3"]}, "a-1,b-2,c-3"),
    ({"extra_headers": {"anthropic-beta": "a-1"}, "mcp_servers": SERVERS}, "a-1,mcp-client-2025-11-20"),
    ({}, ""),
]


@every_framework
@pytest.mark.parametrize(("arguments", "header"), BETAS)
@pytest.mark.parametrize("api", ["messages", "run"])
async def test_beta_features_are_named_in_a_header(
    simulator: Simulator, framework: str, arguments: dict[str, Any], header: str, api: str
) -> None:
    simulator.fault("gateway_rate_limit", times=None)
    model = FRAMEWORKS[framework](model="anthropic/claude-haiku-4.5", api=api, max_retries=0, **where(simulator))
    with pytest.raises(errors.RateLimited):
        await send(model, "whole", **arguments)
    assert simulator.requests[-1].headers.get("anthropic-beta", "") == header
    assert "betas" not in simulator.requests[-1].body


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("openai/gpt-4.1", {"betas": ["a"]}, "messages"),
    ("openai/gpt-4.1", {"mcp_servers": SERVERS}, "messages"),
    ("openai/gpt-4.1", {"context_management": EDITS}, "messages"),
    ("anthropic/claude-haiku-4.5", {"verbosity": "low"}, "responses"),
    ("anthropic/claude-haiku-4.5", {"prompt_cache_key": "k"}, "cache_control"),
    ("anthropic/claude-haiku-4.5", {"effort": "low", "output_config": {"effort": "high"}}, "Pass one of them"),
    ("anthropic/claude-haiku-4.5", {"mcp_servers": {"authorization_token": SECRET}}, "list"),
    ("google/gemini-3-flash", {"truncation": "auto"}, "responses"),
    ("openai/gpt-4.1", {"logit_bias": {"1": 101}}, "100"),
]


@every_framework
@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_an_argument_that_the_model_has_no_place_for_is_refused(
    simulator: Simulator, framework: str, case: int
) -> None:
    model, arguments, remedy = REFUSED[case]
    llm: Any = FRAMEWORKS[framework](model=model, **where(simulator))
    with pytest.raises(errors.ConfigError, match=remedy) as caught:
        llm.invoke("Hi", **arguments) if framework == "langchain" else llm.complete("Hi", **arguments)
    assert caught.value.field in arguments
    assert SECRET not in f"{caught.value!r} {caught.value.value!r}"
    assert not simulator.requests


@every_framework
def test_keys_of_mcp_servers_are_not_printed(framework: str) -> None:
    model = FRAMEWORKS[framework](
        model="anthropic/claude-haiku-4.5", mcp_servers=SERVERS, account_id="a", api_token="t"
    )
    assert SECRET not in repr(model)


SCREENSHOT = {"type": "computer_screenshot", "image_url": "data:image/png;base64,iVBORw0="}
EXIT = {"type": "exit", "exit_code": 0}
# Type of an answer, what the call has, what the answer has.
ANSWERS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "computer_call_output",
        {"action": {"type": "screenshot"}, "pending_safety_checks": []},
        {"call_id": "call_1", "output": SCREENSHOT},
    ),
    (
        "shell_call_output",
        {"action": {"commands": ["ls"]}},
        {"call_id": "call_1", "output": [{"stdout": "a", "stderr": "", "outcome": EXIT}]},
    ),
    (
        "local_shell_call_output",
        {"action": {"type": "exec", "command": ["ls"], "env": {}}},
        {"id": "call_1", "output": "a"},
    ),
    (
        "apply_patch_call_output",
        {"operation": {"type": "delete_file", "path": "a"}},
        {"call_id": "call_1", "status": "completed", "output": "Done."},
    ),
]


@pytest.mark.parametrize(("kind", "call", "answer"), ANSWERS)
def test_answers_to_native_tools_are_sent_as_items(
    simulator: Simulator, kind: str, call: dict[str, Any], answer: dict[str, Any]
) -> None:
    item = {"type": kind, **answer}
    native = {"type": kind.removesuffix("_output"), "id": "i1", "call_id": "call_1", "status": "completed", **call}
    message = AIMessage([native], response_metadata={"model_provider": "openai"})
    simulator.fault("gateway_rate_limit", times=None)
    model = ChatCloudflareAIGateway(model="openai/gpt-5.4", api="responses", max_retries=0, **where(simulator))
    with pytest.raises(errors.RateLimited):
        model.invoke([HumanMessage("Do it."), message, HumanMessage([item])])
    assert simulator.requests[-1].body["input"][1:] == [native, item]


def test_an_approval_is_sent_as_an_item(simulator: Simulator) -> None:
    item = {"type": "mcp_approval_response", "approve": True, "approval_request_id": "mcpr_1"}
    simulator.fault("gateway_rate_limit", times=None)
    model = ChatCloudflareAIGateway(model="openai/gpt-5.4", max_retries=0, **where(simulator))
    with pytest.raises(errors.RateLimited):
        model.invoke([HumanMessage([item])])
    assert simulator.requests[-1].path.endswith("responses")
    assert item in simulator.requests[-1].body["input"]
