"""Sends one HTTP request over the shared connection pools or over a user's own client.

The responses are open: whoever sends the request closes them.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol, TypeAlias, runtime_checkable

import httpx

from cfaig_integrations.client import pool
from cfaig_integrations.client.transport_errors import errors_of, response_of
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.actions import HttpRequest


@runtime_checkable
class ClientLike(Protocol):
    """The methods that `httpx.Client`, `httpx.AsyncClient` and those of httpx2 share."""

    def build_request(
        self, method: str, url: str, *, headers: list[tuple[bytes, bytes]], content: bytes, timeout: tuple[Any, ...]
    ) -> Any:
        """A request with the client's own headers and cookies below ours."""
        ...

    def send(self, request: Any, *, stream: bool, follow_redirects: bool) -> Any:
        """Sends the request, and returns an open response."""
        ...


class Pooled:
    """Sends over the pool that threads share."""

    errors = (Exception,)  # no user's code runs here

    def open(self, request: HttpRequest) -> httpx.Response:
        """An open response."""
        over = pool.shared(secure=request.url.startswith("https"))
        built = _build(request)
        return over.send(built, stream=True) if isinstance(over, httpx.Client) else over.handle_request(built)


class AsyncPooled:
    """Sends over the pools of the running event loop."""

    errors = (Exception,)

    async def open(self, request: HttpRequest) -> httpx.Response:
        """An open response."""
        over = await pool.loop_pool(secure=request.url.startswith("https"))
        built = _build(request)
        if isinstance(over, httpx.AsyncClient):
            return await over.send(built, stream=True)
        return await over.handle_async_request(built)


class UserClient:
    """Sends over a user's client, which is never closed here."""

    def __init__(self, client: object) -> None:
        self._client = _require_client(client, "http_client", is_async=False)
        self.errors = errors_of(client)

    def open(self, request: HttpRequest) -> httpx.Response:
        """An open response."""
        built = _build_with(self._client, request)
        try:
            response: httpx.Response = self._client.send(built, stream=True, follow_redirects=False)
        except self.errors as error:
            response = response_of(error)
        return response


class AsyncUserClient:
    """Sends over a user's asynchronous client, which is never closed here."""

    def __init__(self, client: object) -> None:
        self._client = _require_client(client, "http_async_client", is_async=True)
        self.errors = errors_of(client)

    async def open(self, request: HttpRequest) -> httpx.Response:
        """An open response."""
        built = _build_with(self._client, request)
        try:
            response: httpx.Response = await self._client.send(built, stream=True, follow_redirects=False)
        except self.errors as error:
            response = response_of(error)
        return response


Sender: TypeAlias = Pooled | UserClient
AsyncSender: TypeAlias = AsyncPooled | AsyncUserClient


def _require_client(client: object, parameter: str, *, is_async: bool) -> ClientLike:
    if isinstance(client, ClientLike) and inspect.iscoroutinefunction(client.send) is is_async:
        return client
    raise ConfigError(
        f"{parameter} is a {type(client).__name__}.",
        field=parameter,
        remedy=f"Use an {'httpx.AsyncClient' if is_async else 'httpx.Client'}, or one of httpx2.",
    )


def _build_with(client: ClientLike, request: HttpRequest) -> object:
    _parsed(request.url)
    limits = request.timeouts
    timeout = (limits.connect, limits.read, limits.read, limits.read)
    return client.build_request(
        request.method, request.url, headers=request.headers, content=request.body, timeout=timeout
    )


def _build(request: HttpRequest) -> httpx.Request:
    """The request with all its headers: httpx adds none to a request with a stream, and does not build them again."""
    url, host = _parsed(request.url)
    limits = request.timeouts
    timeout = {"connect": limits.connect, "read": limits.read, "write": limits.read, "pool": limits.read}
    return httpx.Request(
        request.method,
        url,
        # In no local variable, which error reporters show: it contains the token.
        headers=[
            (b"Host", host),
            *request.headers,
            *([(b"Content-Length", b"%d" % len(request.body))] if request.body else ()),
        ],
        stream=httpx.ByteStream(request.body),
        extensions={"timeout": timeout},
    )


@lru_cache(maxsize=256)
def _parsed(url: str) -> tuple[httpx.URL, bytes]:
    """The URL, and the value of its `Host` header."""
    try:
        parsed = httpx.URL(url)
        parsed.host.encode("idna")
        if not 0 <= (parsed.port or 0) <= 65535:
            raise ValueError(f"port {parsed.port} is out of range")
    except (httpx.InvalidURL, ValueError) as error:  # the socket would raise exceptions of its own
        raise ConfigError(
            f"{url} is not a valid URL: {error}.", field="base_url", value=url, remedy="Correct base_url."
        ) from error
    return parsed, parsed.netloc


def lower_case(response: httpx.Response) -> Mapping[str, str]:
    """A response's headers with lower-case names; the last value of a repeated one."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
