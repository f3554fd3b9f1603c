"""Requests on the Responses wire."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NamedTool, NativeTool, OutputSchema
from cfaig_integrations.core.content import (
    Media,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.jsonio import dump
from tests.wire.harness import needs_complete_recordings, validate_request
from tests.wire.responses_forms import CODEC, HELLO, OUTPUTS, PNG, assistant, body_of, response

WEATHER = FunctionTool("weather", "The weather.", {"type": "object", "properties": {}})


def test_unset_fields_are_omitted() -> None:
    assert body_of() == {"model": "m", "input": [{"role": "user", "content": "hello"}]}


def test_streaming_is_requested() -> None:
    assert CODEC.encode(ChatRequest("m", (HELLO,)), stream=True)["stream"] is True


FIELDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"temperature": 0.0}, {"temperature": 0.0}),
    ({"top_p": 0.5}, {"top_p": 0.5}),
    ({"max_tokens": 16}, {"max_output_tokens": 16}),
    ({"service_tier": "flex"}, {"service_tier": "flex"}),
    ({"verbosity": "low"}, {"text": {"verbosity": "low"}}),
    ({"include": ["a"]}, {"include": ["a"]}),
    ({"truncation": "auto"}, {"truncation": "auto"}),
    ({"context_management": [{"type": "compaction"}]}, {"context_management": [{"type": "compaction"}]}),
    ({"prompt_cache_key": "k"}, {"prompt_cache_key": "k"}),
    ({"prompt_cache_retention": "24h"}, {"prompt_cache_retention": "24h"}),
    ({"prompt_cache_options": {"mode": "explicit"}}, {"prompt_cache_options": {"mode": "explicit"}}),
    ({"store": True}, {"store": True}),
    ({"store": False}, {"store": False}),
    ({"previous_response_id": "resp_1"}, {"previous_response_id": "resp_1"}),
    ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
    ({"reasoning": {"summary": "auto"}}, {"reasoning": {"summary": "auto"}}),
    (
        {"reasoning": {"summary": "auto"}, "reasoning_effort": "low"},
        {"reasoning": {"summary": "auto", "effort": "low"}},
    ),
    ({"reasoning": {"effort": "low"}, "reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
    ({"logprobs": True, "top_logprobs": 3}, {"include": ["message.output_text.logprobs"], "top_logprobs": 3}),
    ({"logprobs": False}, {}),
    ({"n": 1}, {}),
    ({"stream_usage": False}, {}),
    (
        {"store": False, "reasoning_effort": "low"},
        {"store": False, "reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]},
    ),
    ({"store": False, "reasoning_effort": "none"}, {"store": False, "reasoning": {"effort": "none"}}),
    ({"output": OutputSchema(None)}, {"text": {"format": {"type": "json_object"}}}),
    ({"output": OutputSchema({"type": "object"}, loose=True)}, {"text": {"format": {"type": "json_object"}}}),
    (
        {"output": OutputSchema({"type": "object"})},
        {"text": {"format": {"type": "json_schema", "name": "answer", "schema": {"type": "object", "properties": {}}}}},
    ),
    (
        {"output": OutputSchema({}, "plan", "A plan.", strict=False)},
        {
            "text": {
                "format": {
                    "type": "json_schema",
                    "name": "plan",
                    "schema": {},
                    "description": "A plan.",
                    "strict": False,
                }
            }
        },
    ),
    ({"extra_body": {"truncation": "auto", "model": "n"}}, {"truncation": "auto", "model": "n"}),
    ({"temperature": 0.1, "extra_body": {"temperature": 0.2}}, {"temperature": 0.2}),
]


@pytest.mark.parametrize(("fields", "expected"), FIELDS)
def test_body_field_of_each_request_field(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert body_of(**fields) == {**body_of(), **expected}


def test_every_request_field_is_covered() -> None:
    """A field that is new in `ChatRequest` fails here until the wire has a place for it, or raises."""
    known = {
        "model",
        "turns",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "items_by_id",
        *(key for fields, _ in FIELDS for key in fields),
    }
    absent = {"stop", "seed", "top_k", "frequency_penalty", "presence_penalty", "thinking", "logit_bias"}
    absent |= {"output_config", "mcp_servers", "container", "inference_geo", "betas"}
    absent |= {"continues"}  # its turns have `previous_response_id` instead
    assert known | absent == set(ChatRequest.__dataclass_fields__)


# Tools


def test_strict_is_always_sent() -> None:
    strict = replace_tool(WEATHER, strict=True)
    tools = body_of(tools=(WEATHER, strict))["tools"]
    assert [tool["strict"] for tool in tools] == [False, True]
    assert tools[0] == {
        "type": "function",
        "name": "weather",
        "description": "The weather.",
        "parameters": {"type": "object", "properties": {}},
        "strict": False,
    }


def replace_tool(tool: FunctionTool, **changes: Any) -> FunctionTool:
    return replace(tool, **changes)


def test_extras_of_this_format_are_keys_of_the_tool() -> None:
    tool = replace_tool(WEATHER, description="", extras={"responses": {"async": True}, "messages": {"x": 1}})
    assert body_of(tools=(tool,))["tools"] == [
        {
            "type": "function",
            "name": "weather",
            "parameters": WEATHER.parameters,
            "strict": False,
            "async": True,
        }
    ]


def test_native_tools_are_sent_unchanged() -> None:
    raw = {"type": "mcp", "server_label": "docs", "server_url": "https://example.org", "require_approval": "never"}
    assert body_of(tools=(NativeTool(raw), WEATHER))["tools"][0] == raw


def test_a_tool_is_encoded_once_and_its_form_dies_with_it() -> None:
    tool = replace_tool(WEATHER, name="once")
    assert body_of(tools=(tool,))["tools"][0] is body_of(tools=(tool,))["tools"][0]
    alive = weakref.ref(tool)
    del tool
    gc.collect()
    assert alive() is None


CUSTOM = NativeTool({"type": "custom", "name": "python"})
SEARCH_TOOL = NativeTool({"type": "web_search"})
MCP = NativeTool({"type": "mcp", "server_label": "docs", "server_url": "https://example.org"})


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        (NamedTool("weather"), {"type": "function", "name": "weather"}),
        (NamedTool("python"), {"type": "custom", "name": "python"}),
        (NamedTool("web_search"), {"type": "web_search"}),
        (NamedTool("docs"), {"type": "mcp", "server_label": "docs"}),
    ],
)
def test_tool_choice(choice: Any, expected: Any) -> None:
    assert body_of(tools=(WEATHER, CUSTOM, SEARCH_TOOL, MCP), tool_choice=choice)["tool_choice"] == expected


def test_required_becomes_the_name_of_a_single_tool_only() -> None:
    quirks = Quirks(required_as_named=True)
    assert body_of(tools=(WEATHER,), tool_choice="required", quirks=quirks)["tool_choice"] == {
        "type": "function",
        "name": "weather",
    }
    with pytest.raises(ConfigError, match="tool_choice"):
        body_of(tools=(WEATHER, CUSTOM), tool_choice="required", quirks=quirks)


# Official types

_TEXT = st.text(max_size=8)
_MEDIA = st.sampled_from(
    [
        replace(PNG, extras={"responses": {"detail": "auto"}}),
        Media("image", file_id="f", extras={"responses": {"detail": "low"}}),
        Media("file", data="JVBE", mime="application/pdf"),
        Media("file", url="https://x/y.pdf"),
    ]
)
_CONTENT = st.lists(st.one_of(st.builds(Text, _TEXT), _MEDIA), min_size=1, max_size=3).map(tuple)
_REPLY = st.sampled_from(
    ["a text", "two parts and a citation", "a phase", "hidden reasoning", "calls side by side", "raw reasoning"]
).map(lambda what: CODEC.decode(dump(response(*OUTPUTS[what]))).turn)
_OTHER_FORMAT = st.sampled_from(
    [assistant(Text("a"), ToolCall("a", "f", "{}")), assistant(Reasoning("x"), Text("a")), assistant(Refusal("no"))]
)
_TURN = st.one_of(
    st.builds(Turn, st.sampled_from(["user", "system"]), _CONTENT),
    st.builds(lambda parts: Turn("tool", (ToolResult("a", parts),)), _CONTENT),
    _REPLY,
    _OTHER_FORMAT,
)
_TOOLS = st.lists(st.sampled_from([WEATHER, replace_tool(WEATHER, strict=True), CUSTOM, MCP]), max_size=3).map(tuple)
_OUTPUT = st.builds(OutputSchema, st.sampled_from([None, {"type": "object"}]), strict=st.sampled_from([None, True]))
_REQUEST = st.builds(
    ChatRequest,
    model=st.just("openai/gpt-x"),
    turns=st.lists(_TURN, min_size=1, max_size=4).map(tuple),
    tools=_TOOLS,
    tool_choice=st.sampled_from([None, "auto", "none", "required", NamedTool("weather"), NamedTool("python")]),
    parallel_tool_calls=st.sampled_from([None, True, False]),
    output=st.none() | _OUTPUT,
    temperature=st.none() | st.floats(0, 2),
    max_tokens=st.none() | st.integers(16, 10**6),
    top_p=st.none() | st.floats(0, 1),
    logprobs=st.sampled_from([None, True, False]),
    top_logprobs=st.none() | st.integers(0, 20),
    reasoning_effort=st.sampled_from([None, "none", "low", "high"]),
    reasoning=st.sampled_from([None, {"summary": "auto"}]),
    service_tier=st.sampled_from([None, "auto", "flex"]),
    store=st.sampled_from([None, True, False]),
    previous_response_id=st.sampled_from([None, "resp_1"]),
)


@needs_complete_recordings
@settings(max_examples=200)
@given(request=_REQUEST, streamed=st.booleans())
def test_requests_match_the_official_types(request: ChatRequest, streamed: bool) -> None:
    assert validate_request("responses", CODEC.encode(request, stream=streamed)) == []


def test_two_different_reasoning_efforts_are_refused() -> None:
    with pytest.raises(ConfigError, match="contradicts"):
        body_of(reasoning_effort="low", reasoning={"effort": "high"})
