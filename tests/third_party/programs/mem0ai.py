"""Memories of mem0 with a model and an embedding model of LangChain."""

from __future__ import annotations

import json

from mem0 import Memory

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import chat_model, embeddings


def run(simulator: Simulator) -> str:
    """Adds a memory, and searches for it."""
    config = {
        "llm": {"provider": "langchain", "config": {"model": chat_model(simulator)}},
        "embedder": {"provider": "langchain", "config": {"model": embeddings(simulator), "embedding_dims": 1024}},
        "vector_store": {"provider": "qdrant", "config": {"path": "qdrant", "embedding_model_dims": 1024}},
        "history_db_path": "history.db",
    }
    memory = Memory.from_config(config)
    simulator.reply(json.dumps({"memory": [{"text": "Ann likes tea.", "event": "ADD"}], "facts": ["Ann likes tea."]}))
    added = memory.add([{"role": "user", "content": "I am Ann and like tea."}], user_id="ann")
    assert [each["memory"] for each in added["results"]] == ["Ann likes tea."], added
    found = memory.search("What does Ann drink?", filters={"user_id": "ann"})
    assert [each["memory"] for each in found["results"]] == ["Ann likes tea."], found
    return "add and search"
