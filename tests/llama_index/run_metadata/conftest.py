"""An LLM and an embedding model at the simulator, and what no log may hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cfaig_integrations.llama_index import CloudflareAIGateway, CloudflareAIGatewayEmbedding
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.llama_index.run_metadata.kit import PRIVATE, Make, nothing_held


@pytest.fixture
def make(simulator: Simulator) -> Make:
    def made(**words: Any) -> CloudflareAIGateway:
        return CloudflareAIGateway(**where(simulator), **{"model": "openai/gpt-4.1", **words})

    return made


@pytest.fixture
def llm(make: Make) -> CloudflareAIGateway:
    return make()


@pytest.fixture
def embed_model(simulator: Simulator) -> CloudflareAIGatewayEmbedding:
    return CloudflareAIGatewayEmbedding(**where(simulator), model="@cf/baai/bge-m3")


@pytest.fixture(autouse=True)
def nothing_told(simulator: Simulator) -> Iterator[None]:
    """Whatever a test did: no header holds what users say or the token, and nothing is left in the context."""
    assert nothing_held()
    yield
    assert nothing_held()
    for request in simulator.requests:
        told = request.headers.get("cf-aig-metadata", "").lower()
        assert PRIVATE.lower() not in told
        assert "llamaindex." not in told
        assert simulator.api_token not in told
