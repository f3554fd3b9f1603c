"""`cfaig demo`: programs of each installed framework, then the gateway's log."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import distribution
from importlib.util import find_spec
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cfaig_integrations.client.api import AIGateway, LogEntry
from cfaig_integrations.simulator import Simulator

CHAT_MODEL = "openai/gpt-5.4"
QUESTION = "Which entries does Cloudflare keep of the metadata?"
TOOL_QUESTION = "Use the tool to read the section 'Errors': what does a RateLimited error mean?"


class Framework(NamedTuple):
    """One framework's part of the demo.

    Attributes:
        name: Name of the framework.
        package: Import name of the package that must be installed.
        extra: Extra of this package that installs it.
        module: Module that has `show(console, connection, sections)`.
    """

    name: str
    package: str
    extra: str
    module: str


FRAMEWORKS = (
    Framework("LangChain", "langchain_core", "langchain", "demo_langchain"),
    Framework("LlamaIndex", "llama_index", "llama-index", "demo_llama_index"),
)


def run(console: Console, *, live: bool) -> None:
    """Runs the demo.

    Args:
        console: Where to print.
        live: Use the account in the environment instead of a simulated gateway.
    """
    with _gateway(console, live=live) as connection:
        sections = _sections()
        for framework in FRAMEWORKS:
            if find_spec(framework.package) is None:
                install = escape(f"pip install 'cfaig-integrations[{framework.extra}]'")
                console.print(f"{framework.name} is not installed, so its part is left out: {install}\n")
                continue
            import_module(f"cfaig_integrations.cli.{framework.module}").show(console, connection, sections)
        _show_log(console, AIGateway(**connection))


@contextmanager
def _gateway(console: Console, *, live: bool) -> Generator[dict[str, Any]]:
    """The constructor arguments that connect to the gateway."""
    if live:
        console.print("Using the Cloudflare account in the environment.\n")
        yield {}
        return
    with Simulator() as simulator:
        console.print(
            f"No account needed: a simulated gateway is listening on {simulator.url}. "
            "Its models are toys; requests, responses, streams and logs have the real format.\n"
        )
        yield {
            "base_url": simulator.base_url,
            "account_id": simulator.account_id,
            "api_token": simulator.api_token,
            "gateway_id": "default",
        }


def _sections() -> dict[str, str]:
    """The README of this package, by heading, without its code."""
    text = distribution("cfaig-integrations").read_text("METADATA") or ""
    _, _, text = text.partition("\n\n")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    pieces = re.split(r"^## +(.+)$", text, flags=re.MULTILINE)
    return {"About": pieces[0], **dict(zip(pieces[1::2], pieces[2::2], strict=True))}


def table(*headings: str) -> Table:
    """A table whose cells wrap instead of being cut."""
    rows = Table()
    for heading in headings:
        rows.add_column(heading, overflow="fold")
    return rows


def section(sections: Mapping[str, str], heading: str) -> str:
    """The result of the tool of both parts: the section that the model asks for."""
    matches = [text for title, text in sections.items() if title.lower() in heading.lower()]
    return matches[0] if matches else f"No such section. There are: {', '.join(sections)}."


def _show_log(console: Console, gateway: AIGateway) -> None:
    console.rule("The gateway's log")
    rows = table("time", "wire", "model", "metadata", "tokens in/out", "cache", "log id")
    for entry in gateway.logs():
        rows.add_row(*_log_row(entry))
    console.print(rows)


def _log_row(entry: LogEntry) -> tuple[str, ...]:
    metadata = " ".join(f"{key}={value}" for key, value in (entry.metadata or {}).items())
    wire = (entry.path or "").removeprefix("v1/").partition("/@")[0]
    tokens = f"{entry.tokens_in}/{entry.tokens_out}"
    cache = "HIT" if entry.cached else "MISS"
    return ((entry.created_at or "")[11:19], wire, entry.model or "", escape(metadata), tokens, cache, entry.id)
