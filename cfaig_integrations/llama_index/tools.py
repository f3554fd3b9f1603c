"""LlamaIndex's tools and tool choices to ours, and the arguments of a chat with tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast
from weakref import ref

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.tools.types import BaseTool, ToolMetadata
from pydantic import BaseModel

from cfaig_integrations.adapters.tools import BoundTool, choice_among, tool_of_function, tool_of_mapping, tools_at_once
from cfaig_integrations.core.chat import FunctionTool
from cfaig_integrations.errors import ConfigError, invalid, shown
from cfaig_integrations.llama_index.schemas import object_schema

AnyTool: TypeAlias = BaseTool | Mapping[str, Any]

_converted: dict[tuple[int, str, str | None, bool | None], tuple[ref[type], BoundTool]] = {}
"""Id of the class of a tool's arguments, name, description and strictness -> the class and the tool.

Not by tool: agents wrap their tools at every step.
"""
_MAX_CONVERTED = 4096


def bound_tools(tools: Iterable[AnyTool] | None, *, strict: bool | None = None) -> list[BoundTool]:
    """The tools of a call.

    Args:
        tools: LlamaIndex's tools; or dicts: OpenAI's or Anthropic's tool objects, or a provider's built-in tool, which
            is sent unchanged.
        strict: Whether arguments must match their schema exactly.

    Raises:
        ConfigError: One of them is not a tool, or two different ones have the same name.
    """
    # a user's value
    if isinstance(tools, BaseTool | Mapping) or not isinstance(tools, Iterable | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        kind = type(cast("object", tools)).__name__
        raise ConfigError(f"tools is a {kind}.", field="tools", value=kind, remedy="Give a list of tools.")
    bound_list: list[BoundTool] = []
    sources: dict[str, object] = {}
    for tool in tools or ():
        bound, source = _bound(tool, strict)
        name = bound.spec.name if isinstance(bound.spec, FunctionTool) else ""
        if name and name in sources:
            if sources[name] is source:
                continue  # a retriever returned a tool that is also listed
            raise ConfigError(
                f"Two tools are called {name!r}.", field="tools", value=name, remedy="Give each tool a unique name."
            )
        sources[name] = source
        bound_list.append(bound)
    return bound_list


def _bound(tool: AnyTool, strict: bool | None) -> tuple[BoundTool, object]:
    """A tool, and the object that tells it apart from another of its name."""
    metadata = getattr(tool, "metadata", None)
    if isinstance(metadata, ToolMetadata):  # of a `BaseTool`, which takes three times as long to find out
        return _bound_metadata(tool, metadata, strict), metadata
    if isinstance(tool, BoundTool) and strict is None:
        return tool, tool
    if isinstance(tool, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's value
        return tool_of_mapping(tool, strict=strict), tool
    raise ConfigError(f"{shown(tool)} is not a tool.", field="tools", value=tool, remedy="Give a BaseTool or a dict.")


def _bound_metadata(tool: object, metadata: ToolMetadata, strict: bool | None) -> BoundTool:
    if not metadata.name:
        raise ConfigError("A tool has no name.", field="tools", value=tool, remedy="Give its ToolMetadata a name.")
    kind = type(metadata)
    if kind is ToolMetadata or all(
        getattr(kind, method) is getattr(ToolMetadata, method) for method in ("to_openai_tool", "get_parameters_dict")
    ):
        return bound_class(metadata.fn_schema, metadata.name, metadata.description, strict=strict)
    bound = tool_of_mapping(metadata.to_openai_tool(skip_length_check=True), strict=strict)
    # LlamaIndex replaces a name that has characters which OpenAI refuses.
    return tool_of_function({**bound["function"], "name": metadata.name}) if "function" in bound else bound


def bound_class(
    kind: type[BaseModel] | None, name: str, description: str | None, *, strict: bool | None = None
) -> BoundTool:
    """A tool whose arguments are the fields of a class; converted once.

    Args:
        kind: The class; None: one string, called `input`.
        name: Of any characters.
        description: What it does, for the model.
        strict: Whether arguments must match the schema exactly.

    Raises:
        ConfigError: The class has no JSON schema.
    """
    owner = kind or ToolMetadata
    key = id(owner), name, description, strict
    cached = _converted.get(key)
    if cached is not None and cached[0]() is owner:
        return cached[1]
    if kind is None:
        one_string = ToolMetadata(description="", fn_schema=None)
        parameters = cast("dict[str, Any]", one_string.get_parameters_dict())  # pyright: ignore[reportUnknownMemberType]
    else:
        parameters = object_schema(kind, closed=strict is True)
    function = {"name": name, "description": description or "", "parameters": parameters}
    bound = tool_of_function(function if strict is None else {**function, "strict": strict})
    if len(_converted) >= _MAX_CONVERTED:
        _converted.clear()
    _converted[key] = (ref(owner, lambda _: _converted.pop(key, None)), bound)
    return bound


def chat_arguments(
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
        tools: Tools that it may call.
        user_msg: Comes after `chat_history`, which is not changed.
        chat_history: The conversation.
        allow_parallel_tool_calls: False: the request asks for one call at a time.
        tool_required: The model must call a tool, unless `tool_choice` is set.
        tool_choice: As of `adapters.tools.choice_among`.
        strict: Whether arguments must match the schema exactly.
        **kwargs: Further arguments of `chat`, over these.

    Raises:
        ConfigError: A tool or the choice is invalid.
    """
    messages = list(chat_history or ())
    if user_msg:
        messages.append(user_msg if isinstance(user_msg, ChatMessage) else ChatMessage(user_msg, role=MessageRole.USER))
    bound = bound_tools(tools, strict=strict)
    requested = "required" if tool_choice is None and tool_required else tool_choice
    choice = choice_among(requested, [tool.spec for tool in bound])
    if not bound and choice == "required":
        raise invalid("tool_choice", requested, "is set, but there are no tools", "Give tools, or leave it out.")
    arguments: dict[str, Any] = {"messages": messages}
    if bound:
        arguments["tools"] = bound
        if choice is not None:
            arguments["tool_choice"] = requested
        if tools_at_once(None if allow_parallel_tool_calls else False, requested) is False:
            arguments["parallel_tool_calls"] = False
    return {**arguments, **kwargs}
