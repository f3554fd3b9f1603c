"""The API of dynamic routes (facts §1.6)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from cfaig_integrations.simulator.http.bodies import success
from cfaig_integrations.simulator.management.common import guarded, json_body, json_response, page_of
from cfaig_integrations.simulator.state import State


def _scope(request: Request, state: State) -> tuple[str, str]:
    account, gateway = request.path_params["account"], request.path_params["gateway"]
    state.gateways.existing(account, gateway)
    return account, gateway


@guarded
async def create_route(request: Request, state: State) -> Response:
    """`POST .../routes`: `name` and `elements`."""
    body = await json_body(request)
    return json_response(success(state.routes.create(*_scope(request, state), body.get("name"), body.get("elements"))))


@guarded
async def list_routes(request: Request, state: State) -> Response:
    """`GET .../routes`, whose envelope differs from that of other lists."""
    page, per_page = page_of(request, 20, 100)
    routes = state.routes.list(*_scope(request, state))[(page - 1) * per_page : page * per_page]
    order = {"order_by": "name", "order_by_direction": "asc", "page": page, "per_page": per_page}
    return json_response({"success": True, "data": {"routes": routes, **order}})


@guarded
async def get_route(request: Request, state: State) -> Response:
    """`GET .../routes/{id}`."""
    return json_response(success(state.routes.existing(*_scope(request, state), request.path_params["route"])))


@guarded
async def delete_route(request: Request, state: State) -> Response:
    """`DELETE .../routes/{id}`."""
    return json_response(success(state.routes.delete(*_scope(request, state), request.path_params["route"])))
