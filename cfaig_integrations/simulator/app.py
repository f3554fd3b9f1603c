"""The routes of the simulated hosts."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from cfaig_integrations.simulator.http.guard import Guard
from cfaig_integrations.simulator.inference.endpoint import endpoint, provider_path, universal
from cfaig_integrations.simulator.management import MANAGEMENT
from cfaig_integrations.simulator.management.common import ACCOUNT, no_route, wrong_method
from cfaig_integrations.simulator.page.routes import PAGE
from cfaig_integrations.simulator.state import State

LEGACY = "/v1/{account}/{gateway}"

_INFERENCE: list[BaseRoute] = [
    Route(ACCOUNT + "/ai/run", endpoint("run"), methods=["POST"]),
    Route(ACCOUNT + "/ai/run/{model:path}", endpoint("run"), methods=["POST"]),
    Route(ACCOUNT + "/ai/v1/chat/completions", endpoint("chat_completions"), methods=["POST"]),
    Route(ACCOUNT + "/ai/v1/responses", endpoint("responses"), methods=["POST"]),
    Route(ACCOUNT + "/ai/v1/messages", endpoint("messages"), methods=["POST"]),
    Route(ACCOUNT + "/ai/v1/embeddings", endpoint("embeddings"), methods=["POST"]),
    Route(ACCOUNT + "/ai/websearch", endpoint("websearch"), methods=["POST"]),
    Route(ACCOUNT + "/ai/websearch/", endpoint("websearch"), methods=["POST"]),
    Route(LEGACY, universal, methods=["POST"]),
    Route(LEGACY + "/{provider}/{path:path}", provider_path, methods=["POST"]),
    Route("/compat/chat/completions", endpoint("chat_completions", custom=True), methods=["POST"]),
]


def build_app(state: State) -> ASGIApp:
    """The ASGI application of one simulator."""
    app = Starlette(routes=[*_INFERENCE, *MANAGEMENT, *PAGE], exception_handlers={404: no_route, 405: wrong_method})
    app.router.redirect_slashes = False
    app.state.state = state
    return Guard(state.recorder.around(app), state.api_token, state.host_names)
