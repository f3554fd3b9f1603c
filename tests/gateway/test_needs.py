"""`needs` against the wires themselves: it says of each what that wire's encoder says by raising."""

from __future__ import annotations

from typing import Any

import pytest

from cfaig_integrations.core.chat import ChatRequest, NativeTool, OutputSchema
from cfaig_integrations.core.content import Media, Role, Text, ToolCall, ToolResult, Turn, Wire
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.models.requirements import needs_of
from cfaig_integrations.wire.registry import codec

HELLO = Turn("user", (Text("Hello"),))


def turn(*parts: Any, role: Role = "user", name: str = "") -> dict[str, Any]:
    return {"turns": (HELLO, Turn(role, parts, name=name), HELLO)}


CASES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "temperature": {"temperature": 0.0},
    "top_p": {"top_p": 1.0},
    "max_tokens 16": {"max_tokens": 16},
    "max_tokens 15": {"max_tokens": 15},
    "top_k": {"top_k": 0},
    "stop": {"stop": ("END",)},
    "seed": {"seed": 0},
    "frequency_penalty": {"frequency_penalty": 0.0},
    "presence_penalty": {"presence_penalty": 0.0},
    "n 1": {"n": 1},
    "n 2": {"n": 2},
    "logprobs": {"logprobs": True},
    "no logprobs": {"logprobs": False},
    "top_logprobs": {"top_logprobs": 2},
    "reasoning_effort": {"reasoning_effort": "low"},
    "thinking": {"thinking": {"type": "enabled", "budget_tokens": 2048}},
    "reasoning effort": {"reasoning": {"effort": "low"}},
    "reasoning summary": {"reasoning": {"effort": "low", "summary": "auto"}},
    "service_tier": {"service_tier": "auto"},
    "store": {"store": False},
    "previous_response_id": {"previous_response_id": "r"},
    "schema": {"output": OutputSchema({"type": "object"})},
    "any json": {"output": OutputSchema(None)},
    "image by address": turn(Media("image", url="https://a/b.png")),
    "image by bytes": turn(Media("image", data="AAAA", mime="image/png")),
    "image by id": turn(Media("image", file_id="f")),
    "audio": turn(Media("audio", data="AAAA", mime="audio/wav")),
    "video": turn(Media("video", url="https://a/b.mp4")),
    "file by address": turn(Media("file", url="https://a/b.pdf")),
    "file by id": turn(Media("file", file_id="f")),
    "pdf": turn(Media("file", data="AAAA", mime="application/pdf")),
    "text file": turn(Media("file", data="AAAA", mime="text/plain")),
    "spreadsheet": turn(Media("file", data="AAAA", mime="application/vnd.ms-excel")),
    "a named user": turn(Text("I"), name="ann"),
    "a named assistant": turn(Text("I"), role="assistant", name="bot"),
    "instructions before": {"turns": (Turn("system", (Text("Be brief."),)), HELLO)},
    "instructions later": {"turns": (HELLO, Turn("system", (Text("Be brief."),)), HELLO)},
    "a call and its result": {
        "turns": (
            HELLO,
            Turn("assistant", (ToolCall("c1", "add", "{}"),)),
            Turn("tool", (ToolResult("c1", (Text("1"), Media("image", data="AAAA", mime="image/png"))),)),
        )
    },
}


@pytest.mark.parametrize("wire", ["chat_completions", "responses", "messages"])
@pytest.mark.parametrize("name", CASES)
def test_needs_and_encoders_say_the_same(name: str, wire: Wire) -> None:
    request = ChatRequest(model="acme/m", **{"turns": (HELLO,), **CASES[name]})
    try:
        codec(wire).encode(request, stream=False)
    except ConfigError:
        refused = True
    else:
        refused = False
    assert (wire in needs_of(request).refused_by) is refused


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
def test_a_native_tool_belongs_to_the_wire_in_whose_words_it_is(raw: dict[str, Any], owner: Wire | None) -> None:
    every = {"chat_completions", "responses", "messages"}
    needs = needs_of(ChatRequest("acme/m", (HELLO,), tools=(NativeTool(raw),)))
    assert needs.refused_by == (every - {owner} if owner else set())
