"""The models of the account: Workers AI's search and schema, and the legacy host's list (facts §1.5, §8.8)."""

from __future__ import annotations

import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cfaig_integrations.simulator.catalogue import THIRD_PARTY, WORKERS_AI, Listed
from cfaig_integrations.simulator.http.bodies import ApiError, success
from cfaig_integrations.simulator.management.common import guarded, json_response, page_of, page_response
from cfaig_integrations.simulator.state import State

_MESSAGES = {"type": "array", "items": {"type": "object", "required": ["role", "content"]}}
_TEXT = {"oneOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string", "minLength": 1}}]}


def _identity(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def _shown(model: Listed, state: State) -> dict[str, Any]:
    price = state.prices.price(model.name)
    per_million = [
        {"unit": f"per M {side} tokens", "price": dollars, "currency": "USD"}
        for side, dollars in (("input", price.input), ("output", price.output))
    ]
    properties = [{"property_id": key, "value": value} for key, value in model.properties.items()]
    return {
        "id": _identity(model.name),
        "source": 1,
        "name": model.name,
        "description": "A model of the simulated account.",
        "task": {"id": _identity(model.task), "name": model.task, "description": f"{model.task} models."},
        "created_at": "2026-01-01 00:00:00.000",
        "tags": [],
        "properties": [*properties, {"property_id": "price", "value": per_million}],
    }


@guarded
async def search_models(request: Request, state: State) -> Response:
    """`GET .../ai/models/search`: Workers AI only."""
    query = request.query_params
    text, author, task = (query.get(name, "").lower() for name in ("search", "author", "task"))
    models = [
        model
        for model in WORKERS_AI
        if text in model.name.lower()
        and (not author or model.name.split("/")[1].lower() == author)
        and (not task or model.task.lower() == task)
    ]
    page, per_page = page_of(request, 20, 1000)
    shown = [_shown(model, state) for model in models[(page - 1) * per_page : page * per_page]]
    return page_response(shown, page, per_page, len(models))


@guarded
async def get_schema(request: Request, state: State) -> Response:
    """`GET .../ai/models/schema?model=@cf/...`: JSON schemas of input and output."""
    name = request.query_params.get("model", "")
    model = next((model for model in WORKERS_AI if model.name == name), None)
    if model is None:
        raise ApiError(404, 7003, f"Model not found: {name}")
    if model.task == "Text Embeddings":
        input_schema: dict[str, Any] = {"type": "object", "properties": {"text": _TEXT}, "required": ["text"]}
    else:
        prompt = {"properties": {"prompt": {"type": "string", "minLength": 1}}, "required": ["prompt"]}
        messages = {"properties": {"messages": _MESSAGES}, "required": ["messages"]}
        input_schema = {"type": "object", "oneOf": [{"title": "Prompt", **prompt}, {"title": "Messages", **messages}]}
    return json_response(success({"input": input_schema, "output": {"type": "object"}}))


@guarded
async def list_compatible(_: Request, state: State) -> Response:
    """`GET /v1/{account}/{gateway}/compat/models`: ids in the legacy spelling, with the cost of a token."""
    names = [*THIRD_PARTY, *(f"workers-ai/{model.name}" for model in WORKERS_AI)]
    return json_response({"object": "list", "data": [_listed(name, state) for name in names]})


def _listed(name: str, state: State) -> dict[str, Any]:
    price = state.prices.price(name.removeprefix("workers-ai/"))
    cost = {"cost_in": price.input / 1e6, "cost_out": price.output / 1e6}
    return {"id": name, "object": "model", "created": 1_767_225_600, "owned_by": name.partition("/")[0], **cost}
