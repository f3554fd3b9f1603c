"""`cfaig serve`: a local gateway, until it is interrupted."""

from __future__ import annotations

import secrets
import shlex
import signal
import threading
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cfaig_integrations.simulator import Simulator

IN_MEMORY = ":memory:"
_KEPT_REQUESTS = 100


def serve(
    *,
    port: Annotated[int, typer.Option(help="TCP port, 0 for any free one.", min=0, max=65535)] = 8787,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    host_name: Annotated[
        list[str] | None,
        typer.Option(help="Domain name by which clients reach the server, besides localhost; repeatable."),
    ] = None,
    database: Annotated[
        str, typer.Option(metavar="FILE", help="SQLite file for the log and the gateways.")
    ] = IN_MEMORY,
    upstream: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Forward calls to this OpenAI- or Anthropic-compatible server, such as http://127.0.0.1:11434/v1.",
        ),
    ] = None,
    upstream_model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Ask the upstream server for this model, whatever was requested.")
    ] = None,
    upstream_key: Annotated[
        str | None, typer.Option(envvar="CFAIG_UPSTREAM_API_KEY", help="API key of the upstream server.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON file with dollars per million tokens, by model.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="CFAIG_SERVE_TOKEN", help="API token that clients must send.")
    ] = None,
    pace: Annotated[float, typer.Option(metavar="SECONDS", help="Pause between the events of a stream.", min=0)] = 0.0,
) -> None:
    """Run a local gateway with a log, until interrupted. Prints the environment variables to use it with.

    Exit codes: 0 interrupted, 1 an option is not valid, the port is in use, or the extra 'simulator' is missing.
    """
    try:
        from cfaig_integrations.simulator import Simulator, Upstream
        from cfaig_integrations.simulator.server import API_TOKEN

        _check(database, upstream, upstream_model)
        is_local = _is_loopback(host)
        target = None if upstream is None else Upstream(upstream, model=upstream_model, key=upstream_key)
        simulator = Simulator(
            host=host,
            port=port,
            host_names=host_name or (),
            database=database,
            upstream=target,
            prices=prices,
            api_token=token or (API_TOKEN if is_local else secrets.token_urlsafe(24)),
            pace=pace,
            keep_requests=_KEPT_REQUESTS,
        )
        kept = "in memory" if database == IN_MEMORY else f"in {database}"
        answering = f"forwarded to {target.url}" if target else "answered by the fake model"
        _run(simulator, f"(kept {kept}). Calls are {answering}.", is_local=is_local)
    except (ImportError, OSError, ValueError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


def _check(database: str, upstream: str | None, upstream_model: str | None) -> None:
    if not database:
        raise ValueError("--database is empty. Name a file, or leave it out.")
    if upstream_model is not None and upstream is None:
        raise ValueError("--upstream-model is for --upstream only. Add --upstream URL, or leave it out.")


def _run(simulator: Simulator, about: str, *, is_local: bool) -> None:
    stopped = threading.Event()

    def stop(*_: object) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    simulator.start()
    for name, value in simulator.environment.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    paths = f"{simulator.base_url}/accounts/{simulator.account_id}/ai"
    typer.echo(f"# Log: {simulator.url}/ {about}")
    typer.echo(f"# Legacy host: {simulator.legacy_url}")
    typer.echo(f'# OpenAI\'s clients: OPENAI_BASE_URL={paths}/v1 OPENAI_API_KEY="$CLOUDFLARE_API_TOKEN"')
    typer.echo(f'# Anthropic\'s clients: ANTHROPIC_BASE_URL={paths} ANTHROPIC_AUTH_TOKEN="$CLOUDFLARE_API_TOKEN"')
    if not is_local:
        typer.echo("# Other machines can reach this server: the page asks them for the API token as the password.")
    typer.echo("# Ctrl-C stops.")
    while not stopped.wait(1):  # a signal that comes just before a wait does not end it
        continue
    simulator.stop()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
