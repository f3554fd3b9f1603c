"""Tools and the choice among them.

Knows no turns. A function tool's encoded form is remembered for as long as the tool lives.
"""

from __future__ import annotations

from typing import Any, assert_never
from weakref import WeakKeyDictionary

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NamedTool, NativeTool, ToolSpec
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.fields import is_object

_encoded: WeakKeyDictionary[FunctionTool, dict[str, Any]] = WeakKeyDictionary()


def add_tools(body: dict[str, Any], request: ChatRequest, quirks: Quirks) -> None:
    """Writes what a request says about tools into its body.

    Raises:
        ConfigError: The model refuses such a choice.
    """
    if request.tools:
        body["tools"] = [_tool(spec) for spec in request.tools]
    choice = _choice(request, quirks)
    if choice is not None:
        body["tool_choice"] = choice
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls


def _tool(spec: ToolSpec) -> dict[str, Any]:
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
    function: dict[str, Any] = {"name": spec.name, "parameters": spec.parameters}
    if spec.description:
        function["description"] = spec.description
    if spec.strict is not None:
        function["strict"] = spec.strict
    return {"type": "function", "function": function, **spec.extras.get("chat_completions", {})}


def _choice(request: ChatRequest, quirks: Quirks) -> str | dict[str, Any] | None:
    """The `tool_choice` in the form that the model takes (wire-facts §9.2)."""
    choice, tools = request.tool_choice, request.tools
    if quirks.no_forced_tool:
        if choice not in (None, "auto"):
            raise _refused(request, "Leave tool_choice out, and ask for the tool in the prompt.")
        return None
    if choice == "required" and quirks.required_as_named:
        names = [tool.name for tool in tools if isinstance(tool, FunctionTool)]
        if len(names) != 1 or len(tools) != 1:
            raise _refused(request, "Bind a single tool, or name the tool.")
        choice = NamedTool(names[0])
    if not isinstance(choice, NamedTool):
        return choice
    custom = any(isinstance(tool, NativeTool) and _custom_name(tool) == choice.name for tool in tools)
    kind = "custom" if custom else "function"
    return {"type": kind, kind: {"name": choice.name}}


def _custom_name(tool: NativeTool) -> object:
    custom = tool.raw.get("custom")
    return custom.get("name") if is_object(custom) else None


def _refused(request: ChatRequest, remedy: str) -> ConfigError:
    choice = request.tool_choice
    value = choice.name if isinstance(choice, NamedTool) else choice
    what = f"{request.model} refuses tool_choice {value!r}."
    return ConfigError(what, field="tool_choice", value=value, remedy=remedy)
