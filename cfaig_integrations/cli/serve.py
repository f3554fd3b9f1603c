"""What `cfaig serve` runs: a local gateway, until it is interrupted."""

from __future__ import annotations

import secrets
import shlex
import signal
import threading
from ipaddress import ip_address
from types import FrameType
from typing import Any

import typer

from cfaig_integrations.simulator import Simulator, Upstream
from cfaig_integrations.simulator.server import API_TOKEN

IN_MEMORY = ":memory:"
_KEPT_REQUESTS = 100


def serve(host: str, database: str, upstream: Upstream | None, token: str | None, **options: Any) -> None:
    """Serve until SIGINT or SIGTERM; print the environment variables that point a program at the server.

    Args:
        host: Address to listen on.
        database: SQLite file.
        upstream: Server that calls are forwarded to.
        token: API token that clients must send; None: a known one on a loopback address, elsewhere a random one.
        **options: Further arguments of `Simulator`.

    Raises:
        ValueError: A file or an option is wrong.
        OSError: The port is in use, or a file cannot be read.
    """
    is_local = _is_loopback(host)
    simulator = Simulator(
        host=host,
        database=database,
        upstream=upstream,
        api_token=token or (API_TOKEN if is_local else secrets.token_urlsafe(24)),
        keep_requests=_KEPT_REQUESTS,
        **options,
    )
    stopped = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    simulator.start()
    for name, value in simulator.environment.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    kept = "in memory" if database == IN_MEMORY else f"in {database}"
    answering = f"forwarded to {upstream.url}" if upstream else "answered by the fake model"
    paths = f"{simulator.base_url}/accounts/{simulator.account_id}/ai"
    typer.echo(f"# Log: {simulator.url}/ (kept {kept}). Calls are {answering}.")
    typer.echo(f"# Legacy host: {simulator.legacy_url}")
    typer.echo(f'# OpenAI\'s clients: OPENAI_BASE_URL={paths}/v1 OPENAI_API_KEY="$CLOUDFLARE_API_TOKEN"')
    typer.echo(f'# Anthropic\'s clients: ANTHROPIC_BASE_URL={paths} ANTHROPIC_AUTH_TOKEN="$CLOUDFLARE_API_TOKEN"')
    if not is_local:
        typer.echo("# Other machines can reach this server: the page asks them for the API token as the password.")
    typer.echo("# Ctrl-C stops.")
    while not stopped.wait(3600):
        continue
    simulator.stop()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
