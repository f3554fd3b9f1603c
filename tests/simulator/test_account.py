"""The token, the accounts, their credits, and the web search."""

from __future__ import annotations

import httpx
import pytest

from cfaig_integrations.simulator import Simulator
from tests.simulator.conftest import Caller, error_of


def test_the_token_and_its_account(sim: Simulator, caller: Caller) -> None:
    for url in (f"{sim.base_url}/user/tokens/verify", f"{caller.account}/tokens/verify"):
        assert caller.http.get(url).json()["result"]["status"] == "active"
        assert httpx.get(url, headers={"authorization": "Bearer other"}).status_code == 401
    listed = caller.http.get(f"{sim.base_url}/accounts", params={"per_page": 50}).json()
    assert [account["id"] for account in listed["result"]] == [sim.account_id]


def test_credits_pay_for_other_vendors_models(caller: Caller) -> None:
    def balance() -> float:
        return caller.get("/ai-gateway/billing/credit-balance").json()["result"]["balance"]

    before = balance()
    caller.chat("@cf/openai/gpt-oss-120b", headers={"cf-aig-gateway-id": "default"})
    assert balance() == before
    caller.chat("openai/gpt-5.4")
    assert balance() < before


def test_a_web_search(sim: Simulator, caller: Caller) -> None:
    sim.gateway("second")
    body = {"query": "Cloudflare Tunnel?", "provider": "exa", "limit": 2, "options": {"gateway": {"id": "second"}}}
    answer = caller.post("/ai/websearch/", body, {"cf-aig-metadata": '{"team": "docs"}'})
    first, second = answer.json()["items"]
    assert first["url"] == "https://example.com/cloudflare-tunnel"
    assert "Cloudflare Tunnel?" in first["title"]
    assert second["description"]
    assert answer.json()["metadata"] == {"provider": "exa", "count": 2}
    (entry,) = sim.logs("second", metadata={"team": "docs"})
    assert (entry["id"], entry["provider"], entry["cost"] > 0) == (answer.headers["cf-aig-log-id"], "exa", True)
    assert caller.post("/ai/websearch", {"query": "a"}).json()["metadata"]["count"] == 3
    missing = {"query": "a", "options": {"gateway": {"id": "missing"}}}
    assert error_of(caller.post("/ai/websearch/", missing))[:2] == (400, 2001)


@pytest.mark.parametrize("fields", [{}, {"query": " "}, {"query": "a", "provider": "x"}, {"query": "a", "limit": 11}])
def test_a_wrong_web_search(caller: Caller, fields: dict[str, object]) -> None:
    answer = caller.post("/ai/websearch/", fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_web_search_input")
