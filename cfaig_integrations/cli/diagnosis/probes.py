"""Requests of `cfaig doctor`, and what the failure of one means."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any
from urllib.request import proxy_bypass

import httpx

from cfaig_integrations.cli.diagnosis.findings import Problem
from cfaig_integrations.client.sync import Client
from cfaig_integrations.errors import (
    ApiError,
    AuthError,
    ConfigError,
    ConnectFault,
    GatewayError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    TransportFault,
)
from cfaig_integrations.gateway.addresses import is_cloudflare
from cfaig_integrations.gateway.attempts import SimpleRequest, result_of
from cfaig_integrations.gateway.connection import Connection


class Probe:
    """Reads paths of the management API, each with one request."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client = Client(connection)
        self.settings = connection.settings

    def get(self, path: str, *, of_account: bool = True) -> Any:
        """The result at a path.

        Raises:
            GatewayError: The server returns an error, something else than JSON, or nothing.
        """
        path = path if of_account else self.settings.base_url + path
        read = SimpleRequest(self._connection, path, lambda response, _: result_of(response), method="GET")
        return self._client.run(read.run())


def network_problem(error: GatewayError, base_url: str) -> tuple[Problem, str] | None:
    """The problem between here and the API, and what to add to the error; None if the API itself answered."""
    match error:
        case ConfigError(field="proxy"):
            return Problem.PROXY, ""
        case ConfigError(field="base_url"):
            return Problem.WRONG_BASE_URL, ""
        case TransportFault():
            return _transport_problem(error, base_url)
        case ProtocolError():
            return Problem.WRONG_BASE_URL, " The response is not that of Cloudflare's API."
        case ApiError(status=407):
            return Problem.PROXY, ""
        case ApiError() if error.code is None and error.status < 500 and error.status != 429:
            return Problem.WRONG_BASE_URL, " The response is not that of Cloudflare's API."
        case _:
            return None


def _transport_problem(error: TransportFault, base_url: str) -> tuple[Problem, str]:
    causes = list(_causes(error))
    text = " ".join(str(cause) for cause in causes).lower()
    if "wrong_version_number" in text or "record layer failure" in text:
        return Problem.WRONG_BASE_URL, " It does not speak TLS: http instead of https?"
    if any(isinstance(cause, ssl.SSLError) for cause in causes) or "certificate" in text or "ssl" in text:
        return Problem.TLS, ""
    proxy = _proxy(base_url)
    if proxy or any(isinstance(cause, httpx.ProxyError) for cause in causes):
        return Problem.PROXY, f" The environment sets {proxy}." if proxy else ""
    is_unknown = any(isinstance(cause, socket.gaierror) for cause in causes) or "name or service" in text
    if isinstance(error, ConnectFault) and is_unknown and not is_cloudflare(base_url):
        return Problem.WRONG_BASE_URL, " No such host."
    return Problem.NO_NETWORK, ""


def _causes(error: BaseException) -> list[BaseException]:
    """An error and what caused it."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    return chain


def _proxy(base_url: str) -> str:
    """The environment variable that sets the proxy of a URL; empty: none."""
    url = httpx.URL(base_url)
    if proxy_bypass(url.host):
        return ""
    names = (f"{url.scheme}_proxy", "all_proxy")
    return next((each for name in names for each in (name, name.upper()) if os.environ.get(each)), "")


def is_denied(error: GatewayError) -> bool:
    """Whether the token is not accepted for a path."""
    return isinstance(error, AuthError | PermissionDenied)


def is_unroutable(error: GatewayError) -> bool:
    """Whether the path names an account that does not exist (code 7003, "Could not route to")."""
    return isinstance(error, NotFound) and error.code == 7003


def has_no_such_path(error: GatewayError) -> bool:
    """Whether a server lacks an endpoint of Cloudflare's management API, as a local gateway may."""
    return isinstance(error, ApiError) and (error.code == 7000 or (error.status in (404, 405) and not error.code))
