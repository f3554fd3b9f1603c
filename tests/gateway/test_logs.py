"""Calls of the logs API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cfaig_integrations.errors import AuthError, ConfigError, NotFound, ProtocolError
from cfaig_integrations.gateway import logs
from cfaig_integrations.gateway.actions import HttpResponse
from tests.gateway.kit import BUSY, JSON, connect, error, run


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
