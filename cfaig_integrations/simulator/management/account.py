"""Gateways, models and the token: the rest of the management API (wire-facts §8.6 to §8.8).

Knows neither logs nor model calls.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cfaig_integrations.simulator.catalogue import TASKS, THIRD_PARTY, WORKERS_AI, Listed, price
from cfaig_integrations.simulator.gateway.settings import REQUIRED
from cfaig_integrations.simulator.http.bodies import ApiError, success
from cfaig_integrations.simulator.management.common import guarded, json_body, whole_number
from cfaig_integrations.simulator.state import State


@guarded
async def create_gateway(request: Request, state: State) -> Response:
    """`POST .../gateways`."""
    body = await json_body(request)
    _require(body, "id", *REQUIRED)
    gateway = body.pop("id")
    return JSONResponse(success(state.gateways.create(request.path_params["account"], str(gateway), body)))


@guarded
async def list_gateways(request: Request, state: State) -> Response:
    """`GET .../gateways`."""
    every = state.gateways.every(request.path_params["account"])
    if text := request.query_params.get("search"):
        every = [gateway for gateway in every if text in gateway["id"]]
    return _paged(request, every)


@guarded
async def get_gateway(request: Request, state: State) -> Response:
    """`GET .../gateways/{id}`."""
    return JSONResponse(success(state.gateways.existing(**_named(request))))


@guarded
async def replace_gateway(request: Request, state: State) -> Response:
    """`PUT .../gateways/{id}`: replaces, so all required fields must be there."""
    body = await json_body(request)
    _require(body, *REQUIRED)
    named = _named(request)
    return JSONResponse(success(state.gateways.replace(**named, settings=body)))


@guarded
async def delete_gateway(request: Request, state: State) -> Response:
    """`DELETE .../gateways/{id}`."""
    return JSONResponse(success(state.gateways.delete(**_named(request))))


@guarded
async def search_models(request: Request, _: State) -> Response:
    """`GET .../ai/models/search`: Workers AI models only (wire-facts §8.8)."""
    found = [_model(model) for model in WORKERS_AI]
    wanted = request.query_params
    if text := wanted.get("search"):
        found = [model for model in found if text.lower() in model["name"].lower()]
    if text := wanted.get("task"):
        found = [model for model in found if text.lower() == model["task"]["name"].lower()]
    if text := wanted.get("author"):
        found = [model for model in found if model["name"].split("/")[1] == text]
    return _paged(request, found)


@guarded
async def verify_token(request: Request, _: State) -> Response:
    """`GET /client/v4/user/tokens/verify`."""
    note = {"code": 10000, "message": "This API Token is valid and active", "type": None}
    return JSONResponse(success({"id": uuid.UUID(int=0).hex, "status": "active"}) | {"messages": [note]})


@guarded
async def credit_balance(request: Request, _: State) -> Response:
    """`GET .../ai-gateway/billing/credit-balance` (wire-facts §8.7)."""
    return JSONResponse(success({"balance": 10.0, "first_topup_success": True}))


@guarded
async def compat_models(request: Request, _: State) -> Response:
    """`GET .../compat/models` on the legacy host (wire-facts §1.5)."""
    listed: list[dict[str, Any]] = []
    for model in THIRD_PARTY:
        into, out = price(model)
        listed.append({"id": model, "object": "model", "created": 0, "cost_in": into, "cost_out": out})
    return JSONResponse({"object": "list", "data": listed})


def _named(request: Request) -> dict[str, Any]:
    return {"account": request.path_params["account"], "gateway": request.path_params["gateway"]}


def _require(body: dict[str, Any], *names: str) -> None:
    missing = [name for name in names if name not in body]
    if missing:
        raise ApiError(400, 7001, f"Required: {', '.join(missing)}")


def _model(model: Listed) -> dict[str, Any]:
    def identifier(text: str) -> str:
        return str(uuid.UUID(bytes=hashlib.md5(text.encode(), usedforsecurity=False).digest()))

    return {
        "id": identifier(model.name),
        "source": 1,
        "name": model.name,
        "description": f"{model.task} model {model.name.rpartition('/')[2]}",
        "task": {"id": identifier(model.task), "name": model.task, "description": TASKS[model.task]},
        "tags": [],
        "properties": [{"property_id": key, "value": value} for key, value in model.properties.items()],
    }


def _paged(request: Request, every: list[dict[str, Any]]) -> Response:
    page = whole_number(request, "page", 1, 1, 10**6)
    per_page = whole_number(request, "per_page", 20, 1, 100)
    shown = every[(page - 1) * per_page : page * per_page]
    info = {"count": len(shown), "page": page, "per_page": per_page, "total_count": len(every)}
    return JSONResponse(success(shown, result_info=info))
