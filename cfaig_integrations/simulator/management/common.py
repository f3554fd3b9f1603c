"""What the handlers of the management API have in common: the token, the account, the body, and how they refuse.

Knows no resource.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cfaig_integrations.simulator.gateway.access import admit, check_account
from cfaig_integrations.simulator.http.bodies import ApiError, Failure, Shape, render
from cfaig_integrations.simulator.state import State, state_of

Handler = Callable[[Request, State], Awaitable[Response]]


def error_response(error: ApiError) -> Response:
    """A refusal in the v4 envelope, with a null result as the management API has it."""
    failure = Failure(error.status, error.code, error.message, "")
    shape: Shape = "v4" if error.shape is None or error.shape == "provider" else error.shape
    body, kind = render(shape, failure)
    if shape == "v4":
        body = json.dumps({**json.loads(body), "result": None}).encode()
    return Response(body, error.status, media_type=kind)


def guarded(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """A handler behind the checks of token and account."""

    async def checked(request: Request) -> Response:
        state = state_of(request)
        try:
            admit(request.headers, state.api_token)
            account = request.path_params.get("account", state.account_id)
            check_account(account, state.account_id, request.url.path)
            return await handler(request, state)
        except ApiError as error:
            return error_response(error)

    return checked


async def json_body(request: Request) -> dict[str, Any]:
    """The body as an object.

    Raises:
        ApiError: 400/7001.
    """
    try:
        found: Any = json.loads(await request.body())
    except ValueError:
        raise ApiError(400, 7001, "Invalid JSON in the request body") from None
    if not isinstance(found, dict):
        raise ApiError(400, 7001, "Expected an object in the request body")
    return cast("dict[str, Any]", found)


def whole_number(request: Request, name: str, otherwise: int, low: int, high: int) -> int:
    """A number out of the query.

    Raises:
        ApiError: 400/7001 when it is out of range.
    """
    text = request.query_params.get(name)
    if text is None:
        return otherwise
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise ApiError(400, 7001, f"Invalid value for {name}: expected {low} to {high}")
    return int(text)


async def no_route(request: Request, _: Exception) -> Response:
    """The answer for a path that is none (wire-facts §5.7)."""
    return JSONResponse({"result": None, "success": False, "errors": [_NO_ROUTE], "messages": []}, 400)


async def wrong_method(request: Request, _: Exception) -> Response:
    """The answer for a method that a path has not, as in recorded/cloudflare.jsonl db5392d60306."""
    error = {"code": 7001, "message": f"{request.method} not supported for requested URI."}
    return JSONResponse({"result": None, "success": False, "errors": [error], "messages": []}, 405)


_NO_ROUTE = {"code": 7000, "message": "No route for that URI"}
