"""What `cfaig demo` runs: streaming, tools and all four wire formats over one document, then the gateway's own log."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib.metadata import distribution
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.tools import BaseTool, tool
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cfaig_integrations.client.api import AIGateway, LogEntry
from cfaig_integrations.gateway.connection import Api
from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.simulator import Simulator

CHAT_MODEL = "openai/gpt-5.4"
WIRES: Mapping[Api, str] = {
    "chat_completions": CHAT_MODEL,
    "responses": CHAT_MODEL,
    "messages": "anthropic/claude-haiku-4.5",
    "run": "@cf/meta/llama-3.3-70b-instruct-fp8-fast",
}
QUESTION = "Which entries does Cloudflare keep of the metadata?"
TOOL_QUESTION = "Use the tool to read the section 'Errors': what does a RateLimited error mean?"
MOST_TOOL_ROUNDS = 5


def run(console: Console, *, live: bool) -> None:
    """Runs the demo.

    Args:
        console: Where to print.
        live: Use the account in the environment instead of a simulated gateway.
    """
    with _gateway(console, live=live) as connection:
        sections = _sections()
        _stream(console, connection, sections)
        _use_tools(console, connection, sections)
        _ask_every_wire(console, connection, sections)
        _show_log(console, AIGateway(**connection))


@contextmanager
def _gateway(console: Console, *, live: bool) -> Generator[dict[str, Any]]:
    """The constructor words that lead to the gateway."""
    if live:
        console.print("Using the Cloudflare account in the environment.\n")
        yield {}
        return
    with Simulator() as simulator:
        console.print(
            f"No account needed: a simulated gateway is listening on {simulator.url}. "
            "Its models are toys; requests, answers, streams and logs have the real form.\n"
        )
        yield {
            "base_url": simulator.base_url,
            "account_id": simulator.account_id,
            "api_token": simulator.api_token,
            "gateway_id": "default",
        }


def _sections() -> dict[str, str]:
    """The README of this package, by heading."""
    text = distribution("cfaig-integrations").read_text("METADATA") or ""
    _, _, text = text.partition("\n\n")
    pieces = re.split(r"^## +(.+)$", text, flags=re.MULTILINE)
    return {"About": pieces[0], **dict(zip(pieces[1::2], pieces[2::2], strict=True))}


def _model(connection: dict[str, Any], *, part: str, api: Api = "auto", model: str = CHAT_MODEL) -> Any:
    return ChatCloudflareAIGateway(
        model=model, api=api, max_tokens=400, gateway_metadata={"app": "cfaig-demo", "part": part}, **connection
    )


def _conversation(sections: Mapping[str, str], question: str) -> list[BaseMessage]:
    document = "\n\n".join(f"## {heading}\n{text}" for heading, text in sections.items())
    return [SystemMessage(f"Answer in one or two sentences, from this document:\n\n{document}"), HumanMessage(question)]


def _stream(console: Console, connection: dict[str, Any], sections: Mapping[str, str]) -> None:
    console.rule("A streamed answer")
    console.print(f"[bold]{QUESTION}[/bold]")
    for chunk in _model(connection, part="stream").stream(_conversation(sections, QUESTION)):
        console.print(escape(chunk.text), end="", highlight=False)
    console.print("\n")


def _use_tools(console: Console, connection: dict[str, Any], sections: Mapping[str, str]) -> None:
    console.rule("A tool-calling loop, on the Responses format")
    console.print(f"[bold]{TOOL_QUESTION}[/bold]")
    tools = _tools(sections)
    model = _model(connection, part="tools").bind_tools(tools)
    messages: list[BaseMessage] = [HumanMessage(TOOL_QUESTION)]
    for _ in range(MOST_TOOL_ROUNDS):
        answer: AIMessage = model.invoke(messages)
        messages.append(answer)
        if not answer.tool_calls:
            console.print(f"{escape(answer.text)}\n", highlight=False)
            return
        for call in answer.tool_calls:
            console.print(f"[dim]calls {call['name']}({call['args']})[/dim]", highlight=False)
            messages.append(tools[0].invoke(call))
    console.print(f"No answer after {MOST_TOOL_ROUNDS} rounds of tool calls.\n")


def _tools(sections: Mapping[str, str]) -> list[BaseTool]:
    @tool
    def read_section(heading: str) -> str:
        """Read one section of the README by its heading."""
        near = [text for title, text in sections.items() if title.lower() in heading.lower()]
        return near[0] if near else f"No such section. There are: {', '.join(sections)}."

    return [read_section]


def _ask_every_wire(console: Console, connection: dict[str, Any], sections: Mapping[str, str]) -> None:
    console.rule("The same question on each of the four wire formats")
    table = _table("wire", "model", "answer", "tokens in/out")
    for wire, name in WIRES.items():
        answer = _model(connection, part="wires", api=wire, model=name).invoke(_conversation(sections, QUESTION))
        usage = answer.usage_metadata or {"input_tokens": 0, "output_tokens": 0}
        table.add_row(wire, name, escape(answer.text), f"{usage['input_tokens']}/{usage['output_tokens']}")
    console.print(table)


def _show_log(console: Console, gateway: AIGateway) -> None:
    console.rule("What the gateway logged")
    table = _table("time", "wire", "model", "metadata", "tokens in/out", "cache", "log id")
    for entry in gateway.logs():
        table.add_row(*_log_row(entry))
    console.print(table)


def _table(*headings: str) -> Table:
    table = Table()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _log_row(entry: LogEntry) -> tuple[str, ...]:
    marks = " ".join(f"{key}={value}" for key, value in (entry.metadata or {}).items())
    wire = (entry.path or "").removeprefix("v1/").partition("/@")[0]
    tokens = f"{entry.tokens_in}/{entry.tokens_out}"
    cache = "HIT" if entry.cached else "MISS"
    return ((entry.created_at or "")[11:19], wire, entry.model or "", escape(marks), tokens, cache, entry.id)
