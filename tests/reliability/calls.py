"""Every way to call: two frameworks, whole and streamed, blocking and not, each format, on one server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.documents import Document
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from cfaig_integrations import errors
from cfaig_integrations import langchain as lc
from cfaig_integrations import llama_index as li
from tests.client.loopback import Loopback
from tests.reliability.bodies import TEXT, VECTOR, WIRES, Format
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
        requests: Number of requests that the server received.
        returned: Whether a second call used the connection of the first.
        closed: Whether every connection was closed, if the call raised.
    """

    complete: bool = False
    error: errors.GatewayError | None = None
    text: str = ""
    requests: int = 0
    returned: bool = False
    closed: bool = False


def call(way: Way, server: Loopback, kept: bool | None, **arguments: Any) -> Outcome:
    """Calls, and looks what became of the connection while pool and event loop are still there.

    Args:
        way: How.
        server: Where.
        kept: Whether the connection is to be kept for the next call; None: it does not matter.
        arguments: Arguments of the constructor.
    """
    outcome = Outcome()
    settings = {"account_id": "acc", "api_token": "tok", "base_url": server.base_url} | arguments
    perform = _langchain(way, settings) if way.framework == "langchain" else _llama_index(way, settings)

    async def main() -> None:
        try:
            await perform(outcome)
        except errors.GatewayError as error:
            outcome.error = error
        outcome.requests = len(server.seen)
        if kept is False:
            outcome.closed = await until_async(lambda: server.open == 0)
        elif kept:
            with suppress(errors.GatewayError):
                await perform(Outcome())
            outcome.returned = server.accepted == 1

    asyncio.run(main())
    return outcome


def _langchain(way: Way, settings: dict[str, Any]) -> Callable[[Outcome], Any]:
    async def perform(outcome: Outcome) -> None:
        name = MODELS[way.format]
        if way.format == "embeddings":
            embedder = lc.CloudflareAIGatewayEmbeddings(model=name, **settings)
            vector = await embedder.aembed_query("Hi") if way.asynchronous else embedder.embed_query("Hi")
            outcome.complete = vector == VECTOR
        elif way.format == "rerank":
            ranker, documents = lc.CloudflareAIGatewayReranker(model=name, **settings), [Document("Hi")]
            ranked = (
                await ranker.acompress_documents(documents, "Hi")
                if way.asynchronous
                else ranker.compress_documents(documents, "Hi")
            )
            outcome.complete = [each.page_content for each in ranked] == ["Hi"]
        else:
            model = lc.ChatCloudflareAIGateway(model=name, api=way.format, max_tokens=50, **settings)
            if way.stream and way.asynchronous:
                async for chunk in model.astream("Hi"):
                    outcome.text += chunk.text
            elif way.stream:
                for chunk in model.stream("Hi"):
                    outcome.text += chunk.text
            else:
                outcome.text = (await model.ainvoke("Hi") if way.asynchronous else model.invoke("Hi")).text
            outcome.complete = outcome.text == TEXT

    return perform


def _llama_index(way: Way, settings: dict[str, Any]) -> Callable[[Outcome], Any]:
    async def perform(outcome: Outcome) -> None:
        name = MODELS[way.format]
        if way.format == "embeddings":
            embedder = li.CloudflareAIGatewayEmbedding(model=name, **settings)
            vector = await embedder.aget_text_embedding("Hi") if way.asynchronous else embedder.get_text_embedding("Hi")
            outcome.complete = vector == VECTOR
        elif way.format == "rerank":
            ranker, nodes = (
                li.CloudflareAIGatewayRerank(model=name, **settings),
                [NodeWithScore(node=TextNode(text="Hi"))],
            )
            query = QueryBundle("Hi")
            ranked = (
                await ranker.apostprocess_nodes(nodes, query)
                if way.asynchronous
                else ranker.postprocess_nodes(nodes, query)
            )
            outcome.complete = [each.node.get_content() for each in ranked] == ["Hi"]
        else:
            model = li.CloudflareAIGateway(model=name, api=way.format, max_tokens=50, **settings)
            messages = [ChatMessage("Hi")]
            if way.stream and way.asynchronous:
                async for reply in await model.astream_chat(messages):
                    outcome.text = reply.message.content or ""
            elif way.stream:
                for reply in model.stream_chat(messages):
                    outcome.text = reply.message.content or ""
            else:
                reply = await model.achat(messages) if way.asynchronous else model.chat(messages)
                outcome.text = reply.message.content or ""
            outcome.complete = outcome.text == TEXT

    return perform
