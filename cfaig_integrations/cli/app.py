"""The commands of `cfaig` and their options; each command has a module."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from cfaig_integrations._version import __version__
from cfaig_integrations.errors import GatewayError

WIDTH_WITHOUT_TERMINAL = 150

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
def demo(
    live: Annotated[
        bool, typer.Option(help="Use the account in the environment instead of a simulated gateway.")
    ] = False,
) -> None:
    """Run LangChain and LlamaIndex programs on this package's own README, through a gateway."""
    from cfaig_integrations.cli.demo import run

    console = Console() if sys.stdout.isatty() else Console(width=WIDTH_WITHOUT_TERMINAL)
    try:
        run(console, live=live)
    except GatewayError as error:
        console.print(f"[red]{type(error).__name__}[/red]: {error}", highlight=False)
        raise typer.Exit(1) from error
