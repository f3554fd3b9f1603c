"""Exceptions of HTTP libraries to those of this package."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Literal, TypeAlias

import httpx

from cfaig_integrations.errors import ConfigError, ConnectFault, GatewayError, ProtocolError, StreamBroken, TimeoutFault
from cfaig_integrations.gateway.actions import HttpRequest

_Category: TypeAlias = Literal["timeout", "network", "protocol", "address"]

_CATEGORIES: Mapping[str, _Category] = {
    "TimeoutException": "timeout",
    "NetworkError": "network",
    "ProxyError": "network",
    # The server closed the connection before or within its response, as happens with keep-alive.
    "RemoteProtocolError": "network",
    "UnsupportedProtocol": "address",
    "InvalidURL": "address",
    "LocalProtocolError": "protocol",
    "DecodingError": "protocol",
    "TooManyRedirects": "protocol",
    "HTTPError": "protocol",
    "StreamError": "protocol",
    "CookieConflict": "protocol",
    # Of the layers below the HTTP library.
    "TimeoutError": "timeout",
    "OSError": "network",
}
"""By the name of an exception's class or, if that is not here, of its nearest base class."""

_TIMEOUTS: Mapping[str, str] = {
    "ConnectTimeout": "No connection to {host} could be made in time",
    "ReadTimeout": "{host} sent nothing in time",
    "WriteTimeout": "The request to {host} could not be written in time",
    "PoolTimeout": "No connection to {host} became free in time",
}

_UNSENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"})
"""Exceptions that are raised before anything is written, over HTTP/1.1 and HTTP/2."""

_HTTPX_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)
"""The base classes of httpx's exceptions."""
_OTHER_ERRORS = (OSError, UnicodeError)
"""Other exceptions of transports."""


def errors_of(client: object) -> tuple[type[Exception], ...]:
    """The base classes of the exceptions that a user's client raises."""
    for kind in type(client).__mro__:
        if kind.__module__.partition(".")[0] == "httpx2":
            library = sys.modules["httpx2"]
            return (*(getattr(library, root.__name__) for root in _HTTPX_ERRORS), *_OTHER_ERRORS)
    return (*_HTTPX_ERRORS, *_OTHER_ERRORS)


def response_of(error: Exception) -> httpx.Response:
    """The response for whose status a hook of the user's client raised an error; this package reads it itself.

    Raises:
        Exception: `error`, if it has no response.
    """
    response: httpx.Response | None = getattr(error, "response", None)
    if response is None:
        raise error
    return response


def transport_error(
    error: Exception, request: HttpRequest, *, sent: bool = True, streaming: bool = False, idle: bool = False
) -> GatewayError:
    """The error of this package for an HTTP library's exception.

    Args:
        error: An instance of one of `errors_of`.
        request: The request.
        sent: Whether it was, or may have been, sent completely.
        streaming: Whether part of the reply has reached the caller, so that the reply is truncated.
        idle: Whether the last bytes were no part of the reply.
    """
    names = [kind.__name__ for kind in type(error).__mro__]
    if "LocalProtocolError" in names and "header" in str(error).lower():
        # The message and the cause quote the header, which may be the token.
        error.args, error.__cause__, error.__suppress_context__ = ("a header that HTTP does not allow",), None, True
        sent = False
    details = f"{names[0]}: {error}" if str(error) else names[0]
    host, sent = _host(request), sent and _UNSENT.isdisjoint(names)
    note = ""
    if "PoolTimeout" in names:
        note = " Make fewer calls at a time, or pass http_client or http_async_client with Limits(max_connections=...)."
    match _category(names):
        case "timeout" if idle:
            return idle_timeout(request)
        case "timeout":
            fault = next((_TIMEOUTS[name] for name in names if name in _TIMEOUTS), "{host} took too long")
            fault = "The stream was idle for too long" if streaming else fault.format(host=host)
            limit = _limit(request, connecting="ConnectTimeout" in names)
            return TimeoutFault(f"{fault}: {limit} ({details}).{note}", maybe_billed=sent)
        case "network" if "CERTIFICATE_VERIFY_FAILED" in details:
            remedy = "If a proxy inspects TLS, set SSL_CERT_FILE to its CA certificates."
            untrusted = ConnectFault(f"The certificate of {host} is not trusted. {remedy} ({details})")
            untrusted.retryable = False  # the next request would meet the same one
            return untrusted
        case "network" if streaming:
            return StreamBroken(f"The connection to {host} broke before the end of the stream ({details}).")
        case "network":
            when = "before the request was sent" if not sent else "before the whole response came"
            return ConnectFault(f"The connection to {host} failed {when} ({details}).", maybe_billed=sent)
        case "address":
            remedy = "Check base_url and the proxy settings."
            return ConfigError(f"The URL cannot be used ({details}).", field="base_url", remedy=remedy)
        case "protocol":
            failure = ProtocolError(f"The HTTP exchange with {host} failed ({details}).")
            failure.maybe_billed = sent
            return failure


@contextmanager
def token_function_errors() -> Generator[None]:
    """Turns what a user's token function raises into a ConfigError: frameworks swallow a ValueError, for example.

    Raises:
        ConfigError: The function raised an exception.
    """
    try:
        yield
    except GatewayError:
        raise
    except Exception as error:  # its text may contain the token
        raise ConfigError(
            f"The function passed as api_token raised {type(error).__name__}.",
            field="api_token",
            remedy="See the exception that caused this one.",
        ) from error


def idle_timeout(request: HttpRequest) -> TimeoutFault:
    """The error for a reply that made no progress in time."""
    text = f"{_host(request)} sent only keep-alives, and nothing of the reply: {_limit(request)}."
    return TimeoutFault(text, maybe_billed=True)


def slow_body_timeout(request: HttpRequest, times: float) -> TimeoutFault:
    """The error for a body that did not end in time."""
    limit = _limit(request)
    text = f"The body from {_host(request)} did not end within {times:g} times the timeout: {limit}."
    return TimeoutFault(text, maybe_billed=True)


def _host(request: HttpRequest) -> str:
    return httpx.URL(request.url).host or "the server"


def _limit(request: HttpRequest, *, connecting: bool = False) -> str:
    """The timeout that passed, and the argument that sets it."""
    seconds = request.timeouts.connect if connecting else request.timeouts.read
    limit = "no limit" if seconds is None else f"{seconds:g} s"
    if connecting:
        return f"{limit}, set by timeout=(connect, read)"
    return f"{limit}, set by " + ("stream_idle_timeout= (or timeout=, if shorter)" if request.stream else "timeout=")


def _category(names: list[str]) -> _Category:
    for name in names:
        if name in _CATEGORIES:
            return _CATEGORIES[name]
    return "protocol"
