"""Fixtures of the LlamaIndex tests: an LLM at the simulator, and two observers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from pydantic import Field

from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.llama_index.call_methods import MODELS, Make

__all__ = ["Events", "where"]


class Events(BaseEventHandler):
    """Keeps the events that LlamaIndex's observers see."""

    seen: list[Any] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Events"

    def handle(self, event: Any, **_: Any) -> None:
        self.seen.append(event)


@pytest.fixture
def make(simulator: Simulator) -> Make:
    """Makes an LLM; the default model depends on the wire."""

    def created(**arguments: Any) -> CloudflareAIGateway:
        model = MODELS.get(arguments.get("api", ""), "openai/gpt-4.1")
        return CloudflareAIGateway(**{**where(simulator), "model": model, **arguments})

    return created


@pytest.fixture
def events() -> Iterator[Events]:
    handlers, handler = get_dispatcher().event_handlers, Events()
    handlers.append(handler)
    yield handler
    handlers.remove(handler)


@pytest.fixture
def spans() -> Iterator[SimpleSpanHandler]:
    handlers, handler = get_dispatcher().span_handlers, SimpleSpanHandler()
    handlers.append(handler)
    yield handler
    handlers.remove(handler)
