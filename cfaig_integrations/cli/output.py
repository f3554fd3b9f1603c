"""What all commands print with: consoles, JSON, errors, and the exit codes.

Exit codes: 0 success; 1 the call failed; 2 usage, where an option, an argument, a file or a setting is not valid and
nothing was sent; 10 and more are what `cfaig doctor` found, as its `--help` lists them; 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cfaig_integrations.errors import ApiError, ConfigError, GatewayError

FAILED = 1
USAGE = 2
INTERRUPTED = 130
WIDTH = 100
"""Columns of tables where the output is no terminal."""


def console(*, stderr: bool = False) -> Console:
    """A console on a standard stream, which does not highlight numbers and names."""
    stream: TextIO = sys.stderr if stderr else sys.stdout
    return Console(file=stream, highlight=False, width=None if stream.isatty() else WIDTH)


def table(*headings: str, ids: tuple[str, ...] = ()) -> Table:
    """A table without frame.

    Args:
        *headings: Its columns; a cell breaks rather than ends.
        ids: Columns whose cells never break, so that they can be copied.
    """
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        rows.add_column(heading, overflow="fold", no_wrap=heading in ids)
    return rows


def details(fields: Mapping[str, str]) -> Table:
    """Names and values, a row each; a value breaks rather than ends."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in fields.items():
        grid.add_row(f"[bold]{escape(name)}[/bold]", escape(value))
    return grid


def print_json(value: Any, *, err: bool = False) -> None:
    """Prints a value as one line of JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str), err=err)


def error_fields(error: GatewayError) -> dict[str, Any]:
    """An error as JSON."""
    fields: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, ApiError):
        ids = {"status": error.status, "code": error.code, "hint": error.hint, "log_id": error.log_id}
        fields |= {name: value for name, value in ids.items() if value not in (None, "")}
    if isinstance(error, ConfigError):
        fields |= {"field": error.field, "remedy": error.remedy}
    return fields


@contextmanager
def reported(*, as_json: bool) -> Generator[None]:
    """Prints what fails within the block to standard error, and ends the command with its exit code."""
    try:
        yield
    except GatewayError as error:
        if as_json:
            print_json({"error": error_fields(error)}, err=True)
        else:
            console(stderr=True).print(f"[red]{type(error).__name__}[/red]: {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(USAGE if isinstance(error, ConfigError) else FAILED) from error
    except BrokenPipeError:  # what reads the output, such as `head`, has ended: typer ends the command silently
        raise
    except OSError as error:
        if as_json:
            print_json({"error": {"type": type(error).__name__, "message": str(error)}}, err=True)
        else:
            typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(USAGE) from error
    except KeyboardInterrupt:
        typer.echo("Interrupted.", err=True)
        raise typer.Exit(INTERRUPTED) from None


def progress_bar() -> Progress:
    """A progress bar with a rate on standard error; hidden where that is no terminal."""
    stderr = Console(file=sys.stderr)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=stderr,
        disable=not stderr.is_terminal,
        transient=True,
    )
