"""An HTTP library's exceptions to this package's."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Literal, TypeAlias

import httpx

from cfaig_integrations.errors import (
    ConfigError,
    ConnectFault,
    GatewayError,
    ProtocolError,
    StreamBroken,
    TimeoutFault,
)
from cfaig_integrations.gateway.actions import HttpRequest

_Kind: TypeAlias = Literal["timeout", "network", "protocol", "address"]

_KINDS: Mapping[str, _Kind] = {
    "TimeoutException": "timeout",
    "NetworkError": "network",
    "ProxyError": "network",
    # A server that hangs up before or within its answer; with keep-alive this happens in the best of families.
    "RemoteProtocolError": "network",
    "UnsupportedProtocol": "address",
    "InvalidURL": "address",
    "LocalProtocolError": "protocol",
    "DecodingError": "protocol",
    "TooManyRedirects": "protocol",
    "HTTPError": "protocol",
    "StreamError": "protocol",
    "CookieConflict": "protocol",
    # What HTTP libraries let through of the layers below.
    "TimeoutError": "timeout",
    "OSError": "network",
}
"""Exception class to what it means; the first class of an exception's ancestry that is here decides."""

_WAITS: Mapping[str, str] = {
    "ConnectTimeout": "No connection to {host} could be made in time",
    "ReadTimeout": "{host} sent nothing for too long",
    "WriteTimeout": "The request to {host} could not be written in time",
    "PoolTimeout": "No connection to {host} became free in time",
}

HTTPX_ERRORS: tuple[type[Exception], ...] = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.CookieConflict,
    httpx.StreamError,
)
"""The roots of httpx's exceptions."""
_LET_THROUGH: tuple[type[Exception], ...] = (OSError, UnicodeError)
"""What transports raise besides."""


def errors_of(client: object) -> tuple[type[Exception], ...]:
    """The roots of the exceptions that a user's client raises."""
    for kind in type(client).__mro__:
        if kind.__module__.partition(".")[0] == "httpx2":
            library = sys.modules["httpx2"]
            return (*(getattr(library, root.__name__) for root in HTTPX_ERRORS), *_LET_THROUGH)
    return (*HTTPX_ERRORS, *_LET_THROUGH)


def judged(error: Exception) -> httpx.Response:
    """The response that a hook of the user's client refused for its status, which this package reads by itself.

    Raises:
        Exception: `error`, if there is none.
    """
    response: httpx.Response | None = getattr(error, "response", None)
    if response is None:
        raise error
    return response


def transport_error(
    error: Exception, call: HttpRequest | None = None, *, streaming: bool = False, idle: bool = False
) -> GatewayError:
    """What an HTTP library's exception is to this package.

    Args:
        error: One of `errors_of`.
        call: What was sent.
        streaming: Whether a part of the answer already reached the caller, so that it is cut and not absent.
        idle: Whether something came that was no part of the answer.
    """
    if "LocalProtocolError" in (kind.__name__ for kind in type(error).__mro__) and "header" in str(error).lower():
        # It repeats the header, which may be the token; and so does the exception that it came from.
        error.args, error.__cause__, error.__suppress_context__ = ("a header that HTTP does not allow",), None, True
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    names = [kind.__name__ for kind in type(error).__mro__]
    host = _host(call)
    match _kind(names):
        case "timeout" if idle and call is not None:
            return idle_timeout(call)
        case "timeout":
            what = next((_WAITS[name] for name in names if name in _WAITS), "{host} took too long").format(host=host)
            connecting = "ConnectTimeout" in names
            what = "The stream stood idle for too long" if streaming else what
            return TimeoutFault(f"{what}: {_limit(call, connecting=connecting)} ({words}).")
        case "network" if streaming:
            return StreamBroken(f"The connection to {host} broke before the stream's end ({words}).")
        case "network":
            return ConnectFault(f"The connection to {host} failed before an answer came ({words}).")
        case "address":
            return ConfigError(
                f"The address cannot be used ({words}).", field="base_url", remedy="See base_url and proxy settings."
            )
        case "protocol":
            return ProtocolError(f"The HTTP exchange with {host} failed ({words}).")


@contextmanager
def token_faults() -> Generator[None]:
    """Sees to it that what a user's own token function raises reaches the user: frameworks swallow a ValueError.

    Raises:
        ConfigError: It raised something.
    """
    try:
        yield
    except GatewayError:
        raise
    except Exception as error:  # any at all; its text may hold the token
        raise ConfigError(
            f"The function given as api_token raised {type(error).__name__}.",
            field="api_token",
            remedy="See the error that this one was raised from.",
        ) from error


def idle_timeout(call: HttpRequest) -> TimeoutFault:
    """An answer that made no progress in time, whatever else came."""
    return TimeoutFault(f"{_host(call)} sent nothing of the answer, only signs of life: {_limit(call)}.")


def slow_body_timeout(call: HttpRequest, times: float) -> TimeoutFault:
    """A body that does not end in time."""
    return TimeoutFault(f"The body from {_host(call)} did not end within {times:g} times the timeout: {_limit(call)}.")


def _host(call: HttpRequest | None) -> str:
    return "the server" if call is None else httpx.URL(call.url).host or "the server"


def _limit(call: HttpRequest | None, *, connecting: bool = False) -> str:
    """The seconds that passed, and what sets them."""
    if call is None:
        return "timeout"
    seconds = call.timeouts.connect if connecting else call.timeouts.read
    told = "no limit" if seconds is None else f"{seconds:g} s"
    if connecting:
        return f"{told}, set by timeout=(connect, read)"
    return f"{told}, set by " + ("stream_idle_timeout= (or timeout=, if shorter)" if call.stream else "timeout=")


def _kind(names: list[str]) -> _Kind:
    for name in names:
        if name in _KINDS:
            return _KINDS[name]
    return "protocol"
