"""Whole Anthropic messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cfaig_integrations.core.chat import ChatRequest, Usage
from cfaig_integrations.core.content import Citation, Opaque, Reasoning, Refusal, Text, ToolCall, Turn, extras_of
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import PLAIN, EmbeddedError
from cfaig_integrations.wire.messages import CODEC
from tests.wire.harness import folded
from tests.wire.messages_forms import comparable, stream_from_whole
from tests.wire.messages_samples import CITATIONS, ERRORS, MESSAGE, UNMODELLED, USAGE, message, text


def decode(body: dict[str, Any]) -> Any:
    return CODEC.decode(json.dumps(body).encode())


def test_blocks_become_parts_in_their_order() -> None:
    reply = decode(MESSAGE)
    assert (reply.wire, reply.id, reply.model) == ("messages", "msg_1", "model-1")
    cited = reply.turn.parts[-4]
    assert reply.turn.parts == (
        Reasoning("Let me see: naïve \u2028 or not?", extras_of("messages", signature="sig-1")),
        Text("I will look it up."),
        *(Opaque("messages", block) for block in UNMODELLED),
        Reasoning("", extras_of("messages", signature="sig-2")),
        Text("Found \U0001f600: ", cited.citations),
        Text("\n\n"),
        ToolCall(
            "toolu_1", "add", '{"a":1,"b":[1.5,"é",null]}', extras=extras_of("messages", caller={"type": "direct"})
        ),
        ToolCall("toolu_2", "now", "{}"),
    )


def test_citations_of_every_kind() -> None:
    assert decode(MESSAGE).turn.parts[-4].citations == (
        Citation("https://a.example/1", "One", "first words", raw=CITATIONS[0]),
        Citation("https://a.example/2", "Two", "second words", raw=CITATIONS[1]),
        Citation("", "", "kept elsewhere", raw=CITATIONS[2]),
        Citation("", "Three", "third words", raw=CITATIONS[3]),
        Citation("", "", "fourth words", raw=CITATIONS[4]),
        Citation("", "Five", "fifth words", raw=CITATIONS[5]),
    )


def test_input_tokens_include_cached_ones() -> None:
    # facts §5.4: Anthropic's input_tokens leave the cache out.
    assert decode(MESSAGE).usage == Usage(
        input=330, output=45, total=375, cache_read=300, cache_write=20, reasoning=40, raw=USAGE
    )
    assert decode(message()).usage == Usage(input=3, output=2, total=5, raw={"input_tokens": 3, "output_tokens": 2})
    nulls = {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": None, "output_tokens_details": None}
    assert decode(message(usage=nulls)).usage == Usage(input=3, output=2, total=5, raw=nulls)
    assert decode({key: value for key, value in MESSAGE.items() if key != "usage"}).usage is None


@pytest.mark.parametrize(
    ("stop_reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "pause"),
        ("refusal", "refusal"),
        ("from_the_future", "unknown"),
        (None, "unknown"),
    ],
)
def test_stop_reasons(stop_reason: str | None, finish: str) -> None:
    (choice,) = decode(message(text("a"), stop_reason=stop_reason)).choices
    assert (choice.finish, choice.provider_finish) == (finish, stop_reason or "")


def test_unmodeled_fields_of_the_answer_and_of_the_reply() -> None:
    reply = decode(message(text("a"), stop_reason="stop_sequence", stop_sequence="END", stop_details={"type": "x"}))
    assert reply.choices[0].extras == extras_of("messages", stop_sequence="END")
    assert reply.facts == {"stop_details": {"type": "x"}}
    assert decode(MESSAGE).facts == {
        "container": {"id": "container_1", "expires_at": "2026-06-25T17:16:14Z"},
        "context_management": {"applied_edits": []},
        "gatewayMetadata": {"keySource": "Unified"},
        "service_tier": "standard",
    }


def test_empty_citations_are_ignored() -> None:
    assert decode(message(text("a", citations=None), text("b", citations=[]))).turn.parts == (Text("a"), Text("b"))


def test_unsigned_thinking_has_an_empty_signature() -> None:
    # Imitators of the format do not sign, and still want their thinking back.
    (part,) = decode(message({"type": "thinking", "thinking": "so"})).turn.parts
    assert part == Reasoning("so", extras_of("messages", signature=""))


DETAILS = {"type": "refusal", "category": "cyber", "explanation": "Not that."}


@pytest.mark.parametrize(
    ("details", "refusal"),
    [
        ({}, Refusal("", {"messages": {"stop_details": {}}})),
        ({"stop_details": None}, Refusal("", {"messages": {"stop_details": {}}})),
        ({"stop_details": DETAILS}, Refusal("Not that.", {"messages": {"stop_details": DETAILS}})),
    ],
)
@pytest.mark.parametrize("blocks", [[], [{"type": "text", "text": "Sure,"}]])
def test_a_refusal_is_the_last_part_and_not_sent_back(
    details: dict[str, Any], refusal: Refusal, blocks: list[Any]
) -> None:
    body = message(*blocks, stop_reason="refusal", **details)
    reply = decode(body)
    assert (reply.turn.parts[len(blocks) :], reply.finish) == ((refusal,), "refusal")
    assert comparable(folded(CODEC, stream_from_whole(body).encode())) == comparable(reply)
    turns = (Turn("user", (Text("Hi"),)), reply.turn, Turn("user", (Text("And?"),)))
    sent = CODEC.encode(ChatRequest("m", turns), stream=False)["messages"]
    assert [entry["content"] for entry in sent if entry["role"] == "assistant"] == [blocks] * bool(blocks)


def test_the_envelope_is_removed() -> None:
    # facts §5.1, §5.2
    wrapped = {"success": True, "errors": [], "messages": [], "result": MESSAGE}
    assert decode(wrapped) == decode(MESSAGE)


@pytest.mark.parametrize("error", ERRORS, ids="-".join)
def test_an_error_in_a_2xx_body_is_raised_with_its_body(error: dict[str, Any]) -> None:
    with pytest.raises(EmbeddedError) as raised:
        decode(error)
    assert raised.value.body == error


def test_an_error_inside_the_envelope_is_raised() -> None:
    with pytest.raises(EmbeddedError):
        decode({"success": True, "errors": [], "result": ERRORS[0]})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'"text"',
        b"{}",
        b'{"content": null}',
        b'{"content": ["text"]}',
        b'{"content": [{"text": "no type"}]}',
        b'{"content": [{"type": "tool_use", "id": "a"}]}',
        b'{"content": [{"type": "text", "text": "cut',
        b'{"choices": [{"message": {"content": "another format"}}]}',
    ],
)
def test_other_bodies_are_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        CODEC.decode(body)


def test_half_a_surrogate_pair_is_repaired() -> None:
    body = rb'{"content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"x": "\ud83d"}}]}'
    assert CODEC.decode(body).turn.tool_calls == (ToolCall("a", "f", '{"x":"\ufffd"}'),)


def test_the_format_names_its_version_in_a_header() -> None:
    assert CODEC.wire == "messages"
    assert CODEC.headers(ChatRequest("m", ()), PLAIN) == {"anthropic-version": "2023-06-01"}
