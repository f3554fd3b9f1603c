"""A cancelled call releases its connection: of every class, by every kind of cancellation, on every event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from cfaig_integrations.client import pool
from cfaig_integrations.client.aio import AsyncClient
from cfaig_integrations.client.cancellation import defer_cancellation
from tests.client.conftest import REQUEST, connect
from tests.client.loopback import TEXT, Loopback, Reply, piece, streamed

Begun = Callable[[], None]
Call = Callable[[Begun], Awaitable[Any]]
Arrived = Callable[[], Awaitable[Any]]

SILENT = Reply(silent=True, end="stall")
STUCK = streamed(piece("Hello"), end="stall")
ROUNDS = 3


def arguments(server: Loopback) -> dict[str, Any]:
    return {"base_url": server.base_url, "account_id": "acc", "api_token": "tok", "max_retries": 0}


async def _all(pieces: AsyncIterator[Any], begun: Begun = lambda: None) -> None:
    async for _ in pieces:
        begun()


def langchain(server: Loopback) -> dict[str, Call]:
    pytest.importorskip("langchain_core")
    from langchain_core.documents import Document
    from langchain_core.prompts import ChatPromptTemplate

    from cfaig_integrations import langchain as ours

    chat = ours.ChatCloudflareAIGateway(model="openai/gpt-4.1", **arguments(server))
    llm = ours.CloudflareAIGatewayLLM(model="openai/gpt-4.1", **arguments(server))
    embeddings = ours.CloudflareAIGatewayEmbeddings(model="@cf/baai/bge-m3", batch_size=1, **arguments(server))
    reranker = ours.CloudflareAIGatewayReranker(**arguments(server))
    chain = ChatPromptTemplate.from_template("{asked}") | chat
    return {
        "ainvoke": lambda _: chat.ainvoke("Hello"),
        "abatch": lambda _: chat.abatch(["one", "two", "three"]),
        "astream": lambda _: _all(chat.astream("Hello")),
        "astream that has begun": lambda begun: _all(chat.astream("Hello"), begun),
        "astream_events": lambda _: _all(chat.astream_events("Hello", version="v2")),
        "chain": lambda _: chain.ainvoke({"asked": "Hello"}),
        "agent": lambda _: _agent(chat).ainvoke({"messages": [("user", "Hello")]}),
        "llm": lambda _: llm.ainvoke("Hello"),
        "llm astream that has begun": lambda begun: _all(llm.astream("Hello"), begun),
        "aembed_query": lambda _: embeddings.aembed_query("Hello"),
        "aembed_documents": lambda _: embeddings.aembed_documents(["one", "two", "three"]),
        "arerank": lambda _: reranker.acompress_documents([Document("one"), Document("two")], "Hello"),
    }


def _agent(chat: Any) -> Any:
    agents = pytest.importorskip("langchain.agents")
    return agents.create_agent(chat, tools=[])


def llama_index(server: Loopback) -> dict[str, Call]:
    core = pytest.importorskip("llama_index.core")
    from llama_index.core.base.llms.types import ChatMessage

    from cfaig_integrations import llama_index as ours

    llm = ours.CloudflareAIGateway(model="openai/gpt-4.1", **arguments(server))
    embedding = ours.CloudflareAIGatewayEmbedding(
        model="@cf/baai/bge-m3", embed_batch_size=1, num_workers=3, **arguments(server)
    )
    rerank = ours.CloudflareAIGatewayRerank(**arguments(server))
    asked = [ChatMessage(content="Hello")]
    nodes = [core.schema.NodeWithScore(node=core.schema.TextNode(text=text)) for text in ("one", "two")]

    async def read(opening: Awaitable[AsyncIterator[Any]], begun: Begun) -> None:
        await _all(await opening, begun)

    return {
        "achat": lambda _: llm.achat(asked),
        "acomplete": lambda _: llm.acomplete("Hello"),
        "astream_chat": lambda begun: read(llm.astream_chat(asked), begun),
        "astream_chat that has begun": lambda begun: read(llm.astream_chat(asked), begun),
        "astream_complete that has begun": lambda begun: read(llm.astream_complete("Hello"), begun),
        "apredict": lambda _: llm.apredict(core.PromptTemplate("Hello")),
        "aget_query_embedding": lambda _: embedding.aget_query_embedding("Hello"),
        "aget_text_embedding_batch": lambda _: embedding.aget_text_embedding_batch(["one", "two", "three"]),
        "apostprocess_nodes": lambda _: rerank.apostprocess_nodes(nodes, query_str="Hello"),
    }


def client(server: Loopback) -> dict[str, Call]:
    async def chat(library: Any) -> None:
        async with library.AsyncClient() as own:
            await _gathered(AsyncClient(connect(server), own).chat(REQUEST))

    async def stream(library: Any, begun: Begun) -> None:
        async with library.AsyncClient() as own, await AsyncClient(connect(server), own).stream(REQUEST) as events:
            await _gathered(_all(events, begun))

    return {
        "a client of httpx": lambda _: chat(httpx),
        "a client of httpx2": lambda _: chat(httpx2),
        "a stream that has begun over httpx": lambda begun: stream(httpx, begun),
        "a stream that has begun over httpx2": lambda begun: stream(httpx2, begun),
    }


async def _gathered(work: Any) -> Any:
    return await asyncio.gather(work)


NAMES = {
    langchain: (
        "ainvoke",
        "abatch",
        "astream",
        "astream that has begun",
        "astream_events",
        "chain",
        "agent",
        "llm",
        "llm astream that has begun",
        "aembed_query",
        "aembed_documents",
        "arerank",
    ),
    llama_index: (
        "achat",
        "acomplete",
        "astream_chat",
        "astream_chat that has begun",
        "astream_complete that has begun",
        "apredict",
        "aget_query_embedding",
        "aget_text_embedding_batch",
        "apostprocess_nodes",
    ),
    client: (
        "a client of httpx",
        "a client of httpx2",
        "a stream that has begun over httpx",
        "a stream that has begun over httpx2",
    ),
}
SEVERAL = {"abatch", "aembed_documents", "aget_text_embedding_batch"}


async def by_scope(call: Callable[[], Awaitable[Any]], arrived: Arrived) -> None:
    scope = anyio.CancelScope()

    async def cancel() -> None:
        await arrived()
        scope.cancel()

    helper = asyncio.create_task(cancel())
    with scope:
        await call()
    assert scope.cancelled_caught
    await helper


async def by_timeout(call: Callable[[], Awaitable[Any]], arrived: Arrived) -> None:
    async def expire() -> None:
        await arrived()
        limit.reschedule(asyncio.get_running_loop().time())

    limit = asyncio.timeout(None)

    async def limited() -> None:
        async with limit:
            await call()

    helper = asyncio.create_task(expire())
    with pytest.raises(TimeoutError):
        await limited()
    await helper


async def by_cancel(call: Callable[[], Awaitable[Any]], arrived: Arrived) -> None:
    async def work() -> None:
        await call()

    task = asyncio.create_task(work())
    await arrived()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_disconnect(call: Callable[[], Awaitable[Any]], arrived: Arrived) -> None:
    responses = pytest.importorskip("starlette.responses")

    async def body() -> AsyncIterator[bytes]:
        yield b"thinking..."
        await call()
        raise AssertionError("the browser has gone")

    async def receive() -> dict[str, Any]:
        await arrived()
        return {"type": "http.disconnect"}

    async def send(_: dict[str, Any]) -> None:
        pass

    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}}
    await responses.StreamingResponse(body())(scope, receive, send)


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[Any]], Any]:
    """Runs a coroutine on a kind of event loop."""
    kind: str = request.param
    factory = None if kind == "asyncio" else pytest.importorskip("uvloop").new_event_loop

    def on_loop(work: Any) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(work)

    return on_loop


@pytest.mark.parametrize("way", [by_scope, by_timeout, by_cancel, by_disconnect])
@pytest.mark.parametrize(("family", "name"), [(family, name) for family, names in NAMES.items() for name in names])
def test_a_cancelled_call_leaks_no_connection(
    server: Loopback, run: Callable[..., Any], family: Callable[..., dict[str, Call]], name: str, way: Any
) -> None:
    call = family(server)[name]
    has_begun = name.endswith("has begun") or "that has begun" in name

    async def main() -> None:
        server.usual = STUCK if has_begun else SILENT
        for turn in range(1, ROUNDS + 1):
            begun = asyncio.Event()
            most = turn * (3 if name in SEVERAL else 1)

            async def arrived(begun: asyncio.Event = begun, most: int = most) -> None:
                if has_begun:
                    await begun.wait()
                else:
                    assert await asyncio.to_thread(server.until, lambda: len(server.seen) >= most)

            await way(lambda begun=begun: call(begun.set), arrived)
        assert await asyncio.to_thread(server.until, lambda: server.open == 0), f"{server.open} connections are lost"
        server.usual = Reply()
        for _ in range(2):
            reply, _ = await AsyncClient(connect(server)).chat(REQUEST)
            assert reply.turn.text == TEXT
        assert server.open == 1

    run(main())


def test_a_call_can_be_cancelled_in_any_cycle_of_the_loop(server: Loopback, run: Callable[..., Any]) -> None:
    """Cancelled after any number of turns, and in every further one: nothing in the pool waits for what never comes."""
    server.usual = streamed()

    async def read() -> None:
        async with await AsyncClient(connect(server, max_retries=0)).stream(REQUEST) as stream:
            await _all(stream)

    async def main() -> None:
        for turns in range(60):
            task = asyncio.create_task(read())
            for _ in range(turns):
                await asyncio.sleep(0)
            while not task.done():
                task.cancel()
                await asyncio.sleep(0)
            await asyncio.wait([task])  # it may have been too fast
        server.usual = Reply()
        await AsyncClient(connect(server)).chat(REQUEST)
        assert await asyncio.to_thread(server.until, lambda: server.open <= 1), f"{server.open - 1} are lost"

    run(main())


# What is cancelled, and what is not


async def test_cancellation_is_delivered_once_and_cleanup_completes() -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            steps.append("a turn")
            await asyncio.wait_for(asyncio.to_thread(steps.append, "a wait"), None)
            raise

    async def main() -> None:
        await defer_cancellation(work())

    task = asyncio.create_task(main())
    await asyncio.sleep(0)
    for _ in range(50):
        task.cancel("enough")
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await task
    assert steps == ["a turn", "a wait"]


@pytest.mark.parametrize("ending", ["returns", "raises", "waits"])
async def test_a_cancellation_between_two_steps_is_not_lost(ending: str) -> None:
    async def work() -> str:
        await asyncio.sleep(0)
        if ending == "raises":
            raise LookupError
        if ending == "waits":
            await asyncio.Event().wait()
        return "done"

    async def main() -> str:
        return await defer_cancellation(work())

    task = asyncio.create_task(main())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_within_the_work_is_not_a_cancellation() -> None:
    async def work() -> str:
        for _ in range(3):
            try:
                async with asyncio.timeout(0):
                    await asyncio.Event().wait()
            except TimeoutError:
                await asyncio.sleep(0)
        return "done"

    assert await defer_cancellation(work()) == "done"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_that_ended_before_the_work_does_not_hide_its_timeouts() -> None:
    loop = asyncio.get_running_loop()

    def count_down(end: asyncio.Future[None], cycles: int) -> None:
        if cycles:
            loop.call_soon(count_down, end, cycles - 1)
        elif not end.done():
            end.set_result(None)

    async def work() -> int:
        timeouts = 0
        for _ in range(3):
            end = loop.create_future()
            count_down(end, 50)
            try:
                async with asyncio.timeout(0):
                    await end
            except TimeoutError:
                timeouts += 1
                await asyncio.sleep(0)
        return timeouts

    async def main() -> int:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return await defer_cancellation(work())

    task = asyncio.create_task(main())
    await asyncio.sleep(0)
    task.cancel()
    assert (await task, task.cancelling()) == (3, 1)


async def test_a_cancellation_after_a_timeout_within_the_work_reaches_it() -> None:
    waits = asyncio.Event()

    async def work() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        waits.set()
        await asyncio.Event().wait()

    async def main() -> None:
        await defer_cancellation(work())

    task = asyncio.create_task(main())
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_work_that_ignores_cancellation_is_finally_cancelled() -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()

    async def main() -> None:
        await defer_cancellation(work())

    task = asyncio.create_task(main())
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    assert task.cancelled()


def test_a_token_function_sees_the_callers_context(server: Loopback) -> None:
    tenant: ContextVar[str] = ContextVar("tenant")

    async def token() -> str:
        await asyncio.sleep(0)
        return tenant.get()

    async def main() -> None:
        tenant.set("ours")
        await AsyncClient(connect(server, api_token=token)).chat(REQUEST)

    asyncio.run(main())
    assert server.seen[0].headers["authorization"] == "Bearer ours"
    assert not pool._pools.shared
