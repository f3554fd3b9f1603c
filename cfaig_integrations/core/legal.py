"""Names and ids as every server takes them, and the way back to the user's own.

Servers take names of at most 64 of `[A-Za-z0-9_-]`, some only if a letter or `_` comes first (facts §14.3). A
conversation must hold no others, whoever wrote them: a tool may be called `weather.get`, a model calls tools that do
not exist, a speaker has blanks in their name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from types import MappingProxyType
from typing import Any, TypeAlias, cast
from weakref import WeakKeyDictionary

from cfaig_integrations.core.chat import ChatReply, ChatRequest, Choice, FunctionTool, NamedTool, NativeTool, ToolSpec
from cfaig_integrations.core.content import Json, Part, ToolCall, ToolResult, Turn
from cfaig_integrations.core.events import Event, PartStarted

__all__ = ["NO_NAMES", "Names", "legal", "legal_name", "made_call_id", "rename_events", "renamed"]

Names: TypeAlias = Mapping[str, str]
"""Legal name of a tool -> the user's, where they differ."""
NO_NAMES: Names = MappingProxyType({})

_LONGEST = 64
_LEGAL = re.compile(rf"[A-Za-z_][A-Za-z0-9_-]{{0,{_LONGEST - 1}}}")
_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")
_NAMED_KINDS = ("function", "custom")
_renamed: WeakKeyDictionary[FunctionTool, FunctionTool] = WeakKeyDictionary()
"""The latest copy with another name: encoders remember a tool's encoded form by its identity."""


def legal_name(name: str) -> str:
    """A name that every server takes; the same if it is one already."""
    if _LEGAL.fullmatch(name):
        return name
    made = _ILLEGAL.sub("_", name)
    if not made.strip("_-"):  # nothing of it is left
        return f"name_{_digest(name)}"
    return (made if made[0] == "_" or made[0].isalpha() else f"_{made}")[:_LONGEST]


def _digest(*facts: object) -> str:
    return sha256("\0".join(map(str, facts)).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def made_call_id(*facts: object) -> str:
    """An id for a tool call that came without one: the same wherever the facts are, in a body and in a stream of it."""
    return f"call_{_digest(*facts)}"


class _Namer:
    """Gives each name a legal one of its own; legal ones stay."""

    def __init__(self, names: Iterable[str]) -> None:
        self.given = {name: name for name in names if _LEGAL.fullmatch(name)}
        self._taken = set(self.given)

    def __call__(self, name: str) -> str:
        given = self.given.get(name)
        if given is None:
            given, tries = legal_name(name), 0
            while given in self._taken:
                given, tries = f"{given[: _LONGEST - 9]}_{_digest(name, tries)[:8]}", tries + 1
            self.given[name] = given
            self._taken.add(given)
        return given

    @property
    def back(self) -> Names:
        return {given: name for name, given in self.given.items() if given != name}


def legal(request: ChatRequest) -> tuple[ChatRequest, Names]:
    """The request with names and call ids that servers take, and the names by which the answer is to be read.

    Calls without an id, or with one that another call has, get one of their own; their results follow them, in order.

    Returns:
        The request itself, if there is nothing to change.
    """
    tools = [_name_of(tool) for tool in request.tools]
    called: list[str] = []
    ids: list[str] = []
    speakers: set[str] = set()
    unpaired = False
    for turn in request.turns:
        if turn.name:
            (called.append if turn.role == "tool" else speakers.add)(turn.name)
        for part in turn.parts:
            if type(part) is ToolCall:
                called.append(part.name)
                ids.append(part.id)
            elif type(part) is ToolResult:
                unpaired = unpaired or not part.call_id
    if isinstance(request.tool_choice, NamedTool):
        called.append(request.tool_choice.name)
    if unpaired or "" in ids or len(set(ids)) < len(ids):
        request = replace(request, turns=_paired(request.turns))
    names = dict.fromkeys([*(name for name in tools if name is not None), *called])
    if all(map(_LEGAL.fullmatch, names)) and all(map(_LEGAL.fullmatch, speakers)) and _output_is_legal(request):
        return request, NO_NAMES
    return _with_legal_names(request, _Namer(names), _Namer(speakers))


def _output_is_legal(request: ChatRequest) -> bool:
    return request.output is None or _LEGAL.fullmatch(request.output.name) is not None


def _with_legal_names(request: ChatRequest, name: _Namer, speaker: _Namer) -> tuple[ChatRequest, Names]:
    request = replace(
        request,
        tools=tuple([_renamed_tool(tool, name) for tool in request.tools]),
        turns=tuple([_renamed_turn(turn, name, speaker) for turn in request.turns]),
    )
    if isinstance(request.tool_choice, NamedTool):
        request = replace(request, tool_choice=NamedTool(name(request.tool_choice.name)))
    if request.output is not None and not _output_is_legal(request):
        request = replace(request, output=replace(request.output, name=legal_name(request.output.name)))
    return request, name.back


def _holder(tool: NativeTool) -> Json:
    """The object in which the name of a function or a free-text tool stands; empty for a provider's own tool."""
    raw, kind = tool.raw, tool.raw.get("type")
    if kind not in _NAMED_KINDS:
        return raw if "input_schema" in raw else {}
    return cast("Json", raw[kind]) if isinstance(raw.get(kind), Mapping) else raw


def _name_of(tool: ToolSpec) -> str | None:
    """The name of a tool that the user named; None if it is a provider's own."""
    if isinstance(tool, FunctionTool):
        return tool.name
    name = _holder(tool).get("name")
    return name if isinstance(name, str) else None


def _renamed_tool(tool: ToolSpec, namer: _Namer) -> ToolSpec:
    own = _name_of(tool)
    if own is None or (name := namer(own)) == own:
        return tool
    if isinstance(tool, FunctionTool):
        known = _renamed.get(tool)
        if known is None or known.name != name:
            known = _renamed[tool] = replace(tool, name=name)
        return known
    holder: dict[str, Any] = {**_holder(tool), "name": name}
    kind = str(tool.raw.get("type"))
    return NativeTool({**tool.raw, kind: holder} if isinstance(tool.raw.get(kind), Mapping) else holder)


def _renamed_turn(turn: Turn, name: _Namer, speaker: _Namer) -> Turn:
    parts: tuple[Part, ...] = tuple(
        [
            replace(part, name=name(part.name)) if type(part) is ToolCall and name(part.name) != part.name else part
            for part in turn.parts
        ]
    )
    said = (name if turn.role == "tool" else speaker)(turn.name) if turn.name else ""
    return turn if said == turn.name and parts == turn.parts else replace(turn, parts=parts, name=said)


def _paired(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The turns with an id of its own for every call. A result belongs to the latest turn whose call waits for it."""
    waiting: list[list[tuple[str, str]]] = []
    seen: dict[str, int] = {}
    last: dict[str, str] = {}
    made: list[Turn] = []
    for turn in turns:
        parts: list[Part] = []
        group: list[tuple[str, str]] = []
        for part in turn.parts:
            if type(part) is ToolCall:
                count = seen[part.id] = seen.get(part.id, 0) + 1
                given = part.id if part.id and count == 1 else made_call_id(part.id, count)
                group.append((part.id, given))
                parts.append(replace(part, id=given) if given != part.id else part)
            elif type(part) is ToolResult:
                answered = _answered(part.call_id, waiting) or last.get(part.call_id) or part.call_id
                given = last[part.call_id] = answered or made_call_id("", len(made))
                parts.append(replace(part, call_id=given) if given != part.call_id else part)
            else:
                parts.append(part)
        if group:
            waiting.append(group)
        made.append(replace(turn, parts=tuple(parts)))
    return tuple(made)


def _answered(id_: str, waiting: list[list[tuple[str, str]]]) -> str:
    """The given id of the call that a result answers, which then waits no longer; empty if there is none.

    Without an id on either side, it is the next call that waits.
    """
    for wanted in (id_, "") if id_ else ("", None):
        for group in reversed(waiting):
            for place, (own, given) in enumerate(group):
                if wanted is None or own == wanted:
                    del group[place]
                    return given
    return ""


def renamed(reply: ChatReply, names: Names) -> ChatReply:
    """A reply whose calls have the user's names again."""
    if not any(call.name in names for choice in reply.choices for call in choice.turn.tool_calls):
        return reply
    return replace(reply, choices=tuple([_with_own_names(choice, names) for choice in reply.choices]))


def _with_own_names(choice: Choice, names: Names) -> Choice:
    parts = tuple([_own(part, names) for part in choice.turn.parts])
    return replace(choice, turn=replace(choice.turn, parts=parts))


def _own(part: Part, names: Names) -> Part:
    return replace(part, name=names.get(part.name, part.name)) if type(part) is ToolCall else part


def rename_events(events: Iterable[Event], names: Names) -> None:
    """Gives the calls among the events of a stream the user's names again."""
    for event in events:
        if type(event) is PartStarted and event.name in names:
            event.name = names[event.name]
