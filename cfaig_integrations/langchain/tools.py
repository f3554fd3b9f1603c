"""LangChain's tools and tool choices to ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Any, TypeAlias
from weakref import ref

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from cfaig_integrations.adapters.tools import (
    MARKERS,
    BoundTool,
    choice_among,
    marker_hints,
    tool_of_function,
    tool_of_mapping,
)
from cfaig_integrations.core.chat import NativeTool, ToolChoice, ToolSpec
from cfaig_integrations.errors import ConfigError, invalid
from cfaig_integrations.gateway.models.profiles import profile_of
from cfaig_integrations.gateway.models.routes import Api, refuses_force
from cfaig_integrations.langchain.errors import conversion_errors

AnyTool: TypeAlias = Any
"""A dict, a pydantic class, a TypedDict, a function or a BaseTool, which LangChain's signatures do not name either."""

_TOOL_REMEDY = (
    "Give a BaseTool, a function with type hints and a docstring, a pydantic class, a TypedDict or a JSON schema."
)
_parts = attrgetter("name", "description", "args_schema", "extras")
"""What a tool is converted from, which a program may change after the tool was bound."""
_converted: dict[tuple[int, bool | None], tuple[ref[Any], tuple[object, ...] | None, BoundTool]] = {}
"""Id of a tool, as tools are not hashable, and `strict` -> the tool, what it was converted from, and the result."""


def bound(tool: AnyTool, *, strict: bool | None = None) -> BoundTool:
    """One tool, ready to be bound.

    Raises:
        ConfigError: It is not a valid tool.
    """
    cached = _converted.get((id(tool), strict))
    if cached is not None and cached[0]() is tool and (cached[1] is None or cached[1] == _parts(tool)):
        return cached[2]
    if isinstance(tool, BoundTool) and strict is None:
        return tool
    if isinstance(tool, Mapping):
        return _from_mapping(tool, strict)  # pyright: ignore[reportUnknownArgumentType]  # a user's dict
    return _converted_once(tool, strict)


def _converted_once(tool: AnyTool, strict: bool | None) -> BoundTool:
    """The conversion of a tool object, which is dropped together with it."""
    key = id(tool), strict
    state: tuple[object, ...] | None = None
    if isinstance(tool, BaseTool):
        state = _parts(tool)
        if isinstance(tool.args_schema, dict) or tool.extras is not None:  # which may be changed in place
            state = tuple(map(repr, state))
    cached = _converted.get(key)
    if cached is not None and cached[0]() is tool and cached[1] == state:
        return cached[2]
    converted = _from_object(tool, strict)
    with suppress(TypeError):  # no weak references to it: it is converted each time
        _converted[key] = (ref(tool, lambda _: _converted.pop(key, None)), state, converted)
    return converted


def _from_object(tool: AnyTool, strict: bool | None) -> BoundTool:
    extras = (tool.extras or {}) if isinstance(tool, BaseTool) else {}
    native = extras.get("provider_tool_definition")
    if native is not None:
        return BoundTool(native, NativeTool(native))
    with conversion_errors(tool, "tools", "a tool", _TOOL_REMEDY):
        form = convert_to_openai_tool(tool, strict=strict)
    if "function" not in form:  # a free-text tool, or one that core treats as built in
        return BoundTool(form, NativeTool(form))
    markers = {key: extras[key] for key in MARKERS if key in extras}
    spec = tool_of_function(form["function"], marker_hints(markers)).spec
    return BoundTool({**form, **markers}, spec)


def _from_mapping(tool: Mapping[str, Any], strict: bool | None) -> BoundTool:
    kind = tool.get("type")
    if ("input_schema" in tool and kind is None) or (isinstance(kind, str) and kind != "object"):
        return tool_of_mapping(tool, strict=strict)
    return _from_object(dict(tool), strict)


def to_specs(tools: Sequence[AnyTool], *, strict: bool | None = None) -> tuple[ToolSpec, ...]:
    """The tools of a call; `strict` is for those that were not bound before."""
    if not isinstance(tools, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's value
        raise invalid("tools", tools, "is not a list", "Give a list of tools.")
    return tuple([(tool if isinstance(tool, BoundTool) else bound(tool, strict=strict)).spec for tool in tools])


def to_choice(choice: Any, tools: Sequence[ToolSpec], *, model: str, api: Api) -> ToolChoice | None:
    """A call's `tool_choice`, in any of its forms.

    Raises:
        ConfigError: It has an unknown form, names a tool that is not among the tools, or is one that the model refuses.
    """
    chosen = choice_among(choice, tools)
    if chosen in (None, "auto", "none") or not tools:
        return chosen
    profile, several = profile_of(model), chosen == "required" and len(tools) > 1
    if (profile.is_listed and profile.tools and not profile.tool_choice) or refuses_force(model, api, several=several):
        raise ConfigError(
            f"{model} cannot be made to call {'any one of several tools' if several else 'a tool'}.",
            field="tool_choice",
            value=chosen,
            remedy="For structured output use with_structured_output(schema) or ProviderStrategy(schema); "
            "otherwise omit tool_choice and ask for the call in the prompt.",
        )
    return chosen
