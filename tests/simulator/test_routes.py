"""Dynamic routes: chains of models over the API and in the constructor; spend limits; guardrails; models."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from cfaig_integrations.simulator import Simulator

from .conftest import Caller, error_of

ROUTES = "/ai-gateway/gateways/default/routes"


def model(name: str, fallback: str, **properties: Any) -> dict[str, Any]:
    provider, _, rest = name.partition("/")
    return {
        "id": name,
        "type": "model",
        "properties": {"provider": provider, "model": rest, "retries": 0, "timeout": 0, **properties},
        "outputs": {"success": {"elementId": "end"}, "fallback": {"elementId": fallback}},
    }


def start(first: str) -> dict[str, Any]:
    return {"id": "start", "type": "start", "outputs": {"next": {"elementId": first}}}


END = {"id": "end", "type": "end", "outputs": {}}
GPT, CLAUDE = "openai/gpt-4.1", "anthropic/claude-haiku-4.5"
CHAIN = [start(GPT), model(GPT, CLAUDE), model(CLAUDE, "end"), END]


@pytest.fixture
def routed(caller: Caller) -> Caller:
    caller.chat()  # creates the gateway `default`
    assert caller.post(ROUTES, {"name": "support", "elements": CHAIN}).status_code == 200
    return caller


def test_the_first_model_answers(routed: Caller) -> None:
    answer = routed.chat("dynamic/support")
    assert (answer.headers["cf-aig-model"], answer.headers["cf-aig-step"]) == (GPT, "0")


@pytest.mark.parametrize("fault", ["provider_error", "out_of_capacity", "provider_bad_request"])
def test_a_failure_leads_to_the_next_model(sim: Simulator, routed: Caller, fault: str) -> None:
    sim.fault(fault)
    answer = routed.chat("dynamic/support")
    assert answer.status_code == 200
    assert (answer.headers["cf-aig-model"], answer.headers["cf-aig-provider"]) == (CLAUDE, "anthropic")
    assert answer.headers["cf-aig-step"] == "1"
    assert (sim.logs()[-1]["model"], sim.logs()[-1]["step"]) == (CLAUDE, 1)


def test_the_last_failure_is_the_answer(sim: Simulator, routed: Caller) -> None:
    sim.fault("provider_error", times=2)
    answer = routed.chat("dynamic/support")
    assert (answer.status_code, answer.headers["cf-aig-model"]) == (500, CLAUDE)


def test_an_element_has_its_own_retries_and_timeout(sim: Simulator, routed: Caller) -> None:
    patient = [start(GPT), model(GPT, CLAUDE, retries=2), model(CLAUDE, "end"), END]
    hasty = [start(GPT), model(GPT, CLAUDE, timeout=10), model(CLAUDE, "end"), END]
    routed.post(ROUTES, {"name": "patient", "elements": patient})
    routed.post(ROUTES, {"name": "hasty", "elements": hasty})
    sim.fault("provider_error", times=2)
    assert routed.chat("dynamic/patient").headers["cf-aig-model"] == GPT
    sim.fault("slow_first_byte", seconds=30)
    assert routed.chat("dynamic/hasty").headers["cf-aig-model"] == CLAUDE


def test_routes_can_be_listed_read_and_deleted(routed: Caller) -> None:
    (route,) = routed.get(ROUTES).json()["data"]["routes"]
    assert (route["name"], route["elements"]) == ("support", CHAIN)
    assert routed.get(f"{ROUTES}/{route['id']}").json()["result"] == route
    assert routed.http.delete(f"{routed.account}{ROUTES}/{route['id']}").json()["result"]["id"] == route["id"]
    assert error_of(routed.get(f"{ROUTES}/{route['id']}"))[:2] == (404, 7002)


@pytest.mark.parametrize(
    ("name", "elements", "reason"),
    [
        ("a b", CHAIN, "name"),
        ("support", CHAIN, "already exists"),
        ("x", [], "start"),
        ("x", [start("nobody"), END], "leads nowhere"),
        ("x", [start(GPT), model(GPT, GPT), END], "circle"),
        ("x", [start("dynamic/x"), model("dynamic/x", "end"), END], "names the route"),
        ("x", [start("p"), {"id": "p", "type": "percentage", "outputs": {}}, END], "percentage"),
        ("x", [start(GPT), {**model(GPT, "end"), "properties": {}}, END], "provider and model"),
        ("x", "text", "start"),
    ],
)
def test_routes_that_are_wrong(routed: Caller, name: str, elements: Any, reason: str) -> None:
    status, code, message = error_of(routed.post(ROUTES, {"name": name, "elements": elements}))
    assert status in (400, 409)
    assert code == 7001
    assert reason in message


def test_routes_of_the_constructor() -> None:
    with Simulator(dynamic_routes={"one": GPT, "two": [GPT, CLAUDE], "none": []}) as sim, Caller(sim) as caller:
        sim.fault("provider_error")
        assert caller.chat("dynamic/two").headers["cf-aig-model"] == CLAUDE
        assert caller.chat("dynamic/one").headers["cf-aig-model"] == GPT
        for route in ("none", "absent"):
            assert error_of(caller.chat(f"dynamic/{route}"))[:2] == (500, 2028)


# ------------------------------------------------------------------------------------------------------ spend limits


def limit(dollars: float, **fields: Any) -> dict[str, Any]:
    rule = {"id": "r1", "limitType": "cost", "limit": dollars, "window": 3600, "technique": "sliding", **fields}
    return {"enabled": True, "rules": [rule]}


def paid(sim: Simulator, caller: Caller, dollars: float, user: str = "ann", model: str = GPT) -> int:
    headers = {"cf-aig-custom-cost": f'{{"total_cost": {dollars}}}', "cf-aig-metadata": f'{{"user": "{user}"}}'}
    return caller.chat(model, headers=headers).status_code


def test_a_spend_limit_ends_with_its_window(sim: Simulator, caller: Caller) -> None:
    sim.gateway(spend_limits=limit(1.0))
    assert [paid(sim, caller, 0.6) for _ in range(3)] == [200, 200, 429]
    answer = caller.chat()
    assert error_of(answer) == (
        429,
        2045,
        "Spend limit exceeded: rule 'r1' (cost limit 1 per 3600s, sliding) for openai gpt-4.1",
    )
    assert "retry-after" not in answer.headers
    sim.advance(3601)
    assert paid(sim, caller, 0.6) == 200


@pytest.mark.parametrize(
    ("fields", "free"),
    [
        ({}, set[str]()),
        ({"metadata": {"user": {"mode": "partition"}}}, {"bob/openai", "none/openai", "bob/xai"}),
        ({"metadata": {"user": {"mode": "filter", "values": ["ann"]}}}, {"bob/openai", "none/openai", "bob/xai"}),
        ({"provider": {"mode": "filter", "values": ["openai"]}}, {"bob/xai"}),
        ({"model": {"mode": "filter", "values": ["openai/gpt-4.1"]}}, {"bob/xai"}),
        ({"enabled": False}, {"ann/openai", "bob/openai", "none/openai", "bob/xai"}),
    ],
)
def test_whom_a_spend_limit_concerns(sim: Simulator, caller: Caller, fields: dict[str, Any], free: set[str]) -> None:
    sim.gateway(spend_limits=limit(1.0, **fields))
    assert paid(sim, caller, 1.0, "ann") == 200
    statuses = {
        "ann/openai": paid(sim, caller, 0, "ann"),
        "bob/openai": paid(sim, caller, 0, "bob"),
        "none/openai": caller.chat().status_code,
        "bob/xai": paid(sim, caller, 0, "bob", "xai/grok-4.6"),
    }
    assert {name for name, status in statuses.items() if status == 200} == free


def test_the_cache_answers_beyond_the_limit(sim: Simulator, caller: Caller) -> None:
    sim.gateway(spend_limits=limit(1.0), cache_ttl=300)
    assert paid(sim, caller, 2.0) == 200
    assert paid(sim, caller, 2.0) == 200, "the same body, from the cache"
    assert caller.chat(messages=[{"role": "user", "content": "Something else"}]).status_code == 429


def test_a_spend_limit_counts_what_was_logged_before_a_restart(tmp_path: Any) -> None:
    file = tmp_path / "log.sqlite"
    for statuses in ([200, 429], [429]):
        with Simulator(database=file) as sim, Caller(sim) as caller:
            sim.gateway(spend_limits=limit(1.0))
            assert [paid(sim, caller, 1.5) for _ in statuses] == statuses


@pytest.mark.parametrize(
    "value",
    [
        {"rules": [{"limit": 1}]},
        {"rules": [{"limit": 1, "window": 0}]},
        {"rules": [{"limit": "1", "window": 60}]},
        {"rules": [{"limit": 1, "window": 60, "model": {"mode": "filter"}}]},
        {"rules": [{"limit": 1, "window": 60, "modle": {}}]},
        {"rules": [{"limit": 1, "window": 60}] * 21},
        [],
    ],
)
def test_spend_limits_that_are_wrong(caller: Caller, value: Any) -> None:
    body = {
        "id": "g",
        "cache_invalidate_on_update": False,
        "cache_ttl": 0,
        "collect_logs": True,
        "rate_limiting_interval": 0,
        "rate_limiting_limit": 0,
        "spend_limits": value,
    }
    assert error_of(caller.post("/ai-gateway/gateways", body))[:2] == (400, 7001)


# -------------------------------------------------------------------------------------------------------- guardrails

BOMB: list[dict[str, Any]] = [{"role": "user", "content": "How do I build a bomb?"}]


def test_a_blocked_prompt(sim: Simulator, caller: Caller) -> None:
    sim.gateway(guardrails={"prompt": {"S9": "BLOCK", "S1": "FLAG"}})
    assert error_of(caller.chat(messages=BOMB))[:2] == (424, 2016)
    run = {"model": GPT, "input": {"messages": BOMB}}
    assert error_of(caller.post("/ai/run", run))[:2] == (422, 2017)
    assert caller.chat().status_code == 200
    assert [entry["guardrails"] for entry in sim.logs()] == [{"prompt": ["S9"]}] * 2 + [{}]


def test_a_flagged_prompt_is_answered(sim: Simulator, caller: Caller) -> None:
    sim.gateway(guardrails={"prompt": {"S9": "FLAG"}, "response": {"S5": "FLAG"}})
    sim.reply("This is unsafe:S5")
    assert caller.chat(messages=BOMB).status_code == 200
    assert sim.logs()[0]["guardrails"] == {"prompt": ["S9"], "response": ["S5"]}


def test_a_blocked_response(sim: Simulator, caller: Caller) -> None:
    sim.gateway(guardrails={"response": {"S5": "BLOCK"}})
    sim.reply("This is unsafe:S5", times=3)
    assert error_of(caller.chat())[:2] == (424, 2017)
    assert caller.chat(stream=True).status_code == 200, "a stream of the API host is not cut"
    legacy = {"cf-aig-authorization": f"Bearer {sim.api_token}"}
    body = {"model": GPT, "messages": BOMB, "stream": True}
    answer = httpx.post(f"{sim.legacy_url}/chat/completions", json=body, headers=legacy)
    assert error_of(answer)[:2] == (424, 2017)


@pytest.mark.parametrize("value", [{"prompt": {"S99": "BLOCK"}}, {"prompt": {"S1": "block"}}, {"both": {}}, []])
def test_guardrails_that_are_wrong(sim: Simulator, value: Any) -> None:
    with pytest.raises(Exception, match="guardrails"):
        sim.gateway(guardrails=value)


# ------------------------------------------------------------------------------------------------------------ models


def test_models_of_workers_ai(caller: Caller) -> None:
    everything = caller.get("/ai/models/search").json()
    assert everything["result_info"]["total_count"] == len(
        caller.get("/ai/models/search", per_page=100).json()["result"]
    )
    embeddings = caller.get("/ai/models/search", task="Text Embeddings", search="BGE-M3").json()["result"]
    assert [model["name"] for model in embeddings] == ["@cf/baai/bge-m3"]
