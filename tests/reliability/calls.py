"""Every way to call: two frameworks, whole and streamed, blocking and not, each format, on one server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from langchain_core.documents import Document
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from cfaig_integrations import errors
from cfaig_integrations import langchain as lc
from cfaig_integrations import llama_index as li
from tests.client.loopback import Loopback
from tests.reliability.bodies import SCORE, TEXT, VECTOR, WIRES, Format
from tests.waiting import until_async

MODELS: dict[Format, str] = {
    "chat_completions": "openai/gpt-4.1",
    "responses": "openai/gpt-4.1",
    "messages": "anthropic/claude-haiku-4.5",
    "run": "@cf/meta/llama-3.1-8b-instruct",
    "embeddings": "@cf/baai/bge-m3",
    "rerank": "@cf/baai/bge-reranker-base",
}


@dataclass(frozen=True)
class Way:
    """One way to call."""

    framework: Literal["langchain", "llama_index"]
    asynchronous: bool
    format: Format
    stream: bool = False

    def __str__(self) -> str:
        words = (self.framework, "async" if self.asynchronous else "sync", self.format, "stream" if self.stream else "")
        return "-".join(filter(None, words))


FORMS: tuple[tuple[Format, bool], ...] = (
    *[(wire, stream) for wire in WIRES for stream in (False, True)],
    ("embeddings", False),
    ("rerank", False),
)
WAYS = tuple(
    Way(framework, asynchronous, format_, stream)
    for format_, stream in FORMS
    for framework in ("langchain", "llama_index")
    for asynchronous in (False, True)
)


@dataclass
class Outcome:
    """What a call led to.

    Attributes:
        complete: Whether it returned the whole answer.
        error: What it raised.
        text: Text received, of a stream also before the error.
        numbers: The vector, or the scores of the passages.
        requests: Number of requests that the server received.
        returned: Whether a second call used the connection of the first.
        closed: Whether every connection was closed.
    """

    complete: bool = False
    error: errors.GatewayError | None = None
    text: str = ""
    numbers: list[float] = field(default_factory=list[float])
    requests: int = 0
    returned: bool = False
    closed: bool = False


Perform: TypeAlias = Callable[[Outcome, str], Coroutine[Any, Any, None]]
"""Calls with a prompt; what arrives is in the outcome."""


def call(way: Way, server: Loopback, kept: bool | None, **arguments: Any) -> Outcome:
    """Calls, and looks what became of the connection while pool and event loop are still there.

    Args:
        way: How.
        server: Where.
        kept: Whether the connection is to be kept for the next call; None: it does not matter.
        arguments: Arguments of the constructor.
    """
    outcome = Outcome()
    perform = performer(way, **({"base_url": server.base_url} | arguments))

    async def main() -> None:
        try:
            await perform(outcome, "Hi")
            outcome.complete = (outcome.text, outcome.numbers) in ((TEXT, []), ("", VECTOR), ("", [SCORE]))
        except errors.GatewayError as error:
            outcome.error = error
        outcome.requests = len(server.seen)
        if kept is False:
            outcome.closed = await until_async(lambda: server.open == 0)
        elif kept:
            with suppress(errors.GatewayError):
                await perform(Outcome(), "Hi")
            outcome.returned = server.accepted == 1

    asyncio.run(main())
    return outcome


def performer(way: Way, **arguments: Any) -> Perform:
    """Calls of one model object.

    Args:
        way: How; what is not asynchronous awaits nothing.
        arguments: Arguments of the constructor.
    """
    settings = {"account_id": "acc", "api_token": "tok", "model": MODELS[way.format]} | arguments
    by = _LANGCHAIN if way.framework == "langchain" else _LLAMA_INDEX
    if way.format in ("embeddings", "rerank"):
        return by[way.format](way, settings)
    return by["chat"](way, {"api": way.format, "max_tokens": 50} | settings)


def _langchain_embeddings(way: Way, settings: dict[str, Any]) -> Perform:
    embedder = lc.CloudflareAIGatewayEmbeddings(**settings)

    async def perform(outcome: Outcome, prompt: str) -> None:
        outcome.numbers = await embedder.aembed_query(prompt) if way.asynchronous else embedder.embed_query(prompt)

    return perform


def _langchain_rerank(way: Way, settings: dict[str, Any]) -> Perform:
    ranker = lc.CloudflareAIGatewayReranker(**settings)

    async def perform(outcome: Outcome, prompt: str) -> None:
        inputs = [Document("Hi")], prompt
        ranked = await ranker.acompress_documents(*inputs) if way.asynchronous else ranker.compress_documents(*inputs)
        outcome.numbers = [each.metadata["relevance_score"] for each in ranked]

    return perform


def _langchain_chat(way: Way, settings: dict[str, Any]) -> Perform:
    model = lc.ChatCloudflareAIGateway(**settings)

    async def perform(outcome: Outcome, prompt: str) -> None:
        if way.stream and way.asynchronous:
            async for chunk in model.astream(prompt):
                outcome.text += chunk.text
        elif way.stream:
            for chunk in model.stream(prompt):
                outcome.text += chunk.text
        else:
            outcome.text = (await model.ainvoke(prompt) if way.asynchronous else model.invoke(prompt)).text

    return perform


def _llama_index_embeddings(way: Way, settings: dict[str, Any]) -> Perform:
    embedder = li.CloudflareAIGatewayEmbedding(**settings)

    async def perform(outcome: Outcome, prompt: str) -> None:
        outcome.numbers = (
            await embedder.aget_text_embedding(prompt) if way.asynchronous else embedder.get_text_embedding(prompt)
        )

    return perform


def _llama_index_rerank(way: Way, settings: dict[str, Any]) -> Perform:
    ranker = li.CloudflareAIGatewayRerank(**settings)

    async def perform(outcome: Outcome, prompt: str) -> None:
        inputs = [NodeWithScore(node=TextNode(text="Hi"))], QueryBundle(prompt)
        ranked = await ranker.apostprocess_nodes(*inputs) if way.asynchronous else ranker.postprocess_nodes(*inputs)
        outcome.numbers = [each.score or 0.0 for each in ranked]

    return perform


def _llama_index_chat(way: Way, settings: dict[str, Any]) -> Perform:
    model = li.CloudflareAIGateway(**settings)

    async def perform(outcome: Outcome, prompt: str) -> None:
        messages = [ChatMessage(prompt)]
        if way.stream and way.asynchronous:
            async for reply in await model.astream_chat(messages):
                outcome.text = reply.message.content or ""
        elif way.stream:
            for reply in model.stream_chat(messages):
                outcome.text = reply.message.content or ""
        else:
            reply = await model.achat(messages) if way.asynchronous else model.chat(messages)
            outcome.text = reply.message.content or ""

    return perform


_LANGCHAIN = {"chat": _langchain_chat, "embeddings": _langchain_embeddings, "rerank": _langchain_rerank}
_LLAMA_INDEX = {"chat": _llama_index_chat, "embeddings": _llama_index_embeddings, "rerank": _llama_index_rerank}
