"""An LLM at the simulator."""

from __future__ import annotations

from typing import Any

import pytest

from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.llama_index.complaints.kit import MODELS, Make


@pytest.fixture
def make(simulator: Simulator) -> Make:
    """Makes an LLM; without a word about the model, the one that the wire is tried with."""

    def made(**words: Any) -> CloudflareAIGateway:
        model = MODELS.get(words.get("api", ""), "openai/gpt-4.1")
        return CloudflareAIGateway(**{**where(simulator), "model": model, **words})

    return made
