"""Bodies as Cloudflare and the vendors behind it write them (facts §5.1, §5.2, §5.4, §5.5)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from cfaig_integrations.core.chat import ChatReply, Usage
from cfaig_integrations.core.content import Citation, Media, Opaque, Reasoning, Refusal, Text, ToolCall
from cfaig_integrations.core.fold import fold
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.chat_completions import CODEC
from cfaig_integrations.wire.chat_completions.decode import usual_reply
from cfaig_integrations.wire.chat_completions.stream import ChatCompletionsDecoder
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.jsonio import is_error
from tests.wire.chat_kit import body
from tests.wire.mutations import VALUES, paths, with_value


def extras(**values: Any) -> dict[str, Any]:
    return {"chat_completions": values}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("hello", "hello"),
        (1, "1"),
        (0, "0"),
        (1.5, "1.5"),
        (True, "true"),
        ({"a": [1, "ü"]}, '{"a":[1,"ü"]}'),
        ({}, "{}"),
        ({"a": None}, '{"a":null}'),
        ("line\u2028separator", "line\u2028separator"),
    ],
)
def test_content_of_any_type_is_text(content: Any, text: str) -> None:
    assert CODEC.decode(body({"content": content})).turn.parts == (Text(text),)
    native = {"response": content, "usage": {"prompt_tokens": 1}}
    assert CODEC.decode(json.dumps(native).encode()).turn.parts == (Text(text),)


@pytest.mark.parametrize("content", [None, "", []])
def test_no_content_is_no_part(content: Any) -> None:
    assert CODEC.decode(body({"content": content})).turn.parts == ()


@pytest.mark.parametrize(
    ("raw_finish", "calls", "finish"),
    [
        ("stop", False, "stop"),
        ("eos", False, "stop"),
        ("length", False, "length"),
        ("model_length", False, "length"),
        ("tool_calls", True, "tool_calls"),
        ("function_call", True, "tool_calls"),
        ("content_filter", False, "content_filter"),
        ("error", False, "error"),
        ("other", False, "unknown"),
        ("anything else", False, "unknown"),
        ("stop", True, "tool_calls"),
        ("length", True, "length"),
        (None, True, "tool_calls"),
        (None, False, "stop"),
        ("", False, "stop"),
    ],
)
def test_finish_reasons(raw_finish: str | None, calls: bool, finish: str) -> None:
    message: dict[str, Any] = {"content": "x"}
    if calls:
        message["tool_calls"] = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    choice = CODEC.decode(body(message, finish=raw_finish)).choices[0]
    assert (choice.finish, choice.provider_finish) == (finish, raw_finish or "")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text"])
def test_reasoning_keeps_its_field(field: str) -> None:
    reply = CODEC.decode(body({"content": "4", field: "2+2"}))
    assert reply.turn.parts == (Reasoning("2+2", extras(field=field)), Text("4"))


def test_the_first_of_two_reasoning_fields_is_read() -> None:
    reply = CODEC.decode(body({"content": "4", "reasoning": "b", "reasoning_content": "a"}))
    assert reply.turn.parts == (Reasoning("a", extras(field="reasoning_content")), Text("4"))


def test_readable_reasoning_details_without_another_field() -> None:
    details = [
        {"type": "reasoning.text", "text": "so ", "index": 0, "signature": "s"},
        {"type": "reasoning.summary", "summary": "what", "index": 1},
        {"type": "reasoning.encrypted", "data": "x", "index": 2},
    ]
    reply = CODEC.decode(body({"content": "4", "reasoning_details": details}))
    assert reply.turn.parts == (Reasoning("so what", extras(field="reasoning_details")), Text("4"))
    assert reply.turn.extras == extras(reasoning_details=details)


def test_content_blocks_of_mistral() -> None:
    blocks = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True},
        {"type": "text", "text": "see "},
        {"type": "reference", "reference_ids": [1]},
        {"type": "text", "text": "there", "cache_control": {"type": "ephemeral"}},
        {"type": "thinking", "thinking": [{"type": "tool_reference", "tool": "w"}, {"type": "text", "text": "ok"}]},
        {"type": "thinking", "thinking": "plain", "signature": "s"},
    ]
    turn = CODEC.decode(body({"content": blocks[:4]})).turn
    assert turn.parts == (
        Reasoning("hm", extras(block={"type": "thinking", "closed": True})),
        Text("see "),
        Opaque("chat_completions", {"type": "reference", "reference_ids": [1]}),
        Text("there", extras=extras(cache_control={"type": "ephemeral"})),
    )
    assert [part.text for part in CODEC.decode(body({"content": blocks[4:5]})).turn.parts] == ["ok"]  # type: ignore[union-attr]
    assert [part.text for part in CODEC.decode(body({"content": blocks[5:]})).turn.parts] == ["plain"]  # type: ignore[union-attr]


def test_tool_calls_in_every_form() -> None:
    calls: list[dict[str, Any]] = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{ "x": 1 }'}, "index": 0},
        {"id": "b", "function": {"name": "f", "arguments": {"x": "ü"}}, "index": 0},
        {"name": "native", "arguments": {"x": 1}},
        {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}},
        {"id": "d", "type": "function", "function": {"name": "cut", "arguments": '{"x": '}},
        {"id": "e", "type": "function", "function": {"name": "g"}, "extra_content": {"google": {"s": 1}}},
        {
            "id": "f",
            "type": "builtin",
            "function": {"name": "h", "arguments": "{}"},
            "custom": {"name": "", "input": ""},
        },
    ]
    parsed = CODEC.decode(body({"content": None, "tool_calls": calls})).turn.tool_calls
    made = parsed[2].id
    assert made.startswith("call_")
    assert parsed == (
        ToolCall("a", "f", '{ "x": 1 }'),
        ToolCall("b", "f", '{"x":"ü"}'),
        ToolCall(made, "native", '{"x":1}'),
        ToolCall("c", "sql", "select 1", "custom"),
        ToolCall("d", "cut", '{"x": '),
        ToolCall("e", "g", "", extras=extras(extra_content={"google": {"s": 1}})),
        ToolCall("f", "h", "{}", extras=extras(type="builtin")),
    )


def test_entries_of_a_body_are_separate_calls() -> None:
    entry = {"id": "same", "index": 0, "type": "function", "function": {"name": "f", "arguments": "{"}}
    nameless = {"type": "function", "function": {"name": "f", "arguments": "{"}}
    calls = CODEC.decode(body({"content": None, "tool_calls": [entry, entry, nameless, nameless]})).turn.tool_calls
    assert [call.arguments for call in calls] == ["{"] * 4


def test_generated_ids_are_distinct_and_stable() -> None:
    calls = [{"name": "f", "arguments": {"x": 1}}, {"name": "f", "arguments": {"x": 1}}, {"name": "f", "arguments": {}}]
    native = json.dumps({"response": None, "tool_calls": calls}).encode()
    ids = [call.id for call in CODEC.decode(native).turn.tool_calls]
    assert len(set(ids)) == 3
    assert ids == [call.id for call in CODEC.decode(native).turn.tool_calls]
    other = json.dumps({"response": None, "tool_calls": [{"name": "f", "arguments": {"x": 2}}]}).encode()
    assert CODEC.decode(other).turn.tool_calls[0].id not in ids


def test_a_legacy_function_call() -> None:
    call = CODEC.decode(body({"content": None, "function_call": {"name": "f", "arguments": "{}"}})).turn.tool_calls[0]
    assert (call.name, call.arguments, call.extras) == ("f", "{}", extras(legacy=True))
    assert call.id


def test_an_empty_refusal_is_not_a_part() -> None:
    assert CODEC.decode(body({"content": None, "refusal": "No."})).turn.parts == (Refusal("No."),)
    assert CODEC.decode(body({"content": "x", "refusal": ""})).turn.parts == (Text("x"),)


def test_annotations_are_citations() -> None:
    source = {"url": "https://a", "title": "A", "content": "words", "start_index": 0, "end_index": 4}
    annotations = [{"type": "url_citation", "url_citation": source}, {"type": "file", "file": {"hash": "h"}}]
    reply = CODEC.decode(body({"content": "text", "annotations": annotations}))
    assert reply.turn.parts == (Text("text", (Citation("https://a", "A", "words", 0, 4, annotations[0]),)),)
    assert reply.turn.extras == extras(annotations=annotations)


def test_generated_audio_and_images() -> None:
    audio = {"id": "audio_1", "data": "UklGRg==", "transcript": "hello", "expires_at": 9}
    image = {"type": "image_url", "index": 0, "image_url": {"url": "data:image/png;base64,iVBORw=="}}
    remote = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}
    reply = CODEC.decode(body({"content": "", "audio": audio, "images": [image, remote]}))
    assert reply.turn.parts == (
        Media("image", data="iVBORw==", mime="image/png", extras=extras(image={"type": "image_url", "index": 0})),
        Media("image", url="https://x/y.png", extras=extras(image={"type": "image_url"})),
        Media("audio", data="UklGRg==", text="hello", extras=extras(id="audio_1", expires_at=9)),
    )


def test_empty_values_are_ignored() -> None:
    shells = {
        "audio": {"id": "", "data": "", "expires_at": 0, "transcript": ""},
        "function_call": {"name": "", "arguments": ""},
        "annotations": [],
        "tool_calls": None,
        "refusal": None,
    }
    reply = CODEC.decode(body({"content": "x", **shells}, service_tier="", system_fingerprint=None))
    assert reply.turn.parts == (Text("x"),)
    assert not reply.turn.extras
    assert reply.facts == {"created": 7}


def test_unmodeled_fields_become_extras() -> None:
    whole = json.loads(body({"content": "x", "executed_tools": [{"index": 0}], "prefix": False}))
    whole |= {"service_tier": "flex", "citations": ["https://a"], "gatewayMetadata": {"keySource": "BYOK"}, "p": "abc"}
    whole["choices"][0] |= {"logprobs": {"content": [{"token": "x", "logprob": -1}]}, "native_finish_reason": "end"}
    reply = CODEC.decode(json.dumps(whole).encode())
    assert reply.turn.extras == extras(executed_tools=[{"index": 0}], prefix=False)
    assert reply.choices[0].extras == extras(
        logprobs={"content": [{"token": "x", "logprob": -1}]}, native_finish_reason="end"
    )
    assert reply.extras == extras(
        created=7, service_tier="flex", citations=["https://a"], gatewayMetadata={"keySource": "BYOK"}
    )


def test_several_answers_in_any_order() -> None:
    choices = [
        {"index": 1, "message": {"content": "b"}, "finish_reason": "length"},
        {"message": {"content": "a"}, "finish_reason": "stop"},
    ]
    reply = CODEC.decode(json.dumps({"choices": choices}).encode())
    assert [(choice.turn.text, choice.finish) for choice in reply.choices] == [("a", "stop"), ("b", "length")]


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}, Usage(9, 2, 11)),
        ({"prompt_tokens": 9, "completion_tokens": 2}, Usage(9, 2, 11)),
        ({"prompt_tokens": 6, "completion_tokens": 3, "total_tokens": 66}, Usage(6, 60, 66)),  # Google
        ({"prompt_tokens": 9.0, "completion_tokens": 2, "neurons": 1.25}, Usage(9, 2, 11)),
        ({"prompt_tokens": 9, "completion_tokens": None, "prompt_tokens_details": None}, Usage(9, 0, 9)),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 8}, Usage(9, 0, 9, cache_read=8)),  # DeepSeek
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "total_tokens": 14,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3, "audio_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0},
            },
            Usage(9, 5, 14, cache_read=4, cache_write=3, reasoning=2, audio_in=1, audio_out=0),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 5, "reasoning_tokens": 4}, Usage(9, 5, 14, reasoning=4)),
    ],
)
def test_token_counts(raw: dict[str, Any], usage: Usage) -> None:
    decoded = CODEC.decode(body({"content": "x"}, usage=raw)).usage
    assert decoded is not None
    assert decoded.raw == raw
    assert decoded == Usage(**{name: getattr(usage, name) for name in Usage.__slots__ if name != "raw"}, raw=raw)


def test_no_usage_is_none() -> None:
    assert CODEC.decode(body({"content": "x"}, usage=None)).usage is None


CALLS = [
    {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    {"id": "b", "type": "custom", "custom": {"name": "f", "input": "x"}, "extra_content": {"s": 1}},
    {"name": "g", "arguments": {"x": 1}},
]
SOURCE = {"type": "url_citation", "url_citation": {"url": "https://a", "title": "A", "start_index": 0, "end_index": 1}}
SHELLS = {"refusal": None, "function_call": None, "audio": None, "images": None, "reasoning_details": [{"text": "d"}]}
MESSAGE = {"content": "x\ud83d", "reasoning_content": "y", "annotations": [SOURCE], "tool_calls": CALLS, **SHELLS}
USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}
USUAL: list[dict[str, Any]] = [
    json.loads(body(MESSAGE, usage=USAGE, service_tier="flex", x_groq={"id": "r"})),
    {"id": "r", "response": "x", "tool_calls": CALLS[2:] * 2, "usage": USAGE, "native": 1},
]


@pytest.mark.parametrize("usual", USUAL)
def test_a_usual_body_is_read_like_a_stream_of_one_chunk(usual: dict[str, Any]) -> None:
    added = [{**usual, key: value} for key in ("response", "choices", "x_groq") for value in VALUES]
    added += [
        {**usual, "x_groq": {"usage": {"prompt_tokens": 8}}, "usage": None},
        {**usual, "tool_calls": CALLS[:1] * 2},
    ]
    added += [
        with_value(usual, ("choices", 0, *holder, key), value)
        for holder, key in (([], "delta"), ([], "error"), ([], "text"), (["message"], "reasoning"))
        for value in (*VALUES, {"content": "z"})
        if "choices" in usual
    ]
    bodies = [usual, *added, *(with_value(usual, path, value) for path in paths(usual) for value in VALUES)]
    read = [raw for raw in bodies if not is_error(raw) and _outcome(lambda raw=raw: usual_reply(raw)) is not None]
    assert usual in read
    for raw in read:
        expected = _outcome(lambda raw=raw: fold("chat_completions", ChatCompletionsDecoder().take_body(raw)))
        assert _outcome(lambda raw=raw: usual_reply(raw)) == expected, raw


def _outcome(read: Callable[[], ChatReply | None]) -> object:
    try:
        return read()
    except (ProtocolError, EmbeddedError) as error:
        return type(error), str(error)


def test_an_envelope_is_opened() -> None:
    inner = json.loads(body({"content": "x"}))
    wrapped = {"result": inner, "success": True, "errors": [], "messages": []}
    assert CODEC.decode(json.dumps(wrapped).encode()) == CODEC.decode(json.dumps(inner).encode())


REFUSALS: list[dict[str, Any]] = [
    {"success": False, "errors": [{"code": 5007, "message": "no"}], "messages": [], "result": {}},
    {"success": False, "result": json.loads(body({"content": "x"})), "errors": []},
    {"success": False, "result": [], "error": [{"code": 2021, "message": "no"}], "name": "AiGatewayError"},
    {"name": "AiError", "internalCode": 5006, "httpCode": 400, "message": "AiError: no"},
    {"success": False, "error": {"message": "no"}},
    {"error": {"message": "no", "type": "x", "code": None}},
    {"type": "error", "error": {"type": "overloaded_error", "message": "no"}},
    {"error": "no"},
    {"errors": [{"message": "AiError: no"}]},
    {"choices": [{"index": 0, "message": {"content": ""}, "finish_reason": "error", "error": {"code": 502}}]},
]


@pytest.mark.parametrize("raw", REFUSALS)
def test_an_error_in_a_2xx_body(raw: dict[str, Any]) -> None:
    with pytest.raises(EmbeddedError):
        CODEC.decode(json.dumps(raw).encode())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [1]}',
        b'{"choices": 1}',
        b'{"choices": [{"message": {"tool_calls": [1]}}]}',
        b'{"state": "Completed", "result": {"image": "https://x"}}',
        b'{"object": "list", "data": []}',
    ],
)
def test_other_bodies_are_a_protocol_error(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        CODEC.decode(raw)
