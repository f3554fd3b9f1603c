"""Reads what a response may use and must look like: `tools`, `tool_choice`, `text.format`.

Knows no item.
"""

from __future__ import annotations

from cfaig_integrations.simulator.dialects import schemas
from cfaig_integrations.simulator.dialects.validation import At, Reader, Record
from cfaig_integrations.simulator.types import Tool

_SEARCH = ("web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11", "x_search")
_BUILT_IN = (
    *_SEARCH, "apply_patch", "code_interpreter", "computer", "computer_use_preview", "custom", "file_search",
    "image_generation", "local_shell", "mcp", "namespace", "shell", "tool_search",
)  # fmt: skip
_NEEDS = {"mcp": "server_label", "file_search": "vector_store_ids", "code_interpreter": "container", "custom": "name"}
_CHOICES = ("none", "auto", "required")
_FUNCTION_KEYS = ("type", "name", "description", "parameters", "strict", "defer_loading", "output_schema")


def read_tools(reader: Reader, body: Record) -> tuple[list[Tool], bool]:
    """The function tools on offer, and whether the web can be searched."""
    if body.get("tools") is None:
        return [], False
    found: list[Tool] = []
    search = False
    for i, entry in enumerate(reader.array(body["tools"], ("tools",))):
        at = ("tools", i)
        tool = reader.record(entry, at)
        kind = reader.among(reader.need(tool, "type", at), (*at, "type"), ("function", *_BUILT_IN))
        search = search or kind in _SEARCH
        if kind == "function":
            found.append(_function(reader, tool, at))
        elif kind in _NEEDS:
            reader.need(tool, _NEEDS[kind], at)
    return found, search


def _function(reader: Reader, tool: Record, at: At) -> Tool:
    name = schemas.tool_name(reader, tool, at)
    reader.only(tool, _FUNCTION_KEYS, at)
    about = schemas.description(reader, tool, at)
    strict = reader.optional(tool, "strict", bool, at) or False
    return Tool(
        name, about, schemas.parameters(reader, tool.get("parameters"), name, (*at, "parameters"), strict=strict)
    )


def read_tool_choice(reader: Reader, body: Record, offered: list[Tool]) -> str:
    """`auto`, `none`, `required` or the name of one tool."""
    value = body.get("tool_choice")
    if value is None:
        return "auto"
    at: At = ("tool_choice",)
    if isinstance(value, str):
        chosen = reader.among(value, at, _CHOICES)
        if chosen == "required" and not body.get("tools"):
            reader.fail("Tool choice 'required' must be specified with 'tools' parameter.", at)
        return chosen
    record = reader.record(value, at)
    kinds = ("function", "allowed_tools", *_BUILT_IN)
    kind = reader.among(reader.need(record, "type", at), (*at, "type"), kinds)
    if kind == "allowed_tools":
        reader.array(reader.need(record, "tools", at), (*at, "tools"))
        return reader.among(reader.need(record, "mode", at), (*at, "mode"), ("auto", "required"))
    if kind != "function":
        return "auto"
    name = reader.named(record, "name", at)
    if name not in {t.name for t in offered}:
        reader.fail(f"Tool choice 'function' with name '{name}' not found in 'tools' parameter.", at)
    return name


def read_schema(reader: Reader, body: Record) -> Record | None:
    """The schema of the answer; `{}` for any JSON object, None for plain text."""
    text = reader.record(body.get("text") or {}, ("text",))
    reader.only(text, ("format", "verbosity"), ("text",))
    at: At = ("text", "format")
    form = reader.record(text.get("format") or {"type": "text"}, at)
    kind = reader.among(reader.need(form, "type", at), (*at, "type"), ("json_object", "json_schema", "text"))
    if kind != "json_schema":
        return {} if kind == "json_object" else None
    reader.only(form, ("type", "name", "schema", "strict", "description"), at)
    name = schemas.tool_name(reader, form, at)
    found = reader.record(reader.need(form, "schema", at), (*at, "schema"))
    strict = reader.optional(form, "strict", bool, at) or False
    schemas.sound(reader, found, f"response_format '{name}'", (*at, "schema"), strict=strict)
    return found
