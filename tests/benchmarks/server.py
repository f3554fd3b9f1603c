"""The server of the benchmark, a process of its own: `python -m tests.benchmarks.server` prints its port.

It renders every reply once and then only writes bytes. What it answers is chosen by the end of the path and by the
segment that begins with `@`, such as `/@n=200,tool=1`:

    n     words of a text, or parts of a tool call's arguments (20)
    tool  1: the reply is a tool call
    per   events in one HTTP chunk of a stream (1); a client reads a chunk at a time
    hold  requests that must have arrived before any is answered (1), so that they are in flight together
    b64   1: embeddings are base64 where the request asks for it
    dim   numbers of an embedding (1024)

`GET /last` returns the path and the body of the last request, `GET /counts` the numbers of requests and connections.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from collections.abc import Mapping
from functools import cache

from tests.benchmarks import replies

HEAD = (
    "HTTP/1.1 200 OK\r\ndate: Fri, 28 Nov 2025 10:00:00 GMT\r\nserver: cloudflare\r\ncf-ray: 9a5b3c1d2e4f6a7b-FRA\r\n"
    "cf-aig-log-id: 01KAB2CD3EF4GH5JK6MN7PQ8RS\r\ncf-aig-event-id: 01KAB2CD3EF4GH5JK6MN7PQ8RT\r\n"
    "cf-aig-cache-status: MISS\r\ncf-aig-step: 0\r\ncontent-type: {type}\r\n{framing}\r\n\r\n"
)
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.I)
SETTINGS = re.compile(r"/@([a-z0-9=,]*)")
WAIT_SECONDS = 20.0
"""After which held requests are answered although fewer arrived: a client may allow fewer connections."""
ENDINGS = {"/chat/completions": "chat_completions", "/responses": "responses", "/messages": "messages"}


class Counts:
    """What `GET /counts` and `GET /last` return."""

    requests = 0
    connections = 0
    last = ""


def json_reply(text: str) -> bytes:
    body = text.encode()
    return HEAD.format(type="application/json", framing=f"content-length: {len(body)}").encode() + body


@cache
def chat(wire: str, stream: bool, n: int, tool: bool, per: int) -> bytes:
    if not stream:
        return json_reply(replies.compact(replies.WHOLE[wire](n, tool)))
    events = [event.encode() for event in replies.EVENTS[wire](n, tool)]
    chunks = (b"".join(events[i : i + per]) for i in range(0, len(events), per))
    head = HEAD.format(type="text/event-stream", framing="transfer-encoding: chunked").encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


@cache
def embeddings(count: int, encoded: bool, dimensions: int) -> bytes:
    return json_reply(replies.embeddings(count, encoded, dimensions))


@cache
def run_embeddings(count: int) -> bytes:
    return json_reply(replies.run_embeddings(count))


@cache
def ranking(count: int) -> bytes:
    return json_reply(replies.ranking(count))


def reply(path: str, body: bytes, settings: Mapping[str, int]) -> bytes:
    """The response to one request.

    Raises:
        ValueError: The path is none that the benchmark uses.
    """
    wire = next((wire for ending, wire in ENDINGS.items() if path.endswith(ending)), "")
    if wire or b'"messages":' in body:
        stream = re.search(rb'"stream":\s*true', body) is not None
        return chat(wire or "run", stream, settings.get("n", 20), bool(settings.get("tool")), settings.get("per", 1))
    request = json.loads(body)
    if path.endswith("/embeddings"):
        texts = request["input"]
        count = 1 if isinstance(texts, str) else len(texts)
        encoded = request.get("encoding_format") == "base64" and bool(settings.get("b64"))
        return embeddings(count, encoded, settings.get("dim", replies.DIMENSIONS))
    if "/ai/run" in path:
        request = request.get("input", request)
        return ranking(len(request["contexts"])) if "contexts" in request else run_embeddings(len(request["text"]))
    raise ValueError(path)


class Connection(asyncio.Protocol):
    """One connection; requests have a content length."""

    held: list[tuple[asyncio.Transport, bytes]] = []  # noqa: RUF012 - of all connections
    release: asyncio.TimerHandle | None = None

    def __init__(self) -> None:
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Counts.connections += 1

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n") + 4) > 3:
            length = LENGTH.search(self.received, 0, end)
            after = end + int(length[1] if length else 0)
            if len(self.received) < after:
                return
            target = self.received.split(b" ", 2)[1].decode()
            body, self.received = self.received[end:after], self.received[after:]
            self.answer(target, body)

    def answer(self, target: str, body: bytes) -> None:
        if target == "/last":
            self.transport.write(json_reply(Counts.last))
            return
        if target == "/counts":
            counts = {"requests": Counts.requests, "connections": Counts.connections}
            self.transport.write(json_reply(json.dumps(counts)))
            return
        Counts.requests += 1
        Counts.last = f'{{"target":"{target}","body":{body.decode()}}}'
        found = SETTINGS.search(target)
        pairs = (item.split("=") for item in found[1].split(",") if item) if found else ()
        settings = {key: int(value) for key, value in pairs}
        self.send(reply(target.partition("?")[0], body, settings), settings.get("hold", 1))

    def send(self, data: bytes, hold: int) -> None:
        kind = type(self)
        kind.held.append((self.transport, data))
        if kind.release:
            kind.release.cancel()
            kind.release = None
        if len(kind.held) >= hold:
            kind.send_held()
        else:
            kind.release = asyncio.get_running_loop().call_later(WAIT_SECONDS, kind.send_held)

    @classmethod
    def send_held(cls) -> None:
        for transport, data in cls.held:
            transport.write(data)
        cls.held.clear()


async def main() -> None:
    """Serves until standard input ends: with the process that started it."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), lambda: sys.stdin.buffer.read1(1) or ended.set())
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())
