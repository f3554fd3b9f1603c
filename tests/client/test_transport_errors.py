"""No exception of an HTTP library leaves the package."""

from __future__ import annotations

import inspect
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
    found = {name: getattr(library, name) for name in library.__all__}
    return {name: kind for name, kind in found.items() if inspect.isclass(kind) and issubclass(kind, Exception)}


def made(kind: type[Exception]) -> Exception:
    error = kind.__new__(kind)
    Exception.__init__(error, "what happened")
    return error


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_every_exception_has_its_place(library: ModuleType) -> None:
    kinds = tree(library)
    assert kinds.keys() >= EXPECTED.keys()
    roots = errors_of(library.Client())
    for name, kind in kinds.items():
        if issubclass(kind, Warning):
            continue
        error = made(kind)
        assert isinstance(error, roots), f"{name} would leave the package as it is"
        translated = transport_error(error)
        assert type(translated) is EXPECTED.get(name, ProtocolError), name
        assert "what happened" in translated.message


@pytest.mark.parametrize("name", ["ReadError", "RemoteProtocolError", "CloseError"])
def test_a_connection_that_breaks_in_mid_stream_is_a_broken_stream(name: str) -> None:
    translated = transport_error(made(getattr(httpx, name)), streaming=True)
    assert type(translated) is StreamBroken
    assert not translated.retryable


def test_silence_in_mid_stream_is_a_timeout() -> None:
    translated = transport_error(made(httpx.ReadTimeout), streaming=True)
    assert type(translated) is TimeoutFault
    assert "idle" in translated.message


def test_an_exception_that_a_later_version_adds_is_not_lost() -> None:
    class Strange(httpx.TransportError):
        pass

    assert type(transport_error(Strange("new"))) is ProtocolError


def test_a_subclass_of_a_users_making_is_of_the_same_library() -> None:
    class Mine(httpx2.Client):
        pass

    assert httpx2.HTTPError in errors_of(Mine())
    assert errors_of(object()) == errors_of(httpx.Client())
