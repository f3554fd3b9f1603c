"""A server in a process of its own: each answer repeats the markers of its request; connections are counted."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self, cast

from tests.reliability.bodies import STREAMS, TEXT, VECTOR, WHOLE, Format, Wire, until_visible

HELD = "hold "
"""In the prompt of a stream: only its start is sent until `Echo.release`."""
_MARKER = re.compile(rb"m(\d{6})m")
_FORMATS: dict[bytes, Wire] = {
    b"chat/completions": "chat_completions",
    b"v1/responses": "responses",
    b"v1/messages": "messages",
}
_REST_OF_VECTOR = b"".join(b",%g" % number for number in VECTOR[1:]) + b"]"


def marker(number: int) -> str:
    """What a prompt holds."""
    return f"m{number:06}m"


def text_of(number: int) -> str:
    """The answer to a prompt with a marker."""
    return TEXT.replace("Hello", marker(number))


def vector_of(number: int) -> list[float]:
    """The vector of a text with a marker."""
    return [number, *VECTOR[1:]]


def score_of(number: int) -> float:
    """The score of the only passage for a query with a marker."""
    return number / 1e6


def _marked(data: bytes, number: int) -> bytes:
    return data.replace(b"Hello", marker(number).encode())


def _envelope(result: bytes) -> bytes:
    return b'{"result":%s,"success":true,"errors":[],"messages":[]}' % result


def _body(format_: Format, numbers: list[int]) -> bytes:
    if format_ == "embeddings":
        vectors = b",".join(b"[%d" % number + _REST_OF_VECTOR for number in numbers)
        return _envelope(b'{"shape":[%d,%d],"data":[%s]}' % (len(numbers), len(VECTOR), vectors))
    if format_ == "rerank":
        return _envelope(b'{"response":[{"id":0,"score":%r}]}' % score_of(numbers[0]))
    return _marked(WHOLE[format_], numbers[0])


def _format(path: bytes) -> Format:
    if b"reranker" in path:
        return "rerank"
    if b"/bge" in path:
        return "embeddings"
    return next((wire for end, wire in _FORMATS.items() if path.endswith(end)), "run")


@dataclass
class Counts:
    """What the server has seen."""

    accepted: int = 0
    open: int = 0
    most_open: int = 0
    requests: int = 0


@dataclass
class _State:
    counts: Counts = field(default_factory=Counts)
    held: list[tuple[asyncio.WriteTransport, Iterator[bytes]]] = field(default_factory=list)

    async def release(self) -> None:
        """Sends the rest of all held streams, one event of each in turn."""
        while self.held:
            going, self.held = self.held, []
            for transport, events in going:
                if (part := next(events, None)) is not None:
                    transport.write(part)
                    self.held.append((transport, events))
            await asyncio.sleep(0)


class _Connection(asyncio.Protocol):
    def __init__(self, state: _State) -> None:
        self._state = state
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        counts = self._state.counts
        counts.accepted += 1
        counts.open += 1
        counts.most_open = max(counts.most_open, counts.open)

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.counts.open -= 1

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if end and len(rest) >= int(length[1] if length else 0):
            self._received = b""
            self._answer(head.split()[1], rest)

    def _answer(self, path: bytes, body: bytes) -> None:
        self._state.counts.requests += 1
        format_, numbers = _format(path), [int(each) for each in _MARKER.findall(body)]
        if not re.search(rb'"stream": ?true', body):
            whole = _body(format_, numbers)
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            self._transport.write(head % len(whole) + whole)
            return
        wire = cast("Wire", format_)
        events = [_marked(each, numbers[0]) for each in STREAMS[wire]]
        chunks = [b"%x\r\n%s\r\n" % (len(each), each) for each in events]
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        start = until_visible(wire) if HELD.encode() in body else len(chunks)
        self._transport.write(head + b"".join(chunks[:start]) + (b"0\r\n\r\n" if start == len(chunks) else b""))
        if start < len(chunks):
            self._state.held.append((self._transport, iter([*chunks[start:], b"0\r\n\r\n"])))


class Echo:
    """The server, for a test."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self.base_url = f"http://127.0.0.1:{self._read_line()}/client/v4"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # it ends with its input

    def _read_line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _ask(self, command: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._read_line()

    def counts(self) -> Counts:
        """What it has seen."""
        return Counts(**json.loads(self._ask("counts")))

    def release(self) -> None:
        """Has it send the rest of the held streams."""
        self._ask("release")


async def _serve() -> None:
    loop, state = asyncio.get_running_loop(), _State()
    server = await loop.create_server(lambda: _Connection(state), "127.0.0.1", 0, backlog=2048)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    answer = str(server.sockets[0].getsockname()[1])
    while True:
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()
        command = await commands.readline()
        if not command:
            return
        if command == b"release\n":
            await state.release()
        answer = json.dumps(asdict(state.counts))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve())
