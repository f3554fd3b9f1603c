"""Headers and timeouts of a call, and what is refused before anything is sent."""

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


def connection(**words: Any) -> Connection:
    settings = {"account_id": "acc", "api_token": "tok", "gateway_id": "gw"}
    for name in ("api_token", "gateway_id", "base_url"):
        if name in words:
            settings[name] = words.pop(name)
    return Connection(settings=resolve(**settings), **words)


def sent(
    made: Connection, call: CallOptions | None = None, *, stream: bool = False, wire: Any = None
) -> dict[str, str]:
    pairs = made.headers_of(call or CallOptions(), wire or {}, stream=stream)
    assert len({name.lower() for name, _ in pairs}) == len(pairs), "a header is sent twice"
    return {name.decode(): value.decode() for name, value in pairs}


def test_every_call_says_who_asks_for_what_and_through_which_gateway() -> None:
    assert sent(connection()) == {
        "authorization": "Bearer tok",
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "gzip, deflate",
        "user-agent": f"cfaig-integrations/{__version__}",
        "cf-aig-gateway-id": "gw",
    }


def test_a_stream_asks_for_a_stream_that_no_compressor_holds_back() -> None:
    headers = sent(connection(), stream=True)
    assert headers["accept"].startswith("text/event-stream")
    assert headers["accept-encoding"] == "identity"


CUSTOM = "https://ai.example.com/compat"


def test_a_custom_domain_gets_its_token_as_bearer_and_no_gateway() -> None:
    """facts §14.6."""
    headers = sent(connection(base_url=CUSTOM, options=GatewayOptions(skip_cache=True)))
    assert headers["authorization"] == "Bearer tok"
    assert headers["cf-aig-skip-cache"] == "true"
    assert headers.keys().isdisjoint({"cf-aig-authorization", "cf-aig-gateway-id"})
    with pytest.raises(ConfigError, match="carries the token"):
        connection(base_url=CUSTOM, extra_headers={"Authorization": "Bearer key"})


def test_a_custom_domain_leaves_a_place_in_the_metadata_for_the_user_of_access() -> None:
    five = dict.fromkeys("abcde", 1)
    assert json.loads(sent(connection(metadata=five))["cf-aig-metadata"]) == five
    made = connection(base_url=CUSTOM, metadata=dict.fromkeys("abc", 1))
    header = sent(made, CallOptions(automatic={"d": 1, "e": 1}))["cf-aig-metadata"]
    assert json.loads(header) == dict.fromkeys("abcd", 1)
    with pytest.raises(ConfigError, match="keeps 4") as caught:
        sent(connection(base_url=CUSTOM, metadata=five))
    assert caught.value.field == "gateway_metadata"


def test_a_gateway_without_authentication_gets_the_providers_key_alone() -> None:
    settings = resolve(base_url=LEGACY, provider_key=True)
    headers = sent(Connection(settings=settings, extra_headers={"Authorization": "Bearer key"}))
    assert headers["authorization"] == "Bearer key"
    assert "cf-aig-authorization" not in headers


def test_no_gateway_is_named_if_none_is_wanted() -> None:
    assert "cf-aig-gateway-id" not in sent(connection(gateway_id=None))


def test_the_legacy_host_has_its_gateway_in_the_address_and_its_own_header_for_the_token() -> None:
    headers = sent(connection(base_url=LEGACY))
    assert headers["cf-aig-authorization"] == "Bearer tok"
    assert not headers.keys() & {"authorization", "cf-aig-gateway-id"}


def test_the_legacy_host_takes_a_provider_key() -> None:
    made = connection(base_url=LEGACY, extra_headers={"Authorization": "Bearer provider"})
    assert sent(made)["authorization"] == "Bearer provider"


def test_a_call_changes_what_it_names_and_nothing_else() -> None:
    made = connection(options=GatewayOptions(cache_ttl=60, zdr=True), extra_headers={"X-One": "1", "X-Two": "2"})
    before = sent(made)
    changed = sent(
        made,
        CallOptions(options=GatewayOptions(cache_ttl=120, gateway_id="other"), extra_headers={"x-two": "two"}),
    )
    assert changed == before | {"cf-aig-cache-ttl": "120", "cf-aig-gateway-id": "other", "x-two": "two"}
    assert sent(made) == before


def test_headers_of_a_wire_stand_unless_the_user_says_otherwise() -> None:
    wire = {"anthropic-version": "2023-06-01"}
    assert sent(connection(), wire=wire)["anthropic-version"] == "2023-06-01"
    mine = connection(extra_headers={"Anthropic-Version": "2024-01-01"})
    assert sent(mine, wire=wire)["anthropic-version"] == "2024-01-01"


def test_metadata_of_the_call_goes_over_that_of_the_connection_and_automatic_fills_up() -> None:
    made = connection(metadata={"team": "a", "env": "prod"})
    call = CallOptions(metadata=({"team": "b"}, {"job": 1}), automatic={"run_id": "r", "team": "z"})
    assert sent(made, call)["cf-aig-metadata"] == '{"team":"b","job":1,"env":"prod","run_id":"r"}'
    assert sent(made)["cf-aig-metadata"] == '{"team":"a","env":"prod"}'
    assert "cf-aig-metadata" not in sent(connection())


def test_metadata_as_a_header_replaces_automatic_entries_but_not_given_ones() -> None:
    own = {"cf-aig-metadata": '{"mine":1}'}
    call = CallOptions(automatic={"run_id": "r"})
    assert sent(connection(extra_headers=own), call)["cf-aig-metadata"] == '{"mine":1}'
    with pytest.raises(ConfigError, match="given twice"):
        sent(connection(extra_headers=own, metadata={"team": "a"}))


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
def test_a_header_that_cannot_be_sent_is_refused(headers: dict[str, Any], where: str) -> None:
    in_connection, in_call = (headers, {}) if where == "connection" else ({}, headers)
    with pytest.raises(ConfigError, match="extra_headers") as caught:
        sent(connection(extra_headers=in_connection), CallOptions(extra_headers=in_call))
    assert "other" not in str(caught.value), "the value may be a key"


def test_even_the_legacy_host_has_its_token_from_api_token() -> None:
    with pytest.raises(ConfigError, match="carries the token"):
        connection(base_url=LEGACY, extra_headers={"cf-aig-authorization": "x"})


@pytest.mark.parametrize(
    ("given", "limits"),
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
def test_timeouts_in_every_form(given: Any, limits: Timeouts) -> None:
    call = CallOptions()
    assert connection(timeout=given).timeouts_of(call, stream=False) == limits
    assert connection().timeouts_of(CallOptions(timeout=given), stream=False) == limits
    streamed = connection(timeout=given, stream_idle_timeout=3).timeouts_of(call, stream=True)
    assert streamed == Timeouts(limits.connect, 3)


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), True, "5", (1,), (1, 0), (1, 2, 3)])
def test_an_impossible_timeout_is_refused_before_any_call(value: Any) -> None:
    with pytest.raises(ConfigError, match="timeout"):
        connection(timeout=value)


def test_an_impossible_idle_timeout_is_refused() -> None:
    with pytest.raises(ConfigError, match="stream_idle_timeout"):
        connection(stream_idle_timeout=0)


@pytest.mark.parametrize("each", [400_000, timedelta(seconds=400)])
def test_the_client_waits_longer_than_the_gateway_was_told_to(each: Any) -> None:
    """facts §13.9: the gateway's limit is per attempt."""
    made = connection(options=GatewayOptions(request_timeout=each, max_attempts=3))
    assert made.timeouts_of(CallOptions(), stream=False).read == 1230.0
    assert made.timeouts_of(CallOptions(timeout=9.0), stream=False).read == 9.0


def test_a_gateway_that_retries_is_not_retried() -> None:
    made = connection(options=GatewayOptions(max_attempts=3))
    assert made.policy_of(CallOptions()).limit == 0
    assert made.policy_of(CallOptions(options=GatewayOptions(max_attempts=1))).limit == 2
    assert connection(max_retries=4, options=GatewayOptions(max_attempts=3)).policy_of(CallOptions()).limit == 4


def test_no_pickle_and_no_repr_holds_the_token() -> None:
    made = connection(api_token="very-secret")
    sent(made)
    assert b"very-secret" not in pickle.dumps(made)
    assert "very-secret" not in repr(made)
    assert sent(copy.copy(made))["authorization"] == "Bearer very-secret"
