"""The APIs of gateways (facts §8.6) and dynamic routes (§1.6)."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cfaig_integrations.simulator.gateway.settings import REQUIRED
from cfaig_integrations.simulator.http.bodies import ApiError, success
from cfaig_integrations.simulator.management.common import (
    GATEWAYS,
    ROUTES,
    json_body,
    json_response,
    managed,
    page_of,
    page_of_list,
)
from cfaig_integrations.simulator.state import State


@managed("POST", GATEWAYS)
async def _create_gateway(request: Request, state: State) -> Response:
    body = await json_body(request)
    _require(body, "id", *REQUIRED)
    gateway = body.pop("id")
    return json_response(success(state.gateways.create(request.path_params["account"], str(gateway), body)))


@managed("GET", GATEWAYS)
async def _list_gateways(request: Request, state: State) -> Response:
    text = request.query_params.get("search", "")
    gateways = state.gateways.list(request.path_params["account"])
    return page_of_list(request, [gateway for gateway in gateways if text in gateway["id"]], 100)


@managed("GET", GATEWAYS + "/{gateway}")
async def _get_gateway(request: Request, state: State) -> Response:
    return json_response(success(state.gateways.existing(*_ids(request))))


@managed("PUT", GATEWAYS + "/{gateway}")
async def _replace_gateway(request: Request, state: State) -> Response:
    """All settings are replaced, so all required ones must be present."""
    body = await json_body(request)
    _require(body, *REQUIRED)
    return json_response(success(state.gateways.replace(*_ids(request), body)))


@managed("DELETE", GATEWAYS + "/{gateway}")
async def _delete_gateway(request: Request, state: State) -> Response:
    return json_response(success(state.gateways.delete(*_ids(request))))


def _ids(request: Request) -> tuple[str, str]:
    return request.path_params["account"], request.path_params["gateway"]


def _require(body: dict[str, Any], *names: str) -> None:
    missing = [name for name in names if name not in body]
    if missing:
        raise ApiError(400, 7001, f"Required: {', '.join(missing)}")


def _owner(request: Request, state: State) -> tuple[str, str]:
    """The account and the gateway of a route, which must exist."""
    state.gateways.existing(*_ids(request))
    return _ids(request)


@managed("POST", ROUTES)
async def _create_route(request: Request, state: State) -> Response:
    """`name` and `elements`."""
    body = await json_body(request)
    return json_response(success(state.routes.create(*_owner(request, state), body.get("name"), body.get("elements"))))


@managed("GET", ROUTES)
async def _list_routes(request: Request, state: State) -> Response:
    """The envelope differs from that of other lists."""
    page, per_page = page_of(request, 100)
    routes = state.routes.list(*_owner(request, state))[(page - 1) * per_page : page * per_page]
    order = {"order_by": "name", "order_by_direction": "asc", "page": page, "per_page": per_page}
    return json_response({"success": True, "data": {"routes": routes, **order}})


@managed("GET", ROUTES + "/{route}")
async def _get_route(request: Request, state: State) -> Response:
    return json_response(success(state.routes.existing(*_owner(request, state), request.path_params["route"])))


@managed("DELETE", ROUTES + "/{route}")
async def _delete_route(request: Request, state: State) -> Response:
    return json_response(success(state.routes.delete(*_owner(request, state), request.path_params["route"])))
