"""A server that misbehaves below HTTP: it resets, truncates and stalls, and counts its connections."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.waiting import PATIENCE

JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}

TEXT = "Hello there"
WHOLE = json.dumps(
    {
        "id": "c1",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
).encode()


def piece(text: str, finish: str | None = None) -> bytes:
    """One event of a chat completion stream."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c1", "model": "m", "choices": [choice]}).encode() + b"\n\n"


STREAM = [piece("Hello"), piece(" there", "stop"), b"data: [DONE]\n\n"]


@dataclass
class Reply:
    """A response, and how it ends.

    Attributes:
        pieces: Body, each piece in an HTTP chunk.
        end: `keep` completes the body and keeps the connection; `cut` closes it in the middle; `reset` aborts it;
            `stall` sends no more until the client disconnects.
        silent: Whether nothing is sent before the end.
        wait: Seconds before the response.
        raw: Bytes to send, head included, in place of `status`, `headers` and `pieces`.
        again: Piece that is repeated after the others until the client disconnects.
        pause: Seconds between its repetitions.
    """

    pieces: list[bytes] = field(default_factory=lambda: [WHOLE])
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    end: Literal["keep", "cut", "reset", "stall"] = "keep"
    silent: bool = False
    wait: float = 0.0
    raw: bytes = b""
    again: bytes = b""
    pause: float = 0.01


def streamed(*pieces: bytes, **more: Any) -> Reply:
    """A stream of some pieces."""
    return Reply(list(pieces) or STREAM, headers=dict(SSE), **more)


def exact(body: bytes, *more: str, after: bytes = b"") -> Reply:
    """A head with a content length, a body, and perhaps bytes that should not follow it, in one write."""
    head = "\r\n".join(["HTTP/1.1 200 OK", *more, f"content-length: {len(body)}", "", ""]).encode()
    return Reply(raw=head + body + after)


def zipped(reply: Reply) -> Reply:
    """The same response, compressed."""
    return Reply([gzip.compress(b"".join(reply.pieces))], headers=reply.headers | {"content-encoding": "gzip"})


@dataclass
class Seen:
    """A request as it was received."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int


class Loopback:
    """The server; sends the responses of `script` in order, and then `usual`.

    Attributes:
        answer: Chooses the response to a request, in place of both.
        hold: Number of requests that must have come before any is answered.
        greeting: Bytes to send at once to every client, before its connection is closed without reading; None: none.
    """

    def __init__(self) -> None:
        self.script: deque[Reply] = deque()
        self.usual = Reply()
        self.answer: Callable[[Seen], Reply] | None = None
        self.hold = 0
        self.greeting: bytes | None = None
        self.seen: list[Seen] = []
        self.accepted = 0
        self.open = 0
        self.most_open = 0
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/client/v4"

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(PATIENCE)

    def stop(self) -> None:
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)

    def until(self, condition: Callable[[], bool]) -> bool:
        """Whether a condition becomes true."""
        with self._changed:
            return self._changed.wait_for(condition, PATIENCE)

    def _note(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=512))
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(_cancel(asyncio.all_tasks(self._loop)))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        number = self.accepted
        self._note()
        try:
            if self.greeting is not None:
                writer.write(self.greeting)
                await writer.drain()
                return
            while await self._serve(reader, writer, number):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()  # what is not written yet may have no reader
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()  # the socket is closed after the transport, and counts until then
            self.open -= 1
            self._note()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:]) if name}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.seen.append(Seen(head[0], headers, body, number))
        if self.answer is not None:
            reply = self.answer(self.seen[-1])
        else:
            reply = self.script.popleft() if self.script else self.usual
        self._note()
        end = self._loop.time() + PATIENCE
        while len(self.seen) < self.hold and self._loop.time() < end:
            await asyncio.sleep(0.005)
        await asyncio.sleep(reply.wait)
        if not reply.silent:
            await self._send(writer, reply)
        match reply.end:
            case "keep":
                return True
            case "cut":
                return False
            case "reset":
                raw: socket.socket = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
            case "stall":
                await reader.read(1)  # until the client disconnects
                return False

    async def _send(self, writer: asyncio.StreamWriter, reply: Reply) -> None:
        if reply.raw:
            writer.write(reply.raw)
            return
        lines = [f"HTTP/1.1 {reply.status} Because", *(f"{name}: {value}" for name, value in reply.headers.items())]
        writer.write("\r\n".join([*lines, "transfer-encoding: chunked", "", ""]).encode())
        for part in reply.pieces:
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            await writer.drain()
            await asyncio.sleep(0.002)  # so that pieces arrive as pieces
        while reply.again:
            writer.write(b"%x\r\n%s\r\n" % (len(reply.again), reply.again))
            await writer.drain()
            await asyncio.sleep(reply.pause)
        if reply.end == "keep":
            writer.write(b"0\r\n\r\n")
        await writer.drain()


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)  # in which closed transports release their sockets


@contextmanager
def loopback() -> Iterator[Loopback]:
    """A server that runs during the block."""
    server = Loopback()
    server.start()
    try:
        yield server
    finally:
        server.stop()
