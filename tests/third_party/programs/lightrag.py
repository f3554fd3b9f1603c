"""A graph of a text, and a question to it, with models of LlamaIndex."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from lightrag import LightRAG, QueryParam
from lightrag.llm.llama_index_impl import llama_index_complete_if_cache, llama_index_embed
from lightrag.utils import EmbeddingFunc, Tokenizer

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import embed_model, llm

TEXT = "Gustave built the tower in Paris."
GRAPH = """entity<|#|>Gustave<|#|>person<|#|>Gustave built the tower.
entity<|#|>Tower<|#|>artifact<|#|>The tower is in Paris.
relation<|#|>Gustave<|#|>Tower<|#|>construction<|#|>Gustave built the tower.
<|COMPLETE|>"""


class Bytes:
    """A tokenizer that needs no download."""

    def encode(self, content: str) -> list[int]:
        """The tokens of a text."""
        return list(content.encode())

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens."""
        return bytes(tokens).decode(errors="replace")


async def insert_and_ask(simulator: Simulator) -> str:
    """The answer to a question about a text."""
    model = llm(simulator, model="@cf/zai-org/glm-5.2")

    async def complete(
        prompt: str, system_prompt: str | None = None, history_messages: Any = None, **kwargs: Any
    ) -> str:
        return await llama_index_complete_if_cache(
            model, prompt, system_prompt=system_prompt, history_messages=history_messages or []
        )

    embed = EmbeddingFunc(
        embedding_dim=1024,
        max_token_size=8192,
        func=partial(llama_index_embed.func, embed_model=embed_model(simulator)),
    )
    rag = LightRAG(
        working_dir="rag",
        llm_model_func=complete,
        llm_model_name=model.model,
        embedding_func=embed,
        tokenizer=Tokenizer("bytes", Bytes()),
        entity_extract_max_gleaning=0,
    )
    await rag.initialize_storages()
    simulator.reply(GRAPH)
    await rag.ainsert(TEXT)
    simulator.reply("Gustave built it.")
    answer = await rag.aquery(
        "Who built the tower?", param=QueryParam(mode="local", ll_keywords=["Tower"], hl_keywords=["construction"])
    )
    await rag.finalize_storages()
    return str(answer)


def run(simulator: Simulator) -> str:
    """Inserts a text, and asks about it."""
    answer = asyncio.run(insert_and_ask(simulator))
    assert answer == "Gustave built it.", answer
    assert "Gustave built the tower." in str(simulator.requests[-1].body)
    return "graph extraction, embeddings, local query"
