"""The commands of `cfaig`; each has a module."""

from __future__ import annotations

from typing import Annotated

import typer

from cfaig_integrations._version import __version__
from cfaig_integrations.cli.chat import chat
from cfaig_integrations.cli.demo import demo
from cfaig_integrations.cli.doctor import doctor, exit_codes
from cfaig_integrations.cli.embed import embed
from cfaig_integrations.cli.logs import logs
from cfaig_integrations.cli.models import models
from cfaig_integrations.cli.serve import serve

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",  # rich's own markup drops what is in brackets
)


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


app.command()(serve)
app.command()(demo)
app.command()(chat)
app.command(epilog=exit_codes())(doctor)
app.command()(embed)
app.command()(logs)
app.command()(models)
