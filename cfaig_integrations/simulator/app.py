"""The routes of the simulated hosts."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from cfaig_integrations.simulator.http.guard import Guard
from cfaig_integrations.simulator.inference.endpoint import endpoint, provider_path, universal
from cfaig_integrations.simulator.management import account, control, gateways, logs, models, routes
from cfaig_integrations.simulator.management.common import no_route, wrong_method
from cfaig_integrations.simulator.page.routes import page_routes
from cfaig_integrations.simulator.state import State

ACCOUNT = "/client/v4/accounts/{account}"
GATEWAYS = ACCOUNT + "/ai-gateway/gateways"
LOGS = GATEWAYS + "/{gateway}/logs"
ROUTES = GATEWAYS + "/{gateway}/routes"
LEGACY = "/v1/{account}/{gateway}"
COMPAT = LEGACY + "/compat"


def _inference() -> list[BaseRoute]:
    return [
        Route(ACCOUNT + "/ai/run", endpoint("run"), methods=["POST"]),
        Route(ACCOUNT + "/ai/run/{model:path}", endpoint("run"), methods=["POST"]),
        Route(ACCOUNT + "/ai/v1/chat/completions", endpoint("chat_completions"), methods=["POST"]),
        Route(ACCOUNT + "/ai/v1/responses", endpoint("responses"), methods=["POST"]),
        Route(ACCOUNT + "/ai/v1/messages", endpoint("messages"), methods=["POST"]),
        Route(ACCOUNT + "/ai/v1/embeddings", endpoint("embeddings"), methods=["POST"]),
        Route(ACCOUNT + "/ai/websearch", endpoint("websearch"), methods=["POST"]),
        Route(ACCOUNT + "/ai/websearch/", endpoint("websearch"), methods=["POST"]),
        Route(COMPAT + "/chat/completions", endpoint("chat_completions", legacy=True), methods=["POST"]),
        Route(COMPAT + "/embeddings", endpoint("embeddings", legacy=True), methods=["POST"]),
        Route(LEGACY, universal, methods=["POST"]),
        Route(LEGACY + "/{provider}/{path:path}", provider_path, methods=["POST"]),
        Route("/compat/chat/completions", endpoint("chat_completions", custom=True), methods=["POST"]),
    ]


def _management() -> list[BaseRoute]:
    return [
        Route("/client/v4/user/tokens/verify", account.verify_token, methods=["GET"]),
        Route("/client/v4/accounts", account.list_accounts, methods=["GET"]),
        Route(ACCOUNT + "/tokens/verify", account.verify_token, methods=["GET"]),
        Route(ACCOUNT + "/ai-gateway/billing/credit-balance", account.get_credits, methods=["GET"]),
        Route("/files/{name}", account.get_file, methods=["GET"]),
        Route(GATEWAYS, gateways.create_gateway, methods=["POST"]),
        Route(GATEWAYS, gateways.list_gateways, methods=["GET"]),
        Route(GATEWAYS + "/{gateway}", gateways.get_gateway, methods=["GET"]),
        Route(GATEWAYS + "/{gateway}", gateways.replace_gateway, methods=["PUT"]),
        Route(GATEWAYS + "/{gateway}", gateways.delete_gateway, methods=["DELETE"]),
        Route(ROUTES, routes.create_route, methods=["POST"]),
        Route(ROUTES, routes.list_routes, methods=["GET"]),
        Route(ROUTES + "/{route}", routes.get_route, methods=["GET"]),
        Route(ROUTES + "/{route}", routes.delete_route, methods=["DELETE"]),
        Route(GATEWAYS + "/{gateway}/url/{provider}", gateways.get_url, methods=["GET"]),
        Route(ACCOUNT + "/ai/models/search", models.search_models, methods=["GET"]),
        Route(ACCOUNT + "/ai/models/schema", models.get_schema, methods=["GET"]),
        Route(COMPAT + "/models", models.list_compatible, methods=["GET"]),
        Route(LOGS, logs.list_logs, methods=["GET"]),
        Route(LOGS, logs.delete_logs, methods=["DELETE"]),
        Route(LOGS + "/{log}", logs.get_log, methods=["GET"]),
        Route(LOGS + "/{log}", logs.patch_log, methods=["PATCH"]),
        Route(LOGS + "/{log}/request", logs.get_request, methods=["GET"]),
        Route(LOGS + "/{log}/response", logs.get_response, methods=["GET"]),
    ]


def _control() -> list[BaseRoute]:
    return [
        Route("/_simulator/replies", control.post_reply, methods=["POST"]),
        Route("/_simulator/faults", control.post_fault, methods=["POST"]),
        Route("/_simulator/faults", control.get_faults, methods=["GET"]),
        Route("/_simulator/reset", control.post_reset, methods=["POST"]),
        Route("/_simulator/requests", control.get_requests, methods=["GET"]),
        Route("/_simulator/connections", control.get_connections, methods=["GET"]),
    ]


def build_app(state: State) -> ASGIApp:
    """The ASGI application of one simulator."""
    app = Starlette(
        routes=[*_inference(), *_management(), *_control(), *page_routes()],
        exception_handlers={404: no_route, 405: wrong_method},
    )
    app.router.redirect_slashes = False
    app.state.state = state
    return Guard(state.recorder.around(app), state.api_token, state.host_names)
