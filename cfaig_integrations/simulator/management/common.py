"""What all handlers of the management API share: token and account checks, JSON bodies, and error responses."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from cfaig_integrations.simulator.gateway.headers import admit, check_account
from cfaig_integrations.simulator.http.bodies import ApiError, Shape, render, success
from cfaig_integrations.simulator.http.recorder import read_body
from cfaig_integrations.simulator.json_types import encode, is_record, parse_json
from cfaig_integrations.simulator.state import State, state_of

Endpoint = Callable[[Request], Awaitable[Response]]
Handler = Callable[[Request, State], Awaitable[Response]]
ACCOUNT = "/client/v4/accounts/{account}"
GATEWAYS = ACCOUNT + "/ai-gateway/gateways"
LOGS = GATEWAYS + "/{gateway}/logs"
ROUTES = GATEWAYS + "/{gateway}/routes"
MANAGEMENT: list[BaseRoute] = []  # the routes of the modules of this package


def json_response(body: Any, status: int = 200) -> Response:
    """A JSON response; unlike Starlette's, it can carry lone surrogates."""
    return Response(encode(body), status, media_type="application/json")


def _error_response(error: ApiError) -> Response:
    """The error in the v4 envelope, with a null result as the management API has it."""
    shape: Shape = "v4" if error.shape is None or error.shape == "provider" else error.shape
    body, content_type = render(shape, error, "")
    if shape != "v4":
        return Response(body, error.status, media_type=content_type)
    return json_response({**json.loads(body), "result": None}, error.status)


def served(method: str, path: str) -> Callable[[Endpoint], Endpoint]:
    """Serves a path."""

    def register(endpoint: Endpoint) -> Endpoint:
        MANAGEMENT.append(Route(path, endpoint, methods=[method]))
        return endpoint

    return register


def managed(method: str, path: str) -> Callable[[Handler], Handler]:
    """Serves a path behind the checks of token and account."""

    def register(handler: Handler) -> Handler:
        async def checked(request: Request) -> Response:
            state = state_of(request)
            try:
                admit(request.headers, state.api_token)
                account = request.path_params.get("account", state.account_id)
                check_account(account, state.account_id, request.url.path)
                return await handler(request, state)
            except ApiError as error:
                return _error_response(error)
            except (OverflowError, UnicodeError, sqlite3.Error) as error:
                return _error_response(ApiError(400, 7001, f"Invalid value in the request: {error}"))

        served(method, path)(checked)
        return handler

    return register


async def json_body(request: Request) -> dict[str, Any]:
    """The body as an object."""
    raw = await read_body(request)
    if raw is None:
        raise ApiError(413, 7001, "The request body is too large")
    try:
        body = parse_json(raw)
    except ValueError:
        raise ApiError(400, 7001, "Invalid JSON in the request body") from None
    if not is_record(body):
        raise ApiError(400, 7001, "Expected an object in the request body")
    return body


def _integer(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise ApiError(400, 7001, f"Invalid value for {name}: expected 1 to {most}")
    return int(text)


def page_of(request: Request, most: int) -> tuple[int, int]:
    """`page` and `per_page` of the query; at most so many items are on a page."""
    return _integer(request, "page", 1, 10**6), _integer(request, "per_page", 20, most)


def page_response(items: list[dict[str, Any]], page: int, per_page: int, total: int) -> Response:
    """One page of a list."""
    info = {"count": len(items), "page": page, "per_page": per_page, "total_count": total}
    return json_response(success(items, result_info=info))


def page_of_list(request: Request, items: list[dict[str, Any]], most: int) -> Response:
    """The page of a list that a request asks for."""
    page, per_page = page_of(request, most)
    return page_response(items[(page - 1) * per_page : page * per_page], page, per_page, len(items))


async def no_route(request: Request, _: Exception) -> Response:
    """The response for an unknown path (facts §5.7)."""
    return _error_response(ApiError(400, 7000, "No route for that URI"))


async def wrong_method(request: Request, _: Exception) -> Response:
    """The response for an unsupported method, as in recorded/cloudflare.jsonl db5392d60306."""
    return _error_response(ApiError(405, 7001, f"{request.method} not supported for requested URI."))
