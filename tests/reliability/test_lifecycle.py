"""Calls that are interrupted, abandoned, cancelled, or made in other loops, threads and processes."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from operator import methodcaller
from pathlib import Path
from typing import Any

import httpx
import pytest
from llama_index.core.llms import ChatMessage

from cfaig_integrations import AIGateway, AsyncAIGateway, RunCost, errors
from cfaig_integrations import langchain as lc
from cfaig_integrations import llama_index as li
from cfaig_integrations.client import pool
from cfaig_integrations.gateway.costs import CONCURRENCY
from tests.client.loopback import Loopback, Reply, loopback
from tests.reliability import FULL
from tests.reliability.bodies import TEXT, WHOLE, WIRES, Wire
from tests.reliability.calls import MODELS, WAYS, Outcome, Way, performer
from tests.reliability.faults import body, chunked, half, sized
from tests.waiting import PATIENCE, until, until_async

SYNC = [way for way in WAYS if not way.asynchronous]
ASYNC = [way for way in WAYS if way.asynchronous]
SILENT = Reply(silent=True, end="stall")
CHAT: Wire = "chat_completions"
ANSWER = Way("langchain", asynchronous=False, format=CHAT)
STREAM = Way("langchain", asynchronous=False, format=CHAT, stream=True)


@pytest.fixture(scope="module")
def running() -> Iterator[Loopback]:
    with loopback() as server:
        yield server


@pytest.fixture
def server(running: Loopback) -> Iterator[Loopback]:
    """The server without connections and requests of other tests; at the end every connection is closed."""
    running.seen.clear()
    yield running
    pool.close_all()
    assert until(lambda: running.open == 0), f"{running.open} connections are left"


def settings(server: Loopback, **more: Any) -> dict[str, Any]:
    return {"account_id": "acc", "api_token": "tok", "base_url": server.base_url, "max_retries": 0} | more


def answers(server: Loopback, way: Way) -> None:
    """The server answers, and a new call gets its answer."""
    server.usual, outcome = sized(body(way)), Outcome()
    asyncio.run(performer(way, **settings(server))(outcome, "Hi"))
    assert outcome.text == (TEXT if way.format in WIRES else "")


# Ctrl-C


def interrupt_at(condition: Callable[[], bool]) -> threading.Thread:
    """Presses Ctrl-C once a condition is true."""

    def press() -> None:
        assert until(condition)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


@pytest.mark.parametrize("way", SYNC, ids=str)
def test_ctrl_c_ends_a_call_and_closes_its_connection(server: Loopback, way: Way) -> None:
    """While it waits for the answer, or for the rest of a stream."""
    server.usual = chunked(way, half(way), end="stall") if way.stream else SILENT
    outcome = Outcome()
    pressed = interrupt_at(lambda: bool(outcome.text) if way.stream else bool(server.seen))
    call = performer(way, **settings(server))(outcome, "Hi")
    with pytest.raises(KeyboardInterrupt):
        call.send(None)
    pressed.join()
    assert server.until(lambda: server.open == 0)
    assert len(server.seen) == 1
    answers(server, way)


def test_ctrl_c_in_run_cost_does_not_wait_for_the_requests_that_run() -> None:
    with loopback() as server:  # whose end is that of the requests
        server.usual = SILENT
        pressed = interrupt_at(lambda: len(server.seen) == CONCURRENCY)
        with pytest.raises(KeyboardInterrupt):
            AIGateway(**settings(server)).run_cost([f"log{number}" for number in range(3 * CONCURRENCY)])
        pressed.join()
        assert server.open == len(server.seen) == CONCURRENCY


# Abandoned streams


async def opened(way: Way, server: Loopback) -> Any:
    """A stream, from which nothing is read yet."""
    arguments = settings(server, model=MODELS[way.format], api=way.format, max_tokens=50)
    if way.framework == "langchain":
        model = lc.ChatCloudflareAIGateway(**arguments)
        return model.astream("Hi") if way.asynchronous else model.stream("Hi")
    llm, messages = li.CloudflareAIGateway(**arguments), [ChatMessage("Hi")]
    return await llm.astream_chat(messages) if way.asynchronous else llm.stream_chat(messages)


def text_in(piece: Any) -> str:
    text: str = piece.text if hasattr(piece, "text") else piece.message.content
    return text


def in_thread(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def close_in_thread(stream: Any) -> None:
    in_thread(stream.close)


def drop(stream: Any) -> None:
    del stream
    gc.collect()


@pytest.mark.parametrize("way", [way for way in SYNC if way.stream], ids=str)
@pytest.mark.parametrize("abandon", [drop, close_in_thread])
def test_a_stream_that_is_abandoned_closes_its_connection(server: Loopback, abandon: Any, way: Way) -> None:
    server.usual = chunked(way, half(way), end="stall")
    streams = [asyncio.run(opened(way, server))]
    assert any(text_in(piece) for piece in streams[0])
    abandon(streams.pop())
    assert server.until(lambda: server.open == 0)
    answers(server, way)


@pytest.mark.parametrize("framework", ["langchain", "llama_index"])
def test_a_stream_can_be_read_to_its_end_in_another_thread(server: Loopback, framework: Any) -> None:
    way = Way(framework, asynchronous=False, format=CHAT, stream=True)
    server.usual = chunked(way, body(way))
    stream = asyncio.run(opened(way, server))
    first = text_in(next(stream))
    rest = [text_in(piece) for piece in in_thread(lambda: list(stream))]
    assert TEXT in (first + "".join(rest), rest[-1])


async def dropped(streams: list[Any]) -> None:
    streams.clear()


async def closed_in_another_loop(streams: list[Any]) -> None:
    stream = streams.pop()
    await asyncio.to_thread(lambda: asyncio.run(stream.aclose()))


async def read_in_another_loop(streams: list[Any]) -> None:
    stream = streams.pop()
    with pytest.raises(errors.GatewayError, match="event loop"):
        await asyncio.to_thread(lambda: asyncio.run(anext(stream)))


@pytest.mark.parametrize("way", [way for way in ASYNC if way.stream], ids=str)
@pytest.mark.parametrize("abandon", [dropped, closed_in_another_loop, read_in_another_loop])
def test_an_async_stream_that_is_abandoned_closes_its_connection(server: Loopback, abandon: Any, way: Way) -> None:
    """While its own event loop goes on."""
    server.usual = chunked(way, half(way), end="stall")

    async def main() -> None:
        streams = [await opened(way, server)]
        async for piece in streams[0]:
            if text_in(piece):
                break
        await abandon(streams)
        assert await until_async(lambda: server.open == 0)

    asyncio.run(main())
    answers(server, way)


@pytest.mark.parametrize("way", [way for way in ASYNC if way.stream], ids=str)
def test_an_async_stream_does_not_outlive_its_loop(
    server: Loopback, way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    """The loop reports no error. In another loop the stream has ended, and closing it is no error."""
    server.usual = chunked(way, half(way), end="stall")

    async def main() -> list[Any]:
        streams = [await opened(way, server)]
        if (way.framework, way.format) == ("langchain", CHAT):
            llm = lc.CloudflareAIGatewayLLM(**settings(server, model=MODELS[CHAT], api=CHAT))
            streams.append(llm.astream("Hi"))
        assert all([await anext(stream) for stream in streams])
        return streams

    stream, *_ = asyncio.run(main())
    assert not [record for record in caplog.records if record.name == "asyncio"]
    assert server.until(lambda: server.open == 0)
    with pytest.raises(StopAsyncIteration):
        asyncio.run(anext(stream))
    asyncio.run(stream.aclose())
    answers(server, way)


# Cancellation


@pytest.mark.parametrize(("place", "way"), list(enumerate(ASYNC)), ids=str)
def test_a_call_that_is_cancelled_at_any_await_loses_no_connection(server: Loopback, place: int, way: Way) -> None:
    server.usual = chunked(way, body(way)) if way.stream else sized(body(way))
    perform = performer(way, **settings(server))

    async def main() -> None:
        for turns in range(100) if FULL else range(place % 8, 60, 8):
            task = asyncio.create_task(perform(Outcome(), "Hi"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])  # it may have been too fast
        outcome = Outcome()
        await perform(outcome, "Hi")
        assert outcome.text or outcome.numbers
        assert await until_async(lambda: server.open <= 1), f"{server.open - 1} connections are lost"

    asyncio.run(main())


# Event loops, threads, processes


def one_after_the_other(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    for _ in range(3):
        asyncio.run(main())


def in_threads(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(asyncio.run, main()) for _ in range(3)]:
            done.result()


def on_uvloop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=pytest.importorskip("uvloop").new_event_loop) as runner:
        runner.run(main())


LOOPS = (one_after_the_other, in_threads, on_uvloop)


@pytest.mark.parametrize(
    ("run", "way"),
    [(run, way) for place, way in enumerate(ASYNC) for run in (LOOPS if FULL else [LOOPS[place % 3]])],
    ids=lambda value: str(getattr(value, "__name__", value)),
)
def test_one_model_object_in_several_event_loops(server: Loopback, run: Any, way: Way) -> None:
    server.usual = chunked(way, body(way)) if way.stream else sized(body(way))
    perform = performer(way, **settings(server))

    async def main() -> None:
        outcomes = [Outcome() for _ in range(4)]
        await asyncio.gather(*[perform(outcome, "Hi") for outcome in outcomes])
        assert all(outcome.text or outcome.numbers for outcome in outcomes)

    run(main)
    assert server.until(lambda: server.open == 0), "a connection outlived its loop"


@pytest.mark.parametrize(
    "way", [way for way in ASYNC if way.framework == "llama_index" or way.format not in WIRES], ids=str
)
def test_under_trio_a_call_needs_a_client_of_the_user(server: Loopback, way: Way) -> None:
    """LangChain's chat models need asyncio. All else runs with the user's client; without one an error asks for it."""
    trio = pytest.importorskip("trio")
    server.usual = chunked(way, body(way)) if way.stream else sized(body(way))

    async def main(own: bool) -> Outcome:
        outcome = Outcome()
        async with httpx.AsyncClient() as client:
            arguments = {"http_async_client": client} if own else {}
            await performer(way, **settings(server, **arguments))(outcome, "Hi")
        return outcome

    outcome = trio.run(main, True)
    assert outcome.text or outcome.numbers
    with pytest.raises(errors.ConfigError, match=r"trio.* http_async_client=httpx\.AsyncClient"):
        trio.run(main, False)


def test_under_trio_several_requests_run_at_a_time(server: Loopback) -> None:
    trio = pytest.importorskip("trio")
    server.usual = sized(b"{}", status=404)

    async def main() -> RunCost:
        async with httpx.AsyncClient() as client:
            gateway = AsyncAIGateway(**settings(server), http_async_client=client)
            return await gateway.run_cost(["a", "b"], wait=0)

    assert trio.run(main).missing == ("a", "b")


@pytest.mark.skipif(not FULL, reason="tests/llama_index/test_secrets.py has the same for LlamaIndex")
def test_a_spawned_process_can_call_after_use(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    server.usual = sized(WHOLE[CHAT])
    model = lc.ChatCloudflareAIGateway(**settings(server, model=MODELS[CHAT], api=CHAT))
    assert model.invoke("Hi").text == TEXT
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "tok")  # a pickle holds none
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        replies = [processes.submit(methodcaller("invoke", "Hi"), model).result() for _ in range(2)]
    assert [reply.text for reply in replies] == [TEXT, TEXT]


HEAD = """
import asyncio, os, signal, sys
from cfaig_integrations import langchain as lc
where = dict(account_id="acc", api_token="tok", base_url=sys.argv[1], max_retries=0)
model = lc.ChatCloudflareAIGateway(model="openai/gpt-4.1", api="chat_completions", **where)
"""
NESTED = """
import nest_asyncio
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
nest_asyncio.apply(loop)

async def cell():
    assert (await model.ainvoke("Hi")).text
    assert loop.run_until_complete(model.ainvoke("Hi")).text
    assert model.invoke("Hi").text

loop.run_until_complete(cell())
loop.run_until_complete(cell())
"""
"""In a notebook."""
FORK = """
from llama_index.core.llms import ChatMessage
from cfaig_integrations import llama_index as li
llm = li.CloudflareAIGateway(model="openai/gpt-4.1", api="chat_completions", **where)
hi = [ChatMessage("Hi")]

async def both():
    assert (await model.ainvoke("Hi")).text == (await llm.achat(hi)).message.content

def all_four():
    assert model.invoke("Hi").text == llm.chat(hi).message.content
    asyncio.run(both())

all_four()
child = os.fork()
if not child:
    all_four()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
all_four()
"""
LEFT_OPEN = """
signal.signal(signal.SIGINT, signal.default_int_handler)
streams = [model.stream("Hi"), llm.stream_chat(hi)]
assert all(next(stream) for stream in streams)

async def leave():
    streams.extend([model.astream("Hi"), await llm.astream_chat(hi)])
    assert await anext(streams[2]) and await anext(streams[3])

asyncio.run(leave())
try:
    embeddings = lc.CloudflareAIGatewayEmbeddings(model="@cf/baai/bge-m3", batch_size=1, **where)
    embeddings.embed_documents(["one", "two", "three"])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
"""At exit."""


def run_program(server: Loopback, text: str, answered: int, interrupted_after: int | None = None) -> tuple[str, str]:
    """Output and errors of a program.

    Args:
        server: Its server.
        text: The program.
        answered: How many of its requests are answered; then come streams that stall, and embeddings without an answer.
        interrupted_after: Number of requests after which it receives Ctrl-C.
    """
    stall = chunked(STREAM, half(STREAM), end="stall")
    server.script.extend([sized(body(ANSWER))] * answered + [stall] * 4)
    server.usual = SILENT
    warnings = ("-W", "ignore", "-W", "always::ResourceWarning", "-W", "always::RuntimeWarning")
    with subprocess.Popen(
        [sys.executable, "-X", "dev", *warnings, "-c", text, server.base_url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            if interrupted_after is not None:
                assert any(server.until(lambda: len(server.seen) == interrupted_after) for _ in range(5))
                process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=5 * PATIENCE)
        finally:
            process.kill()
    server.script.clear()
    assert process.returncode == 0, err
    return out, "\n".join(line for line in err.splitlines() if not line.startswith("Executing <"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_and_an_exit_with_open_streams(server: Loopback) -> None:
    """Ctrl-C in `embed_documents` and the exit after it do not wait for the requests that run."""
    assert run_program(server, HEAD + FORK + LEFT_OPEN, 12, 19) == ("interrupted\n", "")


def test_calls_work_in_nested_event_loops(server: Loopback) -> None:
    """In LangChain; tests/llama_index/test_models.py has the same for LlamaIndex."""
    pytest.importorskip("nest_asyncio")
    out, err = run_program(server, HEAD + NESTED, 6)
    assert (out, "Traceback" in err, "never awaited" in err) == ("", False, False), err
