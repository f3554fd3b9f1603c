"""Fixtures of every program: an LLM on each wire, embeddings, an index, and observers that check each program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index_instrumentation import get_dispatcher

from cfaig_integrations.llama_index import CloudflareAIGateway, CloudflareAIGatewayEmbedding
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.llama_index.call_methods import MODELS
from tests.llama_index.programs.kit import M3, Observers, nodes

Make = Callable[..., CloudflareAIGateway]


@pytest.fixture(params=MODELS)
def api(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def observers(simulator: Simulator) -> Iterator[Observers]:
    """Observes the program, and checks the events afterwards."""
    seen = Observers()
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(seen)
    yield seen
    dispatcher.event_handlers.remove(seen)
    seen.check_events(simulator)


@pytest.fixture
def make(simulator: Simulator, observers: Observers, api: Any) -> Make:
    def created(**arguments: Any) -> CloudflareAIGateway:
        observers.models.add(MODELS[api])
        return CloudflareAIGateway(**where(simulator), model=MODELS[api], api=api, **arguments)

    return created


@pytest.fixture
def llm(make: Make) -> CloudflareAIGateway:
    return make()


@pytest.fixture
def embed_model(simulator: Simulator, observers: Observers) -> CloudflareAIGatewayEmbedding:
    return CloudflareAIGatewayEmbedding(**where(simulator), model=M3)


@pytest.fixture
def index(embed_model: CloudflareAIGatewayEmbedding) -> VectorStoreIndex:
    return VectorStoreIndex(nodes(), embed_model=embed_model)
