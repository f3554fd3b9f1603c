"""Tools and the choice among them.

Knows no turns. A function tool's encoded form is remembered for as long as the tool lives.
"""

from __future__ import annotations

from typing import Any, assert_never
from weakref import WeakKeyDictionary

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NamedTool, NativeTool, ToolSpec
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.codec import Quirks

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
    # `type: object` is required (official SDK: `InputSchemaTyped`).
    encoded: dict[str, Any] = {"name": spec.name, "input_schema": {"type": "object", **spec.parameters}}
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
    choice = _choice(request, quirks)
    parallel = request.parallel_tool_calls
    if parallel is None or not request.tools:
        return choice
    choice = choice or {"type": "auto"}
    if choice["type"] != "none":  # nothing is called then (official SDK: `ToolChoiceNoneParam` has no such key)
        choice["disable_parallel_tool_use"] = not parallel
    return choice


def _choice(request: ChatRequest, quirks: Quirks) -> dict[str, Any] | None:
    wanted = request.tool_choice
    if wanted is None:
        return None
    if quirks.no_forced_tool and wanted != "auto":
        raise _refused(request, 'Leave it out or use "auto".')
    match wanted:
        case "auto" | "none":
            return {"type": wanted}
        case "required":
            return {"type": "any"} if not quirks.required_as_named else _only(request)
        case NamedTool(name):
            return {"type": "tool", "name": name}
        case _:
            assert_never(wanted)


def _only(request: ChatRequest) -> dict[str, Any]:
    match request.tools:
        case (FunctionTool(name=name),):
            return {"type": "tool", "name": name}
        case _:
            raise _refused(request, "Name the tool, or bind exactly one.")


def _refused(request: ChatRequest, remedy: str) -> ConfigError:
    choice = request.tool_choice
    value = choice.name if isinstance(choice, NamedTool) else choice
    what = f"{request.model} refuses tool_choice {value!r}."
    return ConfigError(what, field="tool_choice", value=value, remedy=remedy)
