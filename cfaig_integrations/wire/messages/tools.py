"""Tools and the choice among them.

A function tool's encoded form is remembered for as long as the tool lives.
"""

from __future__ import annotations

from typing import Any, assert_never
from weakref import WeakKeyDictionary

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NamedTool, NativeTool, ToolChoice, ToolSpec
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.legal import chosen, has_tools, parameters_of

_encoded: WeakKeyDictionary[FunctionTool, dict[str, Any]] = WeakKeyDictionary()


def tool(spec: ToolSpec) -> dict[str, Any]:
    """A tool's object; not to be changed, as requests share it."""
    match spec:
        case NativeTool(raw):
            return dict(raw)
        case FunctionTool():
            known = _encoded.get(spec)
            if known is None:
                known = _encoded[spec] = _function(spec)
            return known
        case _:
            assert_never(spec)


def _function(spec: FunctionTool) -> dict[str, Any]:
    encoded: dict[str, Any] = {"name": spec.name, "input_schema": parameters_of(spec)}
    if spec.description:
        encoded["description"] = spec.description
    if spec.strict is not None:
        encoded["strict"] = spec.strict
    encoded.update(spec.extras.get("messages", {}))
    return encoded


def tool_choice(request: ChatRequest, quirks: Quirks) -> dict[str, Any] | None:
    """The `tool_choice` object, which also says whether several tools may be called at once.

    Raises:
        ConfigError: The model refuses such a choice.
    """
    choice = _choice(chosen(request, quirks))
    parallel = request.parallel_tool_calls
    if parallel is None or not has_tools(request):
        return choice
    choice = choice or {"type": "auto"}
    if choice["type"] != "none":  # nothing is called then (official SDK: `ToolChoiceNoneParam` has no such key)
        choice["disable_parallel_tool_use"] = not parallel
    return choice


def _choice(wanted: ToolChoice | None) -> dict[str, Any] | None:
    match wanted:
        case None:
            return None
        case "auto" | "none":
            return {"type": wanted}
        case "required":
            return {"type": "any"}
        case NamedTool(name):
            return {"type": "tool", "name": name}
        case _:
            assert_never(wanted)
