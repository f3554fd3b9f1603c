"""A forced tool call that its server failed to recognize, so that it arrives as JSON in the answer's text.

The text becomes a call only if a tool was forced, none was called, and the text names one of the tools (facts §14.4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from json import dumps

from cfaig_integrations.core.chat import ChatReply, ChatRequest, FinishReason, FunctionTool, NamedTool
from cfaig_integrations.core.content import Text, ToolCall
from cfaig_integrations.core.events import ArgumentsDelta, Event, Finished, PartStarted
from cfaig_integrations.core.legal import made_call_id
from cfaig_integrations.core.text import read_arguments, strip_thinking

_TOOL_CALLS: FinishReason = "tool_calls"
_ARGUMENT_KEYS = frozenset({"arguments", "parameters", "input", "args"})


def forced_tools(request: ChatRequest) -> frozenset[str]:
    """Names of the tools of which one must be called; none if the model may answer otherwise."""
    if request.tool_choice != "required" and not isinstance(request.tool_choice, NamedTool):
        return frozenset()
    return frozenset(tool.name for tool in request.tools if isinstance(tool, FunctionTool))


def with_forced_call(reply: ChatReply, tools: frozenset[str]) -> ChatReply:
    """A reply whose text is replaced by the call that it is; unchanged if it is not one."""
    first = reply.choices[0]
    if not tools or first.turn.tool_calls or (call := _call_in(first.turn.text, tools)) is None:
        return reply
    parts = (*(part for part in first.turn.parts if not isinstance(part, Text)), call)
    choice = replace(first, turn=replace(first.turn, parts=parts), finish=_TOOL_CALLS, provider_finish=_TOOL_CALLS)
    return replace(reply, choices=(choice, *reply.choices[1:]))


def _call_in(text: str, tools: frozenset[str]) -> ToolCall | None:
    try:
        call = read_arguments(strip_thinking(text))
    except ValueError:
        return None
    if isinstance(function := call.get("function"), dict):
        call = function
    name = str(call.get("name")).removeprefix("functions.")
    if name not in tools:
        return None
    rest = {key: value for key, value in call.items() if key not in ("name", "type", "id")}
    value = next(iter(rest.values())) if len(rest) == 1 and rest.keys() <= _ARGUMENT_KEYS else rest
    arguments = value if isinstance(value, str) else dumps(value, ensure_ascii=False)
    return ToolCall(made_call_id(text), name, arguments)


class ForcedCallReader:
    """The same for the events of a stream: text is buffered until a call has begun or the answer has ended.

    Args:
        tools: Names of the tools of which one must be called.
    """

    __slots__ = ("_buffer", "_has_call", "_parts", "_pieces", "_tools")

    def __init__(self, tools: frozenset[str]) -> None:
        self._tools = tools
        self._has_call = False
        self._parts: set[int] = set()
        self._buffer: list[Event] = []
        self._pieces: list[str] = []

    def feed(self, events: Iterable[Event]) -> list[Event]:
        """The events that no later event can change, including buffered ones."""
        output: list[Event] = []
        for event in events:
            if isinstance(event, PartStarted) and event.kind == "text" and not self._has_call:
                self._parts.add(event.part)
            if isinstance(event, PartStarted) and event.kind.endswith("tool_call"):
                self._has_call = True
                output += self.flush()
            elif isinstance(event, Finished) and event.choice == 0 and not self._has_call:
                output += self._finish(event)
                continue
            if getattr(event, "part", None) in self._parts:
                self._buffer.append(event)
                self._pieces.append(getattr(event, "text", ""))
            else:
                output.append(event)
        return output

    def _finish(self, event: Finished) -> list[Event]:
        call = _call_in("".join(self._pieces), self._tools)
        if call is None:
            return [*self.flush(), event]
        part = min(self._parts)
        self._buffer.clear()
        self._has_call = True
        return [
            PartStarted(part, "tool_call", id=call.id, name=call.name),
            ArgumentsDelta(part, call.arguments),
            Finished(_TOOL_CALLS, _TOOL_CALLS),
        ]

    def flush(self) -> list[Event]:
        """The buffered events, for a stream that ends without `Finished`."""
        events, self._buffer = self._buffer, []
        self._parts.clear()
        self._pieces.clear()
        return events
