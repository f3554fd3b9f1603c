"""LangChain's part of the demo: streaming, a tool-calling loop, and all four wire formats over one document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cfaig_integrations.cli.demo import (
    APP,
    CHAT_MODEL,
    EXTRACT_QUESTION,
    QUESTION,
    TOOL_QUESTION,
    MetadataRule,
    section,
)
from cfaig_integrations.gateway.models.routes import Api
from cfaig_integrations.langchain import ChatCloudflareAIGateway

WIRES: Mapping[Api, str] = {
    "chat_completions": CHAT_MODEL,
    "responses": CHAT_MODEL,
    "messages": "anthropic/claude-haiku-4.5",
    "run": "@cf/meta/llama-3.3-70b-instruct-fp8-fast",
}
MAX_TOOL_ROUNDS = 5
_TABLE_ROW = re.compile(r"^\|.*$", re.MULTILINE)


def show(console: Console, connection: dict[str, Any], sections: Mapping[str, str]) -> None:
    """Runs the LangChain programs."""
    _stream(console, connection, sections)
    _use_tools(console, connection, sections)
    _extract(console, connection)
    _ask_every_wire(console, connection, sections)


def _model(connection: dict[str, Any], *, part: str, api: Api = "auto", model: str = CHAT_MODEL) -> Any:
    return ChatCloudflareAIGateway(
        model=model, api=api, max_tokens=400, gateway_metadata={"app": APP, "part": part}, **connection
    )


def _conversation(sections: Mapping[str, str], question: str) -> list[BaseMessage]:
    document = "\n\n".join(f"## {heading}\n{_TABLE_ROW.sub('', text)}" for heading, text in sections.items())
    return [SystemMessage(f"Answer in one or two sentences, from this document:\n\n{document}"), HumanMessage(question)]


def _stream(console: Console, connection: dict[str, Any], sections: Mapping[str, str]) -> None:
    console.rule("LangChain: a streamed answer")
    console.print(f"[bold]{QUESTION}[/bold]")
    for chunk in _model(connection, part="stream").stream(_conversation(sections, QUESTION)):
        console.print(escape(chunk.text), end="", highlight=False)
    console.print("\n")


def _use_tools(console: Console, connection: dict[str, Any], sections: Mapping[str, str]) -> None:
    @tool
    def read_section(heading: str) -> str:
        """Read one section of the README by its heading."""
        return section(sections, heading)

    console.rule("LangChain: a tool-calling loop, on the Responses format")
    console.print(f"[bold]{TOOL_QUESTION}[/bold]")
    model = _model(connection, part="tools").bind_tools([read_section])
    messages: list[BaseMessage] = [HumanMessage(TOOL_QUESTION)]
    for _ in range(MAX_TOOL_ROUNDS):
        answer: AIMessage = model.invoke(messages)
        messages.append(answer)
        if not answer.tool_calls:
            console.print(f"{escape(answer.text)}\n", highlight=False)
            return
        for call in answer.tool_calls:
            console.print(f"[dim]calls {call['name']}({call['args']})[/dim]", highlight=False)
            messages.append(read_section.invoke(call))
    console.print(f"No answer after {MAX_TOOL_ROUNDS} rounds of tool calls.\n")


def _extract(console: Console, connection: dict[str, Any]) -> None:
    console.rule("LangChain: structured output")
    console.print(f"[bold]{EXTRACT_QUESTION}[/bold]")
    model = _model(connection, part="structured").with_structured_output(MetadataRule)
    console.print(f"{model.invoke(EXTRACT_QUESTION)!r}\n", markup=False)


def _ask_every_wire(console: Console, connection: dict[str, Any], sections: Mapping[str, str]) -> None:
    console.rule("LangChain: the same question on each of the four wire formats")
    rows = Table()
    for heading in ("wire", "model", "answer", "tokens in/out"):
        rows.add_column(heading, overflow="fold")
    for wire, name in WIRES.items():
        answer = _model(connection, part="wires", api=wire, model=name).invoke(_conversation(sections, QUESTION))
        usage = answer.usage_metadata or {"input_tokens": 0, "output_tokens": 0}
        rows.add_row(wire, name, escape(answer.text), f"{usage['input_tokens']}/{usage['output_tokens']}")
    console.print(rows)
