"""The lifetime of connection pools, and what is created only on use."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from cfaig_integrations.client import pool
from cfaig_integrations.client.aio import AsyncClient
from cfaig_integrations.client.sync import Client
from cfaig_integrations.errors import GatewayError, TimeoutFault
from tests.client.conftest import REQUEST, Driver, connect
from tests.client.loopback import JSON, TEXT, WHOLE, Loopback, Reply, piece, streamed

ROOT = Path(__file__).resolve().parents[2]


def program(server: Loopback, body: str, *, expected: str = "done", **environ: str) -> str:
    """Runs a program in which every warning is an error, resources left open included."""
    head = f"""
        import asyncio, gc, os, threading
        from cfaig_integrations.client import pool
        from cfaig_integrations.client.aio import AsyncClient
        from cfaig_integrations.client.sync import Client
        from cfaig_integrations.core.chat import ChatRequest
        from cfaig_integrations.core.content import Text, Turn
        from cfaig_integrations.gateway.connection import Connection
        from cfaig_integrations.gateway.settings import resolve

        REQUEST = ChatRequest("openai/gpt-5.4", (Turn("user", (Text("Hello"),)),))
        TO = Connection(
            settings=resolve(account_id="acc", api_token="tok", base_url={server.base_url!r}),
            api="chat_completions",
        )
        client, aclient = Client(TO), AsyncClient(TO)
    """
    text = textwrap.dedent(head) + textwrap.dedent(body) + '\ngc.collect()\nprint("done", flush=True)\n'
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", text],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env=os.environ | environ,
    )
    noise = [line for line in ran.stderr.splitlines() if not line.startswith("Executing <")]  # asyncio's debug mode
    assert not noise, ran.stderr
    assert ran.stdout.split()[-1] == expected
    return ran.stdout


def test_each_event_loop_has_its_own_connections(server: Loopback) -> None:
    client = AsyncClient(connect(server))
    for _ in range(3):
        asyncio.run(client.chat(REQUEST))
        assert server.until(lambda: server.open == 0), "a connection outlived its loop"
    assert len(server.seen) == server.accepted == 3
    program(server, "for _ in range(3):\n    asyncio.run(aclient.chat(REQUEST))\n")


def test_an_abandoned_stream_does_not_outlive_its_loop(server: Loopback) -> None:
    server.usual = streamed(piece("Hello"), piece(" there"), end="stall")
    kept: list[object] = []

    async def main() -> None:
        kept.append(await AsyncClient(connect(server)).stream(REQUEST))

    for _ in range(2):
        asyncio.run(main())
        assert server.until(lambda: server.open == 0)
    program(
        server,
        """
        async def main():
            global kept
            kept = await aclient.stream(REQUEST)
            await anext(kept)

        for _ in range(2):
            asyncio.run(main())
        """,
    )


def test_an_abandoned_stream_does_not_outlive_its_process(server: Loopback) -> None:
    server.usual = streamed(piece("Hello"), piece(" there"), end="stall")
    program(server, "stream = client.stream(REQUEST)\nnext(stream)\n")
    assert server.until(lambda: server.open == 0)


def test_the_end_of_the_process_closes_the_shared_pool(server: Loopback) -> None:
    program(
        server,
        """
        import atexit
        client.chat(REQUEST)
        atexit._run_exitfuncs()
        assert not pool._pools.shared
        """,
    )


def test_a_loop_closed_without_shutdown_is_released(server: Loopback) -> None:
    """Python itself warns of such a loop's open sockets; the next loop must not be bothered by them."""

    async def both() -> None:
        await AsyncClient(connect(server)).chat(REQUEST)

    def carelessly() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(both())
        loop.close()

    def carelessly_and_on() -> None:
        carelessly()
        asyncio.run(both())
        gc.collect()

    with pytest.warns(ResourceWarning):
        carelessly_and_on()
    assert server.until(lambda: server.open == 0)


@pytest.mark.filterwarnings("error")
def test_four_threads_with_four_loops(server: Loopback) -> None:
    server.usual = Reply(wait=0.02)
    client, texts = AsyncClient(connect(server)), []

    async def main() -> None:
        for reply, _ in await asyncio.gather(*[client.chat(REQUEST) for _ in range(5)]):
            texts.append(reply.turn.text)

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [TEXT] * 20
    assert server.until(lambda: server.open == 0), "a loop ended and its connections did not"


@pytest.mark.filterwarnings("error")
def test_two_hundred_concurrent_calls_twice(server: Loopback) -> None:
    server.usual = Reply(wait=0.2)
    client = AsyncClient(connect(server))

    async def main() -> None:
        for _ in range(2):
            replies = await asyncio.gather(*[client.chat(REQUEST) for _ in range(200)])
            assert {reply.turn.text for reply, _ in replies} == {TEXT}
            assert {info.attempts for _, info in replies} == {1}

    asyncio.run(main())
    assert len(server.seen) == 400
    assert server.most_open <= 200
    assert server.accepted <= 200 + 200 - pool.MAX_KEEP_ALIVE, "idle connections were closed"
    assert server.until(lambda: server.open == 0)


def test_calls_are_distributed_over_the_shards(server: Loopback) -> None:
    server.usual = streamed(piece("Hello"), end="stall")

    async def main() -> None:
        client = AsyncClient(connect(server))
        streams = [await client.stream(REQUEST) for _ in range(pool.SHARDS * 2)]
        shards = await pool.loop_pool(secure=False)
        assert isinstance(shards, pool.Shards)
        assert shards._load == [2] * pool.SHARDS
        for stream in streams:
            await stream.aclose()
            await stream.aclose()
        assert shards._load == [0] * pool.SHARDS

    asyncio.run(main())


def test_creating_clients_opens_nothing_and_http_loads_no_certificates(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr(httpx, "create_ssl_context", lambda: made.append(1))
    monkeypatch.setattr(httpx, "HTTPTransport", lambda **arguments: made.append(arguments))
    monkeypatch.setattr(httpx, "AsyncHTTPTransport", lambda **arguments: made.append(arguments))
    pool.close_all()
    for _ in range(3):
        Client(connect(server))
        AsyncClient(connect(server))
    assert not made
    monkeypatch.undo()
    monkeypatch.setattr(pool, "tls", lambda: made.append(1))
    Client(connect(server)).chat(REQUEST)
    asyncio.run(AsyncClient(connect(server)).chat(REQUEST))
    assert not made


def test_all_pools_share_one_tls_context(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    real = httpx.create_ssl_context

    def counted() -> Any:
        made.append(real())
        return made[-1]

    monkeypatch.setattr(httpx, "create_ssl_context", counted)
    pool.tls.cache_clear()
    pool.close_all()

    async def both() -> None:
        await pool.loop_pool(secure=True)

    pool.shared(secure=True)
    asyncio.run(both())
    asyncio.run(both())
    pool.close_all()
    pool.shared(secure=True)
    assert len(made) == 1
    pool.close_all()
    pool.tls.cache_clear()


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY", "http_proxy"])
def test_a_proxy_in_the_environment_is_used(server: Loopback, name: str) -> None:
    program(
        server,
        """
        TO = Connection(
            settings=resolve(account_id="acc", api_token="tok", base_url="http://far.example/v4"),
            api="chat_completions",
        )
        Client(TO).chat(REQUEST)
        asyncio.run(AsyncClient(TO).chat(REQUEST))
        """,
        **{name: f"http://127.0.0.1:{server.port}", "NO_PROXY": "", "no_proxy": ""},
    )
    assert [seen.line.split()[1] for seen in server.seen] == [
        "http://far.example/v4/accounts/acc/ai/v1/chat/completions"
    ] * 2


def test_no_proxy_is_respected(server: Loopback) -> None:
    program(server, "client.chat(REQUEST)\n", HTTP_PROXY="http://127.0.0.1:9", NO_PROXY="127.0.0.1")
    assert len(server.seen) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_its_own_connections(server: Loopback) -> None:
    program(
        server,
        """
        def fork():
            child = os.fork()
            if not child:
                client.chat(REQUEST)
                os._exit(0)
            return os.waitpid(child, 0)[1]

        client.chat(REQUEST)
        assert fork() == 0
        client.chat(REQUEST)
        """,
    )
    parent, child, parent_again = (seen.connection for seen in server.seen)
    assert parent == parent_again != child


def test_the_pool_is_usable_after_errors(server: Loopback) -> None:
    server.script.extend([Reply(silent=True, end="reset")] * 20)

    async def main() -> None:
        client = AsyncClient(connect(server, max_retries=0))
        results = await asyncio.gather(*[client.chat(REQUEST) for _ in range(20)], return_exceptions=True)
        assert all(isinstance(result, GatewayError) for result in results)
        shards = await pool.loop_pool(secure=False)
        assert isinstance(shards, pool.Shards)
        assert sum(shards._load) == 0
        assert (await client.chat(REQUEST))[0].turn.text == TEXT

    asyncio.run(main())


@pytest.mark.parametrize("own", [False, True], ids=["shared", "your own"])
def test_a_call_that_gets_no_connection_names_the_settings(
    server: Loopback, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    """While one stream is open, and the pool holds one connection."""
    monkeypatch.setattr(pool, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(pool, "SHARDS", 1)
    pool.close_all()
    server.usual = streamed(piece("Hello"), end="stall")
    to, late = connect(server, max_retries=0), connect(server, max_retries=0, timeout=0.2)
    limits = httpx.Limits(max_connections=1)
    said = r"No connection .* free in time: 0\.2 s, set by timeout= \(PoolTimeout.*http_client .*max_connections"

    async def main() -> None:
        async with httpx.AsyncClient(limits=limits) as client:
            theirs = client if own else None
            async with await AsyncClient(to, theirs).stream(REQUEST):
                with pytest.raises(TimeoutFault, match=said) as caught:
                    await AsyncClient(late, theirs).chat(REQUEST)
        assert not caught.value.maybe_billed

    with httpx.Client(limits=limits) as client:
        theirs = client if own else None
        with Client(to, theirs).stream(REQUEST), pytest.raises(TimeoutFault, match=said) as caught:
            Client(late, theirs).chat(REQUEST)
    assert not caught.value.maybe_billed
    asyncio.run(main())
    assert len(server.seen) == 2


@pytest.mark.parametrize("own", [False, True], ids=["shared", "your own"])
def test_the_timeouts_of_a_call_reach_the_transport(
    server: Loopback, driver: Driver, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    timeouts: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"])
        return httpx.Response(200, headers=JSON, content=WHOLE)

    transport = httpx.MockTransport(answer)

    async def loop_pool(*, secure: bool) -> httpx.AsyncBaseTransport:
        return transport

    monkeypatch.setattr(pool, "shared", lambda *, secure: transport)
    monkeypatch.setattr(pool, "loop_pool", loop_pool)
    client = (httpx.Client if driver.name == "sync" else httpx.AsyncClient)(transport=transport) if own else None
    driver.chat(connect(server, timeout=(1, 2)), client=client)
    assert timeouts == [{"connect": 1, "read": 2, "write": 2, "pool": 2}]
