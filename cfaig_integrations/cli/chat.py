"""`cfaig chat`: one prompt, or a conversation in the terminal."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import TextIOWrapper
from typing import Annotated, Any, cast

import typer
from rich.console import Console

from cfaig_integrations.cli import options
from cfaig_integrations.cli.output import console, print_json, reported
from cfaig_integrations.client.sync import Client
from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import Opaque, Reasoning, Refusal, Text, Turn
from cfaig_integrations.core.events import Event, ReasoningDelta, RefusalDelta, TextDelta
from cfaig_integrations.core.fold import fold
from cfaig_integrations.errors import ConfigError, GatewayError
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.gateway.models.routes import Api

_END = ("/exit", "/quit")


def chat(
    prompt: Annotated[str | None, typer.Argument(help="The prompt; what is piped in follows it.")] = None,
    *,
    model: Annotated[str, typer.Option("--model", "-m", envvar="CFAIG_MODEL")] = options.DEFAULT_CHAT_MODEL,
    api: Annotated[Api, typer.Option(help="Wire format.")] = "auto",
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="System message.", show_default=False)] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Most output tokens.", show_default=False)] = None,
    temperature: Annotated[float | None, typer.Option(min=0, show_default=False)] = None,
    effort: Annotated[str | None, typer.Option(metavar="LEVEL", help="Reasoning effort.", show_default=False)] = None,
    reasoning: Annotated[bool, typer.Option("--reasoning", help="Show the model's reasoning.")] = False,
    metadata: options.Metadata = None,
    gateway: options.Gateway = None,
    account: options.Account = None,
    base_url: options.BaseUrl = None,
    json: options.Json = False,
) -> None:
    """Send a prompt and stream the reply; without a prompt, chat in the terminal until Ctrl-D.

    The reply goes to standard output; tokens, cache status and log id go to standard error if that is a terminal.

    Exit codes: 0 success, 1 the call failed, 2 an option or setting is not valid, 130 interrupted.
    """
    with reported(as_json=json):
        entries = options.metadata_entries(metadata)
        connection = options.connect(account, gateway, base_url, api=api, metadata=entries or None)
        turns = (Turn("system", (Text(system),)),) if system else ()
        request = ChatRequest(
            model, turns, max_tokens=max_tokens, temperature=temperature, reasoning_effort=effort, stream_usage=True
        )
        conversation = _Conversation(Client(connection), request, as_json=json, show_reasoning=reasoning)
        text = _prompt(prompt)
        if text is None:
            conversation.interact()
        else:
            conversation.send(text)


def _prompt(argument: str | None) -> str | None:
    """The prompt of the argument and of what is piped in; None: the user types at a terminal.

    Raises:
        ConfigError: Both are empty, or what is piped in is not text.
    """
    if sys.stdin.isatty():
        if argument is None or argument.strip():
            return argument
    elif text := "\n\n".join(part for part in (argument, _piped()) if part and part.strip()):
        return text
    raise ConfigError("The prompt is empty.", field="prompt", remedy="Pass it as an argument, or pipe it in.")


def _piped() -> str:
    cast("TextIOWrapper", sys.stdin).reconfigure(errors="strict")  # some locales accept any byte
    try:
        return sys.stdin.read().strip()
    except UnicodeDecodeError as error:
        problem = f"Standard input is not {error.encoding} ({error.reason})."
        raise ConfigError(problem, field="prompt", remedy="Convert it.") from error


class _Conversation:
    """Requests whose history grows."""

    def __init__(self, client: Client, request: ChatRequest, *, as_json: bool, show_reasoning: bool) -> None:
        self._client = client
        self._request = request
        self._as_json = as_json
        self._show_reasoning = show_reasoning
        self._notes = console(stderr=True)

    def interact(self) -> None:
        """Asks for prompts until the user ends the input; a failed call does not end the conversation."""
        self._notes.print(f"[dim]{self._request.model}. Ctrl-C stops a reply, Ctrl-D or /exit ends.[/dim]")
        while True:
            try:
                prompt = self._notes.input("[bold]> [/bold]").strip()
            except (EOFError, KeyboardInterrupt):
                self._notes.print()
                return
            if prompt in _END:
                return
            if not prompt:
                continue
            try:
                self.send(prompt)
            except KeyboardInterrupt:
                self._notes.print("\n[dim]stopped; the reply is not part of the conversation[/dim]")
            except ConfigError:
                raise
            except GatewayError as error:
                self._notes.print(f"{type(error).__name__}: {error}", style="red", markup=False, soft_wrap=True)

    def send(self, prompt: str) -> None:
        """Sends a prompt, prints the reply, and adds both to the history."""
        request = replace(self._request, turns=(*self._request.turns, Turn("user", (Text(prompt),))))
        printer = _Printer(show_reasoning=self._show_reasoning)
        events: list[Event] = []
        with self._client.stream(request) as stream:
            for event in stream:
                events.append(event)
                if not self._as_json:
                    printer.show(event)
            info = stream.info
        reply = fold(info.wire if info.wire != "embeddings" else "run", events)
        self._request = replace(request, turns=(*request.turns, reply.turn))
        if self._as_json:
            print_json(_fields(reply, info))
            return
        printer.end()
        if self._notes.is_terminal:
            self._notes.print(_summary(reply, info), style="dim", markup=False, soft_wrap=True)


class _Printer:
    """Prints the text of a reply as it comes."""

    def __init__(self, *, show_reasoning: bool) -> None:
        self._show_reasoning = show_reasoning
        self._reasoning = Console(stderr=True, style="dim", highlight=False)
        self._in_reasoning = False
        self._last = ""

    def show(self, event: Event) -> None:
        """Prints what an event adds."""
        match event:
            case TextDelta(text=text) | RefusalDelta(text=text) if text:
                if self._in_reasoning:
                    self._reasoning.print()
                    self._in_reasoning = False
                sys.stdout.write(text)
                sys.stdout.flush()
                self._last = text
            case ReasoningDelta(text=text) if text and self._show_reasoning:
                self._reasoning.print(text, end="", markup=False, soft_wrap=True)
                self._in_reasoning = True
            case _:
                pass

    def end(self) -> None:
        """Ends the last line."""
        if self._in_reasoning:
            self._reasoning.print()
        if not self._last.endswith("\n"):
            sys.stdout.write("\n")
        sys.stdout.flush()


def _fields(reply: ChatReply, info: GatewayInfo) -> dict[str, Any]:
    """A reply as JSON."""
    parts, usage = reply.turn.parts, reply.usage
    fields: dict[str, Any] = {
        "model": reply.model or info.requested_model,
        "text": "".join(part.text for part in parts if isinstance(part, Text | Refusal)),
        "reasoning": "".join(part.text for part in parts if isinstance(part, Reasoning)) or None,
        "other_parts": [part.raw for part in parts if isinstance(part, Opaque)] or None,
        "finish": reply.finish,
        "usage": None
        if usage is None
        else {"input": usage.input, "output": usage.output, "reasoning": usage.reasoning, "cached": usage.cache_read},
        "gateway": info.as_dict(),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _summary(reply: ChatReply, info: GatewayInfo) -> str:
    """One line about a reply."""
    facts = [str(info.routed_model or info.requested_model), info.wire]
    if reply.usage is not None:
        facts.append(f"{reply.usage.input} in, {reply.usage.output} out")
    if reply.finish != "stop":
        facts.append(f"finish: {reply.finish}")
    if info.cache_status:
        facts.append(f"cache {info.cache_status}")
    if info.log_id:
        facts.append(f"log {info.log_id}")
    return " · ".join(facts)
