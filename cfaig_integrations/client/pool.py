"""Connections that outlive a call: made on first use, shared by all model objects, closed at the end.

One pool for all threads, and one set of pools for every running event loop; one TLS context for the process. Knows
nothing of what is sent over them.

Requests go straight to httpx's transports, which is a third cheaper than through its client and leaves out what is of
no use here (cookies, redirects, authentication flows). Where proxies are configured in the environment an httpx client
is used instead, because choosing between them is the client's part.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import ssl
import threading
import warnings
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from urllib.request import getproxies
from weakref import WeakKeyDictionary

import httpx

from cfaig_integrations.errors import ConfigError

MOST_CONNECTIONS = 1000
KEPT_ALIVE = 100
KEEP_ALIVE_SECONDS = 60.0
SHARDS = 16
"""Pools behind one async transport. httpcore 1.0 walks all connections of a pool for every request that starts or ends
and polls the idle ones; 16 small pools make 200 concurrent calls cost 0.4 of what one pool makes them cost."""


def _limits(parts: int = 1) -> httpx.Limits:
    most, kept = -(-MOST_CONNECTIONS // parts), -(-KEPT_ALIVE // parts)
    return httpx.Limits(max_connections=most, max_keepalive_connections=kept, keepalive_expiry=KEEP_ALIVE_SECONDS)


@cache
def tls() -> ssl.SSLContext:
    """The process's one context with certificates: httpx's, made when first needed.

    Raises:
        ConfigError: The environment names certificates that are not there.
    """
    # httpx takes the first that is set; a directory that does not exist passes, before 0.28 a file too.
    name = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), "")
    try:
        exists = os.path.isdir if name == "SSL_CERT_DIR" else os.path.exists
        if name and not exists(os.environ[name]):
            raise FileNotFoundError("no such file or directory")
        return httpx.create_ssl_context()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The certificates that {name or 'this system'} names cannot be read ({error}).",
            field=name,
            value=os.environ.get(name),
            remedy="Correct or unset that environment variable.",
        ) from error


@cache
def _no_certificates() -> ssl.SSLContext:
    # For plain http, where loading the certificates would be 20 ms for nothing. It trusts nobody.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _context(secure: bool) -> ssl.SSLContext:
    return tls() if secure else _no_certificates()


_PROXIES = ("http", "https", "all")


def _proxied() -> bool:
    return any(getproxies().get(name) for name in _PROXIES)


@contextmanager
def _usable_proxies() -> Generator[None]:
    """Says which variable of the environment names a proxy that httpx cannot use.

    Raises:
        ConfigError: One does.
    """
    try:
        yield
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        if isinstance(error, ConfigError):
            raise
        name = next((name for name in os.environ if _names_unusable_proxy(name)), "proxy settings")
        raise ConfigError(
            f"The proxy of {name} in the environment cannot be used ({type(error).__name__}).",
            field=name,
            remedy="Give an http:// or https:// proxy (socks5:// needs httpx[socks]), unset it, or give http_client.",
        ) from None  # it may repeat the proxy's password


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
    """A response's body that tells when it is closed."""

    def __init__(self, inner: httpx.AsyncByteStream, load: list[int], place: int) -> None:
        self._inner = inner
        self._load = load
        self._place = place
        self._open = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._inner.__aiter__()

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._load[self._place] -= 1
        await self._inner.aclose()


class Shards(httpx.AsyncBaseTransport):
    """Several small pools behind one transport; each request goes to the least loaded."""

    def __init__(self, context: ssl.SSLContext, number: int = SHARDS) -> None:
        self._pools = [httpx.AsyncHTTPTransport(verify=context, limits=_limits(number)) for _ in range(number)]
        self._load = [0] * number

    @property
    def load(self) -> tuple[int, ...]:
        """How many answers each pool has open."""
        return tuple(self._load)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends over the pool with the fewest open answers."""
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
    """What belongs to one event loop."""

    pools: dict[bool, httpx.AsyncBaseTransport | httpx.AsyncClient] = field(
        default_factory=dict[bool, httpx.AsyncBaseTransport | httpx.AsyncClient]
    )
    keeper: AsyncIterator[None] | None = None


class _Open:
    """All that is open in this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.shared: dict[bool, httpx.BaseTransport | httpx.Client] = {}
        self.by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopPools] = WeakKeyDictionary()

    def forget(self) -> None:
        """In a forked child: the connections are the parent's, and two must not talk over one."""
        self.lock = threading.Lock()  # a thread that the child does not have may have held the other
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # the child's copies of the sockets go on purpose
            self.shared = {}
            self.by_loop = WeakKeyDictionary()


_open = _Open()


def shared(*, secure: bool) -> httpx.BaseTransport | httpx.Client:
    """What all threads send over."""
    found = _open.shared.get(secure)
    if found is not None:
        return found
    with _open.lock:
        if secure not in _open.shared:
            _open.shared[secure] = _opened(secure)
        return _open.shared[secure]


def _opened(secure: bool) -> httpx.BaseTransport | httpx.Client:
    if _proxied():
        with _usable_proxies():
            return httpx.Client(verify=tls(), limits=_limits())
    return httpx.HTTPTransport(verify=_context(secure), limits=_limits())


async def loop_pool(*, secure: bool) -> httpx.AsyncBaseTransport | httpx.AsyncClient:
    """What all tasks of the running event loop send over.

    Raises:
        ConfigError: It is not one of asyncio.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigError(
            "The connections that this package opens need asyncio, and another event loop is running (trio?).",
            field="http_async_client",
            remedy="Give http_async_client=httpx.AsyncClient(), which adapts to it.",
        ) from None
    pools_of_loop = _open.by_loop.get(loop)
    if pools_of_loop is None:
        pools_of_loop = await _new_loop_pools(loop)
    found = pools_of_loop.pools.get(secure)
    if found is None:
        found = pools_of_loop.pools[secure] = _opened_async(secure)
    return found


def _opened_async(secure: bool) -> httpx.AsyncBaseTransport | httpx.AsyncClient:
    if _proxied():
        with _usable_proxies():
            return httpx.AsyncClient(verify=tls(), limits=_limits())
    return Shards(_context(secure))


async def _new_loop_pools(loop: asyncio.AbstractEventLoop) -> _LoopPools:
    with _open.lock:
        # An open connection keeps its loop alive, so a weak key alone would never let go of a closed one.
        for gone in [other for other in _open.by_loop if other.is_closed()]:
            del _open.by_loop[gone]
        pools_of_loop = _open.by_loop[loop] = _LoopPools()
    pools_of_loop.keeper = _close_with_loop(loop, pools_of_loop)
    await anext(pools_of_loop.keeper)
    return pools_of_loop


async def _close_with_loop(loop: asyncio.AbstractEventLoop, pools_of_loop: _LoopPools) -> AsyncIterator[None]:
    """Closes a loop's pools when the loop ends: a loop closes its asynchronous generators before itself."""
    try:
        yield
    finally:
        _open.by_loop.pop(loop, None)
        if not loop.is_closed():  # under nest_asyncio, loops end without closing their generators
            await _close_loop_pools(pools_of_loop)


async def _close_loop_pools(pools_of_loop: _LoopPools) -> None:
    pools, pools_of_loop.pools = pools_of_loop.pools, {}
    for pool in pools.values():
        await pool.aclose()


def is_open() -> bool:
    """Whether there are connections that threads share."""
    return bool(_open.shared)


def close_all() -> None:
    """Closes the connections that threads share; the next call opens new ones. Runs at exit by itself."""
    with _open.lock:
        pools = list(_open.shared.values())
        _open.shared.clear()
    for pool in pools:
        pool.close()


async def aclose_all() -> None:
    """Closes the running event loop's connections; the next call opens new ones. Runs at its end by itself."""
    pools_of_loop = _open.by_loop.get(asyncio.get_running_loop())
    if pools_of_loop is not None:
        await _close_loop_pools(pools_of_loop)


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open.forget)
