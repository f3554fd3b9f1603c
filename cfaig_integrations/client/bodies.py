"""The body of a response: its limits, its decompression in small pieces, and whether its connection is still of use."""

from __future__ import annotations

import time
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx

from cfaig_integrations.client.transport_errors import slow_body_timeout
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.gateway.actions import HttpRequest

MOST_BYTES = 200 * 1024 * 1024
"""Of a whole answer, decompressed: more than 2,048 vectors of 4,096 numbers in JSON."""
MOST_ERROR_BYTES = 1024 * 1024
"""Of an error's body; what follows is not read."""
MOST_TIMEOUTS = 3.0
"""How long a whole body may take, in multiples of the timeout that holds between two pieces of it."""
AFTER_THE_END = 0.25
"""Seconds for the last chunk of HTTP to follow a stream's end marker; it comes at once, or the connection is closed."""
_PIECE = 1024 * 1024
_GZIP = 0x1F
"""The first byte of each part of what gzip makes."""


class Whole:
    """Collects a body that ends, and not too late.

    Args:
        call: What is answered.
        most: Most bytes.

    Attributes:
        idle: Whether the last piece was blank, as servers send while they work (facts §14.2).
    """

    __slots__ = ("_call", "_left", "_parts", "_until", "idle")

    def __init__(self, call: HttpRequest, most: int) -> None:
        limit = call.timeouts.read
        self._call = call
        self._left = most
        self._parts: list[bytes] = []
        self._until = None if limit is None else time.monotonic() + MOST_TIMEOUTS * limit
        self.idle = False

    def add(self, part: bytes) -> None:
        """One more piece.

        Raises:
            ProtocolError: The body is too large.
            TimeoutFault: It takes too long.
        """
        self._left -= len(part)
        if self._left < 0:
            raise ProtocolError("The answer is larger than this package reads (200 MB, decompressed).")
        self._parts.append(part)
        self.idle = not part or part.isspace()
        if self._until is not None and time.monotonic() > self._until:
            raise slow_body_timeout(self._call, MOST_TIMEOUTS)

    def bytes(self) -> bytes:
        """All of it."""
        return b"".join(self._parts)


class Inflater:
    """Decompresses gzip and deflate in pieces of bounded size: a megabyte can hold a gigabyte.

    Args:
        encoding: What the server calls it.
    """

    __slots__ = ("_bare", "_zlib")

    def __init__(self, encoding: str = "gzip") -> None:
        self._bare = encoding == "deflate"
        self._zlib: Any = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` decompresses to.

        Raises:
            ProtocolError: It is not compressed as the headers say.
        """
        while data:
            if self._zlib is None or self._zlib.eof:
                if self._zlib is not None and data[0] != _GZIP:
                    return  # bytes that are no further part of it
                # Either header; deflate often comes without any.
                bare = self._bare and data[0] & 15 != zlib.DEFLATED and data[0] != _GZIP
                self._zlib = zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32)
            try:
                yield self._zlib.decompress(data, _PIECE)
            except zlib.error as error:
                raise ProtocolError(f"The answer cannot be decompressed ({error}).") from None
            data = self._zlib.unconsumed_tail or self._zlib.unused_data


def already_read(response: httpx.Response) -> bytes | None:
    """The body, decompressed, if a hook of the user's client has read it; nothing more comes over the network then."""
    if not (response.is_stream_consumed or response.is_closed):
        return None
    if not response.is_success and not hasattr(response, "_content"):
        return b""  # a hook that raised for the status, upon which the client closed it; the status says enough
    return response.content


@contextmanager
def within(response: httpx.Response | None, seconds: float) -> Generator[bool]:
    """Lets reads of a synchronous response take so long in total; httpcore knows only a limit for each.

    Gives:
        Whether that could be done: the connection is httpcore's, and no other response is read over it.
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


def close_if_bytes_are_left(response: httpx.Response) -> None:
    """Sees to it that a connection is not used again if bytes were left over after the answer.

    httpcore keeps what it read beyond the end of a body, and would read it as the answer to the next request. Its h11
    state is not public, so it is looked for; without it, nothing is changed.
    """
    layer: Any = response.stream
    for _ in range(8):
        state: Any = getattr(layer, "_h11_state", None)
        if state is not None:
            if state.trailing_data[0]:
                state.send_failed()
            return
        for name in ("_httpcore_stream", "_connection", "_stream", "_inner"):
            inner: Any = getattr(layer, name, None)
            if inner is not None:
                layer = inner
                break
        else:
            return
