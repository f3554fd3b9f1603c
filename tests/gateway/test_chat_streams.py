"""Streams of chat calls: when they are opened, fail, and end; documents in their place."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cfaig_integrations.core.content import ToolCall
from cfaig_integrations.core.events import TextDelta
from cfaig_integrations.core.fold import fold
from cfaig_integrations.errors import (
    ApiError,
    ConnectFault,
    GatewayError,
    NotFound,
    ProtocolError,
    ServerFault,
    StreamBroken,
    TimeoutFault,
)
from cfaig_integrations.gateway import exchange
from cfaig_integrations.gateway.actions import HttpResponse, ReadOn, Send
from cfaig_integrations.wire import sse
from tests.gateway.kit import JSON, PIECES, REQUEST, SSE, WHOLE, connect, run


def test_a_stream_is_returned_with_its_first_text() -> None:
    ended = run(exchange.stream(connect(), REQUEST), HttpResponse(200, SSE, None), PIECES[0])
    session = ended.result
    assert [type(action) for action in ended.actions] == [Send, ReadOn]
    events = [*session.waiting, *session.feed(PIECES[1]), *session.feed(PIECES[2] + PIECES[1])]
    assert session.ended
    assert session.error is None
    assert fold("chat_completions", events).turn.text == "Hi there"
    assert session.info.log_id == "log1"
    assert ended.bodies[0]["stream"] is True


def test_a_stream_is_read_until_something_is_visible() -> None:
    silent = b": processing\n\n"
    head = b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'
    ended = run(exchange.stream(connect(), REQUEST), HttpResponse(200, SSE, None), silent, head, PIECES[1])
    assert any(isinstance(event, TextDelta) for event in ended.result.waiting)


SENT_AND_RESET = ConnectFault("reset", maybe_billed=True)
ERROR_EVENT = b'data: {"error":{"message":"Overloaded","code":529,"type":"overloaded_error"}}\n\n'


@pytest.mark.parametrize(
    "outcomes",
    [[SENT_AND_RESET], [None], [TimeoutFault("idle", maybe_billed=True)], [PIECES[0][:20], None]],
    ids=["reset", "empty", "idle", "half an event"],
)
def test_a_stream_that_fails_before_its_first_text_may_be_billed(outcomes: list[Any]) -> None:
    opened = HttpResponse(200, SSE, None)
    ended = run(exchange.stream(connect(), REQUEST), opened, *outcomes)
    assert isinstance(ended.raised, GatewayError)
    assert (ended.raised.requests_sent, ended.raised.retryable, ended.raised.maybe_billed) == (1, False, True)
    assert (ended.raised.log_id, ended.raised.log_ids) == ("log1", ("log1",))
    again = replace(opened, headers={**SSE, "cf-aig-log-id": "log2"})
    allowed = run(exchange.stream(connect(retry_after_send=True), REQUEST), opened, *outcomes, again, PIECES[0])
    assert allowed.result.requests_sent == 2
    assert allowed.result.info.log_ids == ("log1", "log2")
    assert len(allowed.pauses) == 1


def test_an_error_event_before_the_first_text_is_handled_like_an_error_response() -> None:
    throttled = b'data: {"success":false,"errors":[{"code":3040,"message":"out of capacity"}]}\n\n'
    opened = HttpResponse(200, SSE, None)
    ended = run(exchange.stream(connect(), REQUEST), opened, throttled, opened, PIECES[0])
    assert ended.result.requests_sent == 2
    final = b'data: {"success":false,"errors":[{"code":5007,"message":"No such model"}]}\n\n'
    assert isinstance(run(exchange.stream(connect(), REQUEST), opened, final).raised, NotFound)


def test_a_stream_truncated_after_its_first_text_keeps_the_partial_text() -> None:
    session = run(exchange.stream(connect(), REQUEST), HttpResponse(200, SSE, None), PIECES[0]).result
    assert session.close() == []
    assert isinstance(session.error, StreamBroken)
    assert (session.error.partial, session.error.requests_sent) == ("Hi", 1)


def test_an_error_event_after_the_first_text_is_raised_after_its_events() -> None:
    session = run(exchange.stream(connect(), REQUEST), HttpResponse(200, SSE, None), PIECES[0]).result
    (event,) = session.feed(PIECES[0].replace(b"Hi", b" you") + ERROR_EVENT)
    assert event == TextDelta(0, " you"), "what came before the error is delivered"
    assert session.ended
    assert isinstance(session.error, ServerFault)
    assert (session.error.message, session.error.log_id, session.error.requests_sent) == ("Overloaded", "log1", 1)


STARTS = {
    "chat_completions": PIECES[0].replace(b'"Hi"', b'""'),
    "messages": b"".join(
        b"data: " + json.dumps(event).encode() + b"\n\n"
        for event in (
            {"type": "message_start", "message": {"id": "m", "model": "m", "content": []}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        )
    ),
    "responses": b"".join(
        b"data: " + json.dumps(event).encode() + b"\n\n"
        for event in (
            {"type": "response.created", "response": {"id": "r", "model": "m", "status": "in_progress"}},
            {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "i"}},
            {
                "type": "response.content_part.added",
                "output_index": 0,
                "content_index": 0,
                "part": {"type": "output_text", "text": ""},
            },
        )
    ),
}


@pytest.mark.parametrize("failure", [ConnectFault("reset"), TimeoutFault("idle"), None], ids=["reset", "idle", "end"])
@pytest.mark.parametrize("api", STARTS)
def test_a_stream_that_fails_after_the_start_of_a_part_is_retried(api: Any, failure: Any) -> None:
    opened = HttpResponse(200, SSE, None)
    connection = connect(api=api, retry_after_send=True)
    ended = run(exchange.stream(connection, REQUEST), opened, STARTS[api], failure, opened, STARTS[api], BROKEN)
    assert isinstance(ended.raised, ProtocolError)
    assert len(ended.calls) == 2


BROKEN = b"data: {]\n\ndata: {}\n\n"


@pytest.mark.parametrize("lost", [ConnectFault("reset"), TimeoutFault("idle")], ids=["reset", "idle"])
def test_a_connection_lost_after_the_reply_is_no_error(lost: GatewayError) -> None:
    session = run(exchange.stream(connect(), REQUEST), HttpResponse(200, SSE, None), PIECES[0]).result
    events = [*session.waiting, *session.feed(PIECES[1] + b'data: {"usage":{"prom'), *session.lost(lost)]
    assert session.error is None
    assert fold("chat_completions", events).turn.text == "Hi there"


def test_a_connection_lost_within_the_reply_is_an_error() -> None:
    session = run(exchange.stream(connect(), REQUEST), HttpResponse(200, SSE, None), PIECES[0]).result
    lost = StreamBroken("reset")
    assert session.lost(lost) == []
    assert session.error is lost
    assert lost.partial == "Hi"


def test_an_error_of_the_server_is_raised_though_the_connection_is_lost_after_it() -> None:
    session = run(exchange.stream(connect(), REQUEST), HttpResponse(200, SSE, None), PIECES[0]).result
    assert session.feed(ERROR_EVENT.rstrip()) == session.lost(StreamBroken("reset")) == []
    assert isinstance(session.error, ServerFault)


@pytest.mark.parametrize(
    ("chunk", "idle"),
    [
        (b": ping\n\n", True),
        (b"\n\n", True),
        (b"data: ping\n\n", True),
        (b": half of a comment", True),
        (b'data: {"half of', False),
        (PIECES[1], False),
        (b": ping\n\n" + PIECES[1], False),
    ],
)
def test_only_parts_of_the_reply_are_progress(chunk: bytes, idle: bool) -> None:
    session = run(exchange.stream(connect(), REQUEST), HttpResponse(200, SSE, None), PIECES[0]).result
    session.feed(chunk)
    assert session.idle is idle


def test_a_surrogate_pair_in_two_deltas_is_one_character() -> None:
    high, low = PIECES[0].replace(b'"Hi"', rb'"\ud83d"'), PIECES[1].replace(b" there", rb"\ude00 and \ud83d")
    session = run(exchange.stream(connect(), REQUEST), HttpResponse(200, SSE, None), high + low).result
    events = [*session.waiting, *session.feed(PIECES[2])]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "\U0001f600 and \ufffd"


def test_surrogate_pairs_of_parallel_calls_are_joined() -> None:
    def piece(index: int, arguments: str) -> bytes:
        call = {
            "index": index,
            "id": f"c{index}",
            "type": "function",
            "function": {"name": "f", "arguments": arguments},
        }
        chunk = {"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}
        return b"data: " + json.dumps(chunk).encode() + b"\n\n"

    pieces = piece(0, '{"a": "\ud83d') + piece(1, '{"a": "\ud83d') + piece(0, '\ude00"}') + piece(1, '\ude01"}')
    session = run(exchange.stream(connect(), REQUEST), HttpResponse(200, SSE, None), pieces).result
    calls = fold("chat_completions", [*session.waiting, *session.feed(PIECES[2])]).turn.parts
    arguments = [call.arguments for call in calls if isinstance(call, ToolCall)]
    assert arguments == ['{"a": "\U0001f600"}', '{"a": "\U0001f601"}']


def test_a_document_in_place_of_a_stream_becomes_a_stream() -> None:
    """facts §5.3: some models answer `stream: true` with one JSON document."""
    document = WHOLE[:-1] + b', "gatewayMetadata": {"keySource": "BYOK"}}'
    pieces = (b"  \n", document[:9], document[9:], None)
    session = run(exchange.stream(connect(), REQUEST), HttpResponse(200, SSE, None), *pieces).result
    assert (session.ended, session.info.key_source) == (True, "BYOK")
    assert fold("chat_completions", session.waiting).turn.text == "Hi there"


def test_a_stream_in_place_of_a_document_becomes_a_reply() -> None:
    reply, info = run(exchange.chat(connect(), REQUEST), HttpResponse(200, JSON, b"".join(PIECES))).result
    assert reply.turn.text == "Hi there"
    assert info.log_id == "log1"


def test_a_truncated_stream_in_place_of_a_document_is_an_error() -> None:
    ended = run(exchange.chat(connect(max_retries=0), REQUEST), HttpResponse(200, SSE, PIECES[0]))
    assert isinstance(ended.raised, StreamBroken)


def test_an_error_event_in_place_of_a_document_is_the_error_and_not_the_missing_end() -> None:
    event = b'data: {"error": {"code": 3040, "message": "out of capacity"}}\n\n'
    ended = run(exchange.chat(connect(max_retries=0), REQUEST), HttpResponse(200, SSE, PIECES[0] + event))
    assert isinstance(ended.raised, ApiError)
    assert ended.raised.code == 3040


def test_an_event_over_the_limit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "EVENT_LIMIT", 50)
    ended = run(exchange.stream(connect(), REQUEST), HttpResponse(200, SSE, None), PIECES[0])
    assert isinstance(ended.raised, ProtocolError)


PAGE = b"\n<!DOCTYPE html><html><head><title>Sign in</title></head></html>"


def test_an_html_page_is_an_error_with_any_content_type() -> None:
    whole = run(exchange.chat(connect(), REQUEST), HttpResponse(200, JSON, PAGE)).raised
    streamed = run(exchange.stream(connect(), REQUEST), HttpResponse(200, SSE, None), PAGE, None).raised
    for raised in (whole, streamed):
        assert isinstance(raised, GatewayError)
        assert "HTML page" in str(raised)


# Logs


def test_an_unpaired_surrogate_ends_its_text() -> None:
    thought = PIECES[0].replace(b'"content":"Hi"', rb'"reasoning_content":"so \ud83d"')
    session = run(exchange.stream(connect(), REQUEST), HttpResponse(200, SSE, None), thought + PIECES[0]).result
    texts = [event.text for event in session.waiting if hasattr(event, "text")]
    assert texts == ["so ", "\ufffd", "Hi"]
