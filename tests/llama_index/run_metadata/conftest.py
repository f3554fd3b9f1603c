"""An LLM and an embedding model at the simulator, and what no log may hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cfaig_integrations.llama_index import CloudflareAIGateway, CloudflareAIGatewayEmbedding
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.llama_index.call_methods import Make
from tests.llama_index.run_metadata.kit import PRIVATE, context_is_clean


@pytest.fixture
def llm(make: Make) -> CloudflareAIGateway:
    return make()


@pytest.fixture
def embed_model(simulator: Simulator) -> CloudflareAIGatewayEmbedding:
    return CloudflareAIGatewayEmbedding(**where(simulator), model="@cf/baai/bge-m3")


@pytest.fixture(autouse=True)
def no_automatic_entries(simulator: Simulator) -> Iterator[None]:
    """After every test: no header contains a user's message or the token, and the context is clean."""
    assert context_is_clean()
    yield
    assert context_is_clean()
    for request in simulator.requests:
        message = request.headers.get("cf-aig-metadata", "").lower()
        assert PRIVATE.lower() not in message
        assert "llamaindex." not in message
        assert simulator.api_token not in message
