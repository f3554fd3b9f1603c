"""Tools, the choice of one, and the form of the answer, as the Responses wire writes them.

Knows nothing of the conversation.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NamedTool, NativeTool, OutputSchema, ToolSpec
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.codec import Quirks

_ENCODED: WeakKeyDictionary[FunctionTool, dict[str, Any]] = WeakKeyDictionary()


def tool_of(tool: ToolSpec) -> dict[str, Any]:
    """A tool's object; that of a function is made once, and must not be changed.

    `strict` is always said: where it is missing, this API rewrites the schema into a strict one and makes optional
    arguments mandatory, other than Chat Completions (OpenAI's guide "Function calling", strict mode; the official type
    `FunctionToolParam` requires the key too).
    """
    if isinstance(tool, NativeTool):
        return dict(tool.raw)
    known = _ENCODED.get(tool)
    if known is None:
        known = _ENCODED[tool] = _function(tool)
    return known


def _function(tool: FunctionTool) -> dict[str, Any]:
    body: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description:
        body["description"] = tool.description
    return {
        **body,
        "parameters": tool.parameters,
        "strict": bool(tool.strict),
        **tool.extras.get("responses", {}),
    }


def tool_choice_of(request: ChatRequest, quirks: Quirks) -> dict[str, Any]:
    """`tool_choice`, or nothing if it need not be said.

    Raises:
        ConfigError: The model refuses this choice.
    """
    choice = request.tool_choice
    if choice is None or (choice == "auto" and quirks.no_forced_tool):
        return {}
    if quirks.no_forced_tool:
        raise _refused_choice(request, "Leave tool_choice at 'auto'.")
    if isinstance(choice, NamedTool):
        return {"tool_choice": _named(choice.name, request.tools)}
    if choice == "required" and quirks.required_as_named:
        if len(request.tools) != 1 or not isinstance(request.tools[0], FunctionTool):
            raise _refused_choice(request, "Bind exactly one tool, or name the tool.")
        return {"tool_choice": _named(request.tools[0].name, request.tools)}
    return {"tool_choice": choice}


def _refused_choice(request: ChatRequest, remedy: str) -> ConfigError:
    choice = request.tool_choice
    value = choice.name if isinstance(choice, NamedTool) else choice
    what = f"{request.model} refuses tool_choice {value!r}."
    return ConfigError(what, field="tool_choice", value=value, remedy=remedy)


def _named(name: str, tools: tuple[ToolSpec, ...]) -> dict[str, Any]:
    """A function by name, and what the user gave in the wire's own words by the word that tells it apart."""
    for raw in (tool.raw for tool in tools if isinstance(tool, NativeTool)):
        kind = raw.get("type")
        if kind == "custom" and raw.get("name") == name:
            return {"type": "custom", "name": name}
        if kind == "mcp" and raw.get("server_label") == name:
            return {"type": "mcp", "server_label": name}
        if kind == name:
            return {"type": name}
    return {"type": "function", "name": name}


def text_of(output: OutputSchema) -> dict[str, Any]:
    """The `text` object that asks for JSON."""
    if output.schema is None or output.loose:
        return {"format": {"type": "json_object"}}
    form: dict[str, Any] = {"type": "json_schema", "name": output.name, "schema": output.schema}
    if output.description:
        form["description"] = output.description
    if output.strict is not None:
        form["strict"] = output.strict
    return {"format": form}
