"""An HTTP library's exceptions to this package's.

Knows httpx and httpx2 by the names of their exceptions, which are the same; which of the two a client belongs to is
found out, so that neither has to be imported for the other.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
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
}
"""Exception class to what it means; the first class of an exception's ancestry that is here decides."""

_WAITS: Mapping[str, str] = {
    "ConnectTimeout": "No connection could be made in time",
    "ReadTimeout": "The server sent nothing for too long",
    "WriteTimeout": "The request could not be written in time",
    "PoolTimeout": "No connection became free in time",
}

HTTPX_FAULTS: tuple[type[Exception], ...] = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.CookieConflict,
    httpx.StreamError,
)
"""The roots of httpx's exceptions."""


def faults_of(client: object) -> tuple[type[Exception], ...]:
    """The roots of the exceptions that a user's client raises."""
    for kind in type(client).__mro__:
        if kind.__module__.partition(".")[0] == "httpx2":
            library = sys.modules["httpx2"]
            return tuple(getattr(library, root.__name__) for root in HTTPX_FAULTS)
    return HTTPX_FAULTS


def fault(error: Exception, *, streaming: bool = False) -> GatewayError:
    """What an HTTP library's exception is to this package.

    Args:
        error: One of `faults_of`.
        streaming: Whether a part of the answer already reached the caller, so that it is cut and not absent.
    """
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    names = [kind.__name__ for kind in type(error).__mro__]
    match _kind(names):
        case "timeout":
            what = next((_WAITS[name] for name in names if name in _WAITS), "The server took too long")
            return TimeoutFault(f"{'The stream stood idle for too long' if streaming else what} ({words}).")
        case "network" if streaming:
            return StreamBroken(f"The connection broke before the stream's end ({words}).")
        case "network":
            return ConnectFault(f"The connection failed before an answer came ({words}).")
        case "address":
            return ConfigError(
                f"The address cannot be used ({words}).", field="base_url", remedy="See base_url and proxy settings."
            )
        case "protocol":
            return ProtocolError(f"The HTTP exchange failed ({words}).")


def _kind(names: list[str]) -> _Kind:
    for name in names:
        if name in _KINDS:
            return _KINDS[name]
    return "protocol"
