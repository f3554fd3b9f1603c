"""Headers and body of a response: limits of size and time, decompression, and the reuse of its connection."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import Any

import httpx

from cfaig_integrations.client.transport_errors import idle_timeout, slow_body_timeout
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.gateway.actions import HttpRequest

MAX_BYTES = 200 * 1024 * 1024
"""Size of a whole body, decompressed: more than 2,048 vectors of 4,096 numbers in JSON."""
MAX_ERROR_BYTES = 1024 * 1024
"""Size of the body of an error; the rest is not read."""
MAX_TIMEOUTS = 3.0
"""Duration of a whole body, in multiples of the timeout between two pieces of it."""
DRAIN_SECONDS = 0.25
"""Seconds for the last HTTP chunk after a stream's end marker; it comes at once, or the connection is closed."""
_PIECE = 1024 * 1024
_NEXT_CHUNK = re.compile(rb"\r\n([0-9A-Fa-f]{1,8})\r\n")
"""What is between two chunks: the end of one, and the size of the next."""
_GZIP = 0x1F
"""First byte of each member of a gzip file."""


class IdleTimer:
    """The time limit of a read; the reads just before it that brought nothing of the reply count towards it."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self._since = 0.0

    def seconds_left(self, *, idle: bool) -> float | None:
        """Seconds left for the next read; None: the transport's own timeout applies.

        Args:
            idle: Whether the last read brought nothing of the reply.

        Raises:
            TimeoutFault: No time is left.
        """
        now, limit = time.monotonic(), self.request.timeouts.read
        if not idle:
            self._since = now
        if not idle or limit is None:
            return None
        left = limit - (now - self._since)
        if left <= 0:
            raise idle_timeout(self.request)
        return left


class WholeBody:
    """Collects a body of limited size and duration.

    Args:
        request: The request, for its timeouts.
        is_error: Whether it is the body of an error.

    Attributes:
        idle: Whether the last piece was blank, as servers send while they work (facts §14.2).
    """

    def __init__(self, request: HttpRequest, *, is_error: bool) -> None:
        limit = request.timeouts.read
        self._request = request
        self._left = MAX_ERROR_BYTES if is_error else MAX_BYTES
        self._body = BytesIO()  # gives its content without a copy
        self._until = None if limit is None else time.monotonic() + MAX_TIMEOUTS * limit
        self.idle = False

    def add(self, part: bytes) -> None:
        """Adds a piece.

        Raises:
            ProtocolError: The body is too large.
            TimeoutFault: It takes too long.
        """
        self._left -= len(part)
        if self._left < 0:
            raise ProtocolError("The response is larger than the limit of 200 MB, decompressed.")
        self._body.write(part)
        self.idle = not part or part.isspace()
        if self._until is not None and time.monotonic() > self._until:
            raise slow_body_timeout(self._request, MAX_TIMEOUTS)

    def bytes(self) -> bytes:
        """The body so far."""
        return self._body.getvalue()


class Inflater:
    """Decompresses gzip and deflate in pieces of bounded size: a megabyte can decompress to a gigabyte.

    Args:
        encoding: Value of the `content-encoding` header.
    """

    def __init__(self, encoding: str = "gzip") -> None:
        self._deflate = encoding == "deflate"
        self._zlib: Any = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decompresses `data`.

        Raises:
            ProtocolError: It is not compressed as the headers say.
        """
        while data:
            if self._zlib is None or self._zlib.eof:
                if self._zlib is not None and data[0] != _GZIP:
                    return  # trailing bytes
                # With a zlib or a gzip header; deflate often comes without either.
                raw = self._deflate and data[0] & 15 != zlib.DEFLATED and data[0] != _GZIP
                self._zlib = zlib.decompressobj(-zlib.MAX_WBITS if raw else zlib.MAX_WBITS | 32)
            try:
                yield self._zlib.decompress(data, _PIECE)
            except zlib.error as error:
                raise ProtocolError(f"The response cannot be decompressed ({error}).") from None
            data = self._zlib.unconsumed_tail or self._zlib.unused_data


def already_read(response: httpx.Response) -> bytes | None:
    """The body, decompressed, if a hook of the user's client has read it, so that no more of it comes."""
    if not (response.is_stream_consumed or response.is_closed):
        return None
    if not response.is_success and not hasattr(response, "_content"):
        return b""  # closed by the client after a hook raised for the status, which is enough
    return response.content


@contextmanager
def time_limit(response: httpx.Response | None, seconds: float) -> Generator[bool]:
    """Limits the total duration of the reads of a synchronous response; httpcore only limits each of them.

    Yields:
        Whether the limit holds: the connection is httpcore's, and no other response shares it.
    """
    extensions = {} if response is None else response.extensions
    network: Any = extensions.get("network_stream")
    if network is None or extensions.get("http_version") == b"HTTP/2":
        yield False
        return
    read, until = network.read, time.monotonic() + seconds

    def read_in_time(max_bytes: int, timeout: float | None = None) -> bytes:
        left = max(until - time.monotonic(), 0.001)
        data: bytes = read(max_bytes, timeout=left if timeout is None else min(left, timeout))
        return data

    network.read = read_in_time
    try:
        yield True
    finally:
        with suppress(AttributeError):
            del network.read


def discard_connection_if_bytes_are_left(response: httpx.Response) -> None:
    """Prevents the reuse of a connection on which bytes follow the response.

    httpcore keeps them, and would read them as the response to the next request.
    """
    state = _h11_state(response)
    if state is not None and state.trailing_data[0]:
        state.send_failed()


def join_chunks(response: httpx.Response) -> None:
    """Makes a response return HTTP chunks that have arrived together as one.

    A server sends each event as a chunk of its own, and h11, httpcore and httpx take longer to pass one on than it
    takes to decode the event. h11's reader is private: where it is not found, nothing changes.
    """
    state = _h11_state(response)
    reader = getattr(state, "_reader", None)
    if type(reader).__name__ == "ChunkedReader":
        state._reader = _JoiningReader(reader)


class _JoiningReader:
    """h11's reader, followed by the whole chunks that are in the buffer behind the one that it returned."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.read_eof = reader.read_eof

    def __call__(self, buffer: Any) -> Any:
        event = self._reader(buffer)
        if not buffer or not getattr(event, "chunk_end", False):
            return event
        data, end, pieces = bytes(buffer), 0, [event.data]
        while size := _NEXT_CHUNK.match(data, end):
            start, stop = size.end(), size.end() + int(size[1], 16)
            if start == stop or data[stop : stop + 2] != b"\r\n":
                break  # the last chunk, or one that is not complete or not valid, is left to h11
            pieces.append(data[start:stop])
            end = stop  # h11 expects the line break after a chunk
        if end:
            buffer.maybe_extract_at_most(end)
            event = type(event)(data=b"".join(pieces), chunk_end=True)
        return event


def _h11_state(response: httpx.Response) -> Any:
    """The h11 connection of a response. httpcore's is private, so it is searched for; None where it is not found."""
    layer: Any = response.stream
    for _ in range(8):
        state: Any = getattr(layer, "_h11_state", None)
        if state is not None:
            return state
        names = ("_httpcore_stream", "_connection", "_stream", "_inner")
        layer = next((inner for name in names if (inner := getattr(layer, name, None)) is not None), None)
        if layer is None:
            break
    return None


def lower_case(response: httpx.Response) -> Mapping[str, str]:
    """A response's headers with lower-case names; the last value of a repeated one."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
