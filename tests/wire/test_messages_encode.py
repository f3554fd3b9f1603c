"""Requests in Anthropic's format."""

from __future__ import annotations

import base64
import gc
import json
import re
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NamedTool, NativeTool, OutputSchema
from cfaig_integrations.core.content import (
    Citation,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    extras_of,
)
from cfaig_integrations.errors import ConfigError, UnsupportedContent
from cfaig_integrations.wire.codec import PLAIN, Quirks
from cfaig_integrations.wire.messages import CODEC
from tests.wire.messages_samples import CITATIONS, MESSAGE

MARK = {"cache_control": {"type": "ephemeral"}}
MARKED = extras_of("messages", **MARK)
ADD = FunctionTool("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})


def user(*parts: Part | str) -> Turn:
    return turn("user", *parts)


def model(*parts: Part | str) -> Turn:
    return turn("assistant", *parts)


def system(*parts: Part | str) -> Turn:
    return turn("system", *parts)


def tool(*parts: Part | str) -> Turn:
    return turn("tool", *parts)


def turn(role: Any, *parts: Part | str) -> Turn:
    return Turn(role, tuple(Text(part) if isinstance(part, str) else part for part in parts))


def encode(*turns: Turn, stream: bool = False, quirks: Quirks = PLAIN, **fields: Any) -> dict[str, Any]:
    return CODEC.encode(ChatRequest("m", turns or (user("hi"),), **fields), stream=stream, quirks=quirks)


def sent(*turns: Turn, **fields: Any) -> list[tuple[str, Any]]:
    return [(each["role"], each["content"]) for each in encode(*turns, **fields)["messages"]]


def block(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


def test_unset_fields_are_omitted() -> None:
    assert encode(user("hi")) == {
        "model": "m",
        "max_tokens": PLAIN.default_max_tokens,
        "messages": [{"role": "user", "content": "hi"}],
    }


FIELDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"temperature": 0.0}, {"temperature": 0.0}),
    ({"top_p": 0.5}, {"top_p": 0.5}),
    ({"top_k": 7}, {"top_k": 7}),
    ({"max_tokens": 9}, {"max_tokens": 9}),
    ({"stop": ("END", "\n")}, {"stop_sequences": ["END", "\n"]}),
    ({"service_tier": "auto"}, {"service_tier": "auto"}),
    ({"thinking": {"type": "adaptive"}}, {"thinking": {"type": "adaptive"}}),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": PLAIN.default_max_tokens + 2000},
    ),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 3000},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 3000},
    ),
    ({"reasoning_effort": "low"}, {"output_config": {"effort": "low"}}),
    ({"output_config": {"effort": "low"}}, {"output_config": {"effort": "low"}}),
    ({"mcp_servers": [{"type": "url", "name": "a", "url": "https://a"}]},) * 2,
    ({"container": "c1"},) * 2,
    ({"inference_geo": "us"},) * 2,
    ({"context_management": {"edits": []}},) * 2,
    (
        {"output": OutputSchema({"type": "object"}), "reasoning_effort": "max"},
        {
            "output_config": {
                "effort": "max",
                "format": {
                    "type": "json_schema",
                    "schema": {"type": "object", "properties": {}, "additionalProperties": False},
                },
            }
        },
    ),
    (
        {"output": OutputSchema({"type": "object"}, name="point", description="A point.", strict=True)},
        {
            "output_config": {
                "format": {
                    "type": "json_schema",
                    "schema": {
                        "type": "object",
                        "properties": {},
                        "additionalProperties": False,
                        "description": "A point.",
                    },
                }
            }
        },
    ),
    ({"tools": (ADD,)}, {"tools": [{"name": "add", "description": "Adds.", "input_schema": dict(ADD.parameters)}]}),
    ({"stream_usage": False}, {}),
    ({"n": 1}, {}),
    ({"logprobs": False}, {}),
    ({"extra_body": {"metadata": {"user_id": "u"}}}, {"metadata": {"user_id": "u"}}),
    ({"extra_body": {"max_tokens": 1}, "max_tokens": 2}, {"max_tokens": 1}),
]


@pytest.mark.parametrize(("fields", "added"), FIELDS, ids="-".join)
def test_body_field_of_each_request_field(fields: dict[str, Any], added: dict[str, Any]) -> None:
    assert encode(**fields) == {**encode(), **added}


def test_streaming_is_requested() -> None:
    assert encode(stream=True) == {**encode(), "stream": True}


def test_every_request_field_is_covered() -> None:
    """Every field either changes the body or raises."""
    changed = {field for fields, _ in FIELDS for field in fields} | {
        "model",
        "turns",
        "tool_choice",
        "parallel_tool_calls",
    }
    raising = {"seed", "frequency_penalty", "presence_penalty", "top_logprobs", "reasoning", "store"} | {
        *("verbosity", "logit_bias", "include", "truncation"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
    }
    headers = {"betas"}
    assert changed | raising | headers | {"previous_response_id", "continues", "items_by_id"} == set(
        ChatRequest.__dataclass_fields__
    )


# System instructions


def test_system_turns_become_one_string() -> None:
    body = encode(system("One."), system("Two.", "Three."), user("hi"), model("ok"), user("so?"))
    assert body["system"] == "One.\n\nTwo.\n\nThree."  # facts §1.4: an array is refused
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]


def test_an_empty_system_turn_is_omitted() -> None:
    assert "system" not in encode(system(""), user("hi"))


# The order of messages


def test_adjacent_turns_of_one_role_become_one_message() -> None:
    assert sent(user("a"), user("b", "c"), model("d"), model("e"), user("f")) == [
        ("user", [block("a"), block("b"), block("c")]),
        ("assistant", [block("d"), block("e")]),
        ("user", "f"),
    ]


def test_tool_results_come_first_in_their_message() -> None:
    calls = (ToolCall("1", "add", '{"a": 1}'), ToolCall("2", "add", ""))
    assert sent(
        user("go"),
        model("I will", *calls),
        user("by the way"),
        tool(ToolResult("1", (Text("one"),))),
        tool(ToolResult("2", (Text("two"),), failed=True)),
        user("so?"),
    ) == [
        ("user", "go"),
        (
            "assistant",
            [
                block("I will"),
                {"type": "tool_use", "id": "1", "name": "add", "input": {"a": 1}},
                {"type": "tool_use", "id": "2", "name": "add", "input": {}},
            ],
        ),
        (
            "user",
            [
                {"type": "tool_result", "tool_use_id": "1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "2", "content": "two", "is_error": True},
                block("by the way"),
                block("so?"),
            ],
        ),
    ]


def test_empty_texts_are_omitted() -> None:
    assert sent(user("", "a", " \n"), model(""), model(), user("b"), user(" ")) == [("user", [block("a"), block("b")])]


def test_white_space_is_sent_back_between_other_blocks_only() -> None:
    assert sent(user("a"), model("one", "\n\n", "two"), user("b"))[1] == (
        "assistant",
        [block("one"), block("\n\n"), block("two")],
    )
    assert sent(user("a"), model("\n", " "), user("b")) == [("user", [block("a"), block("b")])]


@pytest.mark.parametrize(
    ("last", "content"),
    [
        (model("{ \n"), "{"),
        (model("{", "x \n", " "), [block("{"), block("x")]),
        (model(Text("x ", extras=MARKED)), [block("x", **MARK)]),
    ],
)
def test_a_final_assistant_message_does_not_end_in_white_space(last: Turn, content: Any) -> None:
    assert sent(user("a"), last)[-1] == ("assistant", content)


def test_a_conversation_can_begin_with_the_assistant() -> None:
    # Answered 200 by api.anthropic.com in a recorded exchange.
    assert sent(model("How can I help?"), user("a potato")) == [("assistant", "How can I help?"), ("user", "a potato")]


@pytest.mark.parametrize("turns", [(system("only"),), (user(""),), (user("  "), model())])
def test_a_conversation_without_messages_is_refused(turns: tuple[Turn, ...]) -> None:
    with pytest.raises(ConfigError, match="no message"):
        encode(*turns)


# Assistant turns


def test_blocks_of_a_reply_are_sent_back_unchanged() -> None:
    reply = CODEC.decode(json.dumps(MESSAGE).encode())
    ((_, _), (_, content), (_, _)) = sent(user("a"), reply.turn, user("b"))
    assert content == MESSAGE["content"]


def test_reasoning_goes_back_only_to_the_provider_that_made_it() -> None:
    mine = Reasoning("so", extras_of("messages", signature="s"))
    thought = [mine, Reasoning("unsigned"), Reasoning("other", extras_of("responses", encrypted_content="x"))]
    assert sent(user("a"), model(*thought, "hi"), user("b"))[1][1] == [
        {"type": "thinking", "thinking": "so", "signature": "s"},
        block("hi"),
    ]


def test_server_tool_blocks_of_another_provider_are_omitted_and_others_refused() -> None:
    search = Opaque("responses", {"type": "web_search_call", "id": "ws_1"})
    assert sent(user("a"), model(search, "found"), user("b"))[1] == ("assistant", [block("found")])
    with pytest.raises(UnsupportedContent):
        encode(user("a"), model(Opaque("responses", {"type": "computer_call"}), "found"), user("b"))
    with pytest.raises(UnsupportedContent):
        encode(user(Opaque("responses", {"type": "computer_call_output"})))


def test_a_refusal_becomes_text() -> None:
    assert sent(user("a"), model(Refusal("I will not.")), user("b"))[1] == ("assistant", [block("I will not.")])


def test_citations_of_other_formats_and_null_file_ids_are_omitted() -> None:
    cited = [Citation(raw=CITATIONS[0]), Citation(raw={"type": "url_citation", "url": "https://a.example"})]
    cited += [Citation(raw={**CITATIONS[3], "file_id": None}), Citation(url="https://typed.example")]
    ((_, _), (_, content), _) = sent(user("a"), model(Text("x", tuple(cited))), user("b"))
    assert content == [block("x", citations=[CITATIONS[0], CITATIONS[3]])]
    assert sent(user("a"), model(Text("x", (cited[1],))), user("b"))[1][1] == [block("x")]


@pytest.mark.parametrize(
    ("arguments", "input_"),
    [
        ('{"a": 1.5, "b": "é"}', {"a": 1.5, "b": "é"}),
        ("", {}),
        ("{}", {}),
        ('{"a": [1', {"invalid_arguments": '{"a": [1'}),
        ("[1]", {"invalid_arguments": "[1]"}),
        ("ls -l", {"invalid_arguments": "ls -l"}),
    ],
)
def test_tool_input_is_always_an_object(arguments: str, input_: Any) -> None:
    ((_, _), (_, content), _) = sent(user("a"), model(ToolCall("1", "f", arguments)), user("b"))
    assert content[0]["input"] == input_


def test_input_of_a_custom_tool() -> None:
    ((_, _), (_, content), _) = sent(user("a"), model(ToolCall("1", "shell", "ls", "custom")), user("b"))
    assert content[0]["input"] == {"input": "ls"}


@pytest.mark.parametrize("id_", ["call|fc_1", "chatcmpl-tool.1", "", "näme", "a b", "\ud83d"])
def test_illegal_ids_are_replaced_in_call_and_result(id_: str) -> None:
    messages = sent(user("a"), model(ToolCall(id_, "f", "{}")), tool(ToolResult(id_, ())))
    call, result = messages[1][1][0]["id"], messages[2][1][0]["tool_use_id"]
    assert call == result
    assert re.fullmatch(r"[A-Za-z0-9_-]+", call)
    assert call != sent(user("a"), model(ToolCall(id_ + "!", "f", "{}")), user("b"))[1][1][0]["id"]


def test_legal_ids_are_unchanged() -> None:
    assert sent(user("a"), model(ToolCall("call_A-9", "f", "{}")), user("b"))[1][1][0]["id"] == "call_A-9"


def test_extras_of_this_format_are_keys_of_their_blocks() -> None:
    both = {**MARKED, "responses": {"id": "x"}}
    assert sent(
        user(Text("a", extras=both), Media("image", url="https://a.example/i.png", extras=both)),
        model(ToolCall("1", "f", "{}", extras={"messages": {"caller": {"type": "direct"}}, "run": {"x": 1}})),
        tool(ToolResult("1", (Text("r"),), extras=both)),
    ) == [
        (
            "user",
            [
                block("a", **MARK),
                {"type": "image", "source": {"type": "url", "url": "https://a.example/i.png"}, **MARK},
            ],
        ),
        ("assistant", [{"type": "tool_use", "id": "1", "name": "f", "input": {}, "caller": {"type": "direct"}}]),
        ("user", [{"type": "tool_result", "tool_use_id": "1", "content": "r", **MARK}]),
    ]


# User turns


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (
            Media("image", data="AAAA", mime="image/png", name="ignored.png"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        ),
        (
            Media("image", data="AAAA", mime="image/jpg;charset=utf-8"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}},
        ),
        (
            Media("file", data="AAAA", mime="application/pdf; x=1"),
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}},
        ),
        (Media("image", file_id="file_1"), {"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
        (
            Media("file", data="AAAA", mime="application/pdf", name="paper.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
                "title": "paper.pdf",
            },
        ),
        (
            Media("file", data=b64("née"), mime="text/markdown"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "née"}},
        ),
        (
            Media(
                "file",
                url="https://a.example/p.pdf",
                name="p",
                extras=extras_of("messages", title="Paper", context="c"),
            ),
            {
                "type": "document",
                "source": {"type": "url", "url": "https://a.example/p.pdf"},
                "title": "Paper",
                "context": "c",
            },
        ),
        (Media("file", file_id="file_2"), {"type": "document", "source": {"type": "file", "file_id": "file_2"}}),
    ],
)
def test_media(media: Media, expected: dict[str, Any]) -> None:
    assert sent(user(media)) == [("user", [expected])]
    ((_, _), (_, _), (_, (result,))) = sent(
        user("a"), model(ToolCall("1", "f", "")), tool(ToolResult("1", (media, Text("x"))))
    )
    assert result["content"] == [expected, block("x")]


@pytest.mark.parametrize("data", ["not base64!", "née", base64.b64encode(b"\xff\xfe").decode()])
def test_a_text_document_that_is_not_utf8_is_refused(data: str) -> None:
    with pytest.raises(ConfigError, match="not UTF-8 text in base64"):
        encode(user(Media("file", data=data, mime="text/plain")))


@pytest.mark.parametrize(
    ("parts", "content"),
    [
        ((), ""),
        ((Text(""),), ""),
        ((Text("a", extras=MARKED),), [block("a", **MARK)]),
        ((Text("a"), Text(" "), Text("b")), [block("a"), block("b")]),
        ((Opaque("messages", {"type": "search_result", "source": "s"}),), [{"type": "search_result", "source": "s"}]),
    ],
)
def test_content_of_a_tool_result(parts: tuple[Any, ...], content: Any) -> None:
    messages = sent(user("a"), model(ToolCall("1", "f", "")), tool(ToolResult("1", parts)))
    assert messages[-1][1][0]["content"] == content


def test_blocks_of_the_user_are_sent_unchanged() -> None:
    raw = {"type": "container_upload", "file_id": "file_1"}
    assert sent(user("a", Opaque("messages", raw))) == [("user", [block("a"), raw])]


# Tools


def test_forms_of_tools() -> None:
    strict = FunctionTool("f", "", {}, strict=False, extras={**MARKED, "responses": {"x": 1}})
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    assert encode(tools=(strict, NativeTool(search)))["tools"] == [
        {"name": "f", "input_schema": {"type": "object", "properties": {}}, "strict": False, **MARK},
        search,
    ]


def test_a_tool_is_encoded_once_and_its_form_dies_with_it() -> None:
    class Schema(Mapping[str, Any]):
        reads = 0

        def __getitem__(self, key: str) -> Any:
            return {"type": "object"}[key]

        def __iter__(self) -> Iterator[str]:
            Schema.reads += 1
            return iter(("type",))

        def __len__(self) -> int:
            return 1

    made = FunctionTool("f", "", Schema())
    assert (
        encode(tools=(made,))["tools"]
        == encode(tools=(made,))["tools"]
        == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    )
    assert Schema.reads == 1
    alive = weakref.ref(made)
    del made
    gc.collect()
    assert alive() is None


CHOICES: list[tuple[dict[str, Any], dict[str, Any] | None]] = [
    ({}, None),
    ({"tool_choice": "auto"}, {"type": "auto"}),
    ({"tool_choice": "none"}, {"type": "none"}),
    ({"tool_choice": "required"}, {"type": "any"}),
    ({"tool_choice": NamedTool("add")}, {"type": "tool", "name": "add"}),
    ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
    ({"parallel_tool_calls": True}, {"type": "auto", "disable_parallel_tool_use": False}),
    ({"tool_choice": "required", "parallel_tool_calls": False}, {"type": "any", "disable_parallel_tool_use": True}),
    ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
]


@pytest.mark.parametrize(("fields", "choice"), CHOICES)
def test_tool_choice(fields: dict[str, Any], choice: dict[str, Any] | None) -> None:
    assert encode(tools=(ADD,), **fields).get("tool_choice") == choice


def test_parallel_tool_calls_is_omitted_without_tools() -> None:
    assert "tool_choice" not in encode(parallel_tool_calls=False)


def test_encoding_does_not_change_the_request() -> None:
    raw = {"type": "server_tool_use", "id": "s", "name": "f", "input": {"a": 1}}
    last = {"type": "text", "text": "end "}
    turns = (
        user("a"),
        model("x ", Opaque("messages", raw)),
        model(Text("y ", extras=MARKED), Opaque("messages", last)),
    )
    before = json.dumps([raw, last, MARK])
    first = encode(*turns, tools=(ADD,))
    assert first["messages"][-1]["content"][-1] == block("end")
    assert encode(*turns, tools=(ADD,)) == first
    assert json.dumps([raw, last, MARK]) == before


def test_objects_of_an_output_schema_are_closed() -> None:
    inner: dict[str, Any] = {"type": "object", "properties": {"type": {"type": "string"}, "any": True}}
    schema = {
        "type": "object",
        "properties": {"list": {"type": "array", "items": inner}, "either": {"anyOf": [inner, {"type": "null"}]}},
        "$defs": {"open": {"type": "object", "additionalProperties": {"type": "string"}}},
    }
    asked = encode(output=OutputSchema(schema))["output_config"]["format"]["schema"]
    closed = {**inner, "additionalProperties": False}
    assert asked == {
        "type": "object",
        "additionalProperties": False,
        "properties": {"list": {"type": "array", "items": closed}, "either": {"anyOf": [closed, {"type": "null"}]}},
        "$defs": schema["$defs"],
    }
    assert "additionalProperties" not in inner
