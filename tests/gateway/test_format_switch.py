"""A format that a model refuses is replaced by its other one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cfaig_integrations.errors import AuthError, ConfigError, InvalidRequest, RateLimited
from cfaig_integrations.gateway import exchange
from cfaig_integrations.gateway.actions import HttpResponse
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.options import GatewayOptions
from tests.gateway.kit import BUSY, JSON, REQUEST, RESPONSES, WHOLE, WITH_A_TOOL, WRONG_SHAPE, connect, error, run

NO_AUTHENTICATION = error(402, 2021, "Gateway authentication is required to use unified billing")
"""As an authenticated gateway answered on one wire only (facts §14.1)."""


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
