"""A local gateway for tests, demonstrations and notebooks: no account, no network.

It shares no code with the rest of the package, so that a mistake in one is not repeated in the other. Modules import
only those listed above them:

    types, catalogue, tokens, json_types, clock    definitions that all share
    prices         what a token costs
    fake_model/    generates answers without a neural network
    dialects/      request and response formats
    http/          connections, captured requests, responses, error bodies
    gateway/       the gateway's rules               scripting/     scripted answers and faults
    upstream/      a real server behind the gateway
    state          everything that one simulator owns
    inference/     model calls                       management/    all other paths
    page/          the web page
    app, server    the routes, and the public class `Simulator`
    testing, pytest_plugin    the fixture `ai_gateway`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cfaig_integrations.simulator.http.recorder import Captured
    from cfaig_integrations.simulator.scripting.faults import FAULTS, Fault
    from cfaig_integrations.simulator.server import Simulator
    from cfaig_integrations.simulator.testing import ChatRequest, ScriptedGateway
    from cfaig_integrations.simulator.types import Answer, Call
    from cfaig_integrations.simulator.upstream import Upstream

__all__ = [
    "FAULTS",
    "Answer",
    "Call",
    "Captured",
    "ChatRequest",
    "Fault",
    "ScriptedGateway",
    "Simulator",
    "Upstream",
]

_MODULES = {
    "FAULTS": "scripting.faults",
    "Answer": "types",
    "Call": "types",
    "Captured": "http.recorder",
    "ChatRequest": "testing",
    "Fault": "scripting.faults",
    "ScriptedGateway": "testing",
    "Simulator": "server",
    "Upstream": "upstream",
}
_NEEDED = frozenset({"starlette", "uvicorn", "h11"})


def __getattr__(name: str) -> Any:
    """Load a name on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        module = import_module(f"{__name__}.{_MODULES[name]}")
    except ModuleNotFoundError as missing:
        if missing.name is not None and missing.name.partition(".")[0] in _NEEDED:
            raise ImportError(
                "cfaig_integrations.simulator needs the 'simulator' extra: pip install 'cfaig-integrations[simulator]'"
            ) from missing
        raise
    return getattr(module, name)


def __dir__() -> list[str]:
    return __all__
