"""LangChain's tools to ours.

Knows every form in which programs hand tools to a model; knows no wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from weakref import ref

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from cfaig_integrations.client.tools import MARKERS, tool_of_function, tool_of_mapping
from cfaig_integrations.core.chat import NativeTool, ToolChoice, ToolSpec
from cfaig_integrations.core.content import NO_EXTRAS
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.profiles import profile_of

AnyTool = Any
"""A dict, a pydantic class, a TypedDict, a function or a BaseTool: LangChain's own signature names no more."""


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
    markers = {key: extras[key] for key in MARKERS if key in extras}
    _, spec = tool_of_function(shown["function"], {"messages": markers} if markers else NO_EXTRAS)
    return BoundTool({**shown, **markers}, spec)


def _from_mapping(tool: Mapping[str, Any], strict: bool | None) -> BoundTool:
    kind = tool.get("type")
    if ("input_schema" in tool and kind is None) or (isinstance(kind, str) and kind != "object"):
        return BoundTool(*tool_of_mapping(tool, strict=strict))
    return _from_object(dict(tool), strict)


def to_specs(tools: Sequence[AnyTool] | None, *, strict: bool | None = None) -> tuple[ToolSpec, ...]:
    """The tools of a call; `strict` is for those that were not bound before."""
    if not tools:
        return ()
    return tuple([(tool if isinstance(tool, BoundTool) else bound(tool, strict=strict)).spec for tool in tools])


def forced(model: str, choice: ToolChoice | None) -> ToolChoice | None:
    """The choice, if the model can be made to keep to it.

    Args:
        model: Model id.
        choice: What it must call, such as what LangChain's `ToolStrategy` chooses.

    Raises:
        ConfigError: It is known to refuse that.
    """
    if choice in (None, "auto", "none"):
        return choice
    known = profile_of(model)
    if known.known and known.tools and not known.tool_choice:
        raise ConfigError(
            f"{model} cannot be made to call a tool.",
            field="tool_choice",
            value=choice,
            remedy="For an answer of a schema use with_structured_output(schema) or ProviderStrategy(schema); "
            "for a tool leave tool_choice out, and ask for it in the prompt.",
        )
    return choice
