"""The logs API, gateways, models."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from cfaig_integrations.simulator import Simulator
from tests.waiting import until

from .conftest import Caller, error_of

LOGS = "/ai-gateway/gateways/default/logs"
REQUIRED: dict[str, Any] = {
    "cache_invalidate_on_update": False,
    "cache_ttl": 0,
    "collect_logs": True,
    "rate_limiting_interval": 0,
    "rate_limiting_limit": 0,
}


def filtered(caller: Caller, *filters: tuple[str, str, list[Any]]) -> list[dict[str, Any]]:
    rows = [{"key": key, "operator": operator, "value": value} for key, operator, value in filters]
    answer = caller.get(LOGS, filters=json.dumps(rows), order_by_direction="asc")
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


@pytest.fixture
def logged(sim: Simulator, caller: Caller) -> Caller:
    """Three calls: two by `ann`, one of which failed, and one by `bob`."""
    sim.reply("Alpha answer", tokens_in=10, tokens_out=2)
    caller.chat(headers={"cf-aig-metadata": '{"user": "ann", "agent": "bob"}', "cf-aig-event-id": "e1"})
    sim.fault("provider_error")
    caller.chat("anthropic/claude-haiku-4.5", headers={"cf-aig-metadata": '{"user": "ann", "paid": true}'})
    sim.reply("Gamma answer", tokens_in=1000, tokens_out=2)
    caller.chat("xai/grok-4.6", headers={"cf-aig-metadata": '{"user": "bob", "n": 7}'})
    return caller


def test_filters(logged: Caller) -> None:
    def models(*filters: tuple[str, str, list[Any]]) -> list[str]:
        return [entry["model"].partition("/")[0] for entry in filtered(logged, *filters)]

    assert models(("model", "eq", ["openai/gpt-4.1", "xai/grok-4.6"])) == ["openai", "xai"]
    assert models(("provider", "neq", ["openai"])) == ["anthropic", "xai"]
    assert models(("model", "contains", ["CLAUDE"])) == ["anthropic"]
    assert models(("tokens_in", "gt", [100])) == ["xai"]
    assert models(("tokens", "lt", [100])) == ["openai", "anthropic"]
    assert models(("success", "eq", [False])) == ["anthropic"]
    assert models(("success", "eq", ["true"]), ("provider", "eq", ["xai"])) == ["xai"]
    assert models(("event_id", "eq", ["e1"])) == ["openai"]
    assert models(("metadata.value", "eq", ["ann"])) == ["openai", "anthropic"]
    assert models(("metadata.value", "eq", [7])) == ["xai"]
    assert models(("metadata.value", "eq", [True])) == ["anthropic"]
    assert models(("metadata.key", "contains", ["pai"])) == ["anthropic"]
    paired = (("metadata.key", "eq", ["agent"]), ("metadata.value", "eq", ["ann"]))
    assert models(*paired) == ["openai"], "key and value need not belong together (facts §4)"


@pytest.mark.parametrize(
    "query",
    [
        {"filters": '[{"key": "nonsense", "operator": "eq", "value": ["a"]}]'},
        {"filters": '[{"key": "model", "operator": "like", "value": ["a"]}]'},
        {"filters": '[{"key": "model", "operator": "eq", "value": "a"}]'},
        {"filters": "[{"},
        {"order_by": "cost"},
        {"order_by_direction": "up"},
        {"page": "0"},
        {"per_page": "51"},
        {"per_page": "x"},
    ],
)
def test_wrong_queries(logged: Caller, query: dict[str, str]) -> None:
    assert error_of(logged.get(LOGS, **query))[:2] == (400, 7001)


def test_paging_order_and_search(logged: Caller) -> None:
    first = logged.get(LOGS, per_page=2).json()
    assert first["result_info"] == {"count": 2, "page": 1, "per_page": 2, "total_count": 3}
    assert [entry["provider"] for entry in first["result"]] == ["xai", "anthropic"]
    assert [e["provider"] for e in logged.get(LOGS, per_page=2, page=2).json()["result"]] == ["openai"]
    ordered = logged.get(LOGS, order_by="provider", order_by_direction="asc").json()["result"]
    assert [entry["provider"] for entry in ordered] == ["anthropic", "openai", "xai"]
    assert [e["provider"] for e in logged.get(LOGS, search="gamma").json()["result"]] == ["xai"]


def test_one_log(sim: Simulator, logged: Caller) -> None:
    log = sim.logs(provider="openai")[0]["id"]
    entry = logged.get(f"{LOGS}/{log}").json()["result"]
    assert entry["metadata"] == {"user": "ann", "agent": "bob"}
    assert (entry["tokens_in"], entry["tokens_out"], entry["status_code"]) == (10, 2, 200)
    assert entry["cost"] > 0
    assert entry["request_head_complete"] is True
    assert json.loads(entry["request_head"])["model"] == "openai/gpt-4.1"
    assert "request" not in entry
    assert logged.get(f"{LOGS}/{log}/request").json()["model"] == "openai/gpt-4.1"
    assert "Alpha answer" in logged.get(f"{LOGS}/{log}/response").text
    assert error_of(logged.get(f"{LOGS}/{'0' * 8}"))[0] == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"feedback": 1}, 200),
        ({"feedback": -1, "score": 40}, 200),
        ({"feedback": None}, 200),
        ({"metadata": {"reviewed": True}}, 200),
        ({"feedback": 2}, 400),
        ({"feedback": True}, 400),
        ({"score": 101}, 400),
        ({"score": "9"}, 400),
        ({"metadata": {"a": [1]}}, 400),
        ({}, 400),
    ],
)
def test_feedback(sim: Simulator, logged: Caller, body: dict[str, Any], status: int) -> None:
    log = sim.logs()[0]["id"]
    answer = logged.http.patch(f"{logged.account}{LOGS}/{log}", json=body)
    assert answer.status_code == status
    if status == 200:
        entry = sim.logs()[0]
        assert {name: entry[name] for name in body} == body


def test_delete_logs(sim: Simulator, logged: Caller) -> None:
    rows = json.dumps([{"key": "provider", "operator": "eq", "value": ["xai"]}])
    assert logged.http.delete(logged.account + LOGS, params={"filters": rows}).json()["success"] is True
    assert [entry["provider"] for entry in sim.logs()] == ["openai", "anthropic"]
    logged.http.delete(logged.account + LOGS)
    assert sim.logs() == []


def test_a_streams_log_may_be_late() -> None:
    with Simulator(log_delay=0.15) as sim, Caller(sim) as caller:
        log = caller.chat(stream=True).headers["cf-aig-log-id"]
        assert error_of(caller.get(f"{LOGS}/{log}")) == (404, 7002, "Log not found")
        assert until(lambda: caller.get(f"{LOGS}/{log}").status_code == 200)


def test_a_streams_log_is_there_at_its_end(sim: Simulator, caller: Caller) -> None:
    log = caller.chat(stream=True).headers["cf-aig-log-id"]
    assert "[DONE]" in caller.get(f"{LOGS}/{log}/response").text


def test_management_needs_the_token(sim: Simulator) -> None:
    url = f"{sim.base_url}/accounts/{sim.account_id}{LOGS}"
    assert error_of(httpx.get(url, headers={"authorization": "Bearer no"}))[:2] == (401, 10000)
    other = f"{sim.base_url}/accounts/{'e' * 32}{LOGS}"
    assert error_of(httpx.get(other, headers={"authorization": f"Bearer {sim.api_token}"}))[:2] == (404, 7003)


def test_gateways(caller: Caller) -> None:
    url = caller.account + "/ai-gateway/gateways"
    made = caller.http.post(url, json={"id": "mine", **REQUIRED, "cache_ttl": 300}).json()["result"]
    assert (made["id"], made["cache_ttl"], made["authentication"]) == ("mine", 300, True)
    assert caller.http.post(url, json={"id": "mine", **REQUIRED}).status_code == 409
    assert error_of(caller.http.post(url, json={"id": "other"}))[:2] == (400, 7001)
    assert error_of(caller.http.post(url, json={"id": "x" * 65, **REQUIRED}))[:2] == (400, 7001)
    assert error_of(caller.http.put(f"{url}/mine", json={"cache_ttl": 1}))[:2] == (400, 7001)
    wrong = {**REQUIRED, "retry_max_attempts": 9}
    assert error_of(caller.http.put(f"{url}/mine", json=wrong))[:2] == (400, 7001)
    replaced = caller.http.put(f"{url}/mine", json={**REQUIRED, "retry_max_attempts": 2}).json()["result"]
    assert (replaced["cache_ttl"], replaced["retry_max_attempts"]) == (0, 2)
    assert caller.http.get(f"{url}/mine").json()["result"] == replaced
    assert [gateway["id"] for gateway in caller.http.get(url).json()["result"]] == ["mine"]
    assert caller.http.delete(f"{url}/mine").json()["result"]["id"] == "mine"
    assert caller.http.get(f"{url}/mine").status_code == 404


@pytest.mark.parametrize(("strategy", "kept"), [("STOP_INSERTING", [1, 2]), ("DELETE_OLDEST", [1, 2, 3])])
def test_a_log_that_is_full(sim: Simulator, caller: Caller, strategy: str, kept: list[int]) -> None:
    """`DELETE_OLDEST` deletes in batches, so that three entries stay for now."""
    sim.gateway(log_management=2, log_management_strategy=strategy)
    for _ in range(3):
        assert caller.chat().status_code == 200
    assert len(sim.logs()) == len(kept)
