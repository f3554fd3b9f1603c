"""TCP connections as the simulator needs them: counted, and dropped on purpose.

Knows no request and no answer.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

_STATE_KEY = "simulator.connection"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Connections:
    """The open connections of one server."""

    def __init__(self) -> None:
        """Start with none."""
        self._open: set[LiveProtocol] = set()
        self._lock = threading.Lock()
        self.total = 0

    def __len__(self) -> int:
        """Number of connections open now."""
        with self._lock:
            return len(self._open)

    def opened(self, connection: LiveProtocol) -> int:
        """Take note of a new connection and return its number, counted from 1."""
        with self._lock:
            self._open.add(connection)
            self.total += 1
            return self.total

    def closed(self, connection: LiveProtocol) -> None:
        """Take note that a connection is gone."""
        with self._lock:
            self._open.discard(connection)

    def abort_all(self) -> None:
        """Drop every connection; to be called in the server's loop."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            connection.transport.abort()


class LiveProtocol(H11Protocol):
    """Uvicorn's h11 protocol, reachable from the requests that it carries."""

    def __init__(self, registry: Connections, *, app_state: dict[str, Any], **server: Any) -> None:
        """Put itself into the state that every request's scope is given."""
        super().__init__(app_state={**app_state, _STATE_KEY: self}, **server)
        self._registry = registry
        self.number = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection in."""
        super().connection_made(transport)
        self.number = self._registry.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection out."""
        self._registry.closed(self)
        super().connection_lost(exc)

    def reset(self) -> None:
        """Drop the connection with a TCP reset instead of an orderly end."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()


def protocol_for(registry: Connections) -> type[asyncio.Protocol]:
    """The protocol class for one server; Uvicorn gives a class no way to be handed a registry."""

    class Protocol(LiveProtocol):
        def __init__(self, **server: Any) -> None:
            super().__init__(registry, **server)

    return Protocol


def connection_of(scope: Scope) -> LiveProtocol:
    """The connection that a request came in on."""
    return cast("LiveProtocol", scope["state"][_STATE_KEY])
