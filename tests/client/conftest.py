"""A misbehaving server, both drivers behind one face, and pauses that take no time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any, Protocol

import pytest

from cfaig_integrations.client import aio, pool, sync
from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import Text, Turn
from cfaig_integrations.core.events import Event
from cfaig_integrations.gateway.connection import NO_CALL_OPTIONS, CallOptions, Connection
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.gateway.settings import resolve
from tests.client.loopback import Loopback, loopback

ASKED = ChatRequest("openai/gpt-5.4", (Turn("user", (Text("Hello"),)),))


def connect(server: Loopback, **words: Any) -> Connection:
    """A connection to the test's server, on the wire that it speaks."""
    where = words.pop("base", server.base_url)
    settings = resolve(account_id="acc", api_token=words.pop("api_token", "tok"), base_url=where)
    return Connection(settings=settings, **({"api": "chat_completions"} | words))


class Driver(Protocol):
    """Either client, called the same way."""

    name: str

    def chat(self, to: Connection, call: CallOptions = ..., client: Any = ...) -> tuple[ChatReply, GatewayInfo]: ...

    def events(self, to: Connection, call: CallOptions = ..., client: Any = ...) -> list[Event]: ...

    def take(self, to: Connection, number: int, *, close: bool) -> list[Event]: ...


class SyncDriver:
    name = "sync"

    def chat(
        self, to: Connection, call: CallOptions = NO_CALL_OPTIONS, client: Any = None
    ) -> tuple[ChatReply, GatewayInfo]:
        return sync.Client(to, client).chat(ASKED, call)

    def events(self, to: Connection, call: CallOptions = NO_CALL_OPTIONS, client: Any = None) -> list[Event]:
        with sync.Client(to, client).stream(ASKED, call) as stream:
            return list(stream)

    def take(self, to: Connection, number: int, *, close: bool) -> list[Event]:
        """Opens a stream, reads so many events, and closes it or just lets go of it."""
        stream = sync.Client(to).stream(ASKED)
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
        return self._run(lambda: aio.AsyncClient(to, client).chat(ASKED, call))

    def events(self, to: Connection, call: CallOptions = NO_CALL_OPTIONS, client: Any = None) -> list[Event]:
        async def all_of_it() -> list[Event]:
            async with await aio.AsyncClient(to, client).stream(ASKED, call) as stream:
                return [event async for event in stream]

        return self._run(all_of_it)

    def take(self, to: Connection, number: int, *, close: bool) -> list[Event]:
        async def some_of_it() -> list[Event]:
            stream = await aio.AsyncClient(to).stream(ASKED)
            taken = [await anext(stream) for _ in range(number)]
            if close:
                await stream.aclose()
            del stream
            await asyncio.sleep(0.05)  # the loop lives on, so that what closes the connection is not its end
            return taken

        return self._run(some_of_it)


@pytest.fixture(params=[SyncDriver, AsyncDriver], ids=["sync", "async"])
def driver(request: pytest.FixtureRequest) -> Driver:
    made: Driver = request.param()
    return made


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as running:
        yield running
    pool.close_all()


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were asked for; none is taken."""
    taken: list[float] = []

    async def nap(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr(sync, "time", SimpleNamespace(sleep=taken.append))
    monkeypatch.setattr("anyio.sleep", nap)
    monkeypatch.setattr(random, "random", lambda: 1.0)
    return taken
