"""Names and ids that every server accepts, and the way back to the user's names.

Servers accept names of at most 64 characters of `[A-Za-z0-9_-]`, some only if a letter or `_` comes first (facts
§14.3). A conversation may contain others: a tool can be called `weather.get`, a model calls tools that do not exist, a
speaker's name has spaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import Any, TypeAlias, cast
from weakref import WeakKeyDictionary

from cfaig_integrations.core.chat import ChatReply, ChatRequest, Choice, FunctionTool, NamedTool, NativeTool, ToolSpec
from cfaig_integrations.core.content import Json, Part, ToolCall, ToolResult, Turn
from cfaig_integrations.core.events import Event, PartStarted

Names: TypeAlias = Mapping[str, str]
"""Legal name of a tool -> the user's, where they differ."""
NO_NAMES: Names = MappingProxyType({})

_MAX_LENGTH = 64
_LEGAL = re.compile(rf"[A-Za-z_][A-Za-z0-9_-]{{0,{_MAX_LENGTH - 1}}}")
_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")
_renamed_tools: WeakKeyDictionary[FunctionTool, FunctionTool] = WeakKeyDictionary()
"""The latest copy with another name: encoders cache a tool's encoded form by its identity."""


@lru_cache(maxsize=1024)
def _is_legal(name: str) -> bool:
    return _LEGAL.fullmatch(name) is not None


def legal_name(name: str) -> str:
    """A name that every server accepts; the same if it is one already."""
    if _is_legal(name):
        return name
    legal_part = _ILLEGAL.sub("_", name)
    if not legal_part.strip("_-"):  # nothing of it is left
        return f"name_{digest(name)[:24]}"
    return (legal_part if legal_part[0] == "_" or legal_part[0].isalpha() else f"_{legal_part}")[:_MAX_LENGTH]


def digest(*values: object) -> str:
    """SHA-256 of values as text, in hex."""
    return sha256("\0".join(map(str, values)).encode("utf-8", "surrogatepass")).hexdigest()


def made_call_id(*values: object) -> str:
    """An id for a tool call that came without one: the same for the same values, in a body and in a stream of it."""
    return f"call_{digest(*values)[:24]}"


class _Namer:
    """Maps each name to a legal one that no other name has; legal names stay."""

    def __init__(self, names: Iterable[str]) -> None:
        self._legal = {name: name for name in names if _is_legal(name)}
        self._taken = set(self._legal)

    def __call__(self, name: str) -> str:
        legal = self._legal.get(name)
        if legal is None:
            legal, attempt = legal_name(name), 0
            while legal in self._taken:
                legal, attempt = f"{legal[: _MAX_LENGTH - 9]}_{digest(name, attempt)[:8]}", attempt + 1
            self._legal[name] = legal
            self._taken.add(legal)
        return legal

    @property
    def reverse(self) -> Names:
        return {legal: name for name, legal in self._legal.items() if legal != name}


def legal(request: ChatRequest) -> tuple[ChatRequest, Names]:
    """The request with names and call ids that servers accept, and the user's names by which to read the answer.

    Calls without an id, or with one that another call has, get a new one; so do their results, in order.

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
    names = dict.fromkeys([*[name for name in tools if name is not None], *called])
    schema_names = () if request.output is None else (request.output.name,)
    if all(map(_is_legal, (*names, *speakers, *schema_names))):
        return request, NO_NAMES
    return _with_legal_names(request, _Namer(names), _Namer(speakers))


def _with_legal_names(request: ChatRequest, name: _Namer, speaker: _Namer) -> tuple[ChatRequest, Names]:
    request = replace(
        request,
        tools=tuple([_renamed_tool(tool, name) for tool in request.tools]),
        turns=tuple([_renamed_turn(turn, name, speaker) for turn in request.turns]),
    )
    if isinstance(request.tool_choice, NamedTool):
        request = replace(request, tool_choice=NamedTool(name(request.tool_choice.name)))
    if request.output is not None:
        request = replace(request, output=replace(request.output, name=legal_name(request.output.name)))
    return request, name.reverse


def _holder(tool: NativeTool) -> Json:
    """The object that contains the name of a function or a free-text tool; empty for a provider's built-in tool."""
    raw, kind = tool.raw, tool.raw.get("type")
    if kind not in ("function", "custom"):
        return raw if "input_schema" in raw else {}
    return cast("Json", raw[kind]) if isinstance(raw.get(kind), Mapping) else raw


def _name_of(tool: ToolSpec) -> str | None:
    """The name of a tool that the user named; None for a provider's built-in tool."""
    if isinstance(tool, FunctionTool):
        return tool.name
    name = _holder(tool).get("name")
    return name if isinstance(name, str) else None


def _renamed_tool(tool: ToolSpec, namer: _Namer) -> ToolSpec:
    current = _name_of(tool)
    if current is None or (name := namer(current)) == current:
        return tool
    if isinstance(tool, FunctionTool):
        renamed_tool = _renamed_tools.get(tool)
        if renamed_tool is None or renamed_tool.name != name:
            renamed_tool = _renamed_tools[tool] = replace(tool, name=name)
        return renamed_tool
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
    turn_name = (name if turn.role == "tool" else speaker)(turn.name) if turn.name else ""
    return turn if turn_name == turn.name and parts == turn.parts else replace(turn, parts=parts, name=turn_name)


def _paired(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The turns with a distinct id for every call. A result belongs to the latest turn whose call waits for it."""
    waiting: list[list[tuple[str, str]]] = []
    seen: dict[str, int] = {}
    last: dict[str, str] = {}
    paired: list[Turn] = []
    for turn in turns:
        parts: list[Part] = []
        group: list[tuple[str, str]] = []
        for part in turn.parts:
            if type(part) is ToolCall:
                count = seen[part.id] = seen.get(part.id, 0) + 1
                id_ = part.id if part.id and count == 1 else made_call_id(part.id, count)
                group.append((part.id, id_))
                parts.append(replace(part, id=id_) if id_ != part.id else part)
            elif type(part) is ToolResult:
                answered = _answered(part.call_id, waiting) or last.get(part.call_id) or part.call_id
                id_ = last[part.call_id] = answered or made_call_id("", len(paired))
                parts.append(replace(part, call_id=id_) if id_ != part.call_id else part)
            else:
                parts.append(part)
        if group:
            waiting.append(group)
        paired.append(replace(turn, parts=tuple(parts)))
    return tuple(paired)


def _answered(id_: str, waiting: list[list[tuple[str, str]]]) -> str:
    """The new id of the call that a result answers, which then waits no longer; empty if there is none.

    Without an id on either side, it is the next call that waits.
    """
    for target in (id_, "") if id_ else ("", None):
        for group in reversed(waiting):
            for index, (original, new) in enumerate(group):
                if target is None or original == target:
                    del group[index]
                    return new
    return ""


def renamed(reply: ChatReply, names: Names) -> ChatReply:
    """A reply whose calls have the user's names again."""
    if not any(call.name in names for choice in reply.choices for call in choice.turn.tool_calls):
        return reply
    return replace(reply, choices=tuple([_renamed_choice(choice, names) for choice in reply.choices]))


def _renamed_choice(choice: Choice, names: Names) -> Choice:
    parts = [
        replace(part, name=names.get(part.name, part.name)) if type(part) is ToolCall else part
        for part in choice.turn.parts
    ]
    return replace(choice, turn=replace(choice.turn, parts=tuple(parts)))


def rename_events(events: Iterable[Event], names: Names) -> None:
    """Gives the calls among the events of a stream the user's names again."""
    for event in events:
        if type(event) is PartStarted and event.name in names:
            event.name = names[event.name]
