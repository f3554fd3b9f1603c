"""Sends HTTP requests over a user's own client, of httpx or httpx2."""

from __future__ import annotations

import inspect
from typing import Any, Protocol, runtime_checkable

import httpx

from cfaig_integrations.client.pool import parsed_url
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

    def send(self, request: Any, *, stream: bool, follow_redirects: bool, **auth: None) -> Any:
        """Sends the request, and returns an open response."""
        ...


class UserClient:
    """Sends over a user's client, which is never closed here."""

    def __init__(self, client: object) -> None:
        self._client = _require_client(client, "http_client", is_async=False)
        self.errors = errors_of(client)

    def open(self, request: HttpRequest) -> httpx.Response:
        """An open response."""
        built = _build(self._client, request)
        try:
            response: httpx.Response = self._client.send(built, stream=True, follow_redirects=False, **_auth(request))
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
        built = _build(self._client, request)
        try:
            response: httpx.Response = await self._client.send(
                built, stream=True, follow_redirects=False, **_auth(request)
            )
        except self.errors as error:
            response = response_of(error)
        return response


def _require_client(client: object, parameter: str, *, is_async: bool) -> ClientLike:
    if isinstance(client, ClientLike) and inspect.iscoroutinefunction(client.send) is is_async:
        return client
    raise ConfigError(
        f"{parameter} is a {type(client).__name__}.",
        field=parameter,
        remedy=f"Use an {'httpx.AsyncClient' if is_async else 'httpx.Client'}, or one of httpx2.",
    )


def _auth(request: HttpRequest) -> dict[str, None]:
    """The argument that disables the client's own authentication, for a request to another host."""
    return {"auth": None} if request.anonymous else {}


def _build(client: ClientLike, request: HttpRequest) -> object:
    parsed_url(request.url)
    limits = request.timeouts
    timeout = (limits.connect, limits.read, limits.read, limits.read)
    built = client.build_request(
        request.method, request.url, headers=request.headers, content=request.body, timeout=timeout
    )
    if request.anonymous:
        for name in [name for name in built.headers if name.lower() != "host"]:
            del built.headers[name]
    return built
