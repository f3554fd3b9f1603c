"""The routes of the page, and its headers, by which nothing is loaded from elsewhere and nothing is inlined."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from cfaig_integrations.simulator.page.entry_page import entry_page, missing_page
from cfaig_integrations.simulator.page.log_page import ENTRY_PATH, log_page, read_data
from cfaig_integrations.simulator.page.markup import STATIC_PATH
from cfaig_integrations.simulator.page.query import PageQuery
from cfaig_integrations.simulator.state import state_of

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
}
_TYPES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
_STARTED = secrets.token_hex(4)  # part of the tag of a page: revisions of a log in memory begin anew with every process


def get_log(request: Request) -> Response:
    """`GET /`: the log; 304 if it has not changed since the page of the tag in `If-None-Match`."""
    logs = state_of(request).logs
    tag = f'"{_STARTED}-{logs.version}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={**_HEADERS, "etag": tag})
    query, data = read_data(logs, PageQuery.read(request.query_params))
    return _html(log_page(query, data), etag=tag)


def get_entry(request: Request) -> Response:
    """`GET /_simulator/logs/{id}`: one entry."""
    entry = state_of(request).logs.get(request.path_params["log"])
    if entry is None:
        return _html(missing_page(request.path_params["log"]), 404)
    return _html(entry_page(entry))


def _body(side: str) -> Callable[[Request], Response]:
    def get_body(request: Request) -> Response:
        """The body as plain text, which no browser runs."""
        entry = state_of(request).logs.get(request.path_params["log"])
        if entry is None:
            return _html(missing_page(request.path_params["log"]), 404)
        body = (entry.get("request") if side == "request" else entry.get("response")) or ""
        return Response(body.encode("utf-8", "replace"), headers=_HEADERS, media_type="text/plain")

    return get_body


def get_static(request: Request) -> Response:
    """The style sheet, the script and the icon."""
    name = request.path_params["name"]
    if name not in _TYPES:
        return _html(missing_page(name), 404)
    content = files("cfaig_integrations.simulator.page").joinpath("static", name).read_bytes()
    return Response(content, headers={**_HEADERS, "cache-control": "no-cache"}, media_type=_TYPES[name])


def _html(page: str, status: int = 200, etag: str | None = None) -> Response:
    headers = _HEADERS if etag is None else {**_HEADERS, "etag": etag}
    return Response(page.encode("utf-8", "replace"), status, headers=headers, media_type="text/html")


PAGE: list[BaseRoute] = [
    Route("/", get_log, methods=["GET"]),
    Route(ENTRY_PATH + "/{log}", get_entry, methods=["GET"]),
    Route(ENTRY_PATH + "/{log}/request", _body("request"), methods=["GET"]),
    Route(ENTRY_PATH + "/{log}/response", _body("response"), methods=["GET"]),
    Route(STATIC_PATH + "/{name}", get_static, methods=["GET"]),
]
