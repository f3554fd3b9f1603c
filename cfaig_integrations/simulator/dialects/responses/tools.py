"""Reads `tools`, `tool_choice` and `text.format`."""

from __future__ import annotations

from cfaig_integrations.simulator.dialects import schemas
from cfaig_integrations.simulator.dialects.validation import JsonPath, Record, Validator
from cfaig_integrations.simulator.types import Tool, custom_tool

_SEARCH = ("web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11", "x_search")
_BUILT_IN = (
    *_SEARCH, "apply_patch", "code_interpreter", "computer", "computer_use_preview", "custom", "file_search",
    "image_generation", "local_shell", "mcp", "namespace", "shell", "tool_search",
)  # fmt: skip
_NEEDS = {"mcp": "server_label", "file_search": "vector_store_ids", "code_interpreter": "container"}
_CHOICES = ("none", "auto", "required")
_FUNCTION_KEYS = ("type", "name", "description", "parameters", "strict", "defer_loading", "output_schema")


def read_tools(validator: Validator, body: Record) -> tuple[list[Tool], bool]:
    """The function and custom tools, and whether there is a web search."""
    if body.get("tools") is None:
        return [], False
    tools: list[Tool] = []
    search = False
    for i, entry in enumerate(validator.array(body["tools"], ("tools",))):
        path = ("tools", i)
        tool = validator.record(entry, path)
        kind = validator.one_of(validator.required(tool, "type", path), (*path, "type"), ("function", *_BUILT_IN))
        search = search or kind in _SEARCH
        if kind == "function":
            tools.append(_function(validator, tool, path))
        elif kind == "custom":
            name = schemas.tool_name(validator, tool, path)
            tools.append(custom_tool(name, schemas.description(validator, tool, path)))
        elif kind in _NEEDS:
            validator.required(tool, _NEEDS[kind], path)
    return tools, search


def _function(validator: Validator, tool: Record, path: JsonPath) -> Tool:
    name = schemas.tool_name(validator, tool, path)
    validator.only_fields(tool, _FUNCTION_KEYS, path)
    description = schemas.description(validator, tool, path)
    strict = validator.optional(tool, "strict", bool, path) or False
    return Tool(
        name,
        description,
        schemas.parameters(validator, tool.get("parameters"), name, (*path, "parameters"), strict=strict),
    )


def read_tool_choice(validator: Validator, body: Record, offered: list[Tool]) -> str:
    """`auto`, `none`, `required` or the name of one tool."""
    value = body.get("tool_choice")
    if value is None:
        return "auto"
    path: JsonPath = ("tool_choice",)
    if isinstance(value, str):
        chosen = validator.one_of(value, path, _CHOICES)
        if chosen == "required" and not body.get("tools"):
            validator.fail("Tool choice 'required' must be specified with 'tools' parameter.", path)
        return chosen
    record = validator.record(value, path)
    kinds = ("function", "allowed_tools", *_BUILT_IN)
    kind = validator.one_of(validator.required(record, "type", path), (*path, "type"), kinds)
    if kind == "allowed_tools":
        validator.array(validator.required(record, "tools", path), (*path, "tools"))
        return validator.one_of(validator.required(record, "mode", path), (*path, "mode"), ("auto", "required"))
    if kind not in ("function", "custom"):
        return "auto"
    name = validator.required_text(record, "name", path)
    if name not in {t.name for t in offered if t.custom is (kind == "custom")}:
        validator.fail(f"Tool choice '{kind}' with name '{name}' not found in 'tools' parameter.", path)
    return name


def read_schema(validator: Validator, body: Record) -> Record | None:
    """The schema of the answer; `{}` for any JSON object, None for plain text."""
    text = validator.record(body.get("text") or {}, ("text",))
    validator.only_fields(text, ("format", "verbosity"), ("text",))
    path: JsonPath = ("text", "format")
    format_ = validator.record(text.get("format") or {"type": "text"}, path)
    kind = validator.one_of(
        validator.required(format_, "type", path), (*path, "type"), ("json_object", "json_schema", "text")
    )
    if kind != "json_schema":
        return {} if kind == "json_object" else None
    validator.only_fields(format_, ("type", "name", "schema", "strict", "description"), path)
    name = schemas.tool_name(validator, format_, path)
    schema = validator.record(validator.required(format_, "schema", path), (*path, "schema"))
    strict = validator.optional(format_, "strict", bool, path) or False
    schemas.sound(validator, schema, f"response_format '{name}'", (*path, "schema"), strict=strict)
    return schema
