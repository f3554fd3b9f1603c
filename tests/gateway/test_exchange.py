"""The exchange without I/O: the actions that it yields, and its results."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest

from cfaig_integrations.core.chat import ChatRequest, Continuation, FunctionTool
from cfaig_integrations.core.content import Media, Text, ToolCall, Turn
from cfaig_integrations.core.decisions import DecisionRequest
from cfaig_integrations.core.events import TextDelta
from cfaig_integrations.core.fold import fold
from cfaig_integrations.core.vectors import EmbedRequest, RerankRequest
from cfaig_integrations.errors import (
    ApiError,
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
    TransportFault,
)
from cfaig_integrations.gateway import exchange, logs, vectors
from cfaig_integrations.gateway.actions import (
    Action,
    Actions,
    AskToken,
    HttpRequest,
    HttpResponse,
    ReadOn,
    Send,
    Sleep,
)
from cfaig_integrations.gateway.addresses import DEFAULT_BASE_URL
from cfaig_integrations.gateway.connection import CallOptions, Connection
from cfaig_integrations.gateway.models import routes
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.gateway.settings import resolve
from cfaig_integrations.wire import sse

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
REQUEST = ChatRequest("openai/gpt-5.4", (Turn("user", (Text("Hello"),)),))
WITH_A_TOOL = replace(REQUEST, tools=(FunctionTool("add", "Adds.", {"type": "object", "properties": {}}),))


def error(status: int, code: int, message: str, **headers: str) -> HttpResponse:
    body = {"success": False, "errors": [{"code": code, "message": message}], "result": None}
    return HttpResponse(status, {**JSON, **headers}, json.dumps(body).encode())


BUSY = error(429, 3040, "out of capacity")
WRONG_SHAPE = error(400, 7003, "Model execution failed (User Input Error): Invalid value at input")
NO_AUTHENTICATION = error(402, 2021, "Gateway authentication is required to use unified billing")
"""As an authenticated gateway answered on one wire only (facts §14.1)."""


@pytest.fixture(autouse=True)
def _forget_formats() -> Iterator[None]:
    routes.forget()
    yield
    routes.forget()


def connect(**arguments: Any) -> Connection:
    settings = resolve(
        account_id="acc",
        api_token=arguments.pop("api_token", "tok"),
        base_url=arguments.pop("base_url", "http://host/client/v4"),
    )
    return Connection(settings=settings, **arguments)


@dataclass
class Ended:
    """A call that has ended, and its actions."""

    result: Any
    raised: BaseException | None
    actions: list[Action]

    @property
    def calls(self) -> list[HttpRequest]:
        return [action.request for action in self.actions if isinstance(action, Send)]

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(call.body) for call in self.calls]

    @property
    def pauses(self) -> list[float]:
        return [action.seconds for action in self.actions if isinstance(action, Sleep)]


def run(call: Actions[Any], *outcomes: Any) -> Ended:
    """Runs a call against a script: the outcome of `Sleep` is None, that of other actions is the next in the script."""
    script = list(outcomes)
    actions: list[Action] = []
    try:
        action = next(call)
        while True:
            actions.append(action)
            outcome = None if isinstance(action, Sleep) else script.pop(0)
            action = call.throw(outcome) if isinstance(outcome, Exception) else call.send(outcome)
    except StopIteration as end:
        assert not script, "the call ended before its script"
        return Ended(end.value, None, actions)
    except GatewayError as raised:
        assert not script, "the call ended before its script"
        return Ended(None, raised, actions)


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


@pytest.mark.parametrize("refusal", [WRONG_SHAPE, NO_AUTHENTICATION], ids=["shape", "authentication"])
def test_a_refused_format_is_replaced_by_the_other_and_remembered(refusal: HttpResponse) -> None:
    ended = run(exchange.chat(connect(), REQUEST), refusal, HttpResponse(200, JSON, RESPONSES))
    reply, info = ended.result
    assert [call.url.rpartition("/")[2] for call in ended.calls] == ["completions", "responses"]
    assert reply.turn.text == "From responses"
    assert (info.wire, info.switched_from, info.attempts) == ("responses", "chat_completions", 2)
    assert ended.pauses == []
    again = run(exchange.chat(connect(), REQUEST), HttpResponse(200, JSON, RESPONSES))
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
def test_an_unserved_path_is_replaced_by_the_other_format(refusal: HttpResponse) -> None:
    """facts §14.1."""
    ended = run(exchange.chat(connect(), WITH_A_TOOL), refusal, HttpResponse(200, JSON, WHOLE))
    assert [call.url.rpartition("/")[2] for call in ended.calls] == ["responses", "completions"]
    assert (ended.result[1].switched_from, ended.pauses) == ("responses", [])
    chosen = run(exchange.chat(connect(), WITH_A_TOOL, CallOptions(api="responses")), refusal)
    assert (chosen.raised is None, len(chosen.calls)) == (False, 1)


def test_body_options_select_a_format_that_has_them() -> None:
    connection = connect(options=GatewayOptions(reject_if_busy=True))
    ended = run(exchange.chat(connection, WITH_A_TOOL), HttpResponse(200, JSON, WHOLE))
    assert ended.calls[0].url.endswith("/chat/completions")


def test_stop_texts_are_applied_here_if_the_schema_has_no_field() -> None:
    request = ChatRequest("xai/grok-4.7", REQUEST.turns, stop=("completions",))
    ended = run(exchange.chat(connect(), request), HttpResponse(200, JSON, WHOLE))
    assert "stop" not in json.loads(ended.calls[0].body)
    assert "completions" not in ended.result[0].turn.text


def test_streams_switch_formats() -> None:
    ended = run(exchange.stream(connect(), REQUEST), WRONG_SHAPE, HttpResponse(200, JSON, None), RESPONSES, None)
    assert ended.result.info.switched_from == "chat_completions"


def test_if_both_formats_are_refused_the_first_refusal_is_raised() -> None:
    second = error(400, 7003, "Model execution failed (User Input Error): Invalid value at tools")
    ended = run(exchange.chat(connect(), REQUEST), WRONG_SHAPE, second)
    assert isinstance(ended.raised, InvalidRequest)
    assert "at input" in ended.raised.message
    assert isinstance(ended.raised.__cause__, InvalidRequest)
    assert "at tools" in ended.raised.__cause__.message
    assert ended.raised.requests_sent == 2
    assert run(exchange.chat(connect(), REQUEST), HttpResponse(200, JSON, WHOLE)).result[1].wire == "chat_completions"


def test_a_config_error_of_the_other_format_is_hidden() -> None:
    request = replace(REQUEST, extra_body={"input": "x"})  # which Responses has for the conversation
    raised = run(exchange.chat(connect(), request), WRONG_SHAPE).raised
    assert isinstance(raised, InvalidRequest)
    assert isinstance(raised.__context__, ConfigError)
    assert raised.__suppress_context__, "nor is it in the traceback"


def test_a_format_without_a_place_for_an_option_is_not_switched_to() -> None:
    connection = connect(options=GatewayOptions(reject_if_busy=True))  # for which Responses has no place
    raised = run(exchange.chat(connection, REQUEST), WRONG_SHAPE).raised
    assert isinstance(raised, InvalidRequest)
    assert not isinstance(raised.__context__, ConfigError), "it was not tried"


def test_a_format_of_requests_with_tools_is_remembered_for_them() -> None:
    answer = HttpResponse(200, JSON, WHOLE)
    switched = run(exchange.chat(connect(), WITH_A_TOOL), NO_AUTHENTICATION, answer).result[1]
    again = run(exchange.chat(connect(), WITH_A_TOOL), answer).result[1]
    assert (switched.switched_from, switched.wire) == ("responses", "chat_completions")
    assert (again.switched_from, again.wire) == (None, "chat_completions")


def test_another_error_of_the_other_format_is_raised() -> None:
    denied = error(401, 10000, "Authentication error")
    assert isinstance(run(exchange.chat(connect(), REQUEST), WRONG_SHAPE, denied).raised, AuthError)


def test_both_formats_share_the_retries() -> None:
    outcomes = [BUSY, WRONG_SHAPE, BUSY, BUSY]
    ended = run(exchange.chat(connect(), REQUEST), *outcomes)
    assert isinstance(ended.raised, RateLimited)
    assert len(ended.pauses) == 2


@pytest.mark.parametrize("where", ["call", "connection"])
def test_an_explicit_format_is_never_switched(where: str) -> None:
    connection = connect(api="chat_completions") if where == "connection" else connect()
    call = CallOptions(api="chat_completions") if where == "call" else CallOptions()
    ended = run(exchange.chat(connection, REQUEST, call), WRONG_SHAPE)
    assert isinstance(ended.raised, InvalidRequest)
    assert len(ended.calls) == 1


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


def entry_answer(**fields: Any) -> HttpResponse:
    return HttpResponse(200, JSON, json.dumps({"success": True, "result": {"id": "log/1", **fields}}).encode())


@pytest.mark.parametrize("metadata", [{"team": "a"}, '{"team": "a"}'], ids=["object", "string"])
def test_a_log_entry_has_the_cost(metadata: Any) -> None:
    """facts §8.5: metadata is a string by the published types, an object on the wire."""
    ended = run(
        logs.entry(connect(), "log/1"),
        entry_answer(cost=0.25, tokens_in=3, cached=False, model="m", metadata=metadata, byok=True),
    )
    assert (ended.result.cost, ended.result.tokens_in, ended.result.cached) == (0.25, 3, False)
    assert ended.result.metadata == {"team": "a"}
    assert ended.result.raw["byok"] is True
    assert ended.calls[0].method == "GET"
    assert ended.calls[0].url == "http://host/client/v4/accounts/acc/ai-gateway/gateways/default/logs/log%2F1"


def test_a_missing_log_entry_is_requested_a_second_time() -> None:
    late = error(404, 7002, "Log not found")
    ended = run(logs.entry(connect(), "log/1"), late, entry_answer())
    assert (ended.result.id, ended.pauses) == ("log/1", [0.5])
    gone = run(logs.entry(connect(), "log/1"), late, late)
    assert isinstance(gone.raised, NotFound)
    assert gone.raised.requests_sent == 2


def test_failures_before_a_missing_log_entry_do_not_count_after_it() -> None:
    late = error(404, 7002, "Log not found")
    ended = run(logs.entry(connect(max_retries=1), "log/1"), BUSY, late, BUSY, entry_answer())
    assert (ended.result.id, len(ended.calls)) == ("log/1", 4)


def test_query_of_log_entries() -> None:
    query = logs.LogQuery(2, 5, "model", False, "hey", (logs.LogFilter("cost", "gt", (0.1,)),))
    ended = run(
        logs.entries(connect(), query, "other"), HttpResponse(200, JSON, b'{"success":true,"result":[{"id":"a"}]}')
    )
    assert [entry.id for entry in ended.result] == ["a"]
    path, _, query_string = ended.calls[0].url.partition("?")
    assert path.endswith("/gateways/other/logs")
    assert set(query_string.split("&")) == {
        "page=2",
        "per_page=5",
        "order_by=model",
        "order_by_direction=asc",
        "search=hey",
        "filters=%5B%7B%22key%22%3A%22cost%22%2C%22operator%22%3A%22gt%22%2C%22value%22%3A%5B0.1%5D%7D%5D",
    }


@pytest.mark.parametrize("body", [b'{"success":true,"result":{}}', b'{"success":true,"result":[{}]}', b"[]"])
def test_an_invalid_list_of_logs_is_an_error(body: bytes) -> None:
    raised = run(logs.entries(connect(), logs.LogQuery()), HttpResponse(200, JSON, body)).raised
    assert isinstance(raised, ProtocolError)
    assert raised.requests_sent == 1


def test_an_error_inside_a_log_response_is_raised() -> None:
    body = b'{"errors": [{"code": 10000, "message": "Authentication error"}]}'
    assert isinstance(run(logs.entry(connect(), "1"), HttpResponse(200, JSON, body)).raised, AuthError)


def test_the_legacy_host_has_no_logs() -> None:
    connection = connect(base_url="https://gateway.ai.cloudflare.com/v1/acc/gw/compat")
    with pytest.raises(ConfigError, match="base_url"):
        logs.entry(connection, "1")


def test_an_unpaired_surrogate_ends_its_text() -> None:
    thought = PIECES[0].replace(b'"content":"Hi"', rb'"reasoning_content":"so \ud83d"')
    session = run(exchange.stream(connect(), REQUEST), HttpResponse(200, SSE, None), thought + PIECES[0]).result
    texts = [event.text for event in session.waiting if hasattr(event, "text")]
    assert texts == ["so ", "\ufffd", "Hi"]
