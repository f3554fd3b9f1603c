"""Every recording: decoded, folded, split, truncated and sent back."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest

from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import Media, Opaque, Reasoning, Text, ToolResult, Turn
from cfaig_integrations.errors import ProtocolError, StreamBroken
from cfaig_integrations.wire.chat_completions import CODEC
from cfaig_integrations.wire.codec import EmbeddedError
from tests.wire.chat_kit import chunks_of, expected_echo, stream_of, whole_of
from tests.wire.harness import (
    COMPLETE,
    assert_number,
    assert_same_in_any_split,
    events_of,
    folded,
    needs_complete_recordings,
    needs_recordings,
    recordings,
    validate_request,
)

pytestmark = needs_recordings
REFUSED_STREAMS = {
    "95ddc10852fe",
    "37301497ba22",
    "ceedc6374687",
}  # an `error` in a chunk: Groq's failed tool calls, OpenRouter's token limit
NOT_CHAT = {"8a715340a306"}  # a server that returns the request
WITHOUT_MESSAGE = {"7bfa6e45e8d8", "a870a2ec5e02"}
"""What Azure's content filter leaves of an answer: a choice without a message, or an error with the status 200."""
BODIES = [record for record in recordings("chat", stream=False) if record["id"] not in NOT_CHAT | WITHOUT_MESSAGE]
STREAMS = [record for record in recordings("chat", stream=True) if record["id"] not in REFUSED_STREAMS]


def name(record: dict[str, Any]) -> str:
    return f"line {record['line']} {record['host']}"


def message_of(record: dict[str, Any]) -> dict[str, Any]:
    whole = whole_of(record["response_body"]) if record["stream"] else json.loads(record["response_body"])
    return whole["choices"][0]["message"]


def reply_of(record: dict[str, Any]) -> ChatReply:
    data = record["response_body"].encode()
    return folded(CODEC, data) if record["stream"] else CODEC.decode(data)


def test_the_recordings_are_all_accounted_for() -> None:
    assert_number(len(BODIES), 690)
    assert_number(len(STREAMS), 97)


def test_a_reply_equals_its_json() -> None:
    for record in BODIES:
        whole, reply = json.loads(record["response_body"]), CODEC.decode(record["response_body"].encode())
        message = whole["choices"][0]["message"]
        content = message.get("content") or ""
        if isinstance(content, list):
            content = "".join(block.get("text", "") for block in content)
        assert reply.turn.text == content, name(record)
        calls = [(call["function"]["name"], call["function"].get("arguments", "")) for call in message_calls(message)]
        assert [(call.name, call.arguments) for call in reply.turn.tool_calls] == calls, name(record)
        assert all(call.id for call in reply.turn.tool_calls), name(record)
        assert (reply.id, reply.model) == (whole["id"], whole["model"]), name(record)
        assert reply.usage is not None
        assert reply.usage.raw == whole["usage"], name(record)
        assert reply.finish != "unknown", name(record)
        assert not any(isinstance(part, Opaque) for part in reply.turn.parts), name(record)


def message_calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    return message.get("tool_calls") or [
        {"function": call} for call in [message.get("function_call")] if call and call.get("name")
    ]


@needs_complete_recordings
@pytest.mark.parametrize("id_", sorted(REFUSED_STREAMS))
def test_an_error_inside_a_stream_is_raised(id_: str) -> None:
    (record,) = [record for record in recordings("chat", stream=True) if record["id"] == id_]
    with pytest.raises(EmbeddedError) as caught:
        events_of(CODEC, [record["response_body"].encode()])
    assert caught.value.body["error"]["message"]


@needs_complete_recordings
def test_other_bodies_are_a_protocol_error() -> None:
    (record,) = [record for record in recordings("chat", stream=False) if record["id"] in NOT_CHAT]
    with pytest.raises(ProtocolError, match="contentType"):
        CODEC.decode(record["response_body"].encode())


@pytest.mark.parametrize("record", STREAMS, ids=name)
def test_a_stream_is_the_same_in_any_split(record: dict[str, Any]) -> None:
    assert_same_in_any_split(CODEC, record["response_body"], seed=record["line"])


@pytest.mark.parametrize("record", STREAMS, ids=name)
def test_a_stream_folds_to_its_body(record: dict[str, Any]) -> None:
    whole = json.dumps(whole_of(record["response_body"])).encode()
    assert folded(CODEC, record["response_body"].encode()) == CODEC.decode(whole)


def test_a_body_sent_as_a_stream_folds_to_itself() -> None:
    for record in BODIES:
        whole = json.loads(record["response_body"])
        streamed = folded(CODEC, stream_of(whole).encode())
        assert streamed == CODEC.decode(record["response_body"].encode()), name(record)


@pytest.mark.parametrize("record", STREAMS, ids=name)
def test_a_truncated_stream_is_an_error(record: dict[str, Any]) -> None:
    data, rng = record["response_body"].encode(), random.Random(record["line"])
    reply = folded(CODEC, data)
    end = end_of_answer(record["response_body"])
    cuts = {rng.randrange(end) for _ in range(60)} | {end - 1}
    for cut in cuts:
        with pytest.raises(StreamBroken) as caught:
            events_of(CODEC, [data[:cut]])
        assert reply.turn.text.startswith(caught.value.partial) or len(reply.choices) > 1


def end_of_answer(text: str) -> int:
    """Where the last answer's first finish reason has been read, or else [DONE], in bytes."""
    at = 0
    waiting = {choice.get("index", 0) for chunk in chunks_of(text) for choice in chunk.get("choices") or []}
    for line in text.split("\n"):
        at += len(line.encode()) + 1
        payload = line[5:].strip() if line.startswith("data:") else ""
        if payload == "[DONE]":
            return at - 1 - (line.endswith("\r"))
        if payload:
            ended = {c.get("index", 0) for c in json.loads(payload)["choices"] if c.get("finish_reason") is not None}
            waiting -= ended
            if not waiting:
                return at - 1 - (line.endswith("\r"))
    raise AssertionError("no end marker")


def next_request(reply: ChatReply) -> ChatRequest:
    results = tuple(ToolResult(call.id, (Text("done"),)) for call in reply.turn.tool_calls)
    answer = Turn("tool", results) if results else Turn("user", (Text("go on"),))
    return ChatRequest("m", (Turn("user", (Text("hello"),)), reply.turn, answer))


def echo_of(reply: ChatReply) -> dict[str, Any]:
    return CODEC.encode(next_request(reply), stream=False)["messages"][1]


def test_every_reply_is_sent_back_unchanged() -> None:
    counts: Counter[str] = Counter()
    for record in [*BODIES, *STREAMS]:
        echo, expected = echo_of(reply_of(record)), expected_echo(message_of(record), counts)
        for sent, call in zip(echo.get("tool_calls", ()), expected.get("tool_calls", ()), strict=True):
            if call["id"] == "made":
                call["id"] = sent["id"]
        assert echo == expected, name(record)
    assert not COMPLETE or +counts == {
        "content null": 171,
        "empty key": 891,
        "call index": 189,
        "call type": 33,
        "call id": 1,
        "call arguments": 1,
    }


# Keys that vendors put into messages and take back, but that OpenAI's own types do not know.
VENDOR_KEYS = (
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "executed_tools",
    "extra_content",
    "thought_signature",
)


@needs_complete_recordings
def test_the_next_request_is_valid_by_the_official_types() -> None:
    thinking = 0
    for record in [*BODIES, *STREAMS]:
        reply = reply_of(record)
        request = CODEC.encode(next_request(reply), stream=record["stream"])
        for key in VENDOR_KEYS:
            request["messages"][1].pop(key, None)
        if isinstance(request["messages"][1]["content"], list):  # Mistral's own
            thinking += 1
            continue
        assert validate_request("chat", request) == [], name(record)
    assert thinking == 10


def test_reasoning_is_read_from_any_field() -> None:
    for record in [*BODIES, *STREAMS]:
        message = message_of(record)
        fields = [field for field in ("reasoning_content", "reasoning") if message.get(field)]
        if fields:
            parts = [part for part in reply_of(record).turn.parts if isinstance(part, Reasoning)]
            assert [part.text for part in parts] == [message[fields[0]]], name(record)


def test_web_sources_are_citations() -> None:
    count = 0
    for record in BODIES:
        sources = [entry for entry in message_of(record).get("annotations") or [] if entry["type"] == "url_citation"]
        cited = [
            citation for part in reply_of(record).turn.parts if isinstance(part, Text) for citation in part.citations
        ]
        assert [citation.url for citation in cited] == [entry["url_citation"]["url"] for entry in sources], name(record)
        count += len(sources)
    assert count > 5 or not COMPLETE


def test_empty_audio_is_ignored() -> None:
    assert not any(isinstance(part, Media) for record in BODIES for part in reply_of(record).turn.parts)
