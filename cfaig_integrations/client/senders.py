"""One HTTP request over whatever there is to send it with: this package's pools, or a client that the user gave.

Gives out responses that are not read yet; who asks closes them.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import httpx

from cfaig_integrations.client import pool
from cfaig_integrations.client.transport_errors import errors_of, judged
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.actions import HttpRequest


@runtime_checkable
class ClientLike(Protocol):
    """What `httpx.Client`, `httpx.AsyncClient` and their httpx2 namesakes have in common."""

    def build_request(
        self, method: str, url: str, *, headers: list[tuple[bytes, bytes]], content: bytes, timeout: tuple[Any, ...]
    ) -> Any:
        """A request with the client's own headers and cookies under ours."""
        ...

    def send(self, request: Any, *, stream: bool, follow_redirects: bool) -> Any:
        """Sends it; the response is not read yet."""
        ...


class Sender(Protocol):
    """Sends for one thread."""

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        """What it raises."""
        ...

    def open(self, call: HttpRequest) -> httpx.Response:
        """The response, not read yet."""
        ...


class AsyncSender(Protocol):
    """Sends for one event loop."""

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        """What it raises."""
        ...

    async def open(self, call: HttpRequest) -> httpx.Response:
        """The response, not read yet."""
        ...


class Pooled:
    """Sends over the pool that threads share."""

    faults = (Exception,)  # no code of the user's runs in there

    def open(self, call: HttpRequest) -> httpx.Response:
        """The response, not read yet."""
        over = pool.shared(secure=call.url.startswith("https"))
        request = _request(call)
        return over.send(request, stream=True) if isinstance(over, httpx.Client) else over.handle_request(request)


class AsyncPooled:
    """Sends over the running event loop's pools."""

    faults = (Exception,)

    async def open(self, call: HttpRequest) -> httpx.Response:
        """The response, not read yet."""
        over = await pool.loop_pool(secure=call.url.startswith("https"))
        request = _request(call)
        if isinstance(over, httpx.AsyncClient):
            return await over.send(request, stream=True)
        return await over.handle_async_request(request)


class UserClient:
    """Sends over a user's client, which is never closed here."""

    def __init__(self, client: object) -> None:
        self._client = _checked(client, "http_client", is_async=False)
        self.faults = errors_of(client)

    def open(self, call: HttpRequest) -> httpx.Response:
        """The response, not read yet."""
        try:
            response: httpx.Response = self._client.send(
                _built(self._client, call), stream=True, follow_redirects=False
            )
        except self.faults as error:
            response = judged(error)
        return response


class AsyncUserClient:
    """Sends over a user's asynchronous client, which is never closed here."""

    def __init__(self, client: object) -> None:
        self._client = _checked(client, "http_async_client", is_async=True)
        self.faults = errors_of(client)

    async def open(self, call: HttpRequest) -> httpx.Response:
        """The response, not read yet."""
        try:
            response: httpx.Response = await self._client.send(
                _built(self._client, call), stream=True, follow_redirects=False
            )
        except self.faults as error:
            response = judged(error)
        return response


def _checked(client: object, word: str, *, is_async: bool) -> ClientLike:
    if isinstance(client, ClientLike) and inspect.iscoroutinefunction(client.send) is is_async:
        return client
    raise ConfigError(
        f"{word} is a {type(client).__name__}.",
        field=word,
        remedy=f"Give an {'httpx.AsyncClient' if is_async else 'httpx.Client'}, or one of httpx2.",
    )


def _built(client: ClientLike, call: HttpRequest) -> object:
    _target(call.url)
    limits = call.timeouts
    timeout = (limits.connect, limits.read, limits.read, limits.read)
    return client.build_request(call.method, call.url, headers=call.headers, content=call.body, timeout=timeout)


@lru_cache(maxsize=256)
def _target(url: str) -> tuple[httpx.URL, bytes]:
    try:
        target = httpx.URL(url)
        target.host.encode("idna")
        if not 0 <= (target.port or 0) <= 65535:
            raise ValueError(f"port {target.port} is out of range")
    except (httpx.InvalidURL, ValueError) as error:  # found out by the socket otherwise, in exceptions of its own
        raise ConfigError(
            f"{url} is not a valid address: {error}.", field="base_url", value=url, remedy="Correct base_url."
        ) from error
    return target, target.netloc


def _request(call: HttpRequest) -> httpx.Request:
    """The request with all its headers: given a stream, httpx adds none, and need not build them twice."""
    url, host = _target(call.url)
    limits = call.timeouts
    timeout = {"connect": limits.connect, "read": limits.read, "write": limits.read, "pool": limits.read}
    return httpx.Request(
        call.method,
        url,
        # Never a variable of its own: tools that report errors show those, and this holds the token.
        headers=[
            (b"Host", host),
            *call.headers,
            *([(b"Content-Length", b"%d" % len(call.body))] if call.body else ()),
        ],
        stream=httpx.ByteStream(call.body),
        extensions={"timeout": timeout},
    )


def lower_case(response: httpx.Response) -> Mapping[str, str]:
    """A response's headers with lower-case names; of a repeated one the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
