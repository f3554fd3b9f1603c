"""Headers and timeouts of a call, and values that are rejected before anything is sent."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import timedelta
from typing import Any

import httpx
import httpx2
import pytest

from cfaig_integrations import __version__
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.connection import CallOptions, Connection, Timeouts
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.gateway.settings import resolve

LEGACY = "https://gateway.ai.cloudflare.com/v1/acc/gw/compat"


def connect(**arguments: Any) -> Connection:
    settings = {"account_id": "acc", "api_token": "tok", "gateway_id": "gw"}
    for name in ("api_token", "gateway_id", "base_url"):
        if name in arguments:
            settings[name] = arguments.pop(name)
    return Connection(settings=resolve(**settings), **arguments)


def sent(
    connection: Connection, call: CallOptions | None = None, *, stream: bool = False, wire: Any = None
) -> dict[str, str]:
    pairs = connection.headers_of(call or CallOptions(), wire or {}, stream=stream)
    assert len({name.lower() for name, _ in pairs}) == len(pairs), "a header is sent twice"
    return {name.decode(): value.decode() for name, value in pairs}


def test_headers_of_every_call() -> None:
    assert sent(connect()) == {
        "authorization": "Bearer tok",
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "gzip, deflate",
        "user-agent": f"cfaig-integrations/{__version__}",
        "cf-aig-gateway-id": "gw",
    }


def test_a_stream_is_requested_without_compression() -> None:
    headers = sent(connect(), stream=True)
    assert headers["accept"].startswith("text/event-stream")
    assert headers["accept-encoding"] == "identity"


CUSTOM = "https://ai.example.com/compat"


def test_a_custom_domain_receives_a_bearer_token_and_no_gateway() -> None:
    """facts §14.6."""
    headers = sent(connect(base_url=CUSTOM, options=GatewayOptions(skip_cache=True)))
    assert headers["authorization"] == "Bearer tok"
    assert headers["cf-aig-skip-cache"] == "true"
    assert headers.keys().isdisjoint({"cf-aig-authorization", "cf-aig-gateway-id"})
    with pytest.raises(ConfigError, match="carries the token"):
        connect(base_url=CUSTOM, extra_headers={"Authorization": "Bearer key"})


def test_a_custom_domain_reserves_a_metadata_entry_for_the_access_user() -> None:
    five = dict.fromkeys("abcde", 1)
    assert json.loads(sent(connect(metadata=five))["cf-aig-metadata"]) == five
    connection = connect(base_url=CUSTOM, metadata=dict.fromkeys("abc", 1))
    header = sent(connection, CallOptions(automatic={"d": 1, "e": 1}))["cf-aig-metadata"]
    assert json.loads(header) == dict.fromkeys("abcd", 1)
    with pytest.raises(ConfigError, match="keeps 4") as caught:
        sent(connect(base_url=CUSTOM, metadata=five))
    assert caught.value.field == "gateway_metadata"


def test_a_gateway_without_authentication_receives_the_provider_key_alone() -> None:
    settings = resolve(base_url=LEGACY, provider_key=True)
    headers = sent(Connection(settings=settings, extra_headers={"Authorization": "Bearer key"}))
    assert headers["authorization"] == "Bearer key"
    assert "cf-aig-authorization" not in headers


def test_no_gateway_header_without_a_gateway() -> None:
    assert "cf-aig-gateway-id" not in sent(connect(gateway_id=None))


def test_the_legacy_host_has_its_own_token_header_and_no_gateway_header() -> None:
    headers = sent(connect(base_url=LEGACY))
    assert headers["cf-aig-authorization"] == "Bearer tok"
    assert not headers.keys() & {"authorization", "cf-aig-gateway-id"}


def test_the_legacy_host_accepts_a_provider_key() -> None:
    connection = connect(base_url=LEGACY, extra_headers={"Authorization": "Bearer provider"})
    assert sent(connection)["authorization"] == "Bearer provider"


def test_a_call_changes_only_its_own_headers() -> None:
    connection = connect(options=GatewayOptions(cache_ttl=60, zdr=True), extra_headers={"X-One": "1", "X-Two": "2"})
    before = sent(connection)
    changed = sent(
        connection,
        CallOptions(options=GatewayOptions(cache_ttl=120, gateway_id="other"), extra_headers={"x-two": "two"}),
    )
    assert changed == before | {"cf-aig-cache-ttl": "120", "cf-aig-gateway-id": "other", "x-two": "two"}
    assert sent(connection) == before


def test_the_users_headers_override_those_of_the_format() -> None:
    wire = {"anthropic-version": "2023-06-01"}
    assert sent(connect(), wire=wire)["anthropic-version"] == "2023-06-01"
    mine = connect(extra_headers={"Anthropic-Version": "2024-01-01"})
    assert sent(mine, wire=wire)["anthropic-version"] == "2024-01-01"


def test_call_metadata_overrides_connection_metadata_and_automatic_entries_come_last() -> None:
    connection = connect(metadata={"team": "a", "env": "prod"})
    call = CallOptions(metadata=({"team": "b"}, {"job": 1}), automatic={"run_id": "r", "team": "z"})
    assert sent(connection, call)["cf-aig-metadata"] == '{"team":"b","job":1,"env":"prod","run_id":"r"}'
    assert sent(connection)["cf-aig-metadata"] == '{"team":"a","env":"prod"}'
    assert "cf-aig-metadata" not in sent(connect())


@pytest.mark.parametrize(
    ("metadata", "message"),
    [({str(n): n for n in range(6)}, "has 6 entries"), ({"a": {"b": 1}}, "is a dict"), ({"cf.a": 1}, "is reserved")],
    ids=["six entries", "a nested value", "a reserved key"],
)
def test_invalid_metadata_is_rejected_by_the_constructor(metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        connect(metadata=metadata)


def test_a_metadata_header_replaces_automatic_entries_and_conflicts_with_explicit_ones() -> None:
    header = {"cf-aig-metadata": '{"mine":1}'}
    call = CallOptions(automatic={"run_id": "r"})
    assert sent(connect(extra_headers=header), call)["cf-aig-metadata"] == '{"mine":1}'
    with pytest.raises(ConfigError, match="given twice"):
        sent(connect(extra_headers=header, metadata={"team": "a"}))


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer other"},
        {"CF-AIG-Authorization": "Bearer other"},
        {"Content-Length": "3"},
        {"Host": "elsewhere"},
        {"x-line": "one\r\ntwo: three"},
        {"x-line": "one\ntwo"},
        {"x-uml": "für"},
        {"x-snow": "☃"},
        {"x y": "1"},
        {"x:y": "1"},
        {"": "1"},
        {"x-number": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("where", ["connection", "call"])
def test_invalid_headers_are_rejected(headers: dict[str, Any], where: str) -> None:
    in_connection, in_call = (headers, {}) if where == "connection" else ({}, headers)
    with pytest.raises(ConfigError, match="extra_headers") as caught:
        sent(connect(extra_headers=in_connection), CallOptions(extra_headers=in_call))
    assert "other" not in str(caught.value), "the value may be a key"


def test_the_legacy_token_header_is_reserved_for_api_token() -> None:
    with pytest.raises(ConfigError, match="carries the token"):
        connect(base_url=LEGACY, extra_headers={"cf-aig-authorization": "x"})


@pytest.mark.parametrize(
    ("timeout", "limits"),
    [
        (None, Timeouts(10.0, 600.0)),
        (5, Timeouts(10.0, 5.0)),
        ((1.5, 30), Timeouts(1.5, 30.0)),
        ((1.5, None), Timeouts(1.5, None)),
        (httpx.Timeout(7.0, connect=2.0), Timeouts(2.0, 7.0)),
        (httpx2.Timeout(7.0, connect=2.0), Timeouts(2.0, 7.0)),
        (httpx.Timeout(None), Timeouts(None, None)),
    ],
)
def test_timeouts_in_every_form(timeout: Any, limits: Timeouts) -> None:
    call = CallOptions()
    assert connect(timeout=timeout).timeouts_of(call, stream=False) == limits
    assert connect().timeouts_of(CallOptions(timeout=timeout), stream=False) == limits
    streamed = connect(timeout=timeout, stream_idle_timeout=3).timeouts_of(call, stream=True)
    assert streamed == Timeouts(limits.connect, 3)


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), True, "5", (1,), (1, 0), (1, 2, 3)])
def test_an_invalid_timeout_is_rejected_by_the_constructor(value: Any) -> None:
    with pytest.raises(ConfigError, match="timeout"):
        connect(timeout=value)


def test_an_invalid_idle_timeout_is_rejected() -> None:
    with pytest.raises(ConfigError, match="stream_idle_timeout"):
        connect(stream_idle_timeout=0)


@pytest.mark.parametrize("each", [400_000, timedelta(seconds=400)])
def test_the_client_timeout_exceeds_that_of_the_gateway(each: Any) -> None:
    """facts §13.9: the gateway's limit is per attempt."""
    connection = connect(options=GatewayOptions(request_timeout=each, max_attempts=3))
    assert connection.timeouts_of(CallOptions(), stream=False).read == 1230.0
    assert connection.timeouts_of(CallOptions(timeout=9.0), stream=False).read == 9.0


def test_no_client_retries_if_the_gateway_retries() -> None:
    connection = connect(options=GatewayOptions(max_attempts=3))
    assert connection.policy_of(CallOptions()).limit == 0
    assert connection.policy_of(CallOptions(options=GatewayOptions(max_attempts=1))).limit == 2
    assert connect(max_retries=4, options=GatewayOptions(max_attempts=3)).policy_of(CallOptions()).limit == 4


def test_no_pickle_and_no_repr_contains_the_token() -> None:
    connection = connect(api_token="very-secret")
    sent(connection)
    assert b"very-secret" not in pickle.dumps(connection)
    assert "very-secret" not in repr(connection)
    assert sent(copy.copy(connection))["authorization"] == "Bearer very-secret"
