"""Requests as OpenAI's format and Cloudflare's models want them (facts §9.1-9.5, §13)."""

from __future__ import annotations

import gc
import weakref
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NamedTool, NativeTool, OutputSchema
from cfaig_integrations.core.content import (
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.chat_completions import CODEC
from cfaig_integrations.wire.codec import PLAIN, Quirks
from tests.wire.chat_kit import body
from tests.wire.harness import needs_complete_recordings, validate_request

HELLO = Turn("user", (Text("hello"),))
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
TOOL = FunctionTool("f", "does it", SCHEMA)


def hints(**values: Any) -> dict[str, Any]:
    return {"chat_completions": values}


def encoded(request: ChatRequest | None = None, quirks: Quirks = PLAIN, *, stream: bool = False, **more: Any) -> Any:
    request = request or ChatRequest("m", (HELLO,))
    return CODEC.encode(replace(request, **more), stream=stream, quirks=quirks)


def messages(*turns: Turn, quirks: Quirks = PLAIN) -> list[dict[str, Any]]:
    return encoded(ChatRequest("m", turns), quirks)["messages"]


def message_of(*parts: Part, role: Any = "user", quirks: Quirks = PLAIN) -> Any:
    (message,) = messages(Turn(role, parts), quirks=quirks)
    return message


def test_unset_fields_are_omitted() -> None:
    assert encoded() == {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


FIELDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "temperature": (0.0, {"temperature": 0.0}),
    "max_tokens": (9, {"max_tokens": 9}),
    "top_p": (0.5, {"top_p": 0.5}),
    "top_k": (5, {"top_k": 5}),
    "verbosity": ("low", {"verbosity": "low"}),
    "logit_bias": ({"5": 1.0}, {"logit_bias": {"5": 1.0}}),
    "prompt_cache_key": ("k", {"prompt_cache_key": "k"}),
    "prompt_cache_retention": ("24h", {"prompt_cache_retention": "24h"}),
    "prompt_cache_options": ({"mode": "explicit"}, {"prompt_cache_options": {"mode": "explicit"}}),
    "stop": (("a", "b"), {"stop": ["a", "b"]}),
    "seed": (0, {"seed": 0}),
    "frequency_penalty": (0.0, {"frequency_penalty": 0.0}),
    "presence_penalty": (1.0, {"presence_penalty": 1.0}),
    "n": (2, {"n": 2}),
    "logprobs": (False, {"logprobs": False}),
    "top_logprobs": (0, {"top_logprobs": 0}),
    "reasoning_effort": ("low", {"reasoning_effort": "low"}),
    "reasoning": ({"effort": "high"}, {"reasoning_effort": "high"}),
    "service_tier": ("flex", {"service_tier": "flex"}),
    "store": (False, {"store": False}),
    "tools": (
        (TOOL,),
        {"tools": [{"type": "function", "function": {"name": "f", "description": "does it", "parameters": SCHEMA}}]},
    ),
    "output": (OutputSchema(None), {"response_format": {"type": "json_object"}}),
    "extra_body": (
        {"model": "n", "options": {"rejectIfBusy": True}},
        {"model": "n", "options": {"rejectIfBusy": True}},
    ),
}
NOT_HERE: dict[str, Any] = {
    "thinking": {"type": "disabled"},
    "previous_response_id": "resp_1",
    "include": ["a"],
    "truncation": "auto",
    "context_management": [{"type": "compaction"}],
    "output_config": {"effort": "low"},
    "mcp_servers": [{"type": "url", "name": "a", "url": "https://a"}],
    "container": "c1",
    "inference_geo": "us",
    "betas": ["b"],
}


@pytest.mark.parametrize("field", FIELDS)
def test_body_field_of_each_request_field(field: str) -> None:
    value, expected = FIELDS[field]
    assert encoded(**{field: value}) == {**encoded(), **expected}


def test_every_request_field_is_covered() -> None:
    covered = {*FIELDS, *NOT_HERE, "model", "turns", "stream_usage", "tool_choice", "parallel_tool_calls"}
    covered.add("items_by_id")  # of Responses, as is
    covered.add("continues")  # this; any other wire sends the whole history, which is there
    assert {field.name for field in fields(ChatRequest)} == covered


def test_a_stream_asks_for_usage() -> None:
    assert encoded(stream=True) == {**encoded(), "stream": True, "stream_options": {"include_usage": True}}
    assert encoded(stream=True, stream_usage=False) == {**encoded(), "stream": True}


def test_name_of_max_tokens() -> None:
    assert "max_tokens" not in encoded(quirks=Quirks(max_tokens_field="max_completion_tokens"), max_tokens=9)
    assert encoded(quirks=Quirks(max_tokens_field="max_completion_tokens"), max_tokens=9)["max_completion_tokens"] == 9


OUTPUT = OutputSchema(SCHEMA, name="n", description="d", strict=True)


@pytest.mark.parametrize(
    ("output", "quirks", "expected"),
    [
        (
            OUTPUT,
            PLAIN,
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "description": "d", "strict": True}},
        ),
        (
            OutputSchema(SCHEMA),
            PLAIN,
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}},
        ),
        (
            OUTPUT,
            Quirks(strict_schema=False),
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "description": "d"}},
        ),
        (OUTPUT, Quirks(schema_form="bare"), {"type": "json_schema", "json_schema": SCHEMA}),
        (OutputSchema(SCHEMA, loose=True), PLAIN, {"type": "json_object"}),
    ],
)
def test_forms_of_a_schema(output: OutputSchema, quirks: Quirks, expected: dict[str, Any]) -> None:
    assert encoded(quirks=quirks, output=output)["response_format"] == expected


def test_guided_json() -> None:
    request = encoded(quirks=Quirks(schema_form="guided_json"), output=OUTPUT)
    assert request["guided_json"] == SCHEMA
    for any_object, sent in ((OutputSchema(None), {}), (OutputSchema(SCHEMA, loose=True), SCHEMA)):
        body = encoded(quirks=Quirks(schema_form="guided_json"), output=any_object)
        assert (body["guided_json"], "response_format" in body) == (sent, False)


def test_parallel_tool_calls_is_omitted_where_the_schema_is_closed() -> None:
    assert encoded(tools=(TOOL,), parallel_tool_calls=False)["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in encoded(
        quirks=Quirks(parallel_choice=False), tools=(TOOL,), parallel_tool_calls=False
    )


@pytest.mark.parametrize(
    ("choice", "quirks", "expected"),
    [
        ("auto", PLAIN, "auto"),
        ("required", PLAIN, "required"),
        (NamedTool("f"), PLAIN, {"type": "function", "function": {"name": "f"}}),
        ("required", Quirks(required_as_named=True), {"type": "function", "function": {"name": "f"}}),
        ("required", Quirks(single_as_named=True), {"type": "function", "function": {"name": "f"}}),
        ("auto", Quirks(no_forced_tool=True), "auto"),
        ("none", Quirks(no_forced_tool=True), "none"),
        (None, Quirks(no_forced_tool=True), None),
    ],
)
def test_forms_of_a_tool_choice(choice: Any, quirks: Quirks, expected: Any) -> None:
    assert encoded(quirks=quirks, tools=(TOOL,), tool_choice=choice).get("tool_choice") == expected


def test_choice_of_a_custom_tool() -> None:
    custom = NativeTool({"type": "custom", "custom": {"name": "sql"}})
    request = encoded(tools=(custom,), tool_choice=NamedTool("sql"))
    assert request["tools"] == [custom.raw]
    assert request["tool_choice"] == {"type": "custom", "custom": {"name": "sql"}}


def test_required_becomes_the_name_of_a_single_tool_only() -> None:
    tools = (TOOL, FunctionTool("g", "", {}))
    with pytest.raises(ConfigError, match="required"):
        encoded(quirks=Quirks(required_as_named=True), tools=tools, tool_choice="required")
    assert (
        encoded(quirks=Quirks(single_as_named=True), tools=tools, tool_choice="required")["tool_choice"] == "required"
    )


def test_a_tool_is_encoded_once() -> None:
    tool = FunctionTool("f", "", SCHEMA, strict=False, extras=hints(cache_control={"type": "ephemeral"}))
    first, second = (encoded(tools=(tool,))["tools"][0] for _ in range(2))
    assert first == {
        "type": "function",
        "function": {"name": "f", "parameters": SCHEMA, "strict": False},
        "cache_control": {"type": "ephemeral"},
    }
    assert first is second
    gone = weakref.ref(tool)
    del tool
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(("kind", "enabled"), [("disabled", False), ("enabled", True)])
def test_thinking_is_a_switch_of_the_chat_template(kind: str, enabled: bool) -> None:
    request = encoded(quirks=Quirks(thinking_switch="enable_thinking"), thinking={"type": kind})
    assert request["chat_template_kwargs"] == {"enable_thinking": enabled}


def test_content_is_a_string_if_there_is_only_text() -> None:
    assert message_of(Text("a"), Text(""), Text("b"))["content"] == "a\nb"
    assert message_of(role="assistant")["content"] == ""
    assert message_of(Text("a", extras=hints(cache_control={"type": "ephemeral"})))["content"] == [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    ]
    assert message_of(Text("a", extras={"messages": {"x": 1}}))["content"] == "a"


def test_system_and_developer_stay_in_place() -> None:
    developer = Turn("system", (Text("d"),), extras=hints(role="developer"))
    assert messages(HELLO, Turn("system", (Text("s"),), name="n"), developer) == [
        {"role": "user", "content": "hello"},
        {"role": "system", "content": "s", "name": "n"},
        {"role": "developer", "content": "d"},
    ]


@pytest.mark.parametrize(
    ("media", "block"),
    [
        (Media("image", url="https://x/a.png"), {"type": "image_url", "image_url": {"url": "https://x/a.png"}}),
        (
            Media("image", data="QQ==", mime="image/png", extras=hints(detail="low", cache_control={})),
            {
                "type": "image_url",
                "image_url": {"url": "data:image/png;base64,QQ==", "detail": "low"},
                "cache_control": {},
            },
        ),
        (
            Media("audio", data="QQ==", mime="audio/wav"),
            {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}},
        ),
        (
            Media("audio", data="QQ==", mime="audio/mpeg"),
            {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
        ),
        (
            Media("file", data="QQ==", mime="application/pdf", name="a.pdf"),
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,QQ==", "filename": "a.pdf"}},
        ),
        (
            Media("file", data="QQ==", mime="application/pdf"),
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,QQ==", "filename": "document.pdf"}},
        ),
        (
            Media("file", data="QQ==", mime="application/pdf; x=1"),
            {
                "type": "file",
                "file": {"file_data": "data:application/pdf; x=1;base64,QQ==", "filename": "document.pdf"},
            },
        ),
        (Media("file", file_id="file-1"), {"type": "file", "file": {"file_id": "file-1"}}),
    ],
)
def test_media(media: Media, block: dict[str, Any]) -> None:
    assert message_of(Text("look"), media)["content"] == [{"type": "text", "text": "look"}, block]


def test_assistant_turn() -> None:
    parts = (
        Reasoning("hm", hints(field="reasoning")),
        Text("so"),
        ToolCall("a", "f", "{}"),
        ToolCall("b", "sql", "x", "custom"),
    )
    assert message_of(*parts, role="assistant") == {
        "role": "assistant",
        "content": "so",
        "reasoning": "hm",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "type": "custom", "custom": {"name": "sql", "input": "x"}},
        ],
    }
    assert message_of(ToolCall("a", "f", '{"cut'), role="assistant")["content"] == ""
    assert message_of(Refusal("No."), role="assistant") == {"role": "assistant", "content": "", "refusal": "No."}


def test_text_with_a_cache_marker_makes_a_list() -> None:
    text = Text("so", extras=hints(cache_control={"type": "ephemeral"}))
    assert message_of(text, role="assistant")["content"] == [
        {"type": "text", "text": "so", "cache_control": {"type": "ephemeral"}}
    ]


@pytest.mark.parametrize(
    ("extras", "quirk", "field"),
    [
        (hints(field="reasoning"), None, "reasoning"),
        (hints(field="reasoning"), "reasoning_content", "reasoning_content"),
        ({}, "reasoning_content", "reasoning_content"),
        ({}, None, None),
        (hints(field="reasoning_details"), "reasoning_content", None),
        ({"messages": {"signature": "s"}}, "reasoning_content", None),
    ],
)
def test_reasoning_goes_back_to_the_provider_that_made_it(
    extras: dict[str, Any], quirk: str | None, field: str | None
) -> None:
    message = message_of(Reasoning("hm", extras), Text("so"), role="assistant", quirks=Quirks(reasoning_field=quirk))
    assert message == {"role": "assistant", "content": "so", **({field: "hm"} if field else {})}


ECHOES: list[dict[str, Any]] = [
    {"content": "x", "annotations": [{"type": "url_citation", "url_citation": {"url": "https://a"}}]},
    {"content": "x", "reasoning_details": [{"type": "reasoning.text", "text": "hm", "index": 0}]},
    {"content": [{"type": "text", "text": "x"}]},
    {
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True},
            {"type": "text", "text": "see "},
            {"type": "reference", "reference_ids": [1]},
            {"type": "text", "text": "there", "cache_control": {"type": "ephemeral"}},
            {"type": "thinking", "thinking": [{"type": "tool_reference", "tool": "w"}, {"type": "text", "text": "ok"}]},
        ]
    },
    {"content": [{"type": "thinking", "thinking": "plain", "signature": "s"}, {"type": "text", "text": "x"}]},
    {"content": "", "function_call": {"name": "f", "arguments": "{}"}},
    {"content": "x", "images": [{"type": "image_url", "index": 0, "image_url": {"url": "data:image/png;base64,QQ=="}}]},
    {"content": "x", "extra_content": {"google": {"thought_signature": "s"}}, "thought_signature": "s"},
    {
        "content": "",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"s": 1}},
            {"id": "b", "type": "custom", "custom": {"name": "sql", "input": "x"}},
        ],
    },
]


@pytest.mark.parametrize("message", ECHOES)
def test_a_reply_is_sent_back_unchanged(message: dict[str, Any]) -> None:
    turn = CODEC.decode(body(message)).turn
    assert messages(HELLO, turn, HELLO)[1] == {"role": "assistant", **message}


def test_audio_is_sent_back_by_its_id() -> None:
    turn = CODEC.decode(body({"content": None, "audio": {"id": "audio_1", "data": "QQ==", "transcript": "hi"}})).turn
    assert messages(turn)[0] == {"role": "assistant", "content": "", "audio": {"id": "audio_1"}}


def test_result_of_a_legacy_call() -> None:
    turn = CODEC.decode(body({"content": None, "function_call": {"name": "f", "arguments": "{}"}})).turn
    result = ToolResult(turn.tool_calls[0].id, (Text("1"),))
    assert messages(turn, Turn("tool", (result,)))[1] == {"role": "function", "name": "f", "content": "1"}


def test_tool_results() -> None:
    results = Turn("tool", (ToolResult("a", (Text("1"), Text("2"))), ToolResult("b", (Text("broken"),), failed=True)))
    named = Turn("tool", (ToolResult("c", (), extras=hints(x=1)),), name="f")
    assert messages(results, named) == [
        {"role": "tool", "tool_call_id": "a", "content": "1\n2"},
        {"role": "tool", "tool_call_id": "b", "content": "broken"},
        {"role": "tool", "tool_call_id": "c", "content": "", "name": "f", "x": 1},
    ]


def test_images_of_tool_results_follow_all_results() -> None:
    image = Media("image", data="QQ==", mime="image/png")
    turns = (
        Turn("tool", (ToolResult("a", (image,)),)),
        Turn("tool", (ToolResult("b", (Text("ok"), image)),)),
        HELLO,
    )
    block = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}
    expected = {
        "role": "user",
        "content": [
            {"type": "text", "text": "Result of tool call a:"},
            block,
            {"type": "text", "text": "Result of tool call b:"},
            block,
        ],
    }
    sent = messages(*turns)
    assert [message["role"] for message in sent] == ["tool", "tool", "user", "user"]
    assert sent[0]["content"]
    assert sent[1]["content"] == "ok"
    assert sent[2] == expected
    assert messages(*turns[:2])[2] == expected


def test_results_in_a_user_turn_come_first() -> None:
    turn = Turn("user", (Text("and now?"), ToolResult("a", (Text("1"),))))
    assert messages(turn) == [
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "user", "content": "and now?"},
    ]
    assert len(messages(Turn("user", (ToolResult("a", (Text("1"),)),)))) == 1


def test_server_tool_blocks_of_another_format_are_omitted() -> None:
    turn = Turn("assistant", (Opaque("messages", {"type": "server_tool_use"}), Text("x")))
    assert messages(turn) == [{"role": "assistant", "content": "x"}]


def test_an_opaque_part_of_this_format_is_sent_unchanged() -> None:
    raw = {"type": "video_url", "video_url": {"url": "https://x"}}
    assert message_of(Text("look"), Opaque("chat_completions", raw))["content"] == [
        {"type": "text", "text": "look"},
        raw,
    ]


def test_turns_for_mistral() -> None:
    turns = (
        Turn("assistant", (ToolCall("call_longer than nine", "f", "{}"), ToolCall("abcDEF123", "f", "{}"))),
        Turn("tool", (ToolResult("call_longer than nine", (Text("1"),)), ToolResult("abcDEF123", (Text("2"),)))),
        HELLO,
    )
    sent = messages(*turns, quirks=Quirks(mistral_turns=True))
    assert [message["role"] for message in sent] == ["assistant", "tool", "tool", "assistant", "user"]
    assert sent[3] == {"role": "assistant", "content": ""}
    ids = [call["id"] for call in sent[0]["tool_calls"]]
    assert ids == [message["tool_call_id"] for message in sent[1:3]]
    assert ids[1] == "abcDEF123"
    assert len(ids[0]) == 9
    assert ids[0].isalnum()
    assert ids[0].isascii()


TEXTS = st.builds(Text, st.text(max_size=10))
IMAGES = st.sampled_from([Media("image", url="https://x"), Media("image", data="QQ==", mime="image/png")])
OTHERS = st.sampled_from(
    [Media("audio", data="QQ==", mime="audio/wav"), Media("file", data="QQ==", mime="application/pdf")]
)
USERS = st.builds(lambda parts: Turn("user", tuple(parts)), st.lists(TEXTS | IMAGES | OTHERS, min_size=1, max_size=3))
CALLS = st.lists(st.builds(ToolCall, st.text(min_size=1, max_size=5), st.just("f"), st.just("{}")), max_size=2)
RESULTS = st.builds(ToolResult, st.just("a"), st.lists(TEXTS | IMAGES, max_size=2).map(tuple))
ASSISTANTS = st.builds(
    lambda texts, calls, refusals: Turn("assistant", (*texts, *calls, *refusals)),
    st.lists(TEXTS, max_size=2),
    CALLS,
    st.lists(st.builds(Refusal, st.text(max_size=5)), max_size=1),
)
TOOL_TURNS = st.builds(lambda results: Turn("tool", tuple(results)), st.lists(RESULTS, min_size=1, max_size=2))
SYSTEMS = st.builds(lambda text, name: Turn("system", (text,), name=name), TEXTS, st.sampled_from(["", "n"]))
REQUESTS = st.builds(
    ChatRequest,
    st.just("m"),
    st.lists(USERS | ASSISTANTS | TOOL_TURNS | SYSTEMS, min_size=1, max_size=5).map(tuple),
    tools=st.sampled_from([(), (TOOL,), (TOOL, FunctionTool("g", "", {}, strict=True))]),
    tool_choice=st.sampled_from([None, "auto", "none", "required", NamedTool("f")]),
    parallel_tool_calls=st.sampled_from([None, True, False]),
    output=st.sampled_from([None, OutputSchema(None), OUTPUT, OutputSchema(SCHEMA)]),
    temperature=st.sampled_from([None, 0.0, 1.5]),
    max_tokens=st.sampled_from([None, 16]),
    top_p=st.sampled_from([None, 0.5]),
    stop=st.sampled_from([(), ("a",)]),
    seed=st.sampled_from([None, 1]),
    frequency_penalty=st.sampled_from([None, 0.1]),
    presence_penalty=st.sampled_from([None, 0.1]),
    n=st.sampled_from([None, 2]),
    logprobs=st.sampled_from([None, True]),
    top_logprobs=st.sampled_from([None, 2]),
    reasoning_effort=st.sampled_from([None, "low"]),
    service_tier=st.sampled_from([None, "flex"]),
    store=st.sampled_from([None, False]),
    stream_usage=st.booleans(),
)
QUIRKS = st.builds(
    Quirks,
    max_tokens_field=st.sampled_from(["max_tokens", "max_completion_tokens"]),
    mistral_turns=st.booleans(),
    strict_schema=st.booleans(),
)


@needs_complete_recordings
@settings(max_examples=250)
@given(request=REQUESTS, quirks=QUIRKS, stream=st.booleans())
def test_requests_match_the_official_types(request: ChatRequest, quirks: Quirks, stream: bool) -> None:
    assert validate_request("chat", CODEC.encode(request, stream=stream, quirks=quirks)) == []
