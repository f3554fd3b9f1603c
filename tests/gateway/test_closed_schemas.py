"""Requests to models with a closed schema contain only fields of the schema."""

from __future__ import annotations

from typing import Any

import pytest

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, OutputSchema
from cfaig_integrations.core.content import Reasoning, Text, ToolCall, ToolResult, Turn, Wire, extras_of
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.models.routes import route
from cfaig_integrations.wire.registry import codec

Json = dict[str, Any]

SCHEMA: Json = {"type": "object", "title": "A", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TOOL = FunctionTool("add", "Adds.", SCHEMA, strict=True, extras=extras_of("chat_completions", cache_control={}))
TURNS = (
    Turn("system", (Text("Be brief."),)),
    Turn("user", (Text("Add."),)),
    Turn(
        "assistant",
        (
            Reasoning("hm", extras_of("chat_completions", field="reasoning_content")),
            Text("So."),
            ToolCall("c1", "add", '{"a": "1"}', extras=extras_of("chat_completions", extra_content={"google": {}})),
        ),
        extras=extras_of("chat_completions", annotations=[{"type": "url_citation"}], audio={"id": "x"}),
    ),
    Turn("tool", (ToolResult("c1", (Text("2"),)),)),
    Turn("assistant", (Text("Done."),), extras=extras_of("chat_completions", reasoning_details=[{"type": "x"}])),
    Turn("user", (Text("Again."),)),
)

# facts §14.3, from the catalogue: where a model is offered with a closed schema, and what that names.
CLOSED: dict[str, tuple[Wire, set[str]]] = {
    "xai/grok-4.7": (
        "chat_completions",
        {
            "max_completion_tokens", "max_tokens", "n", "parallel_tool_calls", "prompt_cache_key", "reasoning_effort",
            "response_format", "search_parameters", "seed", "service_tier", "stream", "stream_options", "temperature",
            "tool_choice", "tools", "top_p", "user", "web_search_options", "model", "messages",
        },
    ),
    "minimax/m3": (
        "chat_completions",
        {
            "messages", "temperature", "max_tokens", "max_completion_tokens", "top_p", "stream", "stream_options",
            "tools", "tool_choice", "response_format", "mask_sensitive_info", "model",
        },
    ),
    "openai/gpt-5.4-pro": (
        "responses",
        {
            "input", "instructions", "max_output_tokens", "reasoning", "stream", "temperature", "text", "tools",
            "tool_choice", "top_p", "model",
        },
    ),
}  # fmt: skip
CLOSED["xai/grok-4.6"], CLOSED["openai/gpt-5.5-pro"] = CLOSED["xai/grok-4.7"], CLOSED["openai/gpt-5.4-pro"]
MESSAGE = {
    "system": {"role", "content", "name"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls", "name"},
    "tool": {"role", "content", "tool_call_id"},
}


def sent(model: str, **fields: Any) -> Json:
    request = ChatRequest(model, TURNS, tools=(TOOL,), **fields)
    chosen = route(request, api=CLOSED[model][0])
    return codec(chosen.wire).encode(request, stream=True, quirks=chosen.quirks)


@pytest.mark.parametrize("model", CLOSED)
def test_only_fields_of_the_closed_schema_are_sent(model: str) -> None:
    body = sent(
        model,
        tool_choice="auto",
        parallel_tool_calls=False,
        output=OutputSchema(SCHEMA, "a", "An A.", strict=True),
        temperature=0.5,
        max_tokens=99,
        top_p=0.5,
    )
    assert body.keys() <= CLOSED[model][1]
    for message in body.get("messages", ()):
        assert message.keys() <= MESSAGE[message["role"]]
        for call in message.get("tool_calls", ()):
            assert call.keys() == {"id", "type", "function"}
    if "response_format" in body:
        envelope = body["response_format"]["json_schema"]
        if model.startswith("xai/"):
            assert envelope.keys() <= {"name", "schema", "strict"}
        else:
            assert envelope.keys() <= {"name", "description", "schema"}
            assert envelope["schema"].keys() == {"type", "properties"}
            assert body["tools"][0]["function"].keys() == {"name", "description", "parameters"}
            assert body["tools"][0].keys() == {"type", "function"}


# Fields of a request that the body has no field for.
REFUSED: dict[str, dict[str, Any]] = {
    "xai/grok-4.7": {
        "verbosity": "low",
        "logit_bias": {"5": 1},
        "prompt_cache_retention": "24h",
        "prompt_cache_options": {"mode": "explicit"},
        "frequency_penalty": 0.1,
        "presence_penalty": 0.1,
        "logprobs": True,
        "top_logprobs": 2,
        "top_k": 4,
        "store": True,
        "stop": ("END",),
    },
    "minimax/m3": {
        "verbosity": "low",
        "logit_bias": {"5": 1},
        "prompt_cache_key": "k",
        "seed": 1,
        "n": 2,
        "logprobs": True,
        "stop": ("END",),
        "reasoning_effort": "low",
        "service_tier": "auto",
        "output": OutputSchema(None),
        "tool_choice": "required",
    },
    "openai/gpt-5.4-pro": {
        "include": ["message.input_image.image_url"],
        "truncation": "auto",
        "context_management": [{"type": "compaction"}],
        "prompt_cache_key": "k",
        "store": True,
        "service_tier": "auto",
        "top_logprobs": 2,
        "logprobs": True,
        "previous_response_id": "resp_1",
    },
}


@pytest.mark.parametrize(("model", "field"), [(model, field) for model, fields in REFUSED.items() for field in fields])
def test_a_field_that_the_closed_schema_lacks_is_rejected(model: str, field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sent(model, **{field: REFUSED[model][field]})
    assert caught.value.field == field


EFFORTS = [
    ("@cf/zai-org/glm-5.2", "none low medium high max"),
    ("@cf/qwen/qwen3-30b-a3b-fp8", "none low medium high max"),
    ("@cf/moonshotai/kimi-k2.6", "none low medium high max"),
    ("@cf/zai-org/glm-5.3-flash", "low high max"),
    ("@cf/openai/gpt-oss-20b", "low medium high"),
    ("xai/grok-4.7", "low medium high xhigh"),
    ("openai/gpt-5.4", "none low medium high"),
    ("openai/gpt-5.4-pro", "none low medium high"),
    ("openai/gpt-5.6-luna", "none low medium high"),
    ("openai/gpt-6-astra", "none low medium high"),
    ("openai/gpt-6.1-sol", "none minimal low medium high xhigh max"),
    ("anthropic/claude-opus-5.5", "low medium high xhigh max"),
    ("acme/m", "none minimal low medium high xhigh max"),
]


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
@pytest.mark.parametrize(("model", "listed"), EFFORTS)
@pytest.mark.parametrize("tools", [(), (TOOL,)])
def test_a_reasoning_effort_that_the_model_lacks_is_rejected(
    model: str, listed: str, effort: str, tools: tuple[FunctionTool, ...]
) -> None:
    request = ChatRequest(model, (Turn("user", (Text("Hello"),)),), tools=tools, reasoning_effort=effort)
    chosen = route(request)
    if effort in listed.split():
        assert effort in str(codec(chosen.wire).encode(request, stream=False, quirks=chosen.quirks))
        return
    with pytest.raises(ConfigError, match=", ".join(listed.split())) as caught:
        codec(chosen.wire).encode(request, stream=False, quirks=chosen.quirks)
    assert caught.value.field == "reasoning_effort"


SINGLE = [
    ("@cf/zai-org/glm-5.2", {"type": "function", "function": {"name": "add"}}),
    ("@cf/meta/llama-3.3-70b-instruct-fp8-fast", {"type": "function", "function": {"name": "add"}}),
    ("@cf/zai-org/glm-4.7-flash", {"type": "function", "function": {"name": "add"}}),
    ("@cf/openai/gpt-oss-120b", {"type": "function", "name": "add"}),
    ("xai/grok-4.7", "required"),
    ("openai/gpt-5.4", "required"),
]


@pytest.mark.parametrize(("model", "choice"), SINGLE)
def test_a_single_tool_is_forced_by_its_name_on_workers_ai(model: str, choice: object) -> None:
    """facts §14.4."""
    request = ChatRequest(model, TURNS[:2], tools=(TOOL,), tool_choice="required")
    chosen = route(request)
    assert codec(chosen.wire).encode(request, stream=False, quirks=chosen.quirks)["tool_choice"] == choice
