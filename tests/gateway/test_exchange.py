"""The exchange without I/O: the actions that it yields, and its results."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from cfaig_integrations.core.chat import ChatRequest, Continuation
from cfaig_integrations.core.content import Media, Turn
from cfaig_integrations.core.decisions import DecisionRequest
from cfaig_integrations.core.vectors import EmbedRequest, RerankRequest
from cfaig_integrations.errors import (
    AuthError,
    ConfigError,
    ConnectFault,
    GatewayError,
    InvalidRequest,
    NotFound,
    ProtocolError,
    RateLimited,
    TimeoutFault,
    TransportFault,
)
from cfaig_integrations.gateway import exchange, logs, vectors
from cfaig_integrations.gateway.actions import AskToken, HttpResponse, Send, Sleep
from cfaig_integrations.gateway.addresses import DEFAULT_BASE_URL
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.options import GatewayOptions
from tests.gateway.kit import (
    BUSY,
    JSON,
    PIECES,
    REQUEST,
    RESPONSES,
    SSE,
    WHOLE,
    WITH_A_TOOL,
    WRONG_SHAPE,
    connect,
    error,
    run,
)


def test_a_whole_reply_takes_one_request() -> None:
    ended = run(exchange.chat(connect(), REQUEST), HttpResponse(200, JSON, WHOLE))
    reply, info = ended.result
    assert reply.turn.text == "Hi there"
    assert (info.log_id, info.wire, info.requested_model, info.attempts) == (
        "log1",
        "chat_completions",
        "openai/gpt-5.4",
        1,
    )
    (call,) = ended.calls
    assert (call.method, call.url) == ("POST", "http://host/client/v4/accounts/acc/ai/v1/chat/completions")
    assert (b"authorization", b"Bearer tok") in call.headers
    assert ended.bodies == [{"model": "openai/gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}]


@pytest.mark.parametrize(
    "outcome",
    [ConnectFault("reset"), TimeoutFault("slow"), BUSY, error(503, 1, "down"), error(400, 2005, "Failed to get ...")],
    ids=["reset", "timeout", "429", "503", "400/2005"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_transient_errors_are_retried_after_a_pause(outcome: Any, stream: bool) -> None:
    if stream:
        good = (HttpResponse(200, SSE, None), PIECES[0])
        ended = run(exchange.stream(connect(), REQUEST), outcome, *good)
        assert ended.result.info.attempts == ended.result.requests_sent == 2
    else:
        ended = run(exchange.chat(connect(), REQUEST), outcome, HttpResponse(200, JSON, WHOLE))
        assert ended.result[1].attempts == 2
    first, second = ended.calls
    assert first == second
    assert len(ended.pauses) == 1


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ({}, 3),
        ({"max_retries": 0}, 1),
        ({"max_retries": 4}, 5),
        ({"options": GatewayOptions(max_attempts=3)}, 1),
        ({"options": GatewayOptions(max_attempts=3), "max_retries": 1}, 2),
    ],
    ids=str,
)
def test_retries_are_limited(arguments: dict[str, Any], sent: int) -> None:
    ended = run(exchange.chat(connect(**arguments), REQUEST), *[BUSY] * sent)
    assert isinstance(ended.raised, RateLimited)
    assert ended.raised.requests_sent == sent == len(ended.calls)
    assert len(ended.pauses) == sent - 1


def test_retry_after_sets_the_pause() -> None:
    busy = error(429, 3040, "busy", **{"retry-after": "7"})
    assert run(exchange.chat(connect(), REQUEST), busy, HttpResponse(200, JSON, WHOLE)).pauses == [7.0]


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
def test_permanent_errors_are_not_retried(answer: HttpResponse, kind: type[GatewayError]) -> None:
    ended = run(exchange.chat(connect(), REQUEST, CallOptions(api="chat_completions")), answer)
    assert isinstance(ended.raised, kind)
    assert ended.raised.requests_sent == 1


def test_an_error_inside_a_2xx_response_is_raised_and_retried_if_transient() -> None:
    """facts §5.1: a failure envelope can arrive with a 2xx status."""
    throttled = error(200, 2021, "Wholesale rate limit exceeded for this gateway. Please reduce request rate.")
    ended = run(exchange.chat(connect(), REQUEST), throttled, HttpResponse(200, JSON, WHOLE))
    assert ended.result[0].turn.text == "Hi there"
    assert ended.pauses[0] >= 5
    final = run(exchange.chat(connect(), REQUEST), error(200, 5007, "No such model"))
    assert isinstance(final.raised, NotFound)
    assert final.raised.status == 200
    assert final.raised.log_id == "log1"


def test_a_response_that_is_not_json_is_not_retried() -> None:
    ended = run(exchange.chat(connect(), REQUEST), HttpResponse(200, {"content-type": "text/html"}, b"<html>"))
    assert isinstance(ended.raised, ProtocolError)
    assert ended.raised.requests_sent == 1


def test_invalid_input_sends_nothing() -> None:
    bad = ChatRequest("openai/gpt-5.4", (Turn("user", (Media("video", url="http://v"),)),))
    ended = run(exchange.chat(connect(), bad, CallOptions(api="chat_completions")))
    assert isinstance(ended.raised, ConfigError)
    assert (ended.raised.requests_sent, ended.actions) == (0, [])


@pytest.mark.parametrize(
    ("model", "remedy"),
    [
        ("gpt-5", "Did you mean 'openai/gpt-5'?"),
        ("claude-haiku-4.5", "Did you mean 'anthropic/claude-haiku-4.5'?"),
        ("mine", "Ids look like author/model or @cf/author/model."),
    ],
)
@pytest.mark.parametrize(
    "base_url",
    [
        DEFAULT_BASE_URL,
        "https://API.Cloudflare.com/client/v4",
        "https://api.cloudflare.com:443/client/v4",
        "https://api.cloudflare.com./client/v4",
        "http://api.cloudflare.com/client/v4",
        "https://gateway.ai.cloudflare.com/v1/acc/gw/compat",
        "https://gateway.ai.cloudflare.com:443/v1/acc/gw/compat",
        "https://gateway.ai.cloudflare.com./v1/acc/gw/compat",
    ],
)
def test_a_model_id_without_an_author_is_sent_to_other_hosts_only(model: str, remedy: str, base_url: str) -> None:
    to = connect(base_url=base_url)
    with pytest.raises(ConfigError, match="has no author") as refused:
        vectors.embed(to, EmbedRequest(model, ("a",)))
    ended = run(exchange.chat(to, replace(REQUEST, model=model)))
    assert isinstance(ended.raised, ConfigError)
    assert (ended.raised.remedy, refused.value.remedy, ended.actions) == (remedy, remedy, [])
    local = connect()
    for call in (
        exchange.chat(local, replace(REQUEST, model=model)),
        vectors.embed(local, EmbedRequest(model, ("a",))),
    ):
        assert len(run(call, error(404, 7003, "model not found")).calls) == 1


# What may be billed


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConnectFault("reset", maybe_billed=True),
        lambda: TimeoutFault("slow", maybe_billed=True),
        lambda: error(409, 1, "Conflict"),
        lambda: error(504, 1, "Gateway timeout"),
        lambda: error(524, 1, "A timeout occurred"),
    ],
    ids=["reset", "timeout", "409", "504", "524"],
)
def test_what_may_be_billed_is_sent_again_only_if_the_user_says_so(make: Callable[[], Any]) -> None:
    failure = make()
    ended = run(exchange.chat(connect(), REQUEST), failure)
    assert isinstance(ended.raised, GatewayError)
    assert (ended.raised.requests_sent, ended.raised.maybe_billed, ended.raised.retryable) == (1, True, False)
    assert ("only retry_after_send=True" in str(ended.raised)) == isinstance(failure, TransportFault)
    allowed = connect(retry_after_send=True)
    assert run(exchange.chat(allowed, REQUEST), make(), HttpResponse(200, JSON, WHOLE)).result[1].attempts == 2
    last = run(exchange.chat(connect(retry_after_send=True, max_retries=1), REQUEST), make(), make())
    assert isinstance(last.raised, GatewayError)
    assert (last.raised.requests_sent, last.raised.retryable) == (2, True)
    assert "retry_after_send" not in str(last.raised)


def test_reads_of_the_management_api_are_free() -> None:
    lost = ConnectFault("reset", maybe_billed=True)
    page = HttpResponse(200, {}, b'{"success": true, "result": []}')
    ended = run(logs.entries(connect(), logs.LogQuery()), lost, page)
    assert ended.result == []
    assert not any(name == b"cf-aig-event-id" for call in ended.calls for name, _ in call.headers), "not inference"


def test_all_requests_of_a_call_share_an_event_id_and_keep_their_log_ids() -> None:
    second = replace(WRONG_SHAPE, headers={**JSON, "cf-aig-log-id": "log2"})
    last = HttpResponse(200, {**JSON, "cf-aig-log-id": "log3"}, RESPONSES)
    ended = run(exchange.chat(connect(), REQUEST), BUSY, second, last)
    ids = {dict(call.headers)[b"cf-aig-event-id"] for call in ended.calls}
    assert (len(ended.calls), len(ids)) == (3, 1)
    assert UUID(ids.pop().decode())
    assert ended.result[1].log_ids == ("log1", "log2", "log3")
    other = run(exchange.chat(connect(), REQUEST), HttpResponse(200, JSON, RESPONSES))
    assert dict(other.calls[0].headers)[b"cf-aig-event-id"] != dict(ended.calls[0].headers)[b"cf-aig-event-id"]


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (lambda: vectors.embed(connect(), EmbedRequest("@cf/baai/bge-m3", ("a",))), {"data": [[0.5] * 1024]}),
        (
            lambda: vectors.rank(connect(), RerankRequest("@cf/baai/bge-m3", "q", ("a",))),
            {"response": [{"id": 0, "score": 0.5}]},
        ),
        (
            lambda: vectors.decide(connect(), DecisionRequest("@cf/cloudflare/clef", "s", {"q": {"type": "noul"}})),
            {"answers": {"q": {"noul": 0.5}}},
        ),
    ],
    ids=["embed", "rank", "decide"],
)
def test_all_requests_of_a_vector_call_keep_their_log_ids(call: Callable[[], Any], body: dict[str, Any]) -> None:
    last = HttpResponse(200, {**JSON, "cf-aig-log-id": "log2"}, json.dumps({"result": body, "success": True}).encode())
    assert run(call(), BUSY, last).result[1].log_ids == ("log1", "log2")


@pytest.mark.parametrize(
    "arguments", [{"options": GatewayOptions(event_id="mine")}, {"extra_headers": {"CF-AIG-Event-Id": "mine"}}], ids=str
)
def test_an_event_id_of_the_user_is_sent(arguments: dict[str, Any]) -> None:
    (call,) = run(exchange.chat(connect(**arguments), REQUEST), HttpResponse(200, JSON, WHOLE)).calls
    assert [value for name, value in call.headers if name == b"cf-aig-event-id"] == [b"mine"]


def test_every_retry_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cfaig_integrations")
    lost = ConnectFault("reset by Bearer tok-0123456789", maybe_billed=True)
    lost.log_id = "log9"
    connection = connect(retry_after_send=True, api_token="tok-0123456789")
    ended = run(exchange.chat(connection, REQUEST), BUSY, lost, HttpResponse(200, JSON, WHOLE))
    event = dict(ended.calls[0].headers)[b"cf-aig-event-id"].decode()
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
    for number, (record, reason, log_id) in enumerate(
        zip(caplog.records, ["RateLimited: out of capacity", "ConnectFault: reset"], ["log1", "log9"], strict=True), 1
    ):
        for expected in (f"Request {number}", reason, log_id, event, f"in {ended.pauses[number - 1]:.1f} s"):
            assert expected in record.getMessage()
    assert "0123456789" not in caplog.text
    assert ended.result[1].log_ids == ("log1", "log9", "log1")


# The other format


def test_body_options_select_a_format_that_has_them() -> None:
    connection = connect(options=GatewayOptions(reject_if_busy=True))
    ended = run(exchange.chat(connection, WITH_A_TOOL), HttpResponse(200, JSON, WHOLE))
    assert ended.calls[0].url.endswith("/chat/completions")


def test_stop_texts_are_applied_here_if_the_schema_has_no_field() -> None:
    request = ChatRequest("xai/grok-4.7", REQUEST.turns, stop=("completions",))
    ended = run(exchange.chat(connect(), request), HttpResponse(200, JSON, WHOLE))
    assert "stop" not in json.loads(ended.calls[0].body)
    assert "completions" not in ended.result[0].turn.text


def test_a_request_that_could_not_be_sent_is_not_counted() -> None:
    refused = ConfigError("The certificates cannot be read.", field="verify")
    assert run(exchange.chat(connect(), REQUEST), refused).raised.requests_sent == 0
    refused = ConfigError("The certificates cannot be read.", field="verify")
    assert run(exchange.chat(connect(), REQUEST), BUSY, refused).raised.requests_sent == 1


@pytest.mark.parametrize(
    ("fields", "options", "kept"),
    [
        ({}, None, True),
        ({"store": False}, None, False),
        ({"extra_body": {"store": False}}, None, False),
        ({"store": False, "extra_body": {"store": True}}, None, True),
        ({"stop": ("STOP",)}, None, False),
        ({}, GatewayOptions(zdr=True), False),
    ],
    ids=str,
)
@pytest.mark.parametrize("api", ["responses", "chat_completions"])
def test_a_conversation_continues_from_a_reply_that_the_provider_stores_whole(
    fields: dict[str, Any], options: GatewayOptions | None, kept: bool, api: Any
) -> None:
    request = replace(REQUEST, continues=Continuation(), **fields)
    answer = HttpResponse(200, JSON, {"responses": RESPONSES, "chat_completions": WHOLE}[api])
    info = run(exchange.chat(connect(api=api, options=options), request), answer).result[1]
    assert (info.history is not None) is (kept and api == "responses")


# Bodies


def test_options_of_the_body_override_those_of_the_gateway() -> None:
    connection = connect(api="chat_completions", options=GatewayOptions(reject_if_busy=True))
    request = replace(REQUEST, extra_body={"options": {"rejectIfBusy": False, "background": True}})
    (body,) = run(exchange.chat(connection, request), HttpResponse(200, JSON, WHOLE)).bodies
    assert body["options"] == {"rejectIfBusy": False, "background": True}


def test_options_of_the_body_that_are_no_dict_are_refused() -> None:
    connection = connect(api="chat_completions", options=GatewayOptions(reject_if_busy=True))
    ended = run(exchange.chat(connection, replace(REQUEST, extra_body={"options": ["background"]})))
    assert isinstance(ended.raised, ConfigError)
    assert "extra_body['options']" in str(ended.raised)


def test_run_wraps_the_input_and_adds_options() -> None:
    connection = connect(options=GatewayOptions(reject_if_busy=True))
    ended = run(exchange.chat(connection, REQUEST, CallOptions(api="run")), HttpResponse(200, JSON, WHOLE))
    (body,) = ended.bodies
    assert body["model"] == "openai/gpt-5.4"
    assert body["options"] == {"rejectIfBusy": True}
    assert body["input"]["messages"] == [{"role": "user", "content": "Hello"}]
    assert ended.calls[0].url.endswith("/accounts/acc/ai/run")


def test_an_error_after_a_stop_text_is_not_raised() -> None:
    request = ChatRequest("xai/grok-4.7", REQUEST.turns, stop=("STOP",))
    text = PIECES[0].replace(b'"Hi"', b'"one STOP two"')
    failure = b'data: {"success":false,"errors":[{"code":3040,"message":"out of capacity"}]}\n\n'
    session = run(exchange.stream(connect(), request), HttpResponse(200, SSE, None), text + failure).result
    assert (session.partial, session.ended, session.error) == ("one ", True, None)


def test_run_applies_stop_texts_here_if_the_inner_format_has_none() -> None:
    request = ChatRequest("openai/gpt-5.6-luna", REQUEST.turns, stop=("STOP",))
    answer = HttpResponse(200, JSON, WHOLE.replace(b"Hi", b"one STOP two"))
    ended = run(exchange.chat(connect(), request, CallOptions(api="run")), answer)
    assert (ended.result[0].turn.text, "STOP" in json.dumps(ended.bodies[0])) == ("one ", False)


def test_run_of_a_workers_ai_model_has_the_model_in_its_path() -> None:
    """facts §1.1: unescaped, and without the wrapper."""
    request = ChatRequest("@cf/zai-org/glm-5.2", REQUEST.turns)
    ended = run(exchange.chat(connect(), request, CallOptions(api="run")), HttpResponse(200, JSON, WHOLE))
    assert ended.calls[0].url.endswith("/accounts/acc/ai/run/@cf/zai-org/glm-5.2")
    assert not ended.bodies[0].keys() & {"model", "input"}


def test_a_body_option_without_a_field_is_rejected() -> None:
    call = CallOptions(api="responses", options=GatewayOptions(reject_if_busy=True))
    ended = run(exchange.chat(connect(), REQUEST, call))
    assert isinstance(ended.raised, ConfigError)
    assert "rejectIfBusy" in str(ended.raised)


def test_the_legacy_host_has_its_own_path() -> None:
    connection = connect(base_url="https://gateway.ai.cloudflare.com/v1/acc/gw/compat")
    ended = run(exchange.chat(connection, REQUEST), HttpResponse(200, JSON, WHOLE))
    assert ended.calls[0].url == "https://gateway.ai.cloudflare.com/v1/acc/gw/compat/chat/completions"
    assert (b"cf-aig-authorization", b"Bearer tok") in ended.calls[0].headers


# Tokens


def test_a_token_function_is_called_before_every_request() -> None:
    connection = connect(api_token=lambda: "unused")
    ended = run(exchange.chat(connection, REQUEST), "one", BUSY, "two", HttpResponse(200, JSON, WHOLE))
    assert [type(action) for action in ended.actions] == [AskToken, Send, Sleep, AskToken, Send]
    sent = [dict(call.headers)[b"authorization"] for call in ended.calls]
    assert sent == [b"Bearer one", b"Bearer two"]


@pytest.mark.parametrize("token", [None, 7, "", "two\nlines"])
def test_an_invalid_token_of_a_function_sends_nothing(token: Any) -> None:
    ended = run(exchange.chat(connect(api_token=lambda: "unused"), REQUEST), token)
    assert isinstance(ended.raised, ConfigError)
    assert ended.raised.requests_sent == 0


# Streams
