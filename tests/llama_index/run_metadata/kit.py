"""What these tests share: who asks what, and how to read the log."""

from __future__ import annotations

import json
from typing import Any

from llama_index.core import VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.callbacks.base import global_stack_trace_ids
from llama_index.core.instrumentation.dispatcher import active_instrument_tags
from llama_index.core.schema import Document

from cfaig_integrations.gateway.context import Context, current
from cfaig_integrations.llama_index import CloudflareAIGateway, CloudflareAIGatewayEmbedding
from cfaig_integrations.simulator import Simulator
from tests.llama_index.call_methods import answers

Entries = dict[str, Any]

PRIVATE = "Sesame"
"""In every question and document here, and in no log."""
QUESTION = f"What opens with {PRIVATE}?"
QUESTIONS = [ChatMessage(role=MessageRole.USER, content=QUESTION)]
DOCUMENTS = [Document(text=f"{PRIVATE} opens the cave."), Document(text=f"The sea is deep, says {PRIVATE}.")]
USERS = ("ann", "bob", "cid", "dee")
ANN = {"user": "ann", "tenant": "acme"}


def purpose(method: str) -> str:
    return "completion" if method.endswith("complete") else "chat"


async def ask(llm: CloudflareAIGateway, method: str, **arguments: Any) -> None:
    assert await answers(llm, method, QUESTION, **arguments)


def logged(simulator: Simulator) -> list[Entries]:
    """The metadata of each call, oldest first."""
    return [entry["metadata"] for entry in simulator.logs()]


def split(simulator: Simulator) -> tuple[list[Entries], list[Entries]]:
    """The metadata of the calls that embed, and of the others."""
    entries = simulator.logs()
    embeds = [entry["metadata"] for entry in entries if entry["model_type"] == "Text Embeddings"]
    return embeds, [entry["metadata"] for entry in entries if entry["model_type"] != "Text Embeddings"]


def ordered(entries: list[Entries]) -> list[str]:
    return sorted(json.dumps(each, sort_keys=True) for each in entries)


def context_is_clean() -> bool:
    return active_instrument_tags.get() == {} and current() == Context() and global_stack_trace_ids.get() == []


def index_of(embed_model: CloudflareAIGatewayEmbedding, simulator: Simulator) -> VectorStoreIndex:
    """An index whose construction is not in the log."""
    index = VectorStoreIndex.from_documents(DOCUMENTS, embed_model=embed_model)
    simulator.reset()
    return index
