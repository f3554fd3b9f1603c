"""A forced tool call that its server failed to recognise, so that it arrives as JSON in the answer's text.

Taken for a call only if a tool was forced, none was called, and the text names a bound tool (facts §14.4). Knows
no wire and no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from json import dumps
from typing import Any, cast

from cfaig_integrations.core.chat import ChatReply, ChatRequest, FinishReason, FunctionTool, NamedTool
from cfaig_integrations.core.content import Text, ToolCall
from cfaig_integrations.core.events import ArgumentsDelta, Event, Finished, PartStarted
from cfaig_integrations.core.legal import made_call_id
from cfaig_integrations.core.text import read_arguments, strip_thinking

__all__ = ["CallHolder", "forced_tools", "with_forced_call"]

_CALLED: FinishReason = "tool_calls"
_ARGUMENTS = ("arguments", "parameters", "input", "args")


def forced_tools(request: ChatRequest) -> frozenset[str]:
    """Names of the tools of which one must be called; none if the model may answer otherwise."""
    if request.tool_choice != "required" and not isinstance(request.tool_choice, NamedTool):
        return frozenset()
    return frozenset(tool.name for tool in request.tools if isinstance(tool, FunctionTool))


def with_forced_call(reply: ChatReply, tools: frozenset[str]) -> ChatReply:
    """A reply with the call that its text is; itself, if its text is none."""
    first = reply.choices[0]
    if not tools or first.turn.tool_calls or (call := _call_in(first.turn.text, tools)) is None:
        return reply
    parts = (*(part for part in first.turn.parts if not isinstance(part, Text)), call)
    made = replace(first, turn=replace(first.turn, parts=parts), finish=_CALLED, finish_word=_CALLED)
    return replace(reply, choices=(made, *reply.choices[1:]))


def _call_in(text: str, tools: frozenset[str]) -> ToolCall | None:
    try:
        said: Mapping[str, Any] = read_arguments(strip_thinking(text))
    except ValueError:
        return None
    if isinstance(said.get("function"), Mapping):
        said = cast("Mapping[str, Any]", said["function"])
    name = str(said.get("name")).removeprefix("functions.")
    if name not in tools:
        return None
    rest = {key: value for key, value in said.items() if key not in ("name", "type", "id")}
    given = rest.get(next(iter(rest))) if len(rest) == 1 and rest.keys() <= {*_ARGUMENTS} else rest
    arguments = given if isinstance(given, str) else dumps(given, ensure_ascii=False)
    return ToolCall(made_call_id(text), name, arguments)


class CallHolder:
    """The same for the events of a stream: text is held back until a call has begun or the answer has ended.

    Args:
        tools: Names of the tools of which one must be called.
    """

    __slots__ = ("_called", "_held", "_parts", "_pieces", "_tools")

    def __init__(self, tools: frozenset[str]) -> None:
        self._tools = tools
        self._called = False
        self._parts: set[int] = set()
        self._held: list[Event] = []
        self._pieces: list[str] = []

    def feed(self, events: Iterable[Event]) -> list[Event]:
        """What is certain of these events and of those held back."""
        sure: list[Event] = []
        for event in events:
            if isinstance(event, PartStarted) and event.kind == "text" and not self._called:
                self._parts.add(event.part)
            if isinstance(event, PartStarted) and event.kind.endswith("tool_call"):
                self._called = True
                sure += self.released()
            elif isinstance(event, Finished) and event.choice == 0 and not self._called:
                sure += self._salvaged(event)
                continue
            if getattr(event, "part", None) in self._parts:
                self._held.append(event)
                self._pieces.append(getattr(event, "text", ""))
            else:
                sure.append(event)
        return sure

    def _salvaged(self, end: Finished) -> list[Event]:
        call = _call_in("".join(self._pieces), self._tools)
        if call is None:
            return [*self.released(), end]
        part = min(self._parts)
        self._held.clear()
        self._called = True
        return [
            PartStarted(part, "tool_call", id=call.id, name=call.name),
            ArgumentsDelta(part, call.arguments),
            Finished(_CALLED, _CALLED),
        ]

    def released(self) -> list[Event]:
        """What was held back, if the answer ends without an end of its own."""
        held, self._held = self._held, []
        self._parts.clear()
        self._pieces.clear()
        return held
