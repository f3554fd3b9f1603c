"""`cfaig demo`: programs of each installed framework, then the gateway's log."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from importlib import import_module
from importlib.metadata import distribution
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape

from cfaig_integrations.cli import demo_gateway
from cfaig_integrations.cli.log_rows import dollars, lines_of, totals, totals_table
from cfaig_integrations.cli.options import Json
from cfaig_integrations.cli.output import console, print_json, reported
from cfaig_integrations.client.api import AIGateway, LogFilter

if TYPE_CHECKING:
    from cfaig_integrations.simulator import Simulator

APP = "cfaig-demo"
CHAT_MODEL = "openai/gpt-5.4"
QUESTION = "Which entries does Cloudflare keep of the metadata?"
TOOL_QUESTION = "Use the tool to read the section 'Errors': what does a RateLimited error mean?"
EXTRACT_QUESTION = "Extract the rule: Cloudflare keeps 5 entries of the metadata, of 200 characters each."
_LOGGED = 50
_NEXT = """
Next steps:
  cfaig doctor        check a token, an account and a gateway
  cfaig demo --live   the same on your account; it states the estimated cost first
  cfaig chat          talk to a model            cfaig models   see what there is
  cfaig logs          the log of a gateway       cfaig embed    vectors for the lines of a file
"""
CALLS, TOKENS_IN, TOKENS_OUT = 17, 75_000, 6_000
"""Of both frameworks together with an account, at most."""
_DOLLARS_IN, _DOLLARS_OUT = 2.5, 15.0
"""Per million tokens: an assumption, which is printed with the estimate."""


class MetadataRule(BaseModel):
    """What structured output returns in both frameworks."""

    entries: int
    characters: int


FRAMEWORKS = (
    ("LangChain", "langchain_core", "langchain", "demo_langchain"),
    ("LlamaIndex", "llama_index", "llama-index", "demo_llama_index"),
)
"""Name, the package that must be installed, the extra that installs it, and the module that has `show`."""


def demo(
    live: Annotated[
        bool, typer.Option("--live", help="Use the account in the environment instead of a simulated gateway.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --live: do not ask.")] = False,
    json: Json = False,
) -> None:
    """Run LangChain and LlamaIndex programs on this package's own README, through a gateway."""
    try:
        from cfaig_integrations.simulator import Simulator
    except ImportError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    stdout = Console(quiet=True) if json else console()
    if live:
        typer.echo(estimate(), err=True)
        if not yes and sys.stdin.isatty():
            typer.confirm("Send them?", abort=True, err=True)
    with reported(as_json=json), nullcontext() if live else Simulator() as simulator:
        summary = _run(stdout, simulator)
        if json:
            print_json(summary)


def estimate() -> str:
    """What the demo costs on an account, at most."""
    cost = (TOKENS_IN * _DOLLARS_IN + TOKENS_OUT * _DOLLARS_OUT) / 1e6
    return (
        f"About {CALLS} calls with {TOKENS_IN:,} input and {TOKENS_OUT:,} output tokens at most: "
        f"estimated cost ${cost:.2f}, at ${_DOLLARS_IN:.2f} and ${_DOLLARS_OUT:.2f} per million tokens."
    )


def _run(console: Console, simulator: Simulator | None) -> dict[str, Any]:
    """Runs the demo on the simulated gateway, or on the account in the environment; returns the summary."""
    connection: dict[str, Any] = {}
    if simulator is None:
        console.print("Using the Cloudflare account in the environment.\n")
    else:
        console.print(
            f"No account needed: a simulated gateway is listening on {simulator.url}. "
            "Its models are toys; requests, answers, streams and logs have the real form.\n"
        )
        connection = {
            "base_url": simulator.base_url,
            "account_id": simulator.account_id,
            "api_token": simulator.api_token,
            "gateway_id": "default",
        }
    sections = _sections()
    for name, package, extra, module in FRAMEWORKS:
        if find_spec(package) is None:
            install = escape(f"pip install 'cfaig-integrations[{extra}]'")
            console.print(f"{name} is not installed, so its part is left out: {install}\n")
            continue
        import_module(f"cfaig_integrations.cli.{module}").show(console, connection, sections)
    demo_gateway.show(console, connection, simulator, CHAT_MODEL)
    return _summarize(console, AIGateway(**connection), live=simulator is None)


def _sections() -> dict[str, str]:
    """The README of this package, by heading, without its code."""
    text = distribution("cfaig-integrations").read_text("METADATA") or ""
    _, _, text = text.partition("\n\n")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    pieces = re.split(r"^## +(.+)$", text, flags=re.MULTILINE)
    return {"About": pieces[0], **dict(zip(pieces[1::2], pieces[2::2], strict=True))}


def section(sections: Mapping[str, str], heading: str) -> str:
    """The result of the tool of both parts: the section that the model asks for."""
    matches = [text for title, text in sections.items() if title.lower() in heading.lower()]
    return matches[0] if matches else f"No such section. There are: {', '.join(sections)}."


def _summarize(console: Console, gateway: AIGateway, *, live: bool) -> dict[str, Any]:
    """Shows the log, its sums, and what to do next."""
    console.rule("The gateway's log")
    entries = gateway.logs(page=1, per_page=_LOGGED, filters=[LogFilter("metadata.value", "eq", [APP])])
    for entry in entries:
        for line in lines_of(entry):
            console.print(line, soft_wrap=True)
    groups = totals(entries, "model")
    console.rule("Summary")
    console.print(totals_table(groups, "model"))
    cost = sum(total.cost for total in groups.values())
    hits = sum(total.cached for total in groups.values())
    prices = "" if live else " at made-up prices"
    console.print(f"\n{len(entries)} log entries, {dollars(cost)}{prices}; {hits} answered by the cache.")
    console.print(_NEXT, highlight=False)
    fields = {name: total.fields() for name, total in groups.items()}
    return {"live": live, "entries": len(entries), "cost": cost, "models": fields}
