"""What the gateway does in the demo, whatever the framework: a cache hit and its cost, a retry, a truncated stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from cfaig_integrations.cli.log_rows import dollars
from cfaig_integrations.client.api import AIGateway
from cfaig_integrations.client.sync import Client
from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import Text, Turn
from cfaig_integrations.core.events import TextDelta
from cfaig_integrations.errors import StreamBroken
from cfaig_integrations.gateway.connection import Connection
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.gateway.settings import resolve

if TYPE_CHECKING:
    from cfaig_integrations.simulator import Simulator

_QUESTION = "Name the capital of France."
_SECONDS = 300


def show(console: Console, connection: dict[str, Any], simulator: Simulator | None, model: str) -> None:
    """Shows the gateway."""
    settings = resolve(**connection)
    metadata = {"app": "cfaig-demo", "part": "gateway"}
    client = Client(Connection(settings=settings, metadata=metadata))
    cached = Client(Connection(settings=settings, metadata=metadata, options=GatewayOptions(cache_ttl=_SECONDS)))
    request = ChatRequest(model, (Turn("user", (Text(_QUESTION),)),), max_tokens=400)
    console.rule("The gateway: the same call twice, with a cache")
    _show_cache(console, cached, request, AIGateway(**connection))
    if simulator is None:
        console.print("The rate limit and the truncated stream are shown on the simulated gateway only.\n")
        return
    console.rule("The gateway: a rate limit that is retried")
    _show_retry(console, client, request, simulator)
    console.rule("The gateway: a truncated stream that raises")
    _show_truncation(console, client, request, simulator)


def _show_cache(console: Console, client: Client, request: ChatRequest, gateway: AIGateway) -> None:
    for _ in range(2):
        _, info = client.chat(request)
        cost = gateway.log(info.log_id).cost if info.log_id else None
        console.print(
            f"cache {info.cache_status or 'unknown':4}  cost {dollars(cost):>9}  log {escape(info.log_id or '-')}"
        )
    console.print()


def _show_retry(console: Console, client: Client, request: ChatRequest, simulator: Simulator) -> None:
    simulator.fault("gateway_rate_limit_after")
    reply, info = client.chat(request)
    console.print(f"429 Rate limited, retried: {info.attempts} requests, and the answer: {escape(reply.turn.text)}\n")


def _show_truncation(console: Console, client: Client, request: ChatRequest, simulator: Simulator) -> None:
    simulator.fault("cut_clean", after_events=3)
    received = ""
    try:
        with client.stream(request) as stream:
            for event in stream:
                received += event.text if isinstance(event, TextDelta) else ""
    except StreamBroken as error:
        console.print(f"received {received!r}, then StreamBroken: {error}\n", markup=False)
    else:
        console.print("[red]The stream was not truncated.[/red]\n")
