"""The gateways API (facts §8.6)."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cfaig_integrations.simulator.gateway.settings import REQUIRED
from cfaig_integrations.simulator.http.bodies import ApiError, success
from cfaig_integrations.simulator.management.common import guarded, json_body, json_response, page_of, page_response
from cfaig_integrations.simulator.state import State


@guarded
async def create_gateway(request: Request, state: State) -> Response:
    """`POST .../gateways`."""
    body = await json_body(request)
    _require(body, "id", *REQUIRED)
    gateway = body.pop("id")
    return json_response(success(state.gateways.create(request.path_params["account"], str(gateway), body)))


@guarded
async def list_gateways(request: Request, state: State) -> Response:
    """`GET .../gateways`."""
    text = request.query_params.get("search", "")
    gateways = state.gateways.list(request.path_params["account"])
    return _paged(request, [gateway for gateway in gateways if text in gateway["id"]])


@guarded
async def get_gateway(request: Request, state: State) -> Response:
    """`GET .../gateways/{id}`."""
    return json_response(success(state.gateways.existing(**_ids(request))))


@guarded
async def replace_gateway(request: Request, state: State) -> Response:
    """`PUT .../gateways/{id}`: replaces, so all required fields must be present."""
    body = await json_body(request)
    _require(body, *REQUIRED)
    return json_response(success(state.gateways.replace(**_ids(request), settings=body)))


@guarded
async def delete_gateway(request: Request, state: State) -> Response:
    """`DELETE .../gateways/{id}`."""
    return json_response(success(state.gateways.delete(**_ids(request))))


@guarded
async def get_url(request: Request, state: State) -> Response:
    """`GET .../gateways/{id}/url/{provider}`: the base URL of a provider on the legacy host."""
    ids = _ids(request)
    state.gateways.existing(**ids)
    base = f"{request.url.scheme}://{request.url.netloc}/v1/{ids['account']}/{ids['gateway']}"
    return json_response(success(f"{base}/{request.path_params['provider']}"))


def _ids(request: Request) -> dict[str, Any]:
    return {"account": request.path_params["account"], "gateway": request.path_params["gateway"]}


def _require(body: dict[str, Any], *names: str) -> None:
    missing = [name for name in names if name not in body]
    if missing:
        raise ApiError(400, 7001, f"Required: {', '.join(missing)}")


def _paged(request: Request, items: list[dict[str, Any]]) -> Response:
    page, per_page = page_of(request, 20, 100)
    return page_response(items[(page - 1) * per_page : page * per_page], page, per_page, len(items))
