"""LlamaIndex's tools and tool choices to ours, and the calls of a response to LlamaIndex's selections.

Knows LlamaIndex's tools and responses; knows no wire. Servers take fewer names than LlamaIndex: each tool goes by a
legal one on the wire, and by its own on either side of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, TypeAlias, cast
from weakref import WeakKeyDictionary

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.types import BaseTool, ToolMetadata
from pydantic import BaseModel
from pydantic_core import from_json

from cfaig_integrations.client.tools import choice_among, tool_of_function, tool_of_mapping, tools_at_once
from cfaig_integrations.core.chat import FunctionTool, ToolChoice, ToolSpec
from cfaig_integrations.core.content import Turn
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.llama_index.growing import read_so_far
from cfaig_integrations.llama_index.outbound import SKELETON, Names
from cfaig_integrations.llama_index.schemas import legal_name, object_schema

AnyTool: TypeAlias = BaseTool | Mapping[str, Any]
FREE_TEXT = "input"
"""Argument that holds the text of a Responses free-text tool's call."""


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
    if isinstance(tools, BaseTool):
        raise ConfigError("tools is one tool.", field="tools", value=tools, remedy="Give a list of tools.")
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


def tool_selections(response: ChatResponse, *, error_on_no_tool_call: bool = True) -> list[ToolSelection]:
    """The calls in a response, with the arguments so far while it is streamed.

    Arguments that are no JSON object at the end are never completed: a tool must not run on half of them. They come
    under names that no tool has, so that its error tells the model.

    Args:
        response: The response, or one of a stream's.
        error_on_no_tool_call: Whether a response without calls, or with broken arguments, is an error.

    Raises:
        ValueError: There is no call, or a broken one; only with `error_on_no_tool_call`.
    """
    message = response.message
    ended = finish_reason(response)
    calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if not calls and error_on_no_tool_call:
        raise ValueError(
            f"Expected a tool call, but got none (finish_reason {ended!r}). The model said: {message.content or ''!r}"
        )
    found: list[ToolSelection] = []
    for call in calls:
        arguments = _arguments(call, message, whole=bool(ended))
        if error_on_no_tool_call and _BROKEN in arguments:
            raise ValueError(f"The call of {call.tool_name!r} is broken (finish_reason {ended!r}): {arguments}")
        found.append(ToolSelection(tool_id=call.tool_call_id or "", tool_name=call.tool_name, tool_kwargs=arguments))
    return found


_BROKEN = "invalid_arguments"


def finish_reason(response: ChatResponse) -> str:
    """Why a whole response ended; empty for one that is still being written."""
    return str(cast("Mapping[str, Any]", response.additional_kwargs).get("finish_reason") or "")  # pyright: ignore[reportUnknownMemberType]


def _arguments(call: ToolCallBlock, message: ChatMessage, *, whole: bool) -> dict[str, Any]:
    given = call.tool_kwargs
    if not isinstance(given, str):
        return deepcopy(given)  # a tool may change its arguments, and the message is the history
    if whole and call.tool_call_id in _free_text_calls(message):
        return {FREE_TEXT: given}
    if not whole:
        so_far = read_so_far(f"{call.tool_call_id} {call.tool_name}", given)
        return cast("dict[str, Any]", so_far) if isinstance(so_far, dict) else {}
    if not given.strip():
        return {}
    try:
        found = from_json(given)
    except (ValueError, TypeError) as error:
        return {_BROKEN: given, "error": f"The arguments are not JSON: {error}"}
    if isinstance(found, dict):
        return cast("dict[str, Any]", found)
    return {_BROKEN: given, "error": f"The arguments are a JSON {type(found).__name__}, not an object."}


def _free_text_calls(message: ChatMessage) -> set[str]:
    bones = cast("Mapping[str, Any]", message.additional_kwargs.get(SKELETON) or {})
    return {bone["id"] for bone in bones.get("parts", ()) if bone.get("custom")}


def only_one_call(response: ChatResponse, *, allow_parallel: bool) -> ChatResponse:
    """A response with its first call only, if more are not allowed; the response itself is not changed.

    Not every server keeps to `parallel_tool_calls`, and LlamaIndex's programs refuse a second call.
    """
    message = response.message
    calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if allow_parallel or len(calls) < 2:
        return response
    kept = [block for block in message.blocks if not isinstance(block, ToolCallBlock) or block is calls[0]]
    beside = dict(message.additional_kwargs)
    if "tool_calls" in beside:
        beside["tool_calls"] = beside["tool_calls"][:1]
    if SKELETON in beside:
        beside[SKELETON] = _with_one_call(beside[SKELETON])
    told = message.model_copy(update={"blocks": kept, "additional_kwargs": beside})
    return response.model_copy(update={"message": told})


def _with_one_call(bones: Mapping[str, Any]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = sorted(bones["parts"], key=lambda bone: bone["n"])
    first = next((bone for bone in parts if bone["kind"] == "tool_call"), None)
    kept = [bone for bone in parts if bone["kind"] != "tool_call" or bone is first]
    return {**bones, "parts": [{**bone, "n": place} for place, bone in enumerate(kept)]}
