"""Captures every request, counts those that are not answered yet, and removes credentials from what is kept."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cfaig_integrations.simulator.http.connections import connection_of
from cfaig_integrations.simulator.json_types import encode, parse_json

MASK = "***"

_ANYWHERE = "authorization|cookie|(?:api|auth|access|subscription)[-_]?key|secret|password"
_SECRET_NAME = re.compile(rf"{_ANYWHERE}|token$|credential|signature", re.IGNORECASE)
_SECRET_FIELD = re.compile(rf'("[^"\\]{{0,64}}(?:{_ANYWHERE})[^"\\]{{0,64}}"\s*:\s*)"(?:[^"\\]|\\.)*"', re.IGNORECASE)
_SHORTEST = 8


class HiddenText(str):
    """A credential that no repr of its holder shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with `***` for every credential."""
    return {name: MASK if _SECRET_NAME.search(name) else value for name, value in headers.items()}


def secrets_of(headers: Mapping[str, str]) -> list[str]:
    """The credentials that a request carries, without the word `Bearer`."""
    values = [value.rpartition(" ")[2] for name, value in headers.items() if _SECRET_NAME.search(name)]
    return [value for value in values if len(value) >= _SHORTEST]


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """A body without these credentials."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


CONTROL_PATH = "/_simulator/"
MAX_REQUESTS = 10_000
MAX_BODY = 100_000_000  # bytes; Cloudflare's limit for a request body on its smaller plans
MAX_KEPT = 200_000_000  # bytes of all captured bodies together; the oldest bodies are dropped first


@dataclass(slots=True)
class Captured:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case; the last of several equal names
    connection: int  # number of the TCP connection, counted from 1 since the start
    port: int  # the client's port
    raw: bytes = field(default=b"", repr=False)

    @property
    def body(self) -> Any:
        """The body parsed from JSON; as text if it is not JSON, and None if it is empty."""
        return _parsed(self.raw.decode("utf-8", "replace"))

    def shown(self) -> dict[str, Any]:
        """The request as a JSON object, without the credentials."""
        text = redact_text(self.raw.decode("utf-8", "replace"), secrets_of(self.headers))
        body = _parsed(text := _SECRET_FIELD.sub(rf'\1"{MASK}"', text))
        try:
            encode(body)
        except RecursionError:
            body = text
        query = {name: MASK if name.lower() == "key" else value for name, value in redact_headers(self.query).items()}
        headers, number = redact_headers(self.headers), self.connection
        start = {"method": self.method, "path": self.path, "query": query, "headers": headers}
        return {**start, "connection": number, "port": self.port, "body": body}


def _parsed(text: str) -> Any:
    try:
        return parse_json(text) if text else None
    except ValueError:
        return text


async def read_body(request: Request) -> bytes | None:
    """The body of a request; None if it is larger than `MAX_BODY`, the rest of which is read and dropped."""
    body = bytearray()
    async for chunk in request.stream():
        if len(body) <= MAX_BODY:
            body += chunk
    return bytes(body) if len(body) <= MAX_BODY else None


class Recorder:
    """ASGI middleware that captures requests and counts unfinished responses.

    Those of the page and of `/_simulator/` are left out.
    """

    def __init__(self, keep: int = MAX_REQUESTS) -> None:
        self._lock = threading.Lock()
        self._captured: deque[Captured] = deque(maxlen=keep)
        self._in_flight = 0
        self._with_body: deque[Captured] = deque()
        self._kept = 0

    @property
    def requests(self) -> list[Captured]:
        """A copy of what was captured, oldest first."""
        with self._lock:
            return list(self._captured)

    @property
    def in_flight(self) -> int:
        """Requests whose response is not finished."""
        with self._lock:
            return self._in_flight

    def clear(self) -> None:
        """Remove the captured requests."""
        with self._lock:
            self._captured.clear()
            self._with_body.clear()
            self._kept = 0

    def _keep_body(self, captured: Captured, body: bytes) -> None:
        with self._lock:
            captured.raw = body
            self._with_body.append(captured)
            self._kept += len(body)
            while (self._kept > MAX_KEPT and len(self._with_body) > 1) or len(self._with_body) > (
                self._captured.maxlen or 0
            ):
                oldest = self._with_body.popleft()
                self._kept -= len(oldest.raw)
                oldest.raw = b""

    def around(self, app: ASGIApp) -> ASGIApp:
        """Wrap an application."""

        async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] == "/" or scope["path"].startswith(CONTROL_PATH):
                await app(scope, receive, send)
                return
            await self._record(app, scope, receive, send)

        return recorded

    async def _record(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        captured, body = _capture(scope), bytearray()
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
            body.extend(message.get("body", b"")[: MAX_BODY - len(body)])
            if not message.get("more_body", False):
                self._keep_body(captured, bytes(body))
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
