"""LlamaIndex's tools and tool choices to ours, and the calls of a response to LlamaIndex's selections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast
from weakref import WeakKeyDictionary

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.tools.types import BaseTool, ToolMetadata
from pydantic import BaseModel

from cfaig_integrations.adapters.tools import choice_among, tool_of_function, tool_of_mapping, tools_at_once
from cfaig_integrations.core.chat import FunctionTool, ToolSpec
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.llama_index.schemas import object_schema

AnyTool: TypeAlias = BaseTool | Mapping[str, Any]


class BoundTool(dict[str, Any]):
    """A tool in OpenAI's form, as LlamaIndex's observers see it, that remembers its converted value.

    Equal to the dict that it is. A call that carries it converts nothing.
    """

    __slots__ = ("spec",)

    def __init__(self, shown: Mapping[str, Any], spec: ToolSpec) -> None:
        super().__init__(shown)
        self.spec = spec


_Words: TypeAlias = tuple[str, str, bool | None]
_converted: WeakKeyDictionary[type, dict[_Words, BoundTool]] = WeakKeyDictionary()
"""By the class of a tool's arguments and by its words: agents wrap their tools anew at every step."""
_MOST_OF_A_CLASS = 256


def bound_tools(tools: Iterable[AnyTool] | None, *, strict: bool | None = None) -> list[BoundTool]:
    """The tools of a call.

    Args:
        tools: LlamaIndex's tools; or dicts: OpenAI's or Anthropic's tool objects, or a provider's built-in tool, which
            is sent as it is.
        strict: Whether arguments must match their schema exactly.

    Raises:
        ConfigError: One of them is not a tool, or two different ones have the same name.
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
        name = made.spec.name if isinstance(made.spec, FunctionTool) else ""
        if name and name in owners:
            if owners[name] is owner:
                continue  # a retriever found a tool that is there anyway
            raise ConfigError(
                f"Two tools are called {name!r}.",
                field="tools",
                value=name,
                remedy="Give each a name of its own.",
            )
        owners[name] = owner
        found.append(made)
    return found


def _bound(tool: AnyTool, strict: bool | None) -> BoundTool:
    if isinstance(tool, BoundTool) and strict is None:
        return tool
    if isinstance(tool, Mapping):
        return _of_mapping(tool, strict)
    if not isinstance(tool, BaseTool):  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's value
        raise ConfigError(f"{tool!r} is not a tool.", field="tools", value=tool, remedy="Give a BaseTool or a dict.")
    metadata = tool.metadata
    if not metadata.name:
        raise ConfigError("A tool has no name.", field="tools", value=tool, remedy="Give its ToolMetadata a name.")
    kind = type(metadata)
    if any(getattr(kind, own) is not getattr(ToolMetadata, own) for own in ("to_openai_tool", "get_parameters_dict")):
        made = _of_mapping(metadata.to_openai_tool(skip_length_check=True), strict)
        # LlamaIndex writes another name there if it has characters that OpenAI refuses.
        return BoundTool(*tool_of_function({**made["function"], "name": metadata.name})) if "function" in made else made
    return bound_class(metadata.fn_schema, metadata.name, metadata.description, strict=strict)


def bound_class(
    kind: type[BaseModel] | None, name: str, description: str | None, *, strict: bool | None = None
) -> BoundTool:
    """A tool whose arguments are those of a class; converted once.

    Args:
        kind: The class; None: one text, called `input`.
        name: Of any characters.
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
            "name": name,
            "description": description or "",
            "parameters": object_schema(kind, closed=strict is True) if kind else _one_text(),
        }
        if strict is not None:
            function["strict"] = strict
        made = known[words] = BoundTool(*tool_of_function(function))
    return made


def _one_text() -> dict[str, Any]:
    return cast("dict[str, Any]", ToolMetadata(description="", fn_schema=None).get_parameters_dict())  # pyright: ignore[reportUnknownMemberType]


def _of_mapping(tool: Mapping[str, Any], strict: bool | None) -> BoundTool:
    return BoundTool(*tool_of_mapping(tool, strict=strict))


def to_specs(tools: Iterable[BoundTool]) -> tuple[ToolSpec, ...]:
    """The tools of a call, as they are sent."""
    return tuple(tool.spec for tool in tools)


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
        tool_choice: See `client.tools.choice_among`.
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
    choice = choice_among(wanted, to_specs(bound))
    if not bound:
        if choice == "required":
            raise ConfigError(
                f"tool_choice={wanted!r}, and no tools are given.",
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
