"""A simulated gateway, and models that lead to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.wire.harness import SHARED

MODELS = {
    "chat_completions": "openai/gpt-4.1",
    "responses": "openai/gpt-5.4",
    "messages": "anthropic/claude-haiku-4.5",
    "run": "@cf/zai-org/glm-5.2",
}
"""A model for each wire."""

Make = Callable[..., ChatCloudflareAIGateway]


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


KINDS = {"/ai/v1/chat/completions": "chat", "/ai/v1/responses": "responses", "/ai/v1/messages": "messages"}
VALIDATOR = """
import json, sys, validate
for kind, body in json.load(sys.stdin):
    found = validate.validate_request(kind, body)
    if found and kind == "messages":
        found = validate.validate_request("messages_beta", body)
    for error in found:
        print(kind, error, json.dumps(body)[:300])
"""


@pytest.fixture(scope="session", autouse=True)
def sent_bodies() -> Iterator[list[tuple[str, Any]]]:
    """Collects every body that any test here sends; at the end the official SDKs' types judge them all."""
    bodies: list[tuple[str, Any]] = []
    yield bodies
    if bodies and SHARED.is_dir():
        command = [sys.executable, "-B", "-c", VALIDATOR]
        judged = subprocess.run(
            command, cwd=SHARED / "tools", input=json.dumps(bodies), capture_output=True, text=True, check=True
        )
        assert not judged.stdout, judged.stdout


@pytest.fixture
def simulator(running_simulator: Simulator, sent_bodies: list[tuple[str, Any]]) -> Iterator[Simulator]:
    running_simulator.reset()
    yield running_simulator
    for request in running_simulator.requests:
        for ending, kind in KINDS.items():
            if request.path.endswith(ending) and request.body is not None:
                sent_bodies.append((kind, request.body))


@pytest.fixture
def make(simulator: Simulator) -> Make:
    """Makes a model that talks to the simulator."""

    def made(**words: Any) -> ChatCloudflareAIGateway:
        words.setdefault("model", MODELS.get(words.get("api", ""), "openai/gpt-4.1"))
        return ChatCloudflareAIGateway(**where(simulator), **words)

    return made


def where(simulator: Simulator) -> dict[str, Any]:
    """The constructor words that lead to a simulator."""
    return {
        "base_url": simulator.base_url,
        "account_id": simulator.account_id,
        "api_token": simulator.api_token,
    }
