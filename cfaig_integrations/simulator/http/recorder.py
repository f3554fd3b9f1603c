"""What came in: every request word for word, and how many are not answered yet.

Knows no meaning of any of it.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cfaig_integrations.simulator.http.connections import connection_of

CONTROL_PATH = "/_simulator/"
KEPT = 10_000


@dataclass(slots=True)
class Captured:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case; the last of several equal names."""
    connection: int
    """Number of the TCP connection, counted from 1 since the start."""
    port: int
    """The client's port."""
    raw: bytes = field(default=b"", repr=False)

    @property
    def body(self) -> Any:
        """The body parsed from JSON; as text if it is none, and None if there was none."""
        if not self.raw:
            return None
        try:
            return json.loads(self.raw)
        except ValueError:
            return self.raw.decode("utf-8", "replace")

    def shown(self) -> dict[str, Any]:
        """The request as JSON can carry it, without the credentials."""
        shown = asdict(self)
        del shown["raw"]
        hidden = {"authorization", "cf-aig-authorization", "x-api-key"}
        shown["headers"] = {name: "***" if name in hidden else value for name, value in self.headers.items()}
        return {**shown, "body": self.body}


class Recorder:
    """ASGI middleware that keeps requests and counts unfinished answers; `/_simulator/` is left out of both."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._lock = threading.Lock()
        self._captured: deque[Captured] = deque(maxlen=KEPT)
        self._in_flight = 0

    @property
    def requests(self) -> list[Captured]:
        """A copy of what was captured, oldest first; the last 10,000 are kept."""
        with self._lock:
            return list(self._captured)

    @property
    def in_flight(self) -> int:
        """Requests whose answer is not finished."""
        with self._lock:
            return self._in_flight

    def clear(self) -> None:
        """Forget the captured requests."""
        with self._lock:
            self._captured.clear()

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application with the recorder in front of it."""

        async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"].startswith(CONTROL_PATH):
                await app(scope, receive, send)
                return
            await self._record(app, scope, receive, send)

        return recorded

    async def _record(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        captured = _capture(scope)
        with self._lock:
            self._captured.append(captured)
            self._in_flight += 1
        finished = False

        def finish() -> None:
            nonlocal finished
            with self._lock:
                self._in_flight -= not finished
            finished = True

        async def receiving() -> Message:
            message = await receive()
            captured.raw += message.get("body", b"")
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                finish()
            await send(message)

        try:
            await app(scope, receiving, sending)
        finally:
            finish()


def _capture(scope: Scope) -> Captured:
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return Captured(
        method=scope["method"],
        path=scope["path"],
        query={name: values[-1] for name, values in query.items()},
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        connection=connection_of(scope).number,
        port=scope["client"][1],
    )
