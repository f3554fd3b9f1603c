"""LangChain's tools to ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from weakref import ref

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from cfaig_integrations.adapters.tools import MARKERS, BoundTool, tool_of_function, tool_of_mapping
from cfaig_integrations.core.chat import NativeTool, ToolChoice, ToolSpec
from cfaig_integrations.core.hints import tool_hints
from cfaig_integrations.errors import ConfigError, shown
from cfaig_integrations.gateway.connection import Api
from cfaig_integrations.gateway.models.profiles import profile_of
from cfaig_integrations.gateway.models.routes import refuses_force
from cfaig_integrations.langchain.errors import NOT_CONVERTED

AnyTool = Any
"""A dict, a pydantic class, a TypedDict, a function or a BaseTool: LangChain's own signature names no more."""


_Conversions = dict[bool | None, tuple[object, BoundTool]]
_converted: dict[int, tuple[ref[Any], _Conversions]] = {}
"""By identity, because tools are not hashable; an entry goes when its tool does."""


def bound(tool: AnyTool, *, strict: bool | None = None) -> BoundTool:
    """One tool, ready to be bound.

    Raises:
        ConfigError: It is not a tool.
    """
    if isinstance(tool, BoundTool) and strict is None:
        return tool
    if isinstance(tool, Mapping):
        return _from_mapping(tool, strict)  # pyright: ignore[reportUnknownArgumentType]  # a user's dict
    known = _conversions(tool)
    fingerprint = _fingerprint(tool)
    kept = known.get(strict)
    if kept is None or kept[0] != fingerprint:
        kept = known[strict] = (fingerprint, _from_object(tool, strict))
    return kept[1]


def _conversions(tool: AnyTool) -> _Conversions:
    key = id(tool)
    entry = _converted.get(key)
    if entry is not None and entry[0]() is tool:
        return entry[1]
    known: _Conversions = {}
    with suppress(TypeError):  # no weak references to it: converted each time
        _converted[key] = (ref(tool, lambda _: _converted.pop(key, None)), known)
    return known


def _fingerprint(tool: AnyTool) -> object:
    """What a tool object may change about itself after it was bound."""
    if isinstance(tool, BaseTool):
        return tool.name, tool.description, id(tool.args_schema), repr(tool.extras)
    return None


def _from_object(tool: AnyTool, strict: bool | None) -> BoundTool:
    extras = (tool.extras or {}) if isinstance(tool, BaseTool) else {}
    native = extras.get("provider_tool_definition")
    if native is not None:
        return BoundTool(native, NativeTool(native))
    try:
        form = convert_to_openai_tool(tool, strict=strict)
    except NOT_CONVERTED as error:
        raise ConfigError(
            f"{shown(tool)} cannot be made a tool: {error}",
            field="tools",
            value=tool,
            remedy="Give a BaseTool, a function with type hints and a docstring, a pydantic class, a TypedDict or a "
            "JSON schema.",
        ) from error
    if "function" not in form:  # a free-text tool, or one that core knows to be built in
        return BoundTool(form, NativeTool(form))
    markers = {key: extras[key] for key in MARKERS if key in extras}
    spec = tool_of_function(form["function"], tool_hints(anthropic=markers)).spec
    return BoundTool({**form, **markers}, spec)


def _from_mapping(tool: Mapping[str, Any], strict: bool | None) -> BoundTool:
    kind = tool.get("type")
    if ("input_schema" in tool and kind is None) or (isinstance(kind, str) and kind != "object"):
        return tool_of_mapping(tool, strict=strict)
    return _from_object(dict(tool), strict)


def to_specs(tools: Sequence[AnyTool] | None, *, strict: bool | None = None) -> tuple[ToolSpec, ...]:
    """The tools of a call; `strict` is for those that were not bound before."""
    if not tools:
        return ()
    if not isinstance(tools, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's value
        raise ConfigError(
            f"tools={shown(tools)} is no list.", field="tools", value=tools, remedy="Give a list of tools."
        )
    return tuple([(tool if isinstance(tool, BoundTool) else bound(tool, strict=strict)).spec for tool in tools])


def forced(model: str, api: Api, choice: ToolChoice | None, tools: Sequence[ToolSpec]) -> ToolChoice | None:
    """The choice, if the model can be made to keep to it.

    Args:
        model: Model id.
        api: The wire that the user wants.
        choice: What it must call, such as what LangChain's `ToolStrategy` chooses.
        tools: The tools.

    Raises:
        ConfigError: It is known to refuse that.
    """
    if choice in (None, "auto", "none") or not tools:
        return choice
    known = profile_of(model)
    several = choice == "required" and len(tools) > 1
    if (known.known and known.tools and not known.tool_choice) or refuses_force(model, api, several=several):
        raise ConfigError(
            f"{model} cannot be made to call {'any one of several tools' if several else 'a tool'}.",
            field="tool_choice",
            value=choice,
            remedy="For an answer of a schema use with_structured_output(schema) or ProviderStrategy(schema); "
            "for a tool leave tool_choice out, and ask for it in the prompt.",
        )
    return choice
