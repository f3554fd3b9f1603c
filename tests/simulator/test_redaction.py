"""No credential of a request is kept: not in captured requests, not in the log, not in the database file."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from cfaig_integrations.simulator import Simulator
from cfaig_integrations.simulator.upstream.client import Upstream

CANARY = "canary-4711-secret-value"


@pytest.mark.parametrize(
    "name",
    [
        "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization", "xi-api-key", "x-auth-token",
        "x-auth-key", "ocp-apim-subscription-key", "x-amz-signature",
    ],
)  # fmt: skip
def test_no_credential_is_kept(name: str, tmp_path: Path) -> None:
    with Simulator(database=tmp_path / "log.sqlite") as sim:
        chat = f"{sim.legacy_url}/chat/completions"
        body = {"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": f"my key is {CANARY}"}]}
        headers = {"cf-aig-authorization": f"Bearer {sim.api_token}", name: CANARY}
        assert httpx.post(chat, json=body, headers=headers).status_code == 200
        (entry,) = sim.logs()
        assert entry["request_headers"][name] == entry["request_headers"]["cf-aig-authorization"] == "***"
        assert CANARY not in json.dumps(entry)
        assert sim.api_token not in json.dumps(entry)
    for file in tmp_path.iterdir():
        assert CANARY.encode() not in file.read_bytes()


def test_the_key_of_the_upstream_server_is_in_no_repr() -> None:
    upstream = Upstream("http://127.0.0.1:9/v1", key=CANARY)
    assert upstream.key == CANARY
    assert CANARY not in f"{upstream!r} {vars(upstream)} {vars(Simulator(upstream=upstream))}"


@pytest.mark.parametrize("name", ["key", "api_key", "access_token"])
def test_a_credential_in_the_address_is_not_shown(name: str, sim: Simulator) -> None:
    address = f"{sim.legacy_url}/chat/completions?{name}={CANARY}&alt=sse"
    httpx.post(address, json={"password": CANARY}, headers={"cf-aig-authorization": f"Bearer {sim.api_token}"})
    (captured,) = sim.requests
    assert captured.shown()["query"] == {name: "***", "alt": "sse"}
    assert CANARY not in str(captured.shown())
