"""What each format cannot carry: its encoder raises the first of the errors that `limits` yields."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NamedTool, NativeTool, OutputSchema
from cfaig_integrations.core.content import (
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Wire,
    extras_of,
)
from cfaig_integrations.errors import UnsupportedContent
from cfaig_integrations.wire.codec import PLAIN, Quirks
from cfaig_integrations.wire.limits import unchecked_limits
from cfaig_integrations.wire.registry import codec

BODIES: tuple[Literal["native", "chat_completions", "responses", "messages"], ...] = (
    "native",
    "chat_completions",
    "responses",
    "messages",
)
HELLO = Turn("user", (Text("Hello"),))


def turn(*parts: Any, role: Role = "user", name: str = "") -> dict[str, Any]:
    return {"turns": (HELLO, Turn(role, parts, name=name), HELLO)}


NONE: frozenset[Wire] = frozenset()
CHAT: frozenset[Wire] = frozenset({"chat_completions"})
RESPONSES: frozenset[Wire] = frozenset({"responses"})
MESSAGES: frozenset[Wire] = frozenset({"messages"})
ALL = CHAT | RESPONSES | MESSAGES
OTHERS = RESPONSES | MESSAGES
ADD = FunctionTool("add", "Adds.", {"type": "object", "properties": {}})

CASES: dict[str, tuple[frozenset[Wire], dict[str, Any]]] = {
    "nothing": (NONE, {}),
    "temperature": (NONE, {"temperature": 0.0}),
    "top_p": (NONE, {"top_p": 1.0}),
    "max_tokens 16": (NONE, {"max_tokens": 16}),
    "max_tokens 15": (RESPONSES, {"max_tokens": 15}),
    "top_k": (RESPONSES, {"top_k": 0}),
    "stop": (RESPONSES, {"stop": ("END",)}),
    "seed": (MESSAGES | RESPONSES, {"seed": 0}),
    "frequency_penalty": (MESSAGES | RESPONSES, {"frequency_penalty": 0.0}),
    "presence_penalty": (MESSAGES | RESPONSES, {"presence_penalty": 0.0}),
    "n 1": (NONE, {"n": 1}),
    "n 2": (MESSAGES | RESPONSES, {"n": 2}),
    "logprobs": (MESSAGES, {"logprobs": True}),
    "no logprobs": (NONE, {"logprobs": False}),
    "top_logprobs": (MESSAGES, {"top_logprobs": 2}),
    "reasoning_effort": (NONE, {"reasoning_effort": "low"}),
    "thinking": (CHAT | RESPONSES, {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
    "reasoning effort": (MESSAGES, {"reasoning": {"effort": "low"}}),
    "reasoning summary": (CHAT | MESSAGES, {"reasoning": {"effort": "low", "summary": "auto"}}),
    "service_tier": (NONE, {"service_tier": "auto"}),
    "store": (MESSAGES, {"store": False}),
    "previous_response_id": (CHAT | MESSAGES, {"previous_response_id": "r"}),
    "verbosity": (MESSAGES, {"verbosity": "low"}),
    "logit_bias": (MESSAGES | RESPONSES, {"logit_bias": {"5": 1}}),
    "prompt_cache_key": (MESSAGES, {"prompt_cache_key": "k"}),
    "prompt_cache_retention": (MESSAGES, {"prompt_cache_retention": "24h"}),
    "prompt_cache_options": (MESSAGES, {"prompt_cache_options": {"mode": "explicit"}}),
    "include": (CHAT | MESSAGES, {"include": ["reasoning.encrypted_content"]}),
    "truncation": (CHAT | MESSAGES, {"truncation": "auto"}),
    "context_management as a list": (CHAT | MESSAGES, {"context_management": [{"type": "compaction"}]}),
    "context_management as an object": (CHAT | RESPONSES, {"context_management": {"edits": []}}),
    "output_config": (CHAT | RESPONSES, {"output_config": {"effort": "low"}}),
    "mcp_servers": (CHAT | RESPONSES, {"mcp_servers": [{"type": "url", "name": "n", "url": "https://x"}]}),
    "container": (CHAT | RESPONSES, {"container": "c1"}),
    "inference_geo": (CHAT | RESPONSES, {"inference_geo": "us"}),
    "betas": (CHAT | RESPONSES, {"betas": ["b"]}),
    "schema": (NONE, {"output": OutputSchema({"type": "object"})}),
    "any json": (MESSAGES, {"output": OutputSchema(None)}),
    "image by address": (NONE, turn(Media("image", url="https://a/b.png"))),
    "image by bytes": (NONE, turn(Media("image", data="AAAA", mime="image/png"))),
    "image by id": (CHAT, turn(Media("image", file_id="f"))),
    "audio": (MESSAGES | RESPONSES, turn(Media("audio", data="AAAA", mime="audio/wav"))),
    "video": (ALL, turn(Media("video", url="https://a/b.mp4"))),
    "file by address": (CHAT, turn(Media("file", url="https://a/b.pdf"))),
    "file by id": (NONE, turn(Media("file", file_id="f"))),
    "pdf": (NONE, turn(Media("file", data="AAAA", mime="application/pdf"))),
    "text file": (NONE, turn(Media("file", data="AAAA", mime="text/plain"))),
    "spreadsheet": (MESSAGES, turn(Media("file", data="AAAA", mime="application/vnd.ms-excel"))),
    "a named user": (NONE, turn(Text("I"), name="ann")),
    "a named assistant": (NONE, turn(Text("I"), role="assistant", name="bot")),
    "instructions before": (NONE, {"turns": (Turn("system", (Text("Be brief."),)), HELLO)}),
    "instructions later": (MESSAGES, {"turns": (HELLO, Turn("system", (Text("Be brief."),)), HELLO)}),
    "a call and its result": (
        NONE,
        {
            "turns": (
                HELLO,
                Turn("assistant", (ToolCall("c1", "add", "{}"),)),
                Turn("tool", (ToolResult("c1", (Text("1"), Media("image", data="AAAA", mime="image/png"))),)),
            )
        },
    ),
}


@pytest.mark.parametrize("wire", sorted(ALL))
@pytest.mark.parametrize("name", CASES)
def test_a_format_refuses_what_it_cannot_carry(name: str, wire: Wire) -> None:
    refusing, fields = CASES[name]
    request = ChatRequest(model="acme/m", **{"turns": (HELLO,), **fields})
    errors = list(codec(wire).limits(request, PLAIN))
    assert bool(errors) == (wire in refusing)
    if errors:
        assert all(error.remedy for error in errors)
        with pytest.raises(type(errors[0]), match=re.escape(str(errors[0]))):
            codec(wire).encode(request, stream=False)
    else:
        assert codec(wire).encode(request, stream=False)


IMAGE = Media("image", data="AAAA", mime="image/png")
AUDIO = Media("audio", data="AAAA", mime="audio/wav")
MARK = extras_of("messages", cache_control={"type": "ephemeral"})

# Role, part, the formats that refuse it there.
PARTS: list[tuple[Role, Part, frozenset[Wire]]] = [
    ("user", Text("a", extras=MARK), NONE),
    ("user", Reasoning("hm"), ALL),
    ("user", ToolCall("c", "f", "{}"), ALL),
    ("user", Refusal("no"), CHAT | RESPONSES),
    ("user", ToolResult("c", (IMAGE,)), NONE),
    ("user", ToolResult("c", (Media("video", url="https://a/b"),)), ALL),
    ("user", Media("image", data="AAAA"), ALL),
    ("user", Media("file", data="AAAA"), ALL),
    ("user", Media("audio", data="AAAA"), ALL),
    ("user", Media("audio", url="https://a/b.wav"), ALL),
    ("user", Media("audio", file_id="f"), ALL),
    ("user", Media("image", data="AAAA", mime="image/tiff"), MESSAGES),
    ("user", Media("file", data="AAAA", mime="application/zip"), MESSAGES),
    ("user", Opaque("chat_completions", {"type": "video_url"}), MESSAGES | RESPONSES),
    ("user", Opaque("messages", {"type": "container_upload"}), CHAT | RESPONSES),
    ("user", Opaque("responses", {"type": "computer_call_output"}), CHAT | MESSAGES),
    ("user", Opaque("responses", {"type": "web_search_call"}), NONE),
    ("user", Opaque("run", {"executableCode": {}}), NONE),
    ("system", Text("a", extras=MARK), NONE),
    ("system", Text("a", extras=extras_of("messages", citations={"enabled": True})), MESSAGES),
    ("system", IMAGE, MESSAGES),
    ("system", Reasoning("hm"), ALL),
    ("assistant", IMAGE, ALL),
    ("assistant", AUDIO, ALL),
    ("assistant", Media("audio", data="AAAA", mime="audio/wav", extras=extras_of("chat_completions", id="a")), OTHERS),
    ("assistant", ToolResult("c", ()), CHAT | MESSAGES),
    ("assistant", Refusal("no"), NONE),
    ("assistant", Opaque("messages", {"type": "new_block"}), CHAT | RESPONSES),
    ("assistant", Opaque("messages", {"type": "server_tool_use"}), NONE),
    ("tool", Text("a"), CHAT | RESPONSES),
    ("tool", IMAGE, CHAT | RESPONSES),
    ("tool", ToolResult("c", (Text("a"), Opaque("responses", {"type": "web_search_call"}))), NONE),
    ("tool", ToolResult("c", (Opaque("messages", {"type": "search_result"}),)), CHAT | RESPONSES),
]


@pytest.mark.parametrize("wire", sorted(ALL))
@pytest.mark.parametrize(("role", "part", "refusing"), PARTS)
def test_a_turn_contains_what_its_role_can_say(role: Role, part: Part, refusing: frozenset[Wire], wire: Wire) -> None:
    request = ChatRequest("acme/m", (Turn(role, (part, Text("a")) if role != "tool" else (part,)), HELLO))
    errors = list(codec(wire).limits(request, PLAIN))
    assert bool(errors) == (wire in refusing)
    if errors:
        assert isinstance(errors[0], UnsupportedContent)
        assert errors[0].remedy
        with pytest.raises(UnsupportedContent, match=re.escape(str(errors[0]))):
            codec(wire).encode(request, stream=False)
    else:
        assert codec(wire).encode(request, stream=False)


# Quirks of a model, fields, the field that the error names, the formats that refuse them.
MODELS: list[tuple[Quirks, dict[str, Any], str, frozenset[Wire]]] = [
    (Quirks(refused=frozenset({"top_p"})), {"top_p": 0.5}, "top_p", ALL),
    (Quirks(efforts=("low", "high")), {"reasoning_effort": "high"}, "", NONE),
    (Quirks(efforts=("low", "high")), {"reasoning_effort": "minimal"}, "reasoning_effort", ALL),
    (Quirks(json_object=False), {"output": OutputSchema(None)}, "output", ALL),
    (Quirks(adaptive_thinking=True), {"thinking": {"type": "enabled"}}, "thinking", ALL),
    (Quirks(thinking_switch="enable_thinking"), {"thinking": {"type": "enabled"}}, "thinking", RESPONSES),
    (Quirks(thinking_switch="thinking"), {"thinking": {"type": "disabled"}}, "thinking", RESPONSES),
    (Quirks(thinking_switch="thinking"), {"thinking": {"type": "adaptive"}}, "thinking", CHAT | RESPONSES),
    (Quirks(thinking_switch="thinking"), {"thinking": {}}, "thinking", CHAT | RESPONSES),
    (Quirks(data_urls_only=True), {"turns": (Turn("user", (IMAGE,)),)}, "", NONE),
    (Quirks(data_urls_only=True), {"turns": (Turn("user", (Media("image", url="https://a/b.png"),)),)}, "url", ALL),
    (Quirks(no_forced_tool=True), {"tools": (ADD,), "tool_choice": "auto"}, "", NONE),
    (Quirks(no_forced_tool=True), {"tools": (ADD,), "tool_choice": "required"}, "tool_choice", ALL),
    (Quirks(no_forced_tool=True), {"tools": (ADD,), "tool_choice": NamedTool("add")}, "tool_choice", ALL),
    (Quirks(no_forced_tool=True), {"tool_choice": "required"}, "", NONE),
    (Quirks(required_as_named=True), {"tools": (ADD,), "tool_choice": "required"}, "", NONE),
    (Quirks(required_as_named=True), {"tools": (ADD, ADD), "tool_choice": "required"}, "tool_choice", ALL),
]


@pytest.mark.parametrize("wire", sorted(ALL))
@pytest.mark.parametrize(("quirks", "fields", "field", "refusing"), MODELS)
def test_a_model_refuses_what_its_quirks_rule_out(
    quirks: Quirks, fields: dict[str, Any], field: str, refusing: frozenset[Wire], wire: Wire
) -> None:
    request = ChatRequest("acme/m", **{"turns": (HELLO,), **fields})
    errors = list(codec(wire).limits(request, quirks))
    assert {error.field for error in errors} == ({field} if wire in refusing else set())
    assert all(error.remedy for error in errors)


@pytest.mark.parametrize(
    ("name", "formats"),
    [
        ("logit_bias", CHAT),
        ("verbosity", CHAT),
        ("include", RESPONSES),
        ("truncation", RESPONSES),
        ("context_management", RESPONSES | MESSAGES),
        ("cache_control", ALL),
        ("unheard_of", ALL),
    ],
)
@pytest.mark.parametrize("wire", sorted(ALL))
def test_foreign_body_fields_are_avoided_but_sent(name: str, formats: frozenset[Wire], wire: Wire) -> None:
    request = ChatRequest("acme/m", (HELLO,), extra_body={name: 1})
    assert [error.value for error in unchecked_limits(request, wire)] == ([] if wire in formats else [name])
    assert codec(wire).encode(request, stream=False)[name] == 1


@pytest.mark.parametrize(
    ("raw", "owner"),
    [
        ({"type": "web_search_20250305", "name": "web_search"}, "messages"),
        ({"type": "bash_20250124", "name": "bash"}, "messages"),
        ({"type": "mcp_toolset", "mcp_server_name": "a"}, "messages"),
        ({"name": "a", "input_schema": {}}, "messages"),
        ({"type": "custom", "name": "a", "input_schema": {}}, "messages"),
        ({"type": "web_search"}, "responses"),
        ({"type": "web_search_preview"}, "responses"),
        ({"type": "web_search_preview_2025_03_11"}, "responses"),
        ({"type": "file_search", "vector_store_ids": []}, "responses"),
        ({"type": "code_interpreter"}, "responses"),
        ({"type": "image_generation"}, "responses"),
        ({"type": "mcp", "server_label": "a"}, "responses"),
        ({"type": "custom", "name": "a"}, "responses"),
        ({"type": "function", "name": "a", "parameters": {}}, "responses"),
        ({"type": "function", "function": {"name": "a"}}, "chat_completions"),
        ({"type": "custom", "custom": {"name": "a"}}, "chat_completions"),
        ({"type": "unheard_of"}, None),
        ({"googleSearch": {}}, None),
    ],
)
@pytest.mark.parametrize("wire", sorted(ALL))
def test_foreign_native_tools_are_avoided_but_sent(raw: dict[str, Any], owner: Wire | None, wire: Wire) -> None:
    request = ChatRequest("acme/m", (HELLO,), tools=(NativeTool(raw),))
    assert [error.value for error in unchecked_limits(request, wire)] == ([] if owner in (None, wire) else [raw])
    assert codec(wire).encode(request, stream=False)["tools"] == [raw]


def test_run_has_the_limits_of_the_models_format() -> None:
    request = ChatRequest("acme/m", (HELLO,), seed=1, previous_response_id="resp_1")
    fields = {body: [error.field for error in codec("run").limits(request, Quirks(run_body=body))] for body in BODIES}
    assert fields == {
        "native": ["previous_response_id"],
        "chat_completions": ["previous_response_id"],
        "responses": ["seed"],
        "messages": ["seed", "previous_response_id"],
    }
