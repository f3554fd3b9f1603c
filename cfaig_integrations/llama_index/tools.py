"""LlamaIndex's tools and tool choices to ours, and the calls of a response to LlamaIndex's selections.

Knows LlamaIndex's tools and responses; knows no wire. Servers take fewer names than LlamaIndex: each tool goes by a
legal one on the wire, and by its own on either side of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, cast
from weakref import WeakKeyDictionary

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.tools.types import BaseTool, ToolMetadata
from pydantic import BaseModel

from cfaig_integrations.client.tools import choice_among, legal_name, tool_of_function, tool_of_mapping, tools_at_once
from cfaig_integrations.core.chat import FunctionTool, ToolChoice, ToolSpec
from cfaig_integrations.core.content import Turn
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.llama_index.outbound import Names
from cfaig_integrations.llama_index.schemas import object_schema

AnyTool: TypeAlias = BaseTool | Mapping[str, Any]


class BoundTool(dict[str, Any]):
    """A tool in OpenAI's form, as LlamaIndex's observers see it, that remembers its converted value and its own name.

    Equal to the dict that it is. A call that carries it converts nothing.
    """

    __slots__ = ("own_name", "spec")

    def __init__(self, shown: Mapping[str, Any], spec: ToolSpec, own_name: str) -> None:
        super().__init__(shown)
        self.spec = spec
        self.own_name = own_name

    def named(self, name: str) -> BoundTool:
        """The same by another name on the wire; a provider's own tool keeps its name."""
        if not isinstance(self.spec, FunctionTool):
            return self
        shown = {**self, "function": {**self["function"], "name": name}}
        return BoundTool(shown, replace(self.spec, name=name), self.own_name)


_Words: TypeAlias = tuple[str, str, bool | None]
_converted: WeakKeyDictionary[type, dict[_Words, BoundTool]] = WeakKeyDictionary()
"""By the class of a tool's arguments and by its words: agents wrap their tools anew at every step."""
_MOST_OF_A_CLASS = 256


def bound_tools(tools: Iterable[AnyTool] | None, *, strict: bool | None = None) -> list[BoundTool]:
    """The tools of a call, each with a name of its own that servers take.

    Args:
        tools: LlamaIndex's tools; or dicts: OpenAI's or Anthropic's tool objects, or a provider's built-in tool, which
            is sent as it is.
        strict: Whether arguments must match their schema exactly.

    Raises:
        ConfigError: One of them is no tool, or two different ones have the same name.
    """
    # a user's value
    if isinstance(tools, BaseTool | Mapping) or not isinstance(tools, Iterable | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        kind = type(cast("object", tools)).__name__
        raise ConfigError(f"tools is a {kind}.", field="tools", value=kind, remedy="Give a list of tools.")
    found: list[BoundTool] = []
    owners: dict[str, object] = {}
    for tool in tools or ():
        made = _bound(tool, strict)
        owner = tool.metadata if isinstance(tool, BaseTool) else tool
        if made.own_name and made.own_name in owners:
            if owners[made.own_name] is owner:
                continue  # a retriever found a tool that is there anyway
            raise ConfigError(
                f"Two tools are called {made.own_name!r}.",
                field="tools",
                value=made.own_name,
                remedy="Give each a name of its own.",
            )
        owners[made.own_name] = owner
        found.append(made)
    return _with_own_wire_names(found)


def _bound(tool: AnyTool, strict: bool | None) -> BoundTool:
    if isinstance(tool, BoundTool) and strict is None:
        return tool
    if isinstance(tool, Mapping):
        return _of_mapping(tool, strict)
    if not isinstance(tool, BaseTool):  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's value
        raise ConfigError(f"{tool!r} is no tool.", field="tools", value=tool, remedy="Give a BaseTool or a dict.")
    metadata = tool.metadata
    if not metadata.name:
        raise ConfigError("A tool has no name.", field="tools", value=tool, remedy="Give its ToolMetadata a name.")
    kind = type(metadata)
    if any(getattr(kind, own) is not getattr(ToolMetadata, own) for own in ("to_openai_tool", "get_parameters_dict")):
        made = _of_mapping(metadata.to_openai_tool(skip_length_check=True), strict)
        return BoundTool(made, made.spec, metadata.name)
    return bound_class(metadata.fn_schema, metadata.name, metadata.description, strict=strict)


def bound_class(
    kind: type[BaseModel] | None, name: str, description: str | None, *, strict: bool | None = None
) -> BoundTool:
    """A tool whose arguments are those of a class; converted once.

    Args:
        kind: The class; None: one text, called `input`.
        name: The tool's own name, of any characters.
        description: What it does, for the model.
        strict: Whether arguments must match the schema exactly.

    Raises:
        ConfigError: The class has no JSON schema.
    """
    known = _converted.setdefault(kind or ToolMetadata, {})
    words = name, description or "", strict
    made = known.get(words)
    if made is None:
        if len(known) >= _MOST_OF_A_CLASS:
            known.clear()
        function: dict[str, Any] = {
            "name": legal_name(name),
            "description": description or "",
            "parameters": object_schema(kind, closed=strict is True) if kind else _one_text(),
        }
        if strict is not None:
            function["strict"] = strict
        made = known[words] = BoundTool(*tool_of_function(function), name)
    return made


def _one_text() -> dict[str, Any]:
    return cast("dict[str, Any]", ToolMetadata(description="", fn_schema=None).get_parameters_dict())  # pyright: ignore[reportUnknownMemberType]


def _of_mapping(tool: Mapping[str, Any], strict: bool | None) -> BoundTool:
    shown, spec = tool_of_mapping(tool, strict=strict)
    if not isinstance(spec, FunctionTool):
        return BoundTool(shown, spec, "")
    own = tool.own_name if isinstance(tool, BoundTool) else spec.name
    made = BoundTool(shown, spec, own)
    legal = legal_name(spec.name)
    return made if legal == spec.name else made.named(legal)


def _with_own_wire_names(tools: list[BoundTool]) -> list[BoundTool]:
    """No two functions under one name: the later ones of a name are numbered."""
    taken: set[str] = set()
    found: list[BoundTool] = []
    for tool in tools:
        if not isinstance(tool.spec, FunctionTool):
            found.append(tool)
            continue
        name, number = tool.spec.name, 1
        while name in taken:
            number += 1
            ending = f"_{number}"
            name = tool.spec.name[: 64 - len(ending)] + ending
        taken.add(name)
        found.append(tool if name == tool.spec.name else tool.named(name))
    return found


def wire_names(tools: Iterable[BoundTool]) -> Names:
    """Names of tools on the wire, and the tools' own, where the two differ."""
    found: dict[str, str] = {}
    for tool in tools:
        if isinstance(tool.spec, FunctionTool) and tool.spec.name != tool.own_name:
            found[tool.spec.name] = tool.own_name
    return found


def history_names(turns: Iterable[Turn], names: Names) -> Names:
    """Own names of the tools that a history calls, and those on the wire, where the two differ.

    Args:
        turns: The history; its calls may be of tools that this call does not have.
        names: See `wire_names`.
    """
    back = {own: wire for wire, own in names.items()}
    called = {call.name for turn in turns for call in turn.tool_calls}
    found = {own: back.get(own) or legal_name(own) for own in called}
    return {own: wire for own, wire in found.items() if own != wire}


def to_specs(tools: Iterable[BoundTool]) -> tuple[ToolSpec, ...]:
    """The tools of a call, as they are sent."""
    return tuple(tool.spec for tool in tools)


def to_choice(choice: Any, specs: Sequence[ToolSpec], names: Names | None = None) -> ToolChoice | None:
    """A tool choice in any of its forms: a word, a tool's own name or that on the wire, OpenAI's or Anthropic's dict.

    Args:
        choice: The choice; None: the server's own.
        specs: The tools.
        names: Those of them that go by other names on the wire.

    Raises:
        ConfigError: It names a tool that is not there, or is of no known form.
    """
    return choice_among(_on_wire(choice, {own: wire for wire, own in names.items()}) if names else choice, specs)


def _on_wire(choice: Any, wire: Mapping[str, str]) -> Any:
    match choice:
        case str(name):
            return wire.get(name, name)
        case {"function": {"name": str(name)}} | {"name": str(name)} if name in wire:
            return wire[name]
        case _:
            return choice


def prepared(
    tools: Sequence[AnyTool],
    *,
    user_msg: str | ChatMessage | None = None,
    chat_history: Sequence[ChatMessage] | None = None,
    allow_parallel_tool_calls: bool = False,
    tool_required: bool = False,
    tool_choice: Any = None,
    strict: bool | None = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """The arguments with which `chat` lets the model call tools.

    Args:
        tools: What it may call.
        user_msg: Comes after `chat_history`, which is not changed.
        chat_history: The conversation.
        allow_parallel_tool_calls: False: the server is told to call one at a time.
        tool_required: The model must call a tool, unless `tool_choice` says something else.
        tool_choice: See `to_choice`.
        strict: Whether arguments must match their schema exactly.
        **kwargs: Further arguments of `chat`, over these.

    Raises:
        ConfigError: A tool or the choice cannot be right.
    """
    messages = list(chat_history or ())
    if user_msg:
        said = ChatMessage(role=MessageRole.USER, content=user_msg) if isinstance(user_msg, str) else user_msg
        messages.append(said)
    bound = bound_tools(tools, strict=strict)
    wanted = "required" if tool_choice is None and tool_required else tool_choice
    choice = to_choice(wanted, to_specs(bound), wire_names(bound))
    if not bound:
        if choice == "required":
            raise ConfigError(
                f"tool_choice={wanted!r}, and there are no tools.",
                field="tool_choice",
                value=wanted,
                remedy="Give tools, or leave it out.",
            )
        return {"messages": messages, **kwargs}
    found: dict[str, Any] = {"messages": messages, "tools": bound}
    if choice is not None:
        found["tool_choice"] = wanted
    at_once = tools_at_once(None if allow_parallel_tool_calls else False, wanted)
    if at_once is False:
        found["parallel_tool_calls"] = False
    return {**found, **kwargs}
