"""The classes of both frameworks, and a chat with one of them in each way to call it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage

from cfaig_integrations.langchain import (
    ChatCloudflareAIGateway,
    CloudflareAIGatewayEmbeddings,
    CloudflareAIGatewayLLM,
    CloudflareAIGatewayReranker,
)
from cfaig_integrations.llama_index import CloudflareAIGateway, CloudflareAIGatewayEmbedding, CloudflareAIGatewayRerank

CLASSES: dict[str, Callable[..., Any]] = {
    "lc chat": partial(ChatCloudflareAIGateway, model="openai/gpt-5.4"),
    "lc llm": partial(CloudflareAIGatewayLLM, model="openai/gpt-5.4"),
    "li llm": partial(CloudflareAIGateway, model="openai/gpt-5.4"),
    "lc embeddings": partial(CloudflareAIGatewayEmbeddings, model="@cf/baai/bge-m3"),
    "li embedding": partial(CloudflareAIGatewayEmbedding, model_name="@cf/baai/bge-m3"),
    "lc reranker": CloudflareAIGatewayReranker,
    "li rerank": CloudflareAIGatewayRerank,
}
"""What makes a model; it needs only a connection."""
every_class = pytest.mark.parametrize("make", CLASSES.values(), ids=CLASSES)
METHODS = ("whole", "stream", "async whole", "async stream")


async def send(model: Any, method: str = "whole", **arguments: Any) -> None:
    """Sends a chat, and reads the answer to its end."""
    chat = isinstance(model, ChatCloudflareAIGateway)
    prompt: Any = "Hi" if chat else [ChatMessage(content="Hi")]
    match method:
        case "whole":
            (model.invoke if chat else model.chat)(prompt, **arguments)
        case "stream":
            list((model.stream if chat else model.stream_chat)(prompt, **arguments))
        case "async whole":
            await (model.ainvoke if chat else model.achat)(prompt, **arguments)
        case _:
            pieces = model.astream(prompt, **arguments) if chat else await model.astream_chat(prompt, **arguments)
            [piece async for piece in pieces]
