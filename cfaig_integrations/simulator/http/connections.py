"""TCP connections: counted, and closed on purpose."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, cast

import h11
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

_STATE_KEY = "simulator.connection"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

HEAD_SECONDS = 30.0  # longest time from the first byte of a request to the end of its headers
SILENT_SECONDS = 60.0
"""Longest silence of a client that the server waits for: before its first request, or within a request's body."""
_CHECK_EVERY = 1.0


class Connections:
    """The open connections of one server; all but the numbers must be used in the server's loop."""

    def __init__(self) -> None:
        self._open: set[LiveProtocol] = set()
        self.total = 0

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, connection: LiveProtocol) -> int:
        """Add a new connection and return its number, counted from 1."""
        self._open.add(connection)
        self.total += 1
        return self.total

    def closed(self, connection: LiveProtocol) -> None:
        """Remove a closed connection."""
        self._open.discard(connection)

    def abort_all(self) -> None:
        """Abort every connection."""
        for connection in list(self._open):
            connection.transport.abort()


class LiveProtocol(H11Protocol):
    """Uvicorn's h11 protocol, accessible from the scope of its requests."""

    def __init__(self, registry: Connections, *, app_state: dict[str, Any], **server: Any) -> None:
        super().__init__(app_state={**app_state, _STATE_KEY: self}, **server)
        self._registry = registry
        self.number = 0
        self._last_data_at = self.loop.time()
        self._head_began: float | None = None
        self._has_request = False
        self._check: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Register the connection."""
        super().connection_made(transport)
        self.number = self._registry.opened(self)
        self._check_later()

    def data_received(self, data: bytes) -> None:
        """Read what the client sent."""
        self._last_data_at = self.loop.time()
        super().data_received(data)
        self._has_request = self._has_request or self.conn.their_state is not h11.IDLE
        if self.conn.their_state is not h11.IDLE or not self.conn.trailing_data[0]:
            self._head_began = None
        elif self._head_began is None:
            self._head_began = self._last_data_at

    def _check_later(self) -> None:
        self._check = self.loop.call_later(min(_CHECK_EVERY, HEAD_SECONDS, SILENT_SECONDS), self._close_if_late)

    def _close_if_late(self) -> None:
        """Close a connection whose client sends nothing, or headers that do not end.

        Uvicorn's own timeout covers only the time between two requests.
        """
        now, state = self.loop.time(), self.conn.their_state
        endless_head = self._head_began is not None and now - self._head_began > HEAD_SECONDS
        expected = state is h11.SEND_BODY or (state is h11.IDLE and not self._has_request)
        if endless_head or (expected and now - self._last_data_at > SILENT_SECONDS):
            self.transport.abort()
        else:
            self._check_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Unregister the connection."""
        if self._check is not None:
            self._check.cancel()
        self._registry.closed(self)
        super().connection_lost(exc)

    def reset(self) -> None:
        """Close the connection with a TCP reset."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()


def protocol_for(registry: Connections) -> type[asyncio.Protocol]:
    """The protocol class for one server; Uvicorn instantiates it without further arguments."""

    class Protocol(LiveProtocol):
        def __init__(self, **server: Any) -> None:
            super().__init__(registry, **server)

    return Protocol


def connection_of(scope: Scope) -> LiveProtocol:
    """The connection of a request."""
    return cast("LiveProtocol", scope["state"][_STATE_KEY])
