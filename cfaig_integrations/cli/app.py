"""The commands of `cfaig` and their options; each command has a module."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cfaig_integrations._version import __version__
from cfaig_integrations.cli.chat import chat
from cfaig_integrations.cli.doctor import doctor, exit_codes
from cfaig_integrations.cli.embed import embed
from cfaig_integrations.cli.logs import logs
from cfaig_integrations.cli.models import models
from cfaig_integrations.cli.options import Json
from cfaig_integrations.cli.output import console, print_json, reported

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"cfaig-integrations {__version__}")
        raise typer.Exit


@app.callback()
def cfaig(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """LangChain and LlamaIndex on Cloudflare AI Gateway."""


@app.command()
def serve(
    *,
    port: Annotated[int, typer.Option(help="TCP port, 0 for any free one.", min=0, max=65535)] = 8787,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    host_name: Annotated[
        list[str] | None,
        typer.Option(help="Domain name by which clients reach the server, besides localhost; repeatable."),
    ] = None,
    database: Annotated[str, typer.Option(metavar="FILE", help="SQLite file for the log and the gateways.")] = (
        ":memory:"
    ),
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
    """Run a local gateway with a log, until interrupted. Prints the environment variables to use it with."""
    try:
        from cfaig_integrations.cli.serve import serve as run
        from cfaig_integrations.simulator import Upstream

        run(
            host,
            database,
            None if upstream is None else Upstream(upstream, model=upstream_model, key=upstream_key),
            token,
            port=port,
            host_names=host_name or (),
            prices=prices,
            pace=pace,
        )
    except (ImportError, OSError, ValueError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


@app.command()
def demo(
    live: Annotated[
        bool, typer.Option("--live", help="Use the account in the environment instead of a simulated gateway.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --live: do not ask.")] = False,
    json: Json = False,
) -> None:
    """Run LangChain and LlamaIndex programs on this package's own README, through a gateway."""
    try:
        from cfaig_integrations.cli.demo import estimate, run
    except ImportError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    where = Console(quiet=True) if json else console()
    if live:
        typer.echo(estimate(), err=True)
        if not yes and sys.stdin.isatty():
            typer.confirm("Send them?", abort=True, err=True)
    with reported(as_json=json):
        summary = run(where, live=live)
        if json:
            print_json(summary)


app.command()(chat)
app.command(epilog=exit_codes())(doctor)
app.command()(embed)
app.command()(logs)
app.command()(models)
