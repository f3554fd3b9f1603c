"""A misbehaving server, one interface for both clients, and pauses that take no time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, Protocol

import pytest

from cfaig_integrations.client import aio, sync
from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import Text, Turn
from cfaig_integrations.core.events import Event
from cfaig_integrations.gateway.connection import NO_CALL_OPTIONS, CallOptions, Connection
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.gateway.settings import resolve
from tests.client.loopback import Loopback
from tests.waiting import PATIENCE, until_async

REQUEST = ChatRequest("openai/gpt-5.4", (Turn("user", (Text("Hello"),)),))


def connect(server: Loopback, **arguments: Any) -> Connection:
    """A connection to the test's server, in the format that it sends."""
    where = arguments.pop("base", server.base_url)
    settings = resolve(account_id="acc", api_token=arguments.pop("api_token", "tok"), base_url=where)
    return Connection(settings=settings, **({"api": "chat_completions"} | arguments))


class Driver(Protocol):
    """One interface for both clients; a user's client is closed after use."""

    name: str

    def chat(self, to: Connection, call: CallOptions = ..., client: Any = ...) -> tuple[ChatReply, GatewayInfo]: ...

    def events(self, to: Connection, call: CallOptions = ..., client: Any = ...) -> list[Event]: ...

    def take(self, to: Connection, number: int, *, close: bool, released: Callable[[], bool]) -> list[Event]: ...


class SyncDriver:
    name = "sync"

    def chat(
        self, to: Connection, call: CallOptions = NO_CALL_OPTIONS, client: Any = None
    ) -> tuple[ChatReply, GatewayInfo]:
        with client or nullcontext():
            return sync.Client(to, client).chat(REQUEST, call)

    def events(self, to: Connection, call: CallOptions = NO_CALL_OPTIONS, client: Any = None) -> list[Event]:
        with client or nullcontext(), sync.Client(to, client).stream(REQUEST, call) as stream:
            return list(stream)

    def take(self, to: Connection, number: int, *, close: bool, released: Callable[[], bool]) -> list[Event]:
        """Opens a stream, reads some events, and closes or drops it."""
        stream = sync.Client(to).stream(REQUEST)
        taken = [next(stream) for _ in range(number)]
        if close:
            stream.close()
        return taken


class AsyncDriver:
    name = "async"

    def _run(self, what: Callable[[], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            return await what()

        return asyncio.run(main())

    def chat(
        self, to: Connection, call: CallOptions = NO_CALL_OPTIONS, client: Any = None
    ) -> tuple[ChatReply, GatewayInfo]:
        async def reply() -> tuple[ChatReply, GatewayInfo]:
            async with client or nullcontext():
                return await aio.AsyncClient(to, client).chat(REQUEST, call)

        return self._run(reply)

    def events(self, to: Connection, call: CallOptions = NO_CALL_OPTIONS, client: Any = None) -> list[Event]:
        async def all_of_it() -> list[Event]:
            async with client or nullcontext(), await aio.AsyncClient(to, client).stream(REQUEST, call) as stream:
                return [event async for event in stream]

        return self._run(all_of_it)

    def take(self, to: Connection, number: int, *, close: bool, released: Callable[[], bool]) -> list[Event]:
        async def some_of_it() -> list[Event]:
            stream = await aio.AsyncClient(to).stream(REQUEST)
            taken = [await anext(stream) for _ in range(number)]
            if close:
                await stream.aclose()
            del stream
            assert await until_async(released), "before the end of the loop, which closes every connection"
            return taken

        return self._run(some_of_it)


@pytest.fixture(params=[SyncDriver, AsyncDriver], ids=["sync", "async"])
def driver(request: pytest.FixtureRequest) -> Driver:
    made: Driver = request.param()
    return made


@pytest.fixture
def slow_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a stream's connection may take its time: tests of connection reuse pass on a slow machine."""
    for driver in (sync, aio):
        monkeypatch.setattr(driver, "DRAIN_SECONDS", PATIENCE)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of retries, in seconds, which take no time."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr(sync, "time", SimpleNamespace(sleep=taken.append))
    monkeypatch.setattr("anyio.sleep", sleep)
    monkeypatch.setattr(random, "random", lambda: 1.0)
    return taken
