"""The account: token, credits, models, files of results (facts §2.1, §8.7, §8.8, §9.8); scripting at `/_simulator/`."""

from __future__ import annotations

import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cfaig_integrations.simulator.catalogue import THIRD_PARTY, WORKERS_AI, Listed
from cfaig_integrations.simulator.http.bodies import ApiError, success
from cfaig_integrations.simulator.management.common import (
    ACCOUNT,
    json_body,
    json_response,
    managed,
    page_of_list,
    served,
)
from cfaig_integrations.simulator.scripting.script import Step, make_answer, make_fault
from cfaig_integrations.simulator.state import State, state_of

_CREDITS = 10_000  # in cents, as public programs read the balance (facts §8.7)


@managed("GET", "/client/v4/user/tokens/verify")
@managed("GET", ACCOUNT + "/tokens/verify")
async def _verify_token(_: Request, _state: State) -> Response:
    token = {"id": "0" * 32, "status": "active"}
    message = {"code": 10000, "message": "This API Token is valid and active", "type": None}
    return json_response({**success(token), "messages": [message]})


@managed("GET", "/client/v4/accounts")
async def _list_accounts(request: Request, state: State) -> Response:
    """The simulated account alone."""
    account = {"id": state.account_id, "name": "Simulated account", "type": "standard"}
    return page_of_list(request, [account], 50)


@managed("GET", ACCOUNT + "/ai-gateway/billing/credit-balance")
async def _get_credits(_: Request, state: State) -> Response:
    """The credits, less what the logged calls of other vendors' models cost."""
    spent = sum(cost for _, cost, _, provider, _ in state.logs.costs() if provider != "workers-ai")
    balance = {
        "balance": round(_CREDITS - 100 * spent, 4),
        "has_default_payment_method": False,
        "payment_method": None,
        "topup_config": None,
        "first_topup_success": True,
    }
    return json_response(success(balance))


@served("GET", "/files/{name}")
async def _get_file(request: Request) -> Response:
    """A file of a result, whose address is its only protection, as with a signed URL."""
    result = state_of(request).files.get(request.path_params["name"])
    if result is None:
        return Response("<Error><Code>ExpiredRequest</Code></Error>", 403, media_type="application/xml")
    return Response(result.data, media_type=result.content_type)


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


@managed("GET", ACCOUNT + "/ai/models/search")
async def _search_models(request: Request, state: State) -> Response:
    """Workers AI only."""
    query = request.query_params
    text, author, task = (query.get(name, "").lower() for name in ("search", "author", "task"))
    models = [
        _shown(model, state)
        for model in WORKERS_AI
        if text in model.name.lower()
        and (not author or model.name.split("/")[1].lower() == author)
        and (not task or model.task.lower() == task)
    ]
    return page_of_list(request, models, 1000)


@managed("GET", "/v1/{account}/{gateway}/compat/models")
async def _list_compatible(_: Request, state: State) -> Response:
    """Ids in the spelling of the legacy host, with the cost of a token."""
    names = [*THIRD_PARTY, *(f"workers-ai/{model.name}" for model in WORKERS_AI)]
    prices = [state.prices.price(name.removeprefix("workers-ai/")) for name in names]
    listed = [
        {"id": name, "object": "model", "created": 1_767_225_600, "owned_by": name.partition("/")[0],
            "cost_in": price.input / 1e6, "cost_out": price.output / 1e6}
        for name, price in zip(names, prices, strict=True)
    ]  # fmt: skip
    return json_response({"object": "list", "data": listed})


@served("POST", "/_simulator/replies")
@served("POST", "/_simulator/faults")
async def _queue(request: Request) -> Response:
    """The fields of an answer, or `name`, `after` and the details of a fault; and `times`."""
    script = state_of(request).script
    try:
        fields = await json_body(request)
        times = fields.pop("times", 1)
        if request.url.path.endswith("replies"):
            script.add_reply(Step(make_answer(fields)), times)
        else:
            after = int(fields.pop("after", 0))
            script.add_fault(make_fault(str(fields.pop("name", "")), fields), times, after)
    except (ApiError, TypeError, ValueError, OverflowError) as error:
        return json_response({"error": str(error)}, 400)
    replies, faults = script.waiting
    return json_response({"replies": replies, "faults": faults})


@served("POST", "/_simulator/reset")
async def _post_reset(request: Request) -> Response:
    state_of(request).reset()
    return json_response({})
