"""Who is let in, which gateway, headers, metadata, cache, limits, retries and routing."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import httpx
import pytest

from cfaig_integrations.simulator import Simulator

from .conftest import Caller, error_of

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (None, (400, 9106)),
        ("Basic abc", (400, 9106)),
        ("Bearer", (400, 9106)),
        ("Bearer wrong", (401, 10000)),
    ],
)
def test_tokens(sim: Simulator, authorization: str | None, expected: tuple[int, int]) -> None:
    headers = {"authorization": authorization} if authorization else {}
    url = f"{sim.base_url}/accounts/{sim.account_id}/ai/v1/chat/completions"
    answer = httpx.post(url, json={}, headers=headers)
    assert error_of(answer)[:2] == expected
    assert not any(name.startswith("cf-aig") for name in answer.headers)
    assert sim.logs() == []


def test_x_api_key_is_no_token(sim: Simulator) -> None:
    url = f"{sim.base_url}/accounts/{sim.account_id}/ai/v1/messages"
    assert error_of(httpx.post(url, json={}, headers={"x-api-key": sim.api_token}))[:2] == (400, 9106)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/accounts/{wrong}/ai/v1/chat/completions", (404, 7003, "Could not route to /client/v4/accounts/")),
        ("POST", "/accounts/{a}/ai/v1/completions", (400, 7000, "No route for that URI")),
        ("POST", "/accounts/{a}/ai/v1/chat/completions/", (400, 7000, "No route for that URI")),
        ("GET", "/accounts/{a}/ai/v1/chat/completions", (405, 7001, "GET not supported for requested URI.")),
        ("POST", "/accounts/{a}/ai/run/dynamic/x", (400, 7000, "No route for that URI")),
        ("POST", "/accounts/{a}/ai/run/cloudflare/auto", (400, 7000, "No route for that URI")),
        ("POST", "/accounts/{a}/ai/run/@cf%2Fmeta%2Fllama-3.1-8b-instruct", (400, 7000, "No route for that URI")),
    ],
)
def test_wrong_paths(caller: Caller, method: str, path: str, expected: tuple[int, int, str]) -> None:
    url = caller.sim.base_url + path.format(a=caller.sim.account_id, wrong="f" * 32)
    answer = caller.http.request(method, url, json={"prompt": "hi"} if method == "POST" else None)
    status, code, message = error_of(answer)
    assert (status, code) == expected[:2]
    assert message.startswith(expected[2])


def test_answers_carry_the_gateway_headers(sim: Simulator, caller: Caller) -> None:
    answer = caller.chat()
    ids = {answer.headers[f"cf-aig-{name}-id"] for name in ("log", "event", "request")}
    assert len(ids) == 1, "a call of one step has one id (facts §3.5)"
    assert UUID7.fullmatch(ids.pop())
    assert answer.headers["cf-aig-step"] == "0"
    assert answer.headers["cf-aig-cache-status"] == "MISS"
    assert answer.headers["cf-ray"]
    assert caller.chat(headers={"cf-aig-event-id": "mine"}).headers["cf-aig-event-id"] == "mine"
    assert sim.logs(event_id="mine")[0]["id"] != "mine"


def test_default_gateway_comes_into_being_and_no_other(sim: Simulator, caller: Caller) -> None:
    assert caller.get("/ai-gateway/gateways").json()["result"] == []
    answer = caller.chat(headers={"cf-aig-gateway-id": "mine"})
    assert error_of(answer)[:2] == (400, 2001)
    assert answer.json()["name"] == "AiGatewayError"
    assert caller.chat().status_code == 200
    assert [gateway["id"] for gateway in caller.get("/ai-gateway/gateways").json()["result"]] == ["default"]
    sim.gateway("mine")
    assert caller.chat(headers={"cf-aig-gateway-id": "mine"}).status_code == 200
    assert len(sim.logs("mine")) == 1


def test_workers_ai_without_gateway_id_bypasses_it(sim: Simulator, caller: Caller) -> None:
    model = "@cf/meta/llama-3.3-70b-instruct-fp8-fast"
    answer = caller.chat(model)
    assert answer.status_code == 200
    assert "cf-ai-req-id" in answer.headers
    assert not any(name.startswith("cf-aig") for name in answer.headers)
    assert sim.logs() == []
    assert caller.chat(model, headers={"cf-aig-gateway-id": "default"}).headers["cf-aig-log-id"] == sim.logs()[0]["id"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cf-aig-gateway-id", "g" * 65),
        ("cf-aig-skip-cache", "True"),
        ("cf-aig-cache-ttl", "59"),
        ("cf-aig-cache-ttl", "2592001"),
        ("cf-aig-cache-ttl", "1.5"),
        ("cf-aig-cache-key", ""),
        ("cf-aig-collect-log", "1"),
        ("cf-aig-collect-log-payload", "no"),
        ("cf-aig-request-timeout", "0"),
        ("cf-aig-request-timeout", "5s"),
        ("cf-aig-max-attempts", "6"),
        ("cf-aig-max-attempts", "0"),
        ("cf-aig-retry-delay", "60001"),
        ("cf-aig-backoff", "fibonacci"),
        ("cf-aig-custom-cost", "0.1"),
        ("cf-aig-custom-cost", '{"per_token": 1}'),
        ("cf-aig-custom-cost", '{"per_token_in": "1"}'),
        ("cf-aig-otel-trace-id", "xyz"),
        ("cf-aig-otel-parent-span-id", "0" * 32),
        ("cf-aig-zdr", "yes"),
        ("cf-aig-no-wholesale", "TRUE"),
        ("cf-aig-no-session-affinity", ""),
        ("cf-aig-allowed-models", "a,,b"),
    ],
)
def test_headers_out_of_range(caller: Caller, name: str, value: str) -> None:
    status, _, message = error_of(caller.chat(headers={name: value}))
    assert status == 400
    assert name in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cf-aig-cache-ttl", "60"),
        ("cf-aig-cache-ttl", "2592000"),
        ("cf-aig-max-attempts", "5"),
        ("cf-aig-retry-delay", "60000"),
        ("cf-aig-retry-delay", "0"),
        ("cf-aig-backoff", "exponential"),
        ("cf-aig-custom-cost", '{"total_cost": 1}'),
        ("cf-aig-otel-trace-id", "0af7651916cd43dd8448eb211c80319c"),
        ("x-session-affinity", "conversation-1"),
        ("cf-aig-byok-alias", "other"),
    ],
)
def test_headers_in_range(caller: Caller, name: str, value: str) -> None:
    assert caller.chat(headers={name: value}).status_code == 200


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ('{"a": 1, "b": "x", "c": true, "d": 1.5}', {"a": 1, "b": "x", "c": True, "d": 1.5}),
        ('{"1":1,"2":2,"3":3,"4":4,"5":5,"6":6,"7":7}', {"1": 1, "2": 2, "3": 3, "4": 4, "5": 5}),
        ('{"a": 1, "b": null}', None),
        ('{"a": 1, "b": {"c": 1}}', None),
        ('{"a": 1, "b": [1]}', None),
        ('{"1":1,"2":2,"3":3,"4":4,"5":5,"6":null}', None),
        ('{"cf.user_id": "x", "a": 1}', {"a": 1}),
        ('{"a": 1', None),
        ('["a"]', None),
        ('"a"', None),
        ("", None),
        (None, None),
        ('{"a": "' + "x" * 600 + '"}', {"a": "x" * 600}),
        ('{"a": "\\u00e9\\u4f60"}', {"a": "\u00e9\u4f60"}),
    ],
)
def test_metadata(sim: Simulator, caller: Caller, sent: str | None, kept: dict[str, Any] | None) -> None:
    answer = caller.chat(headers={} if sent is None else {"cf-aig-metadata": sent})
    assert answer.status_code == 200, "metadata is lost in silence"
    assert sim.logs()[0]["metadata"] == kept


def test_cache_by_gateway_ttl(sim: Simulator, caller: Caller) -> None:
    sim.gateway(cache_ttl=60)
    first = caller.chat(headers={"cf-aig-metadata": '{"n": 1}'})
    second = caller.chat(headers={"cf-aig-metadata": '{"n": 2}'})
    other = caller.chat(messages=[{"role": "user", "content": "Something else"}])
    assert [a.headers["cf-aig-cache-status"] for a in (first, second, other)] == ["MISS", "HIT", "MISS"]
    assert second.content == first.content
    assert second.headers["cf-aig-log-id"] != first.headers["cf-aig-log-id"]
    hit = sim.logs(cached=True)[0]
    assert (hit["cost"], hit["tokens_in"], hit["metadata"]) == (0, 0, {"n": 2})
    assert sim.logs(cached=False)[0]["cost"] > 0
    sim.advance(61)
    assert caller.chat().headers["cf-aig-cache-status"] == "MISS"


def test_the_cache_ttl_of_a_request_overrides_that_of_the_gateway(sim: Simulator, caller: Caller) -> None:
    sim.gateway(cache_ttl=60)
    headers = {"cf-aig-cache-ttl": "600"}
    assert caller.chat(headers=headers).headers["cf-aig-cache-status"] == "MISS"
    sim.advance(599)
    assert caller.chat(headers=headers).headers["cf-aig-cache-status"] == "HIT"


def test_cache_is_off_by_default(caller: Caller) -> None:
    assert [caller.chat().headers["cf-aig-cache-status"] for _ in range(2)] == ["MISS", "MISS"]


def test_cache_skip_key_and_ttl(sim: Simulator, caller: Caller) -> None:
    def status(prompt: str, **headers: str) -> str:
        sent = {f"cf-aig-{name.replace('_', '-')}": value for name, value in headers.items()}
        return caller.chat(messages=[{"role": "user", "content": prompt}], headers=sent).headers["cf-aig-cache-status"]

    assert [status("a", cache_key="k"), status("b", cache_key="k"), status("a", cache_key="j")] == [
        "MISS",
        "HIT",
        "MISS",
    ]
    assert status("a", cache_key="k", skip_cache="true") == "MISS"
    sim.advance(301)
    assert status("a", cache_key="k", cache_ttl="600") == "MISS", "a keyed answer is kept for five minutes"
    sim.advance(301)
    assert status("a", cache_key="k", cache_ttl="600") == "HIT"
    assert [status("c", cache_ttl="60"), status("c", cache_ttl="60")] == ["MISS", "HIT"]


def test_streams_and_failures_are_not_cached(sim: Simulator, caller: Caller) -> None:
    sim.gateway(cache_ttl=60)
    assert [caller.chat(stream=True).headers["cf-aig-cache-status"] for _ in range(2)] == ["MISS", "MISS"]
    sim.fault("provider_error")
    assert [caller.chat().status_code, caller.chat().headers["cf-aig-cache-status"]] == [500, "MISS"]


def test_a_slow_answer_is_cached(sim: Simulator, caller: Caller) -> None:
    sim.gateway(cache_ttl=60)
    sim.fault("slow_first_byte", seconds=0)
    assert [caller.chat().headers["cf-aig-cache-status"] for _ in range(2)] == ["MISS", "HIT"]


def test_rate_limit_fixed(sim: Simulator, caller: Caller) -> None:
    sim.gateway(rate_limiting_limit=2, rate_limiting_interval=1000)
    assert [caller.chat().status_code for _ in range(3)] == [200, 200, 429]
    error = caller.chat()
    assert error_of(error)[1] == 2003
    assert "retry-after" not in error.headers
    sim.advance(1000)
    assert caller.chat().status_code == 200


def test_rate_limit_sliding(sim: Simulator, caller: Caller) -> None:
    sim.gateway(rate_limiting_limit=2, rate_limiting_interval=1000, rate_limiting_technique="sliding")
    assert caller.chat().status_code == 200
    sim.advance(600)
    assert [caller.chat().status_code, caller.chat().status_code] == [200, 429]
    sim.advance(600)
    assert [caller.chat().status_code, caller.chat().status_code] == [200, 429]


def test_the_gateway_retries_what_passes(sim: Simulator, caller: Caller) -> None:
    sim.fault("provider_error", times=2)
    answer = caller.chat(headers={"cf-aig-max-attempts": "3"})
    assert (answer.status_code, answer.headers["cf-aig-step"]) == (200, "0")
    assert len(sim.logs()) == 1
    sim.fault("provider_error", times=2)
    assert caller.chat(headers={"cf-aig-max-attempts": "2"}).status_code == 500
    assert sim.queued == (0, 0)


@pytest.mark.parametrize("name", ["bad_input", "daily_neurons", "gateway_rate_limit", "edge_502"])
def test_the_gateway_does_not_retry_the_rest(sim: Simulator, caller: Caller, name: str) -> None:
    sim.fault(name)
    assert caller.chat(headers={"cf-aig-max-attempts": "3"}).status_code >= 400


def test_retry_delay_and_backoff(sim: Simulator, caller: Caller) -> None:
    sim.gateway(retry_max_attempts=3, retry_delay=40, retry_backoff="exponential")
    sim.fault("provider_error", times=2)
    before = time.monotonic()
    assert caller.chat().status_code == 200
    assert time.monotonic() - before >= 0.12, "40 ms, then twice as long"


def test_request_timeout_is_in_milliseconds(sim: Simulator, caller: Caller) -> None:
    sim.fault("slow_first_byte", seconds=60)
    assert caller.chat(headers={"cf-aig-request-timeout": "50"}).status_code == 408
    sim.fault("slow_first_byte", seconds=60)
    again = {"cf-aig-request-timeout": "50", "cf-aig-max-attempts": "2"}
    assert caller.chat(headers=again).status_code == 200
    sim.fault("slow_first_byte", seconds=0.1, times=2)
    assert caller.chat(headers=again).status_code == 200, "the last of several attempts waits as long as it takes"


def test_reject_if_busy(sim: Simulator, caller: Caller) -> None:
    sim.fault("busy", seconds=60)
    assert error_of(caller.chat(options={"rejectIfBusy": True}))[:2] == (429, 3040)
    sim.fault("busy", seconds=0.05)
    assert caller.chat().status_code == 200


@pytest.mark.parametrize(
    ("headers", "logged", "payload"),
    [
        ({"cf-aig-collect-log": "false"}, False, False),
        ({"cf-aig-collect-log-payload": "false"}, True, False),
        ({}, True, True),
    ],
)
def test_collect_log(sim: Simulator, caller: Caller, headers: dict[str, str], logged: bool, payload: bool) -> None:
    answer = caller.chat(headers=headers)
    assert ("cf-aig-log-id" in answer.headers) is logged
    entries = sim.logs()
    assert len(entries) == logged
    assert all((entry["request"] is not None) is payload for entry in entries)


def test_custom_cost(sim: Simulator, caller: Caller) -> None:
    sim.reply("x", tokens_in=10, tokens_out=5)
    caller.chat(headers={"cf-aig-custom-cost": json.dumps({"per_token_in": 0.5, "per_token_out": 2})})
    entry = sim.logs()[0]
    assert (entry["cost"], entry["custom_cost"], entry["tokens_in"], entry["tokens_out"]) == (15.0, True, 10, 5)


def test_no_wholesale_without_own_key(sim: Simulator, caller: Caller) -> None:
    assert caller.chat(headers={"cf-aig-no-wholesale": "true"}).status_code == 400
    sim.gateway(byok_only=True)
    assert caller.chat().status_code == 400
    assert caller.chat(headers={"cf-aig-no-wholesale": "false"}).status_code == 400, "a header cannot relax the setting"


def test_dynamic_route(sim: Simulator, caller: Caller) -> None:
    answer = caller.chat("dynamic/support")
    assert answer.headers["cf-aig-model"] == "@cf/meta/llama-3.3-70b-instruct-fp8-fast"
    assert answer.headers["cf-aig-provider"] == "workers-ai"
    assert sim.logs()[0]["model"] == answer.headers["cf-aig-model"]
    with Simulator(dynamic_routes={"a": "openai/gpt-4.1"}) as own, Caller(own) as call:
        assert call.chat("dynamic/a").headers["cf-aig-model"] == "openai/gpt-4.1"
        assert error_of(call.chat("dynamic/b"))[:2] == (500, 2028)


def test_auto_router(sim: Simulator, caller: Caller) -> None:
    def routed(**headers: str) -> tuple[str, str]:
        sent = {f"cf-aig-{name.replace('_', '-')}": value for name, value in headers.items()}
        found = caller.chat("cloudflare/auto", headers=sent).headers
        assert found["cf-aig-routing-decision-id"]
        return found["cf-aig-routed-model"], found["cf-aig-routing-reason"]

    assert routed()[1] == "cost_optimal_within_pool"
    assert routed(allowed_models="xai/grok-4.6") == ("xai/grok-4.6", "forced_by_candidate_pool")
    assert routed(allowed_providers="anthropic")[0].startswith("anthropic/")
    assert routed(session_id="s", allowed_models="xai/grok-4.6,anthropic/*")[1] == "cost_optimal_within_pool"
    first = routed(session_id="t", allowed_models="anthropic/claude-opus-5")
    assert routed(session_id="t", allowed_models="anthropic/*") == (first[0], "pinned_by_turn")
    assert routed(session_id="t", allowed_models="anthropic/*", no_session_affinity="true")[1] != "pinned_by_turn"
    in_turn = routed(session_id="a", turn_id="b", allowed_models="anthropic/claude-opus-5")
    assert routed(session_id="c", turn_id="b", allowed_models="anthropic/*") == (in_turn[0], "pinned_by_turn")
    assert routed(session_id="a", turn_id="d", allowed_models="anthropic/*")[1] != "pinned_by_turn"
    for unmatched in ("nobody/*", "*"):
        answer = caller.chat("cloudflare/auto", headers={"cf-aig-allowed-models": unmatched})
        assert error_of(answer)[0] == 400, "a wildcard does not cross a slash"


def test_legacy_host(sim: Simulator) -> None:
    url = f"{sim.legacy_url}/chat/completions"
    ours, body = f"Bearer {sim.api_token}", {"messages": [{"role": "user", "content": "Say hi"}]}

    def post(model: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(url, json={"model": model, **body}, headers=named)

    assert post("openai/gpt-4.1", cf_aig_authorization=ours).status_code == 200
    assert post("openai/gpt-4.1", authorization=ours).status_code == 200
    assert post("workers-ai/@cf/meta/llama-3.1-8b-instruct", authorization=ours).status_code == 200
    assert post("grok/grok-4.6", authorization=ours).status_code == 200
    assert error_of(post("openai/gpt-4.1"))[:2] == (401, 2009)
    assert error_of(post("openai/gpt-4.1", cf_aig_authorization="Bearer no"))[:2] == (401, 2009)
    both = post("openai/gpt-4.1", cf_aig_authorization=ours, authorization=ours)
    assert (both.status_code, both.json()["error"]["code"]) == (401, "invalid_api_key")
    assert error_of(post("gpt-4.1", authorization=ours))[:2] == (400, 2019)
    own = post("openai/gpt-4.1", cf_aig_authorization=ours, authorization="Bearer sk-own")
    assert own.json()["gatewayMetadata"] == {"keySource": "BYOK"}
    assert sim.logs(byok=True)[0]["wholesale"] is False


def test_custom_domain(sim: Simulator) -> None:
    """facts §14.6."""
    body = {"model": "google-ai-studio/gemini-3-flash", "messages": [{"role": "user", "content": "Say hi"}]}
    url, ours = f"{sim.custom_url}/chat/completions", {"authorization": f"Bearer {sim.api_token}"}
    answer = httpx.post(url, json=body, headers=ours)
    assert (answer.status_code, bool(answer.headers["cf-aig-log-id"])) == (200, True)
    assert httpx.post(url, json=body).status_code == 400
    assert httpx.post(url, json=body, headers={"authorization": "Bearer no"}).status_code == 401
    assert httpx.post(f"{sim.url}/compat/responses", json=body, headers=ours).status_code in (400, 404)


def test_a_gateway_without_authentication_takes_a_providers_key(sim: Simulator, caller: Caller) -> None:
    """facts §14.6."""
    required = {
        "cache_invalidate_on_update": False,
        "cache_ttl": 0,
        "collect_logs": True,
        "rate_limiting_interval": 0,
        "rate_limiting_limit": 0,
    }
    caller.post("/ai-gateway/gateways", {"id": "open", "authentication": False, **required})
    body = {"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": "Say hi"}]}
    key = {"authorization": "Bearer sk-own"}
    opened = sim.legacy_url.replace("/default/", "/open/")
    answer = httpx.post(f"{opened}/chat/completions", json=body, headers=key)
    assert answer.json()["gatewayMetadata"] == {"keySource": "BYOK"}
    assert httpx.post(f"{opened}/chat/completions", json=body).status_code == 401
    assert httpx.post(f"{sim.legacy_url}/chat/completions", json=body, headers=key).status_code == 401
