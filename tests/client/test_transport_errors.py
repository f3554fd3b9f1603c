"""Every exception of an HTTP library is translated."""

from __future__ import annotations

import inspect
from dataclasses import replace
from types import ModuleType

import httpx
import httpx2
import pytest

from cfaig_integrations.client.transport_errors import errors_of, transport_error
from cfaig_integrations.errors import (
    ConfigError,
    ConnectFault,
    GatewayError,
    ProtocolError,
    StreamBroken,
    TimeoutFault,
)
from cfaig_integrations.gateway.actions import HttpRequest
from cfaig_integrations.gateway.connection import Timeouts

REQUEST = HttpRequest("POST", "http://host", [], b"", Timeouts())
EXPECTED: dict[str, type[GatewayError]] = {
    "HTTPError": ProtocolError,
    "RequestError": ProtocolError,
    "TransportError": ProtocolError,
    "TimeoutException": TimeoutFault,
    "ConnectTimeout": TimeoutFault,
    "ReadTimeout": TimeoutFault,
    "WriteTimeout": TimeoutFault,
    "PoolTimeout": TimeoutFault,
    "NetworkError": ConnectFault,
    "ConnectError": ConnectFault,
    "ReadError": ConnectFault,
    "WriteError": ConnectFault,
    "CloseError": ConnectFault,
    "ProxyError": ConnectFault,
    "ProtocolError": ProtocolError,
    "LocalProtocolError": ProtocolError,
    "RemoteProtocolError": ConnectFault,
    "UnsupportedProtocol": ConfigError,
    "InvalidURL": ConfigError,
    "DecodingError": ProtocolError,
    "TooManyRedirects": ProtocolError,
    "HTTPStatusError": ProtocolError,
    "CookieConflict": ProtocolError,
    "StreamError": ProtocolError,
    "StreamConsumed": ProtocolError,
    "StreamClosed": ProtocolError,
    "ResponseNotRead": ProtocolError,
    "RequestNotRead": ProtocolError,
}


def tree(library: ModuleType) -> dict[str, type[Exception]]:
    members = {name: getattr(library, name) for name in library.__all__}
    return {name: kind for name, kind in members.items() if inspect.isclass(kind) and issubclass(kind, Exception)}


def error_of(kind: type[Exception]) -> Exception:
    error = kind.__new__(kind)
    Exception.__init__(error, "what happened")
    return error


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_every_exception_is_mapped(library: ModuleType) -> None:
    kinds = tree(library)
    assert kinds.keys() >= EXPECTED.keys()
    with library.Client() as client:
        roots = errors_of(client)
    for name, kind in kinds.items():
        if issubclass(kind, Warning):
            continue
        error = error_of(kind)
        assert isinstance(error, roots), f"{name} would leave the package as it is"
        translated = transport_error(error, REQUEST)
        assert type(translated) is EXPECTED.get(name, ProtocolError), name
        assert "what happened" in translated.message


@pytest.mark.parametrize("name", ["ReadError", "RemoteProtocolError", "CloseError"])
def test_a_connection_that_breaks_within_a_stream_is_stream_broken(name: str) -> None:
    translated = transport_error(error_of(getattr(httpx, name)), REQUEST, streaming=True)
    assert type(translated) is StreamBroken
    assert not translated.retryable


def test_an_idle_stream_is_a_timeout() -> None:
    translated = transport_error(error_of(httpx.ReadTimeout), REQUEST, streaming=True)
    assert type(translated) is TimeoutFault
    assert "idle" in translated.message


def test_a_connection_that_is_not_made_in_time_names_its_own_limit() -> None:
    request = replace(REQUEST, timeouts=Timeouts(connect=1.0, read=2.0))
    translated = transport_error(error_of(httpx.ConnectTimeout), request)
    assert ": 1 s, set by timeout=(connect, read)" in translated.message


def test_an_unknown_exception_is_a_protocol_error() -> None:
    class Strange(httpx.TransportError):
        pass

    assert type(transport_error(Strange("new"), REQUEST)) is ProtocolError


def test_a_users_subclass_belongs_to_its_library() -> None:
    class Subclass(httpx2.Client):
        pass

    with Subclass() as client:
        assert httpx2.HTTPError in errors_of(client)
    with httpx.Client() as client:
        assert errors_of(object()) == errors_of(client)
