"""Models that lead to the simulated gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cfaig_integrations.langchain import ChatCloudflareAIGateway, register, unregister
from cfaig_integrations.simulator import Simulator
from tests.conftest import where

__all__ = ["MODELS", "Make", "where"]

MODELS = {
    "chat_completions": "openai/gpt-4.1",
    "responses": "openai/gpt-5.4",
    "messages": "anthropic/claude-haiku-4.5",
    "run": "@cf/zai-org/glm-5.2",
}
"""A model for each wire."""

Make = Callable[..., ChatCloudflareAIGateway]


@pytest.fixture
def make(simulator: Simulator) -> Make:
    """Makes a model that talks to the simulator."""

    def made(**arguments: Any) -> ChatCloudflareAIGateway:
        arguments.setdefault("model", MODELS.get(arguments.get("api", ""), "openai/gpt-4.1"))
        return ChatCloudflareAIGateway(**where(simulator), **arguments)

    return made


@pytest.fixture
def registered(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This package's classes by name, at the simulator."""
    for name, value in simulator.environment.items():
        monkeypatch.setenv(name, value)
    register()
    register()  # which has no effect
    yield
    unregister()
