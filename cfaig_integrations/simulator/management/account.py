"""The token, the accounts that it reaches, their credits, and files of results (facts §2.1, §8.7, §9.8)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from cfaig_integrations.simulator.http.bodies import success
from cfaig_integrations.simulator.management.common import guarded, json_response, page_of, page_response
from cfaig_integrations.simulator.state import State, state_of

_CREDITS = 10_000
"""In cents, as public programs read the balance (facts §8.7)."""


@guarded
async def verify_token(_: Request, _state: State) -> Response:
    """`GET /user/tokens/verify` and `GET .../tokens/verify`."""
    token = {"id": "0" * 32, "status": "active"}
    message = {"code": 10000, "message": "This API Token is valid and active", "type": None}
    return json_response({**success(token), "messages": [message]})


@guarded
async def list_accounts(request: Request, state: State) -> Response:
    """`GET /accounts`: the simulated account alone."""
    page, per_page = page_of(request, 20, 50)
    accounts = [{"id": state.account_id, "name": "Simulated account", "type": "standard"}]
    return page_response(accounts if page == 1 else [], page, per_page, len(accounts))


@guarded
async def get_credits(_: Request, state: State) -> Response:
    """`GET .../ai-gateway/billing/credit-balance`: less what the logged calls of other vendors' models cost."""
    spent = sum(cost for _, cost, _, provider, _ in state.logs.costs() if provider != "workers-ai")
    balance = {
        "balance": round(_CREDITS - 100 * spent, 4),
        "has_default_payment_method": False,
        "payment_method": None,
        "topup_config": None,
        "first_topup_success": True,
    }
    return json_response(success(balance))


async def get_file(request: Request) -> Response:
    """`GET /files/{name}`: a file of a result, whose address is its only protection, as with a signed URL."""
    result = state_of(request).files.get(request.path_params["name"])
    if result is None:
        return Response("<Error><Code>ExpiredRequest</Code></Error>", 403, media_type="application/xml")
    return Response(result.data, media_type=result.content_type)
