"""`cfaig models`: formats, limits and capabilities of models."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cfaig_integrations.cli import options
from cfaig_integrations.cli.catalog import Model, model_of, third_party, workers_ai
from cfaig_integrations.cli.output import console, details, print_json, reported, table
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.info import Format

CAPABILITIES = ("tools", "tool_choice", "schema", "reasoning", "image", "image_url", "pdf", "audio", "video")
_SHORT = {"chat_completions": "chat"}
_IN_DETAILS = ("tool_choice", "image_url")
_NO_ACCOUNT = "Workers AI's models are listed with an account only:"


def models(
    search: Annotated[str, typer.Argument(help="Text in the id; an id shows everything about that model.")] = "",
    *,
    author: Annotated[str | None, typer.Option(help="Vendor, such as openai or meta.", show_default=False)] = None,
    kind: Annotated[
        str | None, typer.Option(help="chat, embedding, reranking, image generation, ...", show_default=False)
    ] = None,
    wire: Annotated[Format | None, typer.Option(help="Only models served in this format.", show_default=False)] = None,
    can: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CAPABILITY",
            help=f"Only chat models with it: {', '.join(CAPABILITIES)}; repeatable.",
            show_default=False,
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Send no request: without the account's Workers AI models.")
    ] = False,
    gateway: options.Gateway = None,
    account: options.Account = None,
    base_url: options.BaseUrl = None,
    json: options.Json = False,
) -> None:
    """List models with their formats, context window and capabilities.

    Workers AI's models come from the account; the API has no list of the others, of which a selection is shown. With
    --json every model is one line of JSON.

    Exit codes: 0 success, 1 the call failed or nothing was found, 2 an option or setting is not valid.
    """
    with reported(as_json=json):
        unknown = {*(can or ())} - {*CAPABILITIES}
        if unknown:
            raise ConfigError(
                f"--can {min(unknown)!r} is not a capability.", field="--can", remedy=f"Use {', '.join(CAPABILITIES)}."
            )
        listed = third_party()
        if not offline:
            listed += _of_account(search, account, gateway, base_url)
        named = [each for each in listed if search.lower() in each.id.lower()]
        exact = [each for each in named if each.id == search]
        if not named and "/" in search and " " not in search:
            exact = [model_of(search)]
        matches = [
            each
            for each in exact or named
            if (author or each.author).lower() == each.author.lower()
            and (kind or "").lower() in each.kind
            and (wire is None or wire in (*each.wires, *each.wires_with_tools))
            and {*(can or ())} <= {*each.capabilities}
        ]
    _print(sorted(matches, key=lambda each: each.id), in_detail=bool(exact), as_json=json)


def _print(matches: list[Model], *, in_detail: bool, as_json: bool) -> None:
    if not matches:
        typer.echo("No model found.", err=True)
        raise typer.Exit(1)
    if as_json:
        for each in matches:
            print_json(each.fields())
    else:
        console().print(_details(matches[0]) if in_detail else _table(matches))


def _of_account(search: str, account: str | None, gateway: str | None, base_url: str | None) -> list[Model]:
    """Workers AI's models; none, with a note, where account or token are missing."""
    try:
        connection = options.connect(account, gateway, base_url)
    except ConfigError as error:
        if "is missing" not in error.message:
            raise
        console(stderr=True).print(f"[dim]{_NO_ACCOUNT} {escape(str(error))}[/dim]", soft_wrap=True)
        return []
    if connection.settings.legacy:
        return []
    notes = console(stderr=True)
    # The catalog cannot be searched by author: the name alone finds an id.
    with notes.status("Reading the catalog"):
        return workers_ai(connection, search.rpartition("/")[2])


def _table(matches: list[Model]) -> Table:
    rows = table("model", "kind", "formats", "context", "capabilities", ids=("model",))
    rows.columns[3].justify = "right"
    for model in matches:
        capabilities = " ".join(each for each in model.capabilities if each not in _IN_DETAILS)
        rows.add_row(
            model.id,
            model.kind,
            " ".join(_SHORT.get(each, each) for each in model.wires),
            _tokens(model.context_window or model.max_input) + ("?" if model.is_guess else ""),
            escape(capabilities),
        )
    return rows


def _tokens(number: int | None) -> str:
    if number is None or number < 1000:
        return "-" if number is None else str(number)
    return f"{number / 1_000_000:.3g}M" if number >= 1_000_000 else f"{number / 1000:.3g}k"


def _details(model: Model) -> Table:
    facts: dict[str, Any] = {
        "model": model.id,
        "kind": model.kind,
        "formats": ", ".join(model.wires),
        "with tools": ", ".join(model.wires_with_tools),
        "context window": f"{model.context_window:,} tokens" if model.context_window else "",
        "input": f"{model.max_input:,} tokens at most" if model.max_input else "",
        "output": f"{model.max_output:,} tokens at most" if model.max_output else "",
        "capabilities": ", ".join(model.capabilities),
        **{name.replace("_", " "): f"{value:,}" for name, value in model.limits.items()},
        "note": "not in this package's table: limits and capabilities are a guess" if model.is_guess else "",
        "description": model.description,
        **{f"catalog: {name}": str(value) for name, value in model.properties.items()},
    }
    return details({name: value for name, value in facts.items() if value})
