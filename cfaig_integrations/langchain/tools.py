"""LangChain's tools and tool choices to ours.

Knows every form in which programs hand tools to a model; knows no wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from weakref import ref

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from cfaig_integrations.core.chat import FunctionTool, NamedTool, NativeTool, ToolChoice, ToolSpec
from cfaig_integrations.core.content import NO_EXTRAS, Extras
from cfaig_integrations.errors import ConfigError

AnyTool = Any
"""A dict, a pydantic class, a TypedDict, a function or a BaseTool: LangChain's own signature names no more."""

_MARKERS = ("cache_control", "defer_loading", "eager_input_streaming", "input_examples", "allowed_callers")
"""Keys of Anthropic's tool object that are not part of the function."""


class BoundTool(dict[str, Any]):
    """A tool in OpenAI's form, as LangChain traces and caches it, that remembers its converted value.

    Equal to the dict that it is; binding the same tool again, or calling a model that it is bound to, converts
    nothing.
    """

    __slots__ = ("spec",)

    def __init__(self, shown: Mapping[str, Any], spec: ToolSpec) -> None:
        super().__init__(shown)
        self.spec = spec


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
        shown = convert_to_openai_tool(tool, strict=strict)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{tool!r} cannot be made a tool: {error}",
            field="tools",
            value=tool,
            remedy="Give a BaseTool, a function with type hints and a docstring, a pydantic class, a TypedDict or a "
            "JSON schema.",
        ) from error
    if "function" not in shown:  # a free-text tool, or one that core knows to be built in
        return BoundTool(shown, NativeTool(shown))
    return _function(shown, {key: extras[key] for key in _MARKERS if key in extras})


def _from_mapping(tool: Mapping[str, Any], strict: bool | None) -> BoundTool:
    kind = tool.get("type")
    if "input_schema" in tool and kind in {None, "custom"}:
        function = {"name": tool.get("name"), "parameters": tool["input_schema"]}
        if "description" in tool:
            function["description"] = tool["description"]
        if strict is not None or "strict" in tool:
            function["strict"] = strict if strict is not None else tool["strict"]
        shown = {"type": "function", "function": function}
        return _function(shown, {key: tool[key] for key in _MARKERS if key in tool})
    if kind == "function" and "name" in tool:  # the Responses format's flat form
        flat = {key: value for key, value in tool.items() if key != "type"}
        return _function({"type": "function", "function": _with_strict(flat, strict)}, {})
    if kind == "function" and "function" in tool:
        beside = {key: value for key, value in tool.items() if key in _MARKERS}
        return _function({**tool, "function": _with_strict(dict(tool["function"]), strict)}, beside)
    if isinstance(kind, str) and kind != "object":
        if kind == "function":
            raise _nameless(tool)
        return BoundTool(tool, NativeTool(dict(tool)))
    return _from_object(dict(tool), strict)


def _nameless(tool: Mapping[str, Any]) -> ConfigError:
    return ConfigError("A tool has no name.", field="tools", value=tool, remedy='Give it a "name".')


def _with_strict(function: dict[str, Any], strict: bool | None) -> dict[str, Any]:
    return function if strict is None else {**function, "strict": strict}


def _function(shown: Mapping[str, Any], markers: Mapping[str, Any]) -> BoundTool:
    function = shown["function"]
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise _nameless(shown)
    extras: Extras = {"messages": dict(markers)} if markers else NO_EXTRAS
    parameters: dict[str, Any] = function.get("parameters") or {"type": "object", "properties": {}}
    spec = FunctionTool(name, str(function.get("description") or ""), parameters, function.get("strict"), extras)
    return BoundTool({**shown, **markers}, spec)


def to_specs(tools: Sequence[AnyTool] | None) -> tuple[ToolSpec, ...]:
    """The tools of a call."""
    return tuple([bound(tool).spec for tool in tools]) if tools else ()


def to_choice(choice: Any, tools: Sequence[ToolSpec]) -> ToolChoice | None:
    """A tool choice in any of its forms: a word, True, a tool's name, OpenAI's or Anthropic's dict.

    Raises:
        ConfigError: It names a tool that is not bound, or is of no known form.
    """
    match choice:
        case None | False:
            return None
        case "auto" | {"type": "auto"}:
            return "auto"
        case "none" | {"type": "none"}:
            return "none"
        case "any" | "required" | True | {"type": "any" | "required"}:
            return "required"
        case (
            str(name)
            | {"type": "function", "function": {"name": str(name)}}
            | {"type": "tool" | "function" | "custom", "name": str(name)}
            | {"type": str(name)}
        ):
            return _named(name, tools)
        case NamedTool():
            return choice
        case _:
            raise ConfigError(
                f"tool_choice {choice!r} is of no known form.",
                field="tool_choice",
                value=choice,
                remedy='Use "auto", "none", "any", "required", True or the name of a bound tool.',
            )


def to_parallel(said: bool | None, choice: Any) -> bool | None:
    """Whether several tools may be called at once; Anthropic's form of a choice says it, too."""
    match choice:
        case {"disable_parallel_tool_use": bool(disabled)} if said is None:
            return not disabled
        case _:
            return said


def _named(name: str, tools: Sequence[ToolSpec]) -> NamedTool:
    names = [found for tool in tools for found in _names(tool)]
    if name not in names:
        raise ConfigError(
            f"tool_choice names {name!r}, which is not bound.",
            field="tool_choice",
            value=name,
            remedy=f"Bound are: {', '.join(names) or 'no tools'}.",
        )
    return NamedTool(name)


def _names(tool: ToolSpec) -> list[str]:
    if isinstance(tool, FunctionTool):
        return [tool.name]
    return [str(tool.raw[key]) for key in ("name", "type") if key in tool.raw]
