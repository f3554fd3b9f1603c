"""Both clients over a real socket: the same tests for sync and async."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import httpx2
import pytest

from cfaig_integrations.client import pool
from cfaig_integrations.client.aio import AsyncClient
from cfaig_integrations.client.sync import Client
from cfaig_integrations.core.events import Event, TextDelta
from cfaig_integrations.core.fold import fold
from cfaig_integrations.errors import (
    ConfigError,
    ConnectFault,
    GatewayError,
    RateLimited,
    StreamBroken,
    TimeoutFault,
)
from cfaig_integrations.gateway.connection import CallOptions, Connection
from cfaig_integrations.gateway.settings import Secret, Settings
from tests.client.conftest import REQUEST, Driver, connect
from tests.client.loopback import JSON, SSE, STREAM, TEXT, WHOLE, Loopback, Reply, piece, streamed, zipped

BUSY = Reply([b'{"success":false,"errors":[{"code":3040,"message":"out of capacity"}]}'], status=429)


def test_a_whole_reply(server: Loopback, driver: Driver) -> None:
    server.usual = Reply(headers=JSON | {"CF-AIG-Log-Id": "log1", "cf-ray": "ray1"})
    reply, info = driver.chat(connect(server), CallOptions(metadata=({"team": "a"},)))
    assert reply.turn.text == TEXT
    assert (info.log_id, info.ray_id, info.attempts) == ("log1", "ray1", 1)
    (seen,) = server.seen
    assert seen.line == "POST /client/v4/accounts/acc/ai/v1/chat/completions HTTP/1.1"
    assert seen.headers["host"] == f"127.0.0.1:{server.port}"
    assert seen.headers["authorization"] == "Bearer tok"
    assert seen.headers["cf-aig-metadata"] == '{"team":"a"}'
    assert json.loads(seen.body)["messages"] == [{"role": "user", "content": "Hello"}]


def test_a_streamed_reply(server: Loopback, driver: Driver) -> None:
    server.usual = streamed()
    events = driver.events(connect(server))
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["Hello", " there"]
    assert fold("chat_completions", events).finish == "stop"


@pytest.mark.parametrize("kind", ["whole", "stream"])
def test_compressed_responses(server: Loopback, driver: Driver, kind: str) -> None:
    if kind == "whole":
        server.usual = zipped(Reply())
        assert driver.chat(connect(server))[0].turn.text == TEXT
    else:
        server.usual = zipped(streamed())
        assert fold("chat_completions", driver.events(connect(server))).turn.text == TEXT


def test_a_document_in_place_of_a_stream(server: Loopback, driver: Driver) -> None:
    assert fold("chat_completions", driver.events(connect(server))).turn.text == TEXT


def test_a_stream_in_place_of_a_document(server: Loopback, driver: Driver) -> None:
    server.usual = streamed()
    assert driver.chat(connect(server))[0].turn.text == TEXT


# Faults before an answer


@pytest.mark.parametrize(
    "broken",
    [
        Reply(silent=True, end="cut"),
        Reply(silent=True, end="reset"),
        Reply([WHOLE[:30]], end="cut"),
        Reply([WHOLE[:30]], end="reset"),
        BUSY,
    ],
    ids=["hang-up", "reset", "half a body", "reset in the body", "429"],
)
@pytest.mark.parametrize("kind", ["whole", "stream"])
def test_transient_errors_are_retried(
    server: Loopback, driver: Driver, pauses: list[float], broken: Reply, kind: str
) -> None:
    server.script.extend([broken, broken])
    to = connect(server, retry_after_send=broken is not BUSY)
    if kind == "whole":
        assert driver.chat(to)[1].attempts == 3
    else:
        server.usual = streamed()
        assert fold("chat_completions", driver.events(to)).turn.text == TEXT
    assert pauses == [0.5, 1.0]
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(silent=True, end="reset"), ConnectFault),
        (Reply(silent=True, end="cut"), ConnectFault),
        (Reply([WHOLE[:30]], end="cut"), ConnectFault),
        (Reply(silent=True, end="stall"), TimeoutFault),
        (Reply([WHOLE[:30]], end="stall"), TimeoutFault),
        (BUSY, RateLimited),
        (Reply([b""], status=302, headers={"location": "http://127.0.0.1/elsewhere"}), GatewayError),
    ],
    ids=["reset", "hang-up", "half a body", "no answer", "stall in the body", "429", "redirect"],
)
def test_errors_and_their_requests_sent(
    server: Loopback, driver: Driver, reply: Reply, kind: type[GatewayError]
) -> None:
    server.usual = reply
    with pytest.raises(kind) as caught:
        driver.chat(connect(server, max_retries=0, timeout=0.2 if reply.end == "stall" else 600))
    assert caught.value.requests_sent == 1
    assert server.until(lambda: len(server.seen) == 1)
    assert server.until(lambda: server.open == 0 or reply.end == "keep")


def test_a_refused_connection(driver: Driver, pauses: list[float], server: Loopback) -> None:
    to = connect(server)
    server.stop()
    with pytest.raises(ConnectFault) as caught:
        driver.chat(to)
    assert caught.value.requests_sent == 3


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:99999/v4", "http://a..b/v4", "http://[::1/v4"])
@pytest.mark.parametrize("client_kind", ["ours", "the user's"])
def test_an_invalid_url_is_a_config_error(driver: Driver, base_url: str, client_kind: str) -> None:
    settings = Settings("acc", Secret("tok"), base_url=base_url)
    client = None if client_kind == "ours" else httpx.Client() if driver.name == "sync" else httpx.AsyncClient()
    with pytest.raises(ConfigError) as caught:
        driver.chat(Connection(settings=settings), client=client)
    assert caught.value.requests_sent == 0


# Faults in a stream


@pytest.mark.parametrize(
    ("end", "kind"), [("cut", StreamBroken), ("reset", StreamBroken), ("stall", TimeoutFault), ("keep", StreamBroken)]
)
def test_a_stream_that_fails_after_its_first_text_is_not_retried(
    server: Loopback, driver: Driver, pauses: list[float], end: Any, kind: type[GatewayError]
) -> None:
    server.usual = streamed(piece("Hello"), piece(" the"), end=end)
    with pytest.raises(kind) as caught:
        driver.events(connect(server, stream_idle_timeout=2 if end == "stall" else 600))
    assert len(server.seen) == 1
    assert caught.value.requests_sent == 1
    if isinstance(caught.value, StreamBroken):
        assert caught.value.partial == "Hello the"
    assert server.until(lambda: server.open == 0 or end == "keep")


@pytest.mark.parametrize("end", ["cut", "reset", "stall"])
def test_a_stream_that_fails_before_its_first_text_is_retried(
    server: Loopback, driver: Driver, pauses: list[float], end: Any
) -> None:
    server.script.append(streamed(b": thinking\n\n", end=end))
    server.usual = streamed()
    to = connect(server, stream_idle_timeout=2 if end == "stall" else 600, retry_after_send=True)
    assert fold("chat_completions", driver.events(to)).turn.text == TEXT
    assert len(server.seen) == 2


# Connections


@pytest.mark.usefixtures("slow_drain")
def test_a_connection_is_reused(server: Loopback) -> None:
    client = Client(connect(server))
    for _ in range(3):
        client.chat(REQUEST)
        server.script.append(streamed())
        assert len(list(client.stream(REQUEST))) > 2
    assert server.accepted == 1


@pytest.mark.usefixtures("slow_drain")
def test_a_connection_is_reused_by_other_clients_of_the_same_loop(server: Loopback) -> None:
    async def main() -> None:
        for _ in range(3):
            await AsyncClient(connect(server)).chat(REQUEST)
            server.script.append(streamed())
            async with await AsyncClient(connect(server)).stream(REQUEST) as stream:
                assert [event async for event in stream]

    asyncio.run(main())
    assert server.accepted == 1


@pytest.mark.parametrize("close", [True, False], ids=["closed", "dropped"])
@pytest.mark.parametrize("number", [0, 1, 3])
def test_an_unread_stream_releases_its_connection(server: Loopback, driver: Driver, close: bool, number: int) -> None:
    server.usual = streamed(piece("Hello"), piece(" there"), end="stall")

    def released() -> bool:
        return server.accepted == 1 and server.open == 0

    assert len(driver.take(connect(server), number, close=close, released=released)) == number
    gc.collect()
    assert server.until(released)


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A stream that knows whether it was closed, and does not care for being dropped."""

    def __init__(self) -> None:
        self.closed = 0
        self.rest = iter(STREAM)

    def __iter__(self) -> Iterator[bytes]:
        return self.rest

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return next(self.rest)

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


def test_a_dropped_stream_is_closed(server: Loopback) -> None:
    bodies = [Body(), Body()]
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=SSE, stream=bodies[0]))
    Client(connect(server), httpx.Client(transport=transport)).stream(REQUEST)
    assert bodies.pop(0).closed == 1

    async def main() -> None:
        await AsyncClient(connect(server), httpx.AsyncClient(transport=transport)).stream(REQUEST)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert bodies[0].closed == 1


class Counted(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that remembers which of its pieces were read."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self.read: list[bytes] = []

    def __iter__(self) -> Iterator[bytes]:
        for part in self._pieces:
            self.read.append(part)
            yield part

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part


def test_nothing_is_read_after_a_stop_text(server: Loopback, driver: Driver) -> None:
    place = {"output_index": 0, "content_index": 0, "item_id": "m1"}
    item = {"type": "message", "id": "m1", "role": "assistant", "content": []}
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        *({"type": "response.output_text.delta", **place, "delta": text} for text in ("one ", "STOP two", " three")),
    ]
    body = Counted([f"data: {json.dumps(event)}\n\n".encode() for event in events])
    extensions = {"network_stream": SimpleNamespace(read=None)}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=SSE, stream=body, extensions=extensions))
    to, request = connect(server, api="responses"), replace(REQUEST, stop=("STOP",))

    async def read() -> list[Event]:
        return [each async for each in await AsyncClient(to, httpx.AsyncClient(transport=transport)).stream(request)]

    client = httpx.Client(transport=transport)
    got = list(Client(to, client).stream(request)) if driver.name == "sync" else asyncio.run(read())
    assert "".join(event.text for event in got if isinstance(event, TextDelta)) == "one "
    assert len(body.read) == len(events) - 1


def test_the_end_of_the_loop_closes_streams_without_an_error(server: Loopback) -> None:
    class Slow(Body):
        async def aclose(self) -> None:
            await asyncio.sleep(0)
            await super().aclose()

    bodies: list[Slow] = []

    def answer(_: httpx.Request) -> httpx.Response:
        bodies.append(Slow())
        return httpx.Response(200, headers=SSE, stream=bodies[-1])

    async def read(client: AsyncClient) -> AsyncGenerator[Event]:
        async with await client.stream(REQUEST) as stream:
            async for event in stream:
                yield event

    errors: list[Any] = []

    async def main() -> list[AsyncGenerator[Event]]:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        client = AsyncClient(connect(server), httpx.AsyncClient(transport=httpx.MockTransport(answer)))
        readers = [read(client) for _ in range(10)]
        for reader in readers:
            await anext(reader)
        return readers

    kept = asyncio.run(main())  # which closes all generators that are left at once, in any order
    assert len(kept) == len(bodies) == 10
    assert not errors
    assert [body.closed for body in bodies] == [1] * 10


def test_no_connection_is_open_during_a_pause(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = b'data: {"success":false,"errors":[{"code":3040,"message":"out of capacity"}]}\n\n'
    server.script.extend([streamed(busy, end="stall")] * 2)
    server.usual = streamed()
    closed: list[bool] = []

    def sleep(seconds: float) -> None:
        closed.append(server.until(lambda: server.open == 0))

    async def async_sleep(seconds: float) -> None:
        closed.append(await asyncio.to_thread(server.until, lambda: server.open == 0))

    monkeypatch.setattr("cfaig_integrations.client.sync.time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr("anyio.sleep", async_sleep)
    assert list(Client(connect(server)).stream(REQUEST))
    pool.close_all()
    server.script.append(streamed(busy, end="stall"))
    asyncio.run(_read_all(AsyncClient(connect(server))))
    assert closed == [True] * 3


async def _read_all(client: AsyncClient) -> None:
    async with await client.stream(REQUEST) as stream:
        assert [event async for event in stream]


def test_an_exception_of_the_reader_closes_the_stream(server: Loopback) -> None:
    server.usual = streamed(piece("Hello"), piece(" there"), end="stall")

    def read() -> None:
        with Client(connect(server)).stream(REQUEST) as stream:
            for _ in stream:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read()
    assert server.until(lambda: server.open == 0)


def test_a_break_closes_the_stream(server: Loopback) -> None:
    server.usual = streamed(piece("Hello"), piece(" there"), end="stall")
    for _ in Client(connect(server)).stream(REQUEST):
        break
    assert server.until(lambda: server.open == 0)


@pytest.mark.parametrize("reply", [Reply(silent=True, end="stall"), Reply([WHOLE[:9]], end="stall")])
def test_a_cancelled_call_releases_its_connection(server: Loopback, reply: Reply) -> None:
    server.usual = reply

    async def main() -> None:
        task = asyncio.create_task(AsyncClient(connect(server)).chat(REQUEST))
        await asyncio.to_thread(server.until, lambda: len(server.seen) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.until, lambda: server.open == 0)

    asyncio.run(main())


def test_a_cancelled_reader_releases_its_connection(server: Loopback) -> None:
    server.usual = streamed(piece("Hello"), end="stall")

    async def read(received: asyncio.Event) -> None:
        async with await AsyncClient(connect(server)).stream(REQUEST) as stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    received.set()  # and then the server stalls

    async def main() -> None:
        received = asyncio.Event()
        task = asyncio.create_task(read(received))
        await received.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.until, lambda: server.open == 0)

    asyncio.run(main())


def test_no_request_follows_a_cancelled_pause(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    server.usual = BUSY

    async def main() -> None:
        pausing = asyncio.Event()

        async def sleep(seconds: float) -> None:
            pausing.set()
            await asyncio.Event().wait()

        monkeypatch.setattr("anyio.sleep", sleep)
        task = asyncio.create_task(AsyncClient(connect(server)).chat(REQUEST))
        await pausing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert len(server.seen) == 1


def test_a_keyboard_interrupt_closes_the_stream(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    server.usual = streamed(piece("Hello"), again=piece(" there"))  # more comes, however much is read at once
    stream = Client(connect(server)).stream(REQUEST)
    monkeypatch.setattr("cfaig_integrations.gateway.session.StreamSession.feed", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(stream)
    assert server.until(lambda: server.open == 0)


def _interrupt(*_: object) -> Any:
    raise KeyboardInterrupt


# Tokens


def test_a_token_function_is_called_before_every_request(server: Loopback, driver: Driver, pauses: list[float]) -> None:
    tokens = iter(["one", "two"])
    server.script.append(BUSY)
    driver.chat(connect(server, api_token=lambda: next(tokens)))
    assert [seen.headers["authorization"] for seen in server.seen] == ["Bearer one", "Bearer two"]


def test_an_async_token_function_in_async_calls(server: Loopback) -> None:
    async def token() -> str:
        await asyncio.sleep(0)
        return "awaited"

    asyncio.run(AsyncClient(connect(server, api_token=token)).chat(REQUEST))
    assert server.seen[0].headers["authorization"] == "Bearer awaited"


@pytest.mark.filterwarnings("error")
def test_an_async_token_function_is_rejected_by_sync_calls(server: Loopback) -> None:
    async def token() -> str:
        return "awaited"

    with pytest.raises(ConfigError, match="async"):
        Client(connect(server, api_token=token)).chat(REQUEST)
    gc.collect()
    assert not server.seen


def test_the_exception_of_a_token_function_is_the_cause(server: Loopback, driver: Driver) -> None:
    def token() -> str:
        raise LookupError("vault is shut")

    with pytest.raises(ConfigError, match="LookupError") as caught:
        driver.chat(connect(server, api_token=token))
    assert str(caught.value.__cause__) == "vault is shut"


# A user's own client


@pytest.mark.usefixtures("slow_drain")
@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_a_users_client_is_used_unchanged_and_never_closed(server: Loopback, library: Any) -> None:
    with library.Client(headers={"x-user_client": "1", "user-agent": "user_client"}, timeout=0.001) as user_client:
        client = Client(connect(server), user_client)
        assert client.chat(REQUEST)[0].turn.text == TEXT
        server.script.append(streamed())
        assert len(list(client.stream(REQUEST))) > 2
        assert not user_client.is_closed
    seen = server.seen[0].headers
    assert seen["x-user_client"] == "1"
    assert seen["user-agent"].startswith("cfaig-integrations/")
    assert server.accepted == 1


@pytest.mark.usefixtures("slow_drain")
@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_a_users_async_client_is_used_unchanged_and_never_closed(server: Loopback, library: Any) -> None:
    async def main() -> None:
        async with library.AsyncClient(headers={"x-user_client": "1"}) as user_client:
            client = AsyncClient(connect(server), user_client)
            assert (await client.chat(REQUEST))[0].turn.text == TEXT
            server.script.append(streamed())
            async with await client.stream(REQUEST) as stream:
                assert [event async for event in stream]
            assert not user_client.is_closed

    asyncio.run(main())
    assert server.seen[0].headers["x-user_client"] == "1"
    assert server.accepted == 1


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(silent=True, end="reset"), ConnectFault),
        (Reply(silent=True, end="stall"), TimeoutFault),
        (Reply([b""], status=302, headers={"location": "/client/v4"}), GatewayError),
    ],
    ids=["reset", "stall", "redirect"],
)
def test_errors_of_a_users_client_are_translated(
    server: Loopback, library: Any, reply: Reply, kind: type[GatewayError]
) -> None:
    server.usual = reply
    with library.Client(follow_redirects=True) as user_client, pytest.raises(kind):
        Client(connect(server, max_retries=0, timeout=0.2 if reply.end == "stall" else 600), user_client).chat(REQUEST)
    assert server.until(lambda: len(server.seen) == 1)


@pytest.mark.parametrize(
    ("kind", "client"),
    [
        (Client, httpx.AsyncClient()),
        (Client, httpx2.AsyncClient()),
        (Client, "a client"),
        (AsyncClient, httpx.Client()),
        (AsyncClient, object()),
    ],
)
def test_other_types_of_clients_are_rejected(kind: Any, client: Any, server: Loopback) -> None:
    with pytest.raises(ConfigError, match="http_") as caught:
        kind(connect(server), client)
    assert caught.value.field in {"http_client", "http_async_client"}


def test_a_mock_transport(server: Loopback) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if json.loads(request.content).get("stream"):
            return httpx.Response(200, headers=SSE, content=b"".join(STREAM))
        return httpx.Response(200, headers=JSON | {"content-encoding": "gzip"}, content=gzip.compress(WHOLE))

    client = Client(connect(server), httpx.Client(transport=httpx.MockTransport(answer)))
    assert client.chat(REQUEST)[0].turn.text == TEXT
    assert fold("chat_completions", client.stream(REQUEST)).turn.text == TEXT


def test_threads_share_one_pool(server: Loopback) -> None:
    server.usual = Reply(wait=0.02)
    client, failed = Client(connect(server)), []

    def work() -> None:
        try:
            for _ in range(5):
                client.chat(REQUEST)
        except GatewayError as error:  # pragma: no cover
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert server.accepted <= 8
    assert len(server.seen) == 40
    pool.close_all()
    assert server.until(lambda: server.open == 0)
    client.chat(REQUEST)
    assert len(server.seen) == 41
