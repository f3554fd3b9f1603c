"""Tools and the choice among them.

A function tool's encoded form is remembered for as long as the tool lives.
"""

from __future__ import annotations

from typing import Any, assert_never
from weakref import WeakKeyDictionary

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NamedTool, NativeTool, ToolSpec
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.fields import is_object
from cfaig_integrations.wire.legal import chosen, has_tools, parameters_of

_encoded: WeakKeyDictionary[FunctionTool, dict[str, Any]] = WeakKeyDictionary()


def add_tools(body: dict[str, Any], request: ChatRequest, quirks: Quirks) -> None:
    """Writes what a request says about tools into its body.

    Raises:
        ConfigError: The model refuses such a choice.
    """
    if request.tools:
        body["tools"] = [_tool(spec, quirks) for spec in request.tools]
    choice = chosen(request, quirks)
    if choice is not None:
        body["tool_choice"] = _named(choice.name, request) if isinstance(choice, NamedTool) else choice
    if request.parallel_tool_calls is not None and quirks.parallel_choice and has_tools(request):
        body["parallel_tool_calls"] = request.parallel_tool_calls


def _tool(spec: ToolSpec, quirks: Quirks) -> dict[str, Any]:
    """A tool's object; not to be changed, as requests share it."""
    match spec:
        case NativeTool(raw):
            return dict(raw)
        case FunctionTool() if quirks.bare_tools:
            return _bare(spec)
        case FunctionTool():
            known = _encoded.get(spec)
            if known is None:
                known = _encoded[spec] = _function(spec)
            return known
        case _:
            assert_never(spec)


def _function(spec: FunctionTool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": spec.name, "parameters": parameters_of(spec)}
    if spec.description:
        function["description"] = spec.description
    if spec.strict is not None:
        function["strict"] = spec.strict
    return {"type": "function", "function": function, **spec.extras.get("chat_completions", {})}


def _bare(spec: FunctionTool) -> dict[str, Any]:
    function = {"name": spec.name, "description": spec.description, "parameters": parameters_of(spec)}
    return {"type": "function", "function": function}


def _named(name: str, request: ChatRequest) -> dict[str, Any]:
    custom = any(isinstance(tool, NativeTool) and _custom_name(tool) == name for tool in request.tools)
    kind = "custom" if custom else "function"
    return {"type": kind, kind: {"name": name}}


def _custom_name(tool: NativeTool) -> object:
    custom = tool.raw.get("custom")
    return custom.get("name") if is_object(custom) else None
