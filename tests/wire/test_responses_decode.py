"""Whole bodies of the Responses wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cfaig_integrations.core.content import Citation, Opaque, Reasoning, Refusal, Text, ToolCall
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.jsonio import dump
from tests.wire.responses_forms import (
    CITATION,
    CODEC,
    OUTPUTS,
    REFUSAL,
    SEARCH,
    USAGE,
    Json,
    call,
    custom,
    message,
    reasoning,
    response,
    text_part,
)


def shapes(*output: Json) -> list[Any]:
    """The parts of an output without what they remember for the echo."""
    decoded: list[Any] = []
    for part in CODEC.decode(dump(response(*output))).turn.parts:
        match part:
            case Text() | Reasoning() | Refusal():
                decoded.append((type(part).__name__, part.text))
            case ToolCall():
                decoded.append((part.kind, part.id, part.name, part.arguments))
            case Opaque():
                decoded.append(part.raw["type"])
    return decoded


def test_items_become_parts_in_their_order() -> None:
    assert shapes(
        reasoning("One.", "", "Two."), SEARCH, message(text_part("Hi"), REFUSAL), call('{"a": 1 }'), custom("x = 1")
    ) == [
        ("Reasoning", "One.\n\nTwo."),
        "web_search_call",
        ("Text", "Hi"),
        ("Refusal", "No."),
        ("function", "call_1", "weather", '{"a": 1 }'),
        ("custom", "call_c", "python", "x = 1"),
    ]


def test_reasoning_is_its_summary_or_else_itself() -> None:
    content = [{"type": "reasoning_text", "text": "long"}]
    assert shapes(reasoning("short", content=content), reasoning(content=content), reasoning()) == [
        ("Reasoning", "short"),
        ("Reasoning", "long"),
        ("Reasoning", ""),
    ]


@pytest.mark.parametrize("summary", ["a text", ["a text"], [{"text": "a text"}]])
def test_a_summary_of_plain_texts_is_read(summary: Any) -> None:
    expected = [] if isinstance(summary, str) else ["a text"]
    assert shapes(dict(reasoning(), summary=summary)) == [("Reasoning", "".join(expected))]


def test_object_arguments_become_text() -> None:
    assert shapes(call({"city": "Ö"})) == [("function", "call_1", "weather", '{"city":"Ö"}')]  # type: ignore[arg-type]


def test_truncated_arguments_are_unchanged() -> None:
    assert shapes(call('{"city":"Os')) == [("function", "call_1", "weather", '{"city":"Os')]


@pytest.mark.parametrize(
    ("annotation", "citation"),
    [
        (CITATION, Citation("https://example.org/a", "A", "", 0, 5, CITATION)),
        (
            {"type": "file_citation", "file_id": "f", "filename": "a.pdf", "index": 9},
            Citation(title="a.pdf", raw={"type": "file_citation", "file_id": "f", "filename": "a.pdf", "index": 9}),
        ),
        (
            {"type": "url_citation", "url": None, "start_index": None},
            Citation(raw={"type": "url_citation", "url": None, "start_index": None}),
        ),
    ],
)
def test_annotations_become_citations(annotation: Json, citation: Citation) -> None:
    part = CODEC.decode(dump(response(message(text_part("Hello", annotation))))).turn.parts[0]
    assert isinstance(part, Text)
    assert part.citations == (citation,)


def test_usage() -> None:
    usage = CODEC.decode(dump(response())).usage
    assert usage is not None
    assert (usage.input, usage.output, usage.total) == (10, 7, 17)
    assert (usage.cache_read, usage.cache_write, usage.reasoning) == (4, 2, 3)
    assert usage.raw == USAGE


@pytest.mark.parametrize(
    ("usage", "numbers"),
    [
        ({"input_tokens": 3, "output_tokens": 4}, (3, 4, 7, None, None)),
        ({"input_tokens": 3.0, "output_tokens": None, "input_tokens_details": None}, (3, 0, 3, None, None)),
        ({"input_tokens": 1, "output_tokens": 1, "total_tokens": 5, "input_tokens_details": []}, (1, 1, 5, None, None)),
    ],
)
def test_incomplete_usage(usage: Json, numbers: tuple[int | None, ...]) -> None:
    decoded = CODEC.decode(dump(response(usage=usage))).usage
    assert decoded is not None
    assert (decoded.input, decoded.output, decoded.total, decoded.cache_read, decoded.reasoning) == numbers


def test_no_usage() -> None:
    assert CODEC.decode(dump(response(usage=None))).usage is None


@pytest.mark.parametrize(
    ("output", "status", "reason", "finish", "raw_finish"),
    [
        ([message(text_part("Hi"))], "completed", None, "stop", "completed"),
        ([message(text_part("Hi"))], "complete", None, "stop", "complete"),
        ([message(text_part("Hi"))], None, None, "stop", "completed"),
        ([message(text_part("Hi")), call()], "completed", None, "tool_calls", "completed"),
        ([custom()], "completed", None, "tool_calls", "completed"),
        ([message(text_part("Hi"), REFUSAL)], "completed", None, "refusal", "completed"),
        ([message(text_part("Hi"))], "incomplete", "max_output_tokens", "length", "max_output_tokens"),
        ([call()], "incomplete", "max_output_tokens", "length", "max_output_tokens"),
        ([], "incomplete", "content_filter", "content_filter", "content_filter"),
        ([], "incomplete", "steered", "unknown", "steered"),
        ([], "incomplete", None, "unknown", "incomplete"),
        ([], "queued", None, "pause", "queued"),
        ([], "in_progress", None, "pause", "in_progress"),
        ([], "cancelled", None, "error", "cancelled"),
        ([], "dreaming", None, "unknown", "dreaming"),
    ],
)
def test_finish_reasons(
    output: list[Json], status: str | None, reason: str | None, finish: str, raw_finish: str
) -> None:
    answer = {**response(*output), "status": status, "incomplete_details": {"reason": reason} if reason else None}
    reply = CODEC.decode(dump(answer))
    assert (reply.finish, reply.choices[0].provider_finish) == (finish, raw_finish)


def test_unmodeled_fields_without_those_of_the_request() -> None:
    facts = {
        "service_tier": "flex",
        "previous_response_id": "resp_0",
        "metadata": {"a": "b"},
        "conversation": {"id": 1},
    }
    request = {"tools": [{"type": "function"}], "instructions": "Be kind", "temperature": 1.0, "reasoning": {}}
    reply = CODEC.decode(dump(response(**facts, **request)))
    assert reply.facts == {"created_at": 1, "status": "completed", **facts}
    assert (reply.id, reply.model) == ("resp_1", "m-1")


@pytest.mark.parametrize("what", OUTPUTS)
def test_every_item_has_a_part(what: str) -> None:
    reply = CODEC.decode(dump(response(*OUTPUTS[what])))
    assert len(reply.turn.parts) >= len(OUTPUTS[what])


def test_the_envelope_is_removed() -> None:
    answer = response(message(text_part("Hi")))
    wrapped = {"result": answer, "success": True, "errors": [], "messages": []}
    assert CODEC.decode(dump(wrapped)) == CODEC.decode(dump(answer))


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "no", "code": "server_error"}},
        {"error": "no"},
        {"type": "error", "error": {"message": "no"}},
        {"success": False, "errors": [{"code": 7003, "message": "no"}], "result": None},
        {"success": False, "result": response()},
        {"errors": [{"message": "no"}]},
        {"name": "AiError", "internalCode": 5006, "httpCode": 400, "message": "no"},
        response(status="failed", error={"code": "server_error", "message": "no"}),
        response(status="failed"),
        response(message(text_part("Hi")), error={"code": "server_error", "message": "no"}),
        {"status": "failed"},
    ],
)
def test_an_error_in_a_2xx_body_is_raised_with_its_body(body: Json) -> None:
    with pytest.raises(EmbeddedError) as raised:
        CODEC.decode(dump(body))
    assert raised.value.body == body


def test_an_error_inside_the_envelope_is_raised() -> None:
    failed = response(status="failed", error={"code": "x"})
    with pytest.raises(EmbeddedError) as raised:
        CODEC.decode(dump({"result": failed, "success": True}))
    assert raised.value.body == failed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'"text"',
        b"{}",
        b'{"id":"x"}',
        b'{"output":"text"}',
        b'{"output":null,"status":"completed"}',
        b'{"output":["text"]}',
        json.dumps(response(message(content=[1]))).encode(),
        json.dumps(response(message(dict(text_part("a"), text=["b"])))).encode(),
        json.dumps(response(message({"text": "no type"}))).encode(),
        json.dumps(response({"content": "no type"})).encode(),
        json.dumps(response(dict(call(), name=None))).encode(),
        json.dumps(response(message(text_part("a"))))[:-9].encode(),
    ],
)
def test_other_bodies_are_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        CODEC.decode(body)
