"""A response, and sending it chunk by chunk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cfaig_integrations.simulator.http.connections import connection_of

MAX_KEPT = 10_000_000  # bytes of a forwarded body that are kept for the log

_DISCONNECT_SECONDS = 1.0

T = TypeVar("T")


@dataclass(slots=True)
class Reply:
    """Status, headers and chunks."""

    status: int = 200
    content_type: str = "application/json"
    chunks: list[bytes] = field(default_factory=list[bytes])  # each is sent separately
    headers: dict[str, str] = field(default_factory=dict[str, str])
    whole: Callable[[], bytes] | None = None  # the body of the same answer without streaming
    streamed: bool = False  # sent with chunked encoding, without a Content-Length
    length: int | None = None  # a wrong Content-Length
    pauses: dict[int, float] = field(default_factory=dict[int, float])  # seconds to wait before the chunk of that index
    source: AsyncIterator[bytes] | None = None  # more chunks, which are forwarded as they arrive
    on_end: Callable[[], None] | None = None  # called when every chunk is known, before the call is logged
    failed: bool = False  # the call failed, whatever the status is
    ending: Literal["orderly", "close", "reset_first"] = "orderly"
    """`close` closes the connection after the last chunk, `reset_first` resets it before the first."""

    @property
    def body(self) -> bytes:
        """The whole body; of forwarded chunks, at most the first `MAX_KEPT` bytes."""
        return b"".join(self.chunks)


class SourceError(Exception):
    """The server that a body is forwarded from did not send all of it."""


class ClientDisconnected(Exception):
    """The client closed the connection while it waited."""


class ClientConnection:
    """Detects that the client disconnects, also while nothing is sent."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._disconnected = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._disconnected.set()

    @property
    def disconnected(self) -> bool:
        """Whether the client has disconnected."""
        return self._disconnected.is_set()

    async def pause(self, seconds: float) -> bool:
        """Wait so many seconds, or until the client disconnects; returns whether it is still connected."""
        if seconds <= 0:
            await asyncio.sleep(0)
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._disconnected.wait(), seconds)
        return not self.disconnected

    async def unless_disconnected(self, work: Coroutine[Any, Any, T], seconds: float | None) -> T:
        """The result of some work."""
        task, disconnect = asyncio.ensure_future(work), asyncio.ensure_future(self._disconnected.wait())
        try:
            await asyncio.wait({task, disconnect}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise ClientDisconnected if disconnect.done() else TimeoutError
        finally:
            for future in (task, disconnect):
                future.cancel()

    def close(self) -> None:
        """Stop listening."""
        self._listening.cancel()


class ReplyResponse(Response):
    """A Starlette response that sends a reply."""

    def __init__(self, reply: Reply, client: ClientConnection, done: Callable[[bool], None]) -> None:
        super().__init__(status_code=reply.status)
        self._reply = reply
        self._client = client
        self._done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything, or stop when the client disconnects."""
        try:
            if self._reply.ending == "reset_first":
                self._done(False)
                await self._reset(scope)
                return
            await self._play(scope, send)
        finally:
            self._client.close()

    async def _reset(self, scope: Scope) -> None:
        connection_of(scope).reset()
        await self._client.pause(_DISCONNECT_SECONDS)

    def _head(self) -> list[tuple[bytes, bytes]]:
        reply = self._reply
        headers = {"content-type": reply.content_type, **reply.headers}
        if not reply.streamed:
            headers["content-length"] = str(len(reply.body) if reply.length is None else reply.length)
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]

    async def _play(self, scope: Scope, send: Send) -> None:
        reply = self._reply
        await send({"type": "http.response.start", "status": reply.status, "headers": self._head()})
        last = len(reply.chunks) - 1
        for index, chunk in enumerate(reply.chunks):
            if not await self._client.pause(reply.pauses.get(index, 0)):
                self._done(False)
                return
            if index == last and reply.source is None:
                self._done(True)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if reply.source is not None:
            if not await self._forward(reply.source, scope, send):
                return
        elif last < 0:
            self._done(True)
        if reply.ending == "close":  # without a reset, after which the client may lose bytes that have arrived
            connection_of(scope).transport.close()
            await self._client.pause(_DISCONNECT_SECONDS)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _forward(self, source: AsyncIterator[bytes], scope: Scope, send: Send) -> bool:
        """Send chunks as they arrive, and log the call; returns whether the response is complete so far."""
        kept = 0
        try:
            async for chunk in source:
                if self._client.disconnected:
                    self._done(False)
                    return False
                if kept < MAX_KEPT:
                    self._reply.chunks.append(chunk)
                    kept += len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except SourceError:
            self._done(False)
            await self._reset(scope)
            return False
        finally:
            if isinstance(source, AsyncGenerator):
                await source.aclose()
        self._done(True)
        return True


class EmptyResponse(Response):
    """The response to a client that has disconnected: nothing is sent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing."""
