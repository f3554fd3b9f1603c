"""Which requests the server answers at all: by the `Host` and `Origin` headers, and by the client's address.

A page on the web can make a browser send requests to a local server. It cannot choose the `Host` header, except by a
domain name that it points at 127.0.0.1, and it cannot hide the `Origin`. So a request is refused when its host is a
domain name that is not the server's own, or when its origin is another site. Clients on other machines must send the
API token to the page and to `/_simulator/`, as a bearer token or as the password of basic authentication.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
from collections.abc import Collection

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL_NAMES = frozenset({"localhost", "testserver"})
PUBLIC_PATHS = ("/client/v4/", "/v1/", "/compat/", "/files/")
"""Prefixes of Cloudflare's own paths, whose handlers check the token themselves, and of files at secret addresses."""

_HARDENING = (
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)


class Guard:
    """ASGI middleware that refuses requests from other sites and, on the simulator's own paths, from other machines."""

    def __init__(self, app: ASGIApp, token: str, host_names: Collection[str] = ()) -> None:
        """Guard an application; `host_names` reach the server besides `localhost`."""
        self._app = app
        self._token = token
        self._names = LOCAL_NAMES | {name.lower() for name in host_names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with 400, 401 or 403."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
        else:
            is_public = scope["path"].startswith(PUBLIC_PATHS)
            await self._app(scope, receive, send if is_public else _hardened(send))

    def _refusal(self, scope: Scope, headers: dict[bytes, str]) -> PlainTextResponse | None:
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        if not self._is_known(host):
            reason = f"The Host header names {host!r:.80}, which is not a name of this server: use its IP address, or"
            return PlainTextResponse(f"{reason} start it with --host-name.\n", 400)
        if origin is not None and origin.lower() not in {f"http://{host}".lower(), f"https://{host}".lower()}:
            return PlainTextResponse("Requests from other web sites are refused.\n", 403)
        if scope["path"].startswith(PUBLIC_PATHS) or _is_loopback(scope) or self._has_token(headers):
            return None
        challenge = {"www-authenticate": 'Basic realm="The API token is the password", charset="UTF-8"'}
        return PlainTextResponse("Send the API token: this is not a local client.\n", 401, headers=challenge)

    def _is_known(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        name = name.strip("[]").rstrip(".").lower()
        return name in self._names or name.endswith(".localhost") or _is_address(name)

    def _has_token(self, headers: dict[bytes, str]) -> bool:
        scheme, _, value = headers.get(b"authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                value = base64.b64decode(value, validate=True).decode().partition(":")[2]
            except ValueError:
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(value.strip().encode("utf-8", "replace"), self._token.encode())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(scope: Scope) -> bool:
    client = scope.get("client")
    return client is None or (_is_address(client[0]) and ipaddress.ip_address(client[0]).is_loopback)


def _hardened(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(item for item in _HARDENING if item[0] not in present)]
        await send(message)

    return sending
