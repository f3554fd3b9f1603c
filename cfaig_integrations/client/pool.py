"""Connection pools, created on first use, shared by all model objects and closed at exit; sends requests over them.

One pool for all threads, one set of pools for each running event loop, and one TLS context for the process.

Requests go directly to httpx's transports, at two thirds of the cost of its client, whose cookies, redirects and
authentication flows are not needed here. If the environment configures proxies, an httpx client selects among them.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import ssl
import threading
import warnings
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, lru_cache
from urllib.request import getproxies
from weakref import WeakKeyDictionary

import httpx

from cfaig_integrations.client.transport_errors import transport_error
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.actions import HttpRequest

MAX_CONNECTIONS = 1000
MAX_KEEP_ALIVE = 100
KEEP_ALIVE_SECONDS = 60.0
SHARDS = 16
"""Pools behind one async transport. httpcore 1.0 iterates over all connections of a pool for every request that starts
or ends, and polls the idle ones: with 16 small pools, 200 concurrent calls cost 0.4 of what they cost with one."""


def _limits(parts: int = 1) -> httpx.Limits:
    return httpx.Limits(
        max_connections=-(-MAX_CONNECTIONS // parts),
        max_keepalive_connections=-(-MAX_KEEP_ALIVE // parts),
        keepalive_expiry=KEEP_ALIVE_SECONDS,
    )


@cache
def tls() -> ssl.SSLContext:
    """Httpx's TLS context with certificates, created once for the process.

    Raises:
        ConfigError: The environment names certificates that cannot be read.
    """
    # httpx uses the first variable that is set, and ignores a directory that does not exist; before 0.28 a file too.
    name = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), "")
    try:
        exists = os.path.isdir if name == "SSL_CERT_DIR" else os.path.exists
        if name and not exists(os.environ[name]):
            raise FileNotFoundError("no such file or directory")
        return httpx.create_ssl_context()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The certificates of {name or 'this system'} cannot be read ({error}).",
            field=name,
            value=os.environ.get(name),
            remedy="Correct or unset that environment variable.",
        ) from error


@cache
def _no_certificates() -> ssl.SSLContext:
    # For plain http: loading the certificates takes 20 ms.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _context(secure: bool) -> ssl.SSLContext:
    return tls() if secure else _no_certificates()


_PROXIES = ("http", "https", "all")


def _proxied() -> bool:
    return any(getproxies().get(name) for name in _PROXIES)


@contextmanager
def _usable_proxies() -> Generator[None]:
    """Names the environment variable of a proxy that httpx cannot use.

    Raises:
        ConfigError: There is one.
    """
    try:
        yield
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        name = next((name for name in os.environ if _names_unusable_proxy(name)), "proxy settings")
        raise ConfigError(
            f"The proxy of {name} in the environment cannot be used ({type(error).__name__}).",
            field=name,
            remedy="Use an http:// or https:// proxy (socks5:// needs httpx[socks]), unset it, or pass http_client.",
        ) from None  # its text may contain the proxy's password


def _names_unusable_proxy(name: str) -> bool:
    kind, _, rest = name.lower().partition("_")
    url = os.environ[name]
    if rest != "proxy" or kind not in _PROXIES or not url:
        return False
    try:
        httpx.HTTPTransport(proxy=url if "://" in url else f"http://{url}", verify=_no_certificates()).close()
    except (ImportError, ValueError, httpx.InvalidURL):
        return True
    return False


class _Body(httpx.AsyncByteStream):
    """The body of a response, which reduces the load of its pool when it is closed."""

    def __init__(self, inner: httpx.AsyncByteStream, load: list[int], place: int) -> None:
        self._inner = inner
        self._load = load
        self._place = place
        self._open = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._inner.__aiter__()

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            if self._open:
                self._open = False
                self._load[self._place] -= 1


class Shards(httpx.AsyncBaseTransport):
    """Several small pools behind one transport; each request goes to the least loaded."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._pools = [httpx.AsyncHTTPTransport(verify=context, limits=_limits(SHARDS)) for _ in range(SHARDS)]
        self._load = [0] * SHARDS

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends over the pool with the fewest open responses."""
        load = self._load
        place = load.index(min(load))
        load[place] += 1
        try:
            response = await self._pools[place].handle_async_request(request)
        except BaseException:
            load[place] -= 1
            raise
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Body(response.stream, load, place)
        return response

    async def aclose(self) -> None:
        """Closes all connections."""
        for pool in self._pools:
            await pool.aclose()


@dataclass(slots=True)
class _LoopPools:
    """The pools of one event loop.

    Attributes:
        closer: Asynchronous generator that closes the pools when the loop ends.
    """

    pools: dict[bool, httpx.AsyncBaseTransport | httpx.AsyncClient] = field(
        default_factory=dict[bool, httpx.AsyncBaseTransport | httpx.AsyncClient]
    )
    closer: AsyncIterator[None] | None = None


class _Pools:
    """All pools of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.shared: dict[bool, httpx.BaseTransport | httpx.Client] = {}
        self.by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopPools] = WeakKeyDictionary()

    def drop(self) -> None:
        """Drops the pools in a forked child, which must not share connections with its parent."""
        self.lock = threading.Lock()  # a thread that does not exist in the child may hold the old one
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # the child's copies of the sockets are dropped on purpose
            self.shared = {}
            self.by_loop = WeakKeyDictionary()


_pools = _Pools()


def shared(*, secure: bool) -> httpx.BaseTransport | httpx.Client:
    """The pool that threads share, or a client with one."""
    pool = _pools.shared.get(secure)
    if pool is not None:
        return pool
    with _pools.lock:
        if secure not in _pools.shared:
            _pools.shared[secure] = _create(secure)
        return _pools.shared[secure]


def _create(secure: bool) -> httpx.BaseTransport | httpx.Client:
    if _proxied():
        with _usable_proxies():
            return httpx.Client(verify=tls(), limits=_limits())
    return httpx.HTTPTransport(verify=_context(secure), limits=_limits())


async def loop_pool(*, secure: bool) -> httpx.AsyncBaseTransport | httpx.AsyncClient:
    """The pools of the running event loop, or a client with one.

    Raises:
        ConfigError: The event loop is not one of asyncio.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigError(
            "The connections of this package need asyncio, and another event loop is running (trio?).",
            field="http_async_client",
            remedy="Pass http_async_client=httpx.AsyncClient(), which adapts to it.",
        ) from None
    pools_of_loop = _pools.by_loop.get(loop)
    if pools_of_loop is None:
        pools_of_loop = await _new_loop_pools(loop)
    pool = pools_of_loop.pools.get(secure)
    if pool is None:
        pool = pools_of_loop.pools[secure] = _create_async(secure)
    return pool


def _create_async(secure: bool) -> httpx.AsyncBaseTransport | httpx.AsyncClient:
    if _proxied():
        with _usable_proxies():
            return httpx.AsyncClient(verify=tls(), limits=_limits())
    return Shards(_context(secure))


async def _new_loop_pools(loop: asyncio.AbstractEventLoop) -> _LoopPools:
    with _pools.lock:
        # An open connection keeps its loop alive, so that a weak key alone would never release a closed one.
        for closed in [other for other in _pools.by_loop if other.is_closed()]:
            del _pools.by_loop[closed]
        pools_of_loop = _pools.by_loop[loop] = _LoopPools()
    pools_of_loop.closer = _close_with_loop(loop, pools_of_loop)
    await anext(pools_of_loop.closer)
    return pools_of_loop


async def _close_with_loop(loop: asyncio.AbstractEventLoop, pools_of_loop: _LoopPools) -> AsyncIterator[None]:
    """Closes a loop's pools when the loop ends, which closes its asynchronous generators first."""
    try:
        yield
    finally:
        _pools.by_loop.pop(loop, None)
        if not loop.is_closed():  # under nest_asyncio, loops end without closing their generators
            pools, pools_of_loop.pools = pools_of_loop.pools, {}
            for pool in pools.values():
                await pool.aclose()


class Pooled:
    """Sends over the pool that threads share."""

    errors = (Exception,)  # no user's code runs here

    def open(self, request: HttpRequest) -> httpx.Response:
        """An open response."""
        over = shared(secure=request.url.startswith("https"))
        body = _RequestBody(request.body)
        built = _build(request, body)
        try:
            return over.send(built, stream=True) if isinstance(over, httpx.Client) else over.handle_request(built)
        except Exception as error:
            raise transport_error(error, request, sent=body.sent) from error


class AsyncPooled:
    """Sends over the pools of the running event loop."""

    errors = (Exception,)

    async def open(self, request: HttpRequest) -> httpx.Response:
        """An open response."""
        over = await loop_pool(secure=request.url.startswith("https"))
        body = _RequestBody(request.body)
        built = _build(request, body)
        try:
            if isinstance(over, httpx.AsyncClient):
                return await over.send(built, stream=True)
            return await over.handle_async_request(built)
        except Exception as error:
            raise transport_error(error, request, sent=body.sent) from error


class _RequestBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of a request in one piece.

    Attributes:
        sent: Whether it was written completely: the transport asks for a next piece once it has written the last one.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.sent = False

    def __iter__(self) -> Iterator[bytes]:
        yield self._data
        self.sent = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data
        self.sent = True


def _build(request: HttpRequest, body: _RequestBody) -> httpx.Request:
    """The request with all its headers: httpx adds none to a request with a stream, and does not build them again."""
    url, host = parsed_url(request.url)
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
        stream=body,
        extensions={"timeout": timeout},
    )


@lru_cache(maxsize=256)
def parsed_url(url: str) -> tuple[httpx.URL, bytes]:
    """The URL, and the value of its `Host` header.

    Raises:
        ConfigError: It is not valid.
    """
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


def close_all() -> None:
    """Closes the pool that threads share; the next call opens a new one. Runs at exit."""
    with _pools.lock:
        pools = list(_pools.shared.values())
        _pools.shared.clear()
    for pool in pools:
        pool.close()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.drop)
