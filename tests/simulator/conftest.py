"""One simulator for all tests of a run, put back to the start before each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import httpx
import pytest

from cfaig_integrations.simulator import Simulator
from tests.waiting import PATIENCE, until


class Caller:
    """An HTTP client that knows the simulator's paths and token."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.account = f"{sim.base_url}/accounts/{sim.account_id}"
        self.http = httpx.Client(headers={"authorization": f"Bearer {sim.api_token}"}, timeout=PATIENCE, verify=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def chat(
        self, model: str = "openai/gpt-4.1", *, headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        messages = body.pop("messages", [{"role": "user", "content": "Say hello"}])
        return self.post("/ai/v1/chat/completions", {"model": model, "messages": messages, **body}, headers)

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.http.post(self.account + path, json=body, headers=headers)

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.http.get(self.account + path, params=query)


@pytest.fixture(scope="session")
def running() -> Iterator[Simulator]:
    with Simulator() as sim:
        yield sim


@pytest.fixture
def sim(running: Simulator) -> Simulator:
    assert until(lambda: running.in_flight == 0), "the test before left a request behind"
    running.reset()
    return running


@pytest.fixture
def caller(sim: Simulator) -> Iterator[Caller]:
    with Caller(sim) as found:
        yield found


def error_of(response: httpx.Response) -> tuple[int, Any, str]:
    """Status, code and message of a v4 or gateway error."""
    body = response.json()
    entry = (body.get("errors") or body.get("error"))[0]
    return response.status_code, entry.get("code"), entry["message"]
