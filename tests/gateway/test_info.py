"""`GatewayInfo` from response headers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cfaig_integrations.gateway.info import GatewayInfo, read_info

FULL = {
    "cf-aig-log-id": "01999999-log",
    "cf-aig-event-id": "ev",
    "cf-aig-request-id": "req",
    "cf-ai-req-id": "workers-ai",
    "cf-ray": "8f00-VIE",
    "cf-aig-step": "0",
    "cf-aig-cache-status": "MISS",
    "cf-aig-routed-model": "acme/big",
    "cf-aig-model": "big",
    "cf-aig-provider": "acme",
    "cf-aig-routing-reason": "cost_optimal_within_pool",
    "cf-aig-routing-decision-id": "dec",
    "cf-aig-dlp": '{"findings":[{"profile":{"profile_id":"p"},"score":0.5}],"action":"FLAG"}',
}


def test_field_of_every_header() -> None:
    info = read_info(
        FULL,
        wire="responses",
        model="cloudflare/x",
        key_source="BYOK",
        switched_from="chat_completions",
        attempts=3,
        earlier_log_ids=("first", "second"),
    )
    assert info.as_dict() == {
        "wire": "responses",
        "requested_model": "cloudflare/x",
        "log_id": "01999999-log",
        "event_id": "ev",
        "request_id": "req",
        "ray_id": "8f00-VIE",
        "step": 0,
        "cache_status": "MISS",
        "routed_model": "acme/big",
        "provider": "acme",
        "routing_reason": "cost_optimal_within_pool",
        "routing_decision_id": "dec",
        "dlp": {"findings": [{"profile": {"profile_id": "p"}, "score": "0.5"}], "action": "FLAG"},
        "key_source": "BYOK",
        "switched_from": "chat_completions",
        "attempts": 3,
        "log_ids": ["first", "second", "01999999-log"],
    }


def test_log_ids_of_one_request() -> None:
    info = read_info(FULL, wire="run", model="m")
    assert (info.log_ids, "log_ids" in info.as_dict()) == (("01999999-log",), False)
    assert read_info({}, wire="run", model="m", earlier_log_ids=("first",)).log_ids == ("first",)


def test_any_header_may_be_absent() -> None:
    """facts §3.7."""
    assert read_info({}, wire="run", model="m").as_dict() == {"wire": "run", "requested_model": "m", "attempts": 1}
    for name in FULL:
        rest = {key: value for key, value in FULL.items() if key != name}
        assert isinstance(read_info(rest, wire="run", model="m"), GatewayInfo)


@pytest.mark.parametrize("step", ["", "one", "-1", "1.5", "٣"])
def test_a_step_that_is_not_a_number_is_ignored(step: str) -> None:
    assert read_info({"cf-aig-step": step}, wire="run", model="m").step is None


@pytest.mark.parametrize(("headers", "model"), [({"cf-aig-model": "a"}, "a"), ({"cf-aig-routed-model": "b"}, "b")])
def test_routed_model_of_dynamic_routes_and_of_the_auto_router(headers: dict[str, str], model: str) -> None:
    assert read_info(headers, wire="run", model="m").routed_model == model


def test_request_id_of_workers_ai() -> None:
    assert read_info({"cf-ai-req-id": "w"}, wire="run", model="m").request_id == "w"


@pytest.mark.parametrize(("text", "dlp"), [("blocked", "blocked"), ("[1]", [1]), ("NaN", "NaN"), ("{", "{")])
def test_a_dlp_verdict_is_parsed_or_kept_as_text(text: str, dlp: Any) -> None:
    info = read_info({"cf-aig-dlp": text}, wire="run", model="m")
    assert info.dlp == dlp
    json.dumps(info.as_dict(), allow_nan=False)
