"""TCP connections: counted, and closed on purpose."""

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
        """Start without connections."""
        self._open: set[LiveProtocol] = set()
        self._lock = threading.Lock()
        self.total = 0

    def __len__(self) -> int:
        """Number of connections open now."""
        with self._lock:
            return len(self._open)

    def opened(self, connection: LiveProtocol) -> int:
        """Add a new connection and return its number, counted from 1."""
        with self._lock:
            self._open.add(connection)
            self.total += 1
            return self.total

    def closed(self, connection: LiveProtocol) -> None:
        """Remove a closed connection."""
        with self._lock:
            self._open.discard(connection)

    def abort_all(self) -> None:
        """Abort every connection; must be called in the server's loop."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            connection.transport.abort()


class LiveProtocol(H11Protocol):
    """Uvicorn's h11 protocol, accessible from the scope of its requests."""

    def __init__(self, registry: Connections, *, app_state: dict[str, Any], **server: Any) -> None:
        """Store itself in the state of every request's scope."""
        super().__init__(app_state={**app_state, _STATE_KEY: self}, **server)
        self._registry = registry
        self.number = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Register the connection."""
        super().connection_made(transport)
        self.number = self._registry.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Unregister the connection."""
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
