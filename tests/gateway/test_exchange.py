"""The conversation by hand: what it asks its driver for, and what it makes of the answers."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from cfaig_integrations.core.chat import ChatRequest, FunctionTool
from cfaig_integrations.core.content import Media, Text, Turn
from cfaig_integrations.core.events import TextDelta
from cfaig_integrations.core.fold import fold
from cfaig_integrations.errors import (
    AuthError,
    ConfigError,
    ConnectFault,
    GatewayError,
    InvalidRequest,
    NotFound,
    ProtocolError,
    RateLimited,
    ServerFault,
    StreamBroken,
    TimeoutFault,
)
from cfaig_integrations.gateway import exchange, logs, session
from cfaig_integrations.gateway.actions import (
    Action,
    AskToken,
    HttpRequest,
    HttpResponse,
    ReadOn,
    Send,
    Sleep,
)
from cfaig_integrations.gateway.connection import CallOptions, Connection
from cfaig_integrations.gateway.models import routes
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.gateway.settings import resolve
from cfaig_integrations.wire.sse import SseParser

JSON = {"content-type": "application/json", "cf-aig-log-id": "log1"}
SSE = {"content-type": "text/event-stream; charset=utf-8", "cf-aig-log-id": "log1"}
WHOLE = json.dumps(
    {
        "id": "1",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi there"}, "finish_reason": "stop"}],
    }
).encode()
RESPONSES = json.dumps(
    {
        "id": "r1",
        "object": "response",
        "status": "completed",
        "model": "m",
        "output": [
            {
                "type": "message",
                "id": "m1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "From responses", "annotations": []}],
            }
        ],
    }
).encode()
PIECES = [
    b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"}}]}\n\n',
    b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"content":" there"},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]
ASKED = ChatRequest("openai/gpt-5.4", (Turn("user", (Text("Hello"),)),))
WITH_A_TOOL = replace(ASKED, tools=(FunctionTool("add", "Adds.", {"type": "object", "properties": {}}),))


def error(status: int, code: int, message: str, **headers: str) -> HttpResponse:
    body = {"success": False, "errors": [{"code": code, "message": message}], "result": None}
    return HttpResponse(status, {**JSON, **headers}, json.dumps(body).encode())


BUSY = error(429, 3040, "out of capacity")
WRONG_SHAPE = error(400, 7003, "Model execution failed (User Input Error): Invalid value at input")
NO_AUTHENTICATION = error(402, 2021, "Gateway authentication is required to use unified billing")
"""As an authenticated gateway answered on one wire only (facts §14.1)."""


@pytest.fixture(autouse=True)
def _nothing_learned() -> Iterator[None]:
    routes.forget()
    yield
    routes.forget()


def connection(**words: Any) -> Connection:
    settings = resolve(
        account_id="acc",
        api_token=words.pop("api_token", "tok"),
        base_url=words.pop("base_url", "http://host/client/v4"),
    )
    return Connection(settings=settings, **words)


@dataclass
class Played:
    """A conversation that has come to its end."""

    result: Any
    raised: BaseException | None
    steps: list[Action]

    @property
    def calls(self) -> list[HttpRequest]:
        return [step.request for step in self.steps if isinstance(step, Send)]

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(call.body) for call in self.calls]

    @property
    def naps(self) -> list[float]:
        return [step.seconds for step in self.steps if isinstance(step, Sleep)]


def play(talk: Generator[Action, Any, Any], *outcomes: Any) -> Played:
    """Runs a conversation against a script: `Sleep` is answered by itself, all else by the next outcome."""
    waiting = list(outcomes)
    steps: list[Action] = []
    try:
        step = next(talk)
        while True:
            steps.append(step)
            outcome = None if isinstance(step, Sleep) else waiting.pop(0)
            step = talk.throw(outcome) if isinstance(outcome, Exception) else talk.send(outcome)
    except StopIteration as end:
        assert not waiting, "the conversation ended before its script"
        return Played(end.value, None, steps)
    except GatewayError as raised:
        assert not waiting, "the conversation ended before its script"
        return Played(None, raised, steps)


def test_a_question_is_one_request_and_its_answer_a_reply() -> None:
    played = play(exchange.chat(connection(), ASKED), HttpResponse(200, JSON, WHOLE))
    reply, info = played.result
    assert reply.turn.text == "Hi there"
    assert (info.log_id, info.wire, info.requested_model, info.attempts) == (
        "log1",
        "chat_completions",
        "openai/gpt-5.4",
        1,
    )
    (call,) = played.calls
    assert (call.method, call.url) == ("POST", "http://host/client/v4/accounts/acc/ai/v1/chat/completions")
    assert (b"authorization", b"Bearer tok") in call.headers
    assert played.bodies == [{"model": "openai/gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}]


@pytest.mark.parametrize(
    "outcome",
    [ConnectFault("reset"), TimeoutFault("slow"), BUSY, error(503, 1, "down"), error(400, 2005, "Failed to get ...")],
    ids=["reset", "timeout", "429", "503", "400/2005"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_may_pass_is_sent_again_after_a_pause(outcome: Any, stream: bool) -> None:
    if stream:
        good = (HttpResponse(200, SSE, None), PIECES[0])
        played = play(exchange.stream(connection(), ASKED), outcome, *good)
        assert played.result.info.attempts == played.result.requests_sent == 2
    else:
        played = play(exchange.chat(connection(), ASKED), outcome, HttpResponse(200, JSON, WHOLE))
        assert played.result[1].attempts == 2
    first, second = played.calls
    assert first == second
    assert len(played.naps) == 1


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        ({}, 3),
        ({"max_retries": 0}, 1),
        ({"max_retries": 4}, 5),
        ({"options": GatewayOptions(max_attempts=3)}, 1),
        ({"options": GatewayOptions(max_attempts=3), "max_retries": 1}, 2),
    ],
    ids=str,
)
def test_patience_ends(words: dict[str, Any], sent: int) -> None:
    played = play(exchange.chat(connection(**words), ASKED), *[BUSY] * sent)
    assert isinstance(played.raised, RateLimited)
    assert played.raised.requests_sent == sent == len(played.calls)
    assert len(played.naps) == sent - 1


def test_retry_after_is_waited_for() -> None:
    told = error(429, 3040, "busy", **{"retry-after": "7"})
    assert play(exchange.chat(connection(), ASKED), told, HttpResponse(200, JSON, WHOLE)).naps == [7.0]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(401, 10000, "Authentication error"), AuthError),
        (error(400, 5006, "Bad input"), InvalidRequest),
        (error(429, 2045, "Spend limit exceeded"), RateLimited),
        (error(429, 3040, "busy", **{"retry-after": "3600"}), RateLimited),
        (HttpResponse(302, {"location": "https://elsewhere"}, b""), GatewayError),
    ],
    ids=["401", "400", "spend", "retry-after", "302"],
)
def test_what_will_not_pass_is_raised_at_once(answer: HttpResponse, kind: type[GatewayError]) -> None:
    played = play(exchange.chat(connection(), ASKED, CallOptions(api="chat_completions")), answer)
    assert isinstance(played.raised, kind)
    assert played.raised.requests_sent == 1


def test_a_refusal_inside_a_2xx_is_an_error_and_tried_again_if_it_may_pass() -> None:
    """facts §5.1: a failure envelope can arrive with a 2xx status."""
    throttled = error(200, 2021, "Wholesale rate limit exceeded for this gateway. Please reduce request rate.")
    played = play(exchange.chat(connection(), ASKED), throttled, HttpResponse(200, JSON, WHOLE))
    assert played.result[0].turn.text == "Hi there"
    assert played.naps[0] >= 5
    final = play(exchange.chat(connection(), ASKED), error(200, 5007, "No such model"))
    assert isinstance(final.raised, NotFound)
    assert final.raised.status == 200
    assert final.raised.log_id == "log1"


def test_an_answer_that_is_not_json_is_not_asked_for_again() -> None:
    played = play(exchange.chat(connection(), ASKED), HttpResponse(200, {"content-type": "text/html"}, b"<html>"))
    assert isinstance(played.raised, ProtocolError)
    assert played.raised.requests_sent == 1


def test_wrong_input_sends_nothing() -> None:
    bad = ChatRequest("openai/gpt-5.4", (Turn("user", (Media("video", url="http://v"),)),))
    played = play(exchange.chat(connection(), bad, CallOptions(api="chat_completions")))
    assert isinstance(played.raised, ConfigError)
    assert (played.raised.requests_sent, played.steps) == (0, [])


# The other wire


@pytest.mark.parametrize("refusal", [WRONG_SHAPE, NO_AUTHENTICATION], ids=["shape", "authentication"])
def test_a_model_that_refuses_the_shape_is_asked_on_its_other_wire_and_remembered(refusal: HttpResponse) -> None:
    played = play(exchange.chat(connection(), ASKED), refusal, HttpResponse(200, JSON, RESPONSES))
    reply, info = played.result
    assert [call.url.rpartition("/")[2] for call in played.calls] == ["completions", "responses"]
    assert reply.turn.text == "From responses"
    assert (info.wire, info.switched_from, info.attempts) == ("responses", "chat_completions", 2)
    assert played.naps == []
    again = play(exchange.chat(connection(), ASKED), HttpResponse(200, JSON, RESPONSES))
    assert again.result[1].switched_from is None


@pytest.mark.parametrize(
    "refusal",
    [
        error(402, 2021, "Gateway authentication is required"),
        error(405, 7000, "Method not allowed"),
        error(404, 7000, "No route for that URI"),
        HttpResponse(404, {"content-type": "text/html"}, b"<html><head><title>404 Not Found</title></head></html>"),
        HttpResponse(404, {}, b""),
    ],
)
def test_a_path_that_is_not_served_is_left_for_the_other_wire(refusal: HttpResponse) -> None:
    """facts §14.1."""
    played = play(exchange.chat(connection(), WITH_A_TOOL), refusal, HttpResponse(200, JSON, WHOLE))
    assert [call.url.rpartition("/")[2] for call in played.calls] == ["responses", "completions"]
    assert (played.result[1].switched_from, played.naps) == ("responses", [])
    chosen = play(exchange.chat(connection(), WITH_A_TOOL, CallOptions(api="responses")), refusal)
    assert (chosen.raised is None, len(chosen.calls)) == (False, 1)


def test_options_in_the_body_go_where_there_is_a_place_for_them() -> None:
    made = connection(options=GatewayOptions(reject_if_busy=True))
    played = play(exchange.chat(made, WITH_A_TOOL), HttpResponse(200, JSON, WHOLE))
    assert played.calls[0].url.endswith("/chat/completions")


def test_stop_texts_are_looked_for_here_where_a_closed_schema_has_no_place_for_them() -> None:
    asked = ChatRequest("xai/grok-4.7", ASKED.turns, stop=("completions",))
    played = play(exchange.chat(connection(), asked), HttpResponse(200, JSON, WHOLE))
    assert "stop" not in json.loads(played.calls[0].body)
    assert "completions" not in played.result[0].turn.text


def test_streams_switch_too() -> None:
    played = play(exchange.stream(connection(), ASKED), WRONG_SHAPE, HttpResponse(200, JSON, None), RESPONSES, None)
    assert played.result.info.switched_from == "chat_completions"


def test_if_both_wires_are_refused_the_first_refusal_counts_and_nothing_is_remembered() -> None:
    second = error(400, 7003, "Model execution failed (User Input Error): Invalid value at tools")
    played = play(exchange.chat(connection(), ASKED), WRONG_SHAPE, second)
    assert isinstance(played.raised, InvalidRequest)
    assert "at input" in played.raised.message
    assert played.raised.requests_sent == 2
    assert play(exchange.chat(connection(), ASKED), HttpResponse(200, JSON, WHOLE)).result[1].wire == "chat_completions"


def test_what_the_other_wire_cannot_say_is_not_the_users_mistake() -> None:
    made = connection(options=GatewayOptions(reject_if_busy=True))  # for which Responses has no place
    assert isinstance(play(exchange.chat(made, ASKED), WRONG_SHAPE).raised, InvalidRequest)


def test_another_failure_on_the_other_wire_is_that_failure() -> None:
    denied = error(401, 10000, "Authentication error")
    assert isinstance(play(exchange.chat(connection(), ASKED), WRONG_SHAPE, denied).raised, AuthError)


def test_both_wires_share_one_budget_of_retries() -> None:
    outcomes = [BUSY, WRONG_SHAPE, BUSY, BUSY]
    played = play(exchange.chat(connection(), ASKED), *outcomes)
    assert isinstance(played.raised, RateLimited)
    assert len(played.naps) == 2


@pytest.mark.parametrize("where", ["call", "connection"])
def test_a_chosen_wire_is_never_overruled(where: str) -> None:
    made = connection(api="chat_completions") if where == "connection" else connection()
    call = CallOptions(api="chat_completions") if where == "call" else CallOptions()
    played = play(exchange.chat(made, ASKED, call), WRONG_SHAPE)
    assert isinstance(played.raised, InvalidRequest)
    assert len(played.calls) == 1


# Bodies


def test_run_wraps_the_input_and_puts_options_beside_it() -> None:
    made = connection(options=GatewayOptions(reject_if_busy=True))
    played = play(exchange.chat(made, ASKED, CallOptions(api="run")), HttpResponse(200, JSON, WHOLE))
    (body,) = played.bodies
    assert body["model"] == "openai/gpt-5.4"
    assert body["options"] == {"rejectIfBusy": True}
    assert body["input"]["messages"] == [{"role": "user", "content": "Hello"}]
    assert played.calls[0].url.endswith("/accounts/acc/ai/run")


def test_run_stops_by_itself_where_the_model_speaks_a_format_without_stop_texts() -> None:
    asked = ChatRequest("openai/gpt-5.6-luna", ASKED.turns, stop=("STOP",))
    answer = HttpResponse(200, JSON, WHOLE.replace(b"Hi", b"one STOP two"))
    played = play(exchange.chat(connection(), asked, CallOptions(api="run")), answer)
    assert (played.result[0].turn.text, "STOP" in json.dumps(played.bodies[0])) == ("one ", False)


def test_run_of_a_workers_ai_model_has_the_model_in_its_path_and_a_bare_input() -> None:
    """facts §1.1: unescaped, and without the wrapper."""
    asked = ChatRequest("@cf/zai-org/glm-5.2", ASKED.turns)
    played = play(exchange.chat(connection(), asked, CallOptions(api="run")), HttpResponse(200, JSON, WHOLE))
    assert played.calls[0].url.endswith("/accounts/acc/ai/run/@cf/zai-org/glm-5.2")
    assert not played.bodies[0].keys() & {"model", "input"}


def test_an_option_with_no_place_on_the_wire_is_not_dropped() -> None:
    call = CallOptions(api="responses", options=GatewayOptions(reject_if_busy=True))
    played = play(exchange.chat(connection(), ASKED, call))
    assert isinstance(played.raised, ConfigError)
    assert "rejectIfBusy" in str(played.raised)


def test_the_legacy_host_is_asked_under_its_own_path() -> None:
    made = connection(base_url="https://gateway.ai.cloudflare.com/v1/acc/gw/compat")
    played = play(exchange.chat(made, ASKED), HttpResponse(200, JSON, WHOLE))
    assert played.calls[0].url == "https://gateway.ai.cloudflare.com/v1/acc/gw/compat/chat/completions"
    assert (b"cf-aig-authorization", b"Bearer tok") in played.calls[0].headers


# Tokens


def test_a_token_that_is_asked_for_is_asked_for_before_every_request() -> None:
    made = connection(api_token=lambda: "unused")
    played = play(exchange.chat(made, ASKED), "one", BUSY, "two", HttpResponse(200, JSON, WHOLE))
    assert [type(step) for step in played.steps] == [AskToken, Send, Sleep, AskToken, Send]
    sent = [dict(call.headers)[b"authorization"] for call in played.calls]
    assert sent == [b"Bearer one", b"Bearer two"]


@pytest.mark.parametrize("token", [None, 7, "", "two\nlines"])
def test_a_token_that_is_none_is_refused_before_anything_is_sent(token: Any) -> None:
    played = play(exchange.chat(connection(api_token=lambda: "unused"), ASKED), token)
    assert isinstance(played.raised, ConfigError)
    assert played.raised.requests_sent == 0


# Streams


def test_a_stream_is_handed_over_with_its_first_words() -> None:
    played = play(exchange.stream(connection(), ASKED), HttpResponse(200, SSE, None), PIECES[0])
    session = played.result
    assert [type(step) for step in played.steps] == [Send, ReadOn]
    events = [*session.waiting, *session.feed(PIECES[1]), *session.feed(PIECES[2] + PIECES[1])]
    assert session.ended
    assert session.error is None
    assert fold("chat_completions", events).turn.text == "Hi there"
    assert session.info.log_id == "log1"
    assert played.bodies[0]["stream"] is True


def test_a_stream_that_says_nothing_yet_is_read_on() -> None:
    silent = b": processing\n\n"
    head = b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'
    played = play(exchange.stream(connection(), ASKED), HttpResponse(200, SSE, None), silent, head, PIECES[1])
    assert any(isinstance(event, TextDelta) for event in played.result.waiting)


ERROR_EVENT = b'data: {"error":{"message":"Overloaded","code":529,"type":"overloaded_error"}}\n\n'


@pytest.mark.parametrize(
    "outcomes",
    [[ConnectFault("reset")], [None], [TimeoutFault("idle")], [PIECES[0][:20], None]],
    ids=["reset", "empty", "idle", "half an event"],
)
def test_a_stream_that_fails_before_its_first_word_is_opened_again(outcomes: list[Any]) -> None:
    opened = HttpResponse(200, SSE, None)
    played = play(exchange.stream(connection(), ASKED), opened, *outcomes, opened, PIECES[0])
    assert played.result.requests_sent == 2
    assert len(played.naps) == 1


def test_an_error_event_before_the_first_word_is_judged_like_an_answer() -> None:
    throttled = b'data: {"success":false,"errors":[{"code":3040,"message":"out of capacity"}]}\n\n'
    opened = HttpResponse(200, SSE, None)
    played = play(exchange.stream(connection(), ASKED), opened, throttled, opened, PIECES[0])
    assert played.result.requests_sent == 2
    final = b'data: {"success":false,"errors":[{"code":5007,"message":"No such model"}]}\n\n'
    assert isinstance(play(exchange.stream(connection(), ASKED), opened, final).raised, NotFound)


def test_after_the_first_word_a_cut_is_an_error_that_keeps_what_came() -> None:
    session = play(exchange.stream(connection(), ASKED), HttpResponse(200, SSE, None), PIECES[0]).result
    assert session.close() == []
    assert isinstance(session.error, StreamBroken)
    assert (session.error.partial, session.error.requests_sent) == ("Hi", 1)


def test_after_the_first_word_an_error_event_is_the_error_that_it_names() -> None:
    session = play(exchange.stream(connection(), ASKED), HttpResponse(200, SSE, None), PIECES[0]).result
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
def test_the_start_of_a_part_is_not_visible_so_the_stream_is_opened_again(api: Any, failure: Any) -> None:
    opened = HttpResponse(200, SSE, None)
    played = play(
        exchange.stream(connection(api=api), ASKED), opened, STARTS[api], failure, opened, STARTS[api], BROKEN
    )
    assert isinstance(played.raised, ProtocolError)
    assert len(played.calls) == 2


BROKEN = b"data: {]\n\ndata: {}\n\n"


@pytest.mark.parametrize("lost", [ConnectFault("reset"), TimeoutFault("idle")], ids=["reset", "idle"])
def test_a_connection_lost_after_the_answer_is_no_error(lost: GatewayError) -> None:
    session = play(exchange.stream(connection(), ASKED), HttpResponse(200, SSE, None), PIECES[0]).result
    events = [*session.waiting, *session.feed(PIECES[1] + b'data: {"usage":{"prom'), *session.lost(lost)]
    assert session.error is None
    assert fold("chat_completions", events).turn.text == "Hi there"


def test_a_connection_lost_within_the_answer_is_the_error() -> None:
    session = play(exchange.stream(connection(), ASKED), HttpResponse(200, SSE, None), PIECES[0]).result
    lost = StreamBroken("reset")
    assert session.lost(lost) == []
    assert session.error is lost
    assert lost.partial == "Hi"


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
def test_only_what_belongs_to_the_answer_is_progress(chunk: bytes, idle: bool) -> None:
    session = play(exchange.stream(connection(), ASKED), HttpResponse(200, SSE, None), PIECES[0]).result
    session.feed(chunk)
    assert session.idle is idle


def test_a_surrogate_pair_in_two_deltas_is_one_character() -> None:
    high, low = PIECES[0].replace(b'"Hi"', rb'"\ud83d"'), PIECES[1].replace(b" there", rb"\ude00 and \ud83d")
    session = play(exchange.stream(connection(), ASKED), HttpResponse(200, SSE, None), high + low).result
    events = [*session.waiting, *session.feed(PIECES[2])]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "\U0001f600 and \ufffd"


def test_a_document_for_a_stream_is_a_stream() -> None:
    """facts §5.3: some models answer `stream: true` with one JSON document."""
    pieces = (b"  \n", WHOLE[:9], WHOLE[9:], None)
    session = play(exchange.stream(connection(), ASKED), HttpResponse(200, SSE, None), *pieces).result
    assert session.ended
    assert fold("chat_completions", session.waiting).turn.text == "Hi there"


def test_a_stream_for_a_document_is_a_document() -> None:
    reply, info = play(exchange.chat(connection(), ASKED), HttpResponse(200, JSON, b"".join(PIECES))).result
    assert reply.turn.text == "Hi there"
    assert info.log_id == "log1"


def test_half_a_stream_for_a_document_is_no_document() -> None:
    played = play(exchange.chat(connection(max_retries=0), ASKED), HttpResponse(200, SSE, PIECES[0]))
    assert isinstance(played.raised, StreamBroken)


def test_an_event_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SseParser", partial(SseParser, 50))
    played = play(exchange.stream(connection(), ASKED), HttpResponse(200, SSE, None), PIECES[0])
    assert isinstance(played.raised, ProtocolError)


PAGE = b"\n<!DOCTYPE html><html><head><title>Sign in</title></head></html>"


def test_a_page_is_an_error_whatever_its_content_type() -> None:
    whole = play(exchange.chat(connection(), ASKED), HttpResponse(200, JSON, PAGE)).raised
    streamed = play(exchange.stream(connection(), ASKED), HttpResponse(200, SSE, None), PAGE, None).raised
    for raised in (whole, streamed):
        assert isinstance(raised, GatewayError)
        assert "HTML page" in str(raised)


# Logs


def entry_answer(**fields: Any) -> HttpResponse:
    return HttpResponse(200, JSON, json.dumps({"success": True, "result": {"id": "log/1", **fields}}).encode())


@pytest.mark.parametrize("metadata", [{"team": "a"}, '{"team": "a"}'], ids=["object", "string"])
def test_a_log_entry_tells_the_cost(metadata: Any) -> None:
    """facts §8.5: metadata is a string by the published types, an object on the wire."""
    found = play(
        logs.entry(connection(), "log/1"),
        entry_answer(cost=0.25, tokens_in=3, cached=False, model="m", metadata=metadata, byok=True),
    )
    assert (found.result.cost, found.result.tokens_in, found.result.cached) == (0.25, 3, False)
    assert found.result.metadata == {"team": "a"}
    assert found.result.raw["byok"] is True
    assert found.calls[0].method == "GET"
    assert found.calls[0].url == "http://host/client/v4/accounts/acc/ai-gateway/gateways/default/logs/log%2F1"


def test_a_log_that_is_late_is_asked_for_once_more() -> None:
    late = error(404, 7002, "Log not found")
    found = play(logs.entry(connection(), "log/1"), late, entry_answer())
    assert (found.result.id, found.naps) == ("log/1", [0.5])
    gone = play(logs.entry(connection(), "log/1"), late, late)
    assert isinstance(gone.raised, NotFound)
    assert gone.raised.requests_sent == 2


def test_logs_are_listed_by_a_query() -> None:
    query = logs.LogQuery(2, 5, "model", False, "hey", (logs.LogFilter("cost", "gt", (0.1,)),))
    found = play(
        logs.entries(connection(), query, "other"), HttpResponse(200, JSON, b'{"success":true,"result":[{"id":"a"}]}')
    )
    assert [entry.id for entry in found.result] == ["a"]
    path, _, words = found.calls[0].url.partition("?")
    assert path.endswith("/gateways/other/logs")
    assert set(words.split("&")) == {
        "page=2",
        "per_page=5",
        "order_by=model",
        "order_by_direction=asc",
        "search=hey",
        "filters=%5B%7B%22key%22%3A%22cost%22%2C%22operator%22%3A%22gt%22%2C%22value%22%3A%5B0.1%5D%7D%5D",
    }


@pytest.mark.parametrize("body", [b'{"success":true,"result":{}}', b'{"success":true,"result":[{}]}', b"[]"])
def test_a_strange_list_is_refused(body: bytes) -> None:
    raised = play(logs.entries(connection(), logs.LogQuery()), HttpResponse(200, JSON, body)).raised
    assert isinstance(raised, ProtocolError)
    assert raised.requests_sent == 1


def test_an_error_inside_a_log_answer_is_one() -> None:
    body = b'{"errors": [{"code": 10000, "message": "Authentication error"}]}'
    assert isinstance(play(logs.entry(connection(), "1"), HttpResponse(200, JSON, body)).raised, AuthError)


def test_the_legacy_host_has_no_logs() -> None:
    made = connection(base_url="https://gateway.ai.cloudflare.com/v1/acc/gw/compat")
    with pytest.raises(ConfigError, match="base_url"):
        logs.entry(made, "1")


def test_half_a_pair_ends_the_text_that_it_stands_in() -> None:
    thought = PIECES[0].replace(b'"content":"Hi"', rb'"reasoning_content":"so \ud83d"')
    session = play(exchange.stream(connection(), ASKED), HttpResponse(200, SSE, None), thought + PIECES[0]).result
    texts = [event.text for event in session.waiting if hasattr(event, "text")]
    assert texts == ["so ", "\ufffd", "Hi"]
