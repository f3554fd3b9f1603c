"""Tools, the choice of one, and the form of the answer, as the Responses wire writes them."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NamedTool, NativeTool, OutputSchema, ToolSpec
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.legal import answer_schema, chosen, parameters_of

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
        "parameters": parameters_of(tool),
        "strict": bool(tool.strict),
        **tool.extras.get("responses", {}),
    }


def tool_choice_of(request: ChatRequest, quirks: Quirks) -> dict[str, Any]:
    """`tool_choice`, or nothing if it need not be said.

    Raises:
        ConfigError: The model refuses this choice.
    """
    choice = chosen(request, quirks)
    if choice is None:
        return {}
    return {"tool_choice": _named(choice.name, request.tools) if isinstance(choice, NamedTool) else choice}


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
    form: dict[str, Any] = {"type": "json_schema", "name": output.name, "schema": answer_schema(output.schema)}
    if output.description:
        form["description"] = output.description
    if output.strict is not None:
        form["strict"] = output.strict
    return {"format": form}
