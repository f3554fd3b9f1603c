"""What `cfaig serve` runs: a local gateway, until it is interrupted."""

from __future__ import annotations

import secrets
import shlex
import signal
import threading
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import FrameType

import typer

from cfaig_integrations.simulator import Simulator, Upstream
from cfaig_integrations.simulator.server import API_TOKEN

IN_MEMORY = ":memory:"
_KEPT_REQUESTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """The options of the command."""

    port: int
    host: str
    host_names: list[str]
    database: str
    upstream: str | None
    upstream_model: str | None
    upstream_key: str | None = field(repr=False)
    prices: Path | None
    token: str | None = field(repr=False)
    pace: float


def serve(options: ServeOptions) -> None:
    """Serve until SIGINT or SIGTERM; print the environment variables that point a program at the server.

    Raises:
        ValueError: A file or an option is wrong.
        OSError: The port is in use, or a file cannot be read.
    """
    token = options.token or (API_TOKEN if _is_loopback(options.host) else secrets.token_urlsafe(24))
    upstream = None
    if options.upstream is not None:
        upstream = Upstream(options.upstream, model=options.upstream_model, key=options.upstream_key)
    simulator = Simulator(
        options.port,
        host=options.host,
        host_names=options.host_names,
        api_token=token,
        database=options.database,
        upstream=upstream,
        prices=options.prices,
        keep_requests=_KEPT_REQUESTS,
        pace=options.pace,
    )
    stopped = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    simulator.start()
    for name, value in simulator.environment.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    for line in _explanation(simulator, options):
        typer.echo(f"# {line}")
    while not stopped.wait(3600):
        continue
    simulator.stop()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _explanation(simulator: Simulator, options: ServeOptions) -> list[str]:
    kept = "in memory" if options.database == IN_MEMORY else f"in {options.database}"
    answering = f"forwarded to {options.upstream}" if options.upstream else "answered by the fake model"
    paths = f"{simulator.base_url}/accounts/{simulator.account_id}/ai"
    lines = [
        f"Log: {simulator.url}/ (kept {kept}). Calls are {answering}.",
        f"Legacy host: {simulator.legacy_url}",
        f'OpenAI\'s clients: OPENAI_BASE_URL={paths}/v1 OPENAI_API_KEY="$CLOUDFLARE_API_TOKEN"',
        f'Anthropic\'s clients: ANTHROPIC_BASE_URL={paths} ANTHROPIC_AUTH_TOKEN="$CLOUDFLARE_API_TOKEN"',
    ]
    if not _is_loopback(options.host):
        lines.append("Other machines can reach this server: the page asks them for the API token as the password.")
    return [*lines, "Ctrl-C stops."]
