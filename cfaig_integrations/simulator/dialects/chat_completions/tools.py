"""Reads `tools`, `tool_choice` and `response_format`."""

from __future__ import annotations

from typing import Any

from cfaig_integrations.simulator.dialects import schemas
from cfaig_integrations.simulator.dialects.validation import JsonPath, OpenAIValidator, Record, Validator
from cfaig_integrations.simulator.types import InvalidBody, Tool, custom_tool

_CHOICES = ("none", "auto", "required")
_INVALID_INPUT = 8001


def read_tools(validator: Validator, body: Record) -> list[Tool]:
    """The function tools and the custom tools."""
    if body.get("tools") is None:
        return []
    listed = validator.array(body["tools"], ("tools",))
    if not listed:
        validator.fail("Invalid 'tools': empty array. Expected an array with minimum length 1.", ("tools",))
    return [_tool(validator, validator.record(t, ("tools", i)), ("tools", i)) for i, t in enumerate(listed)]


def _tool(validator: Validator, tool: Record, path: JsonPath) -> Tool:
    kind = validator.one_of(validator.required(tool, "type", path), (*path, "type"), ("function", "custom"))
    validator.only_fields(tool, ("type", kind, "cache_control"), path)
    where = (*path, kind)
    inner = validator.record(validator.required(tool, kind, path), where)
    name = schemas.tool_name(validator, inner, where)
    if kind == "custom":
        validator.only_fields(inner, ("name", "description", "format"), where)
        return custom_tool(name, schemas.description(validator, inner, where))
    validator.only_fields(inner, ("name", "description", "parameters", "strict"), where)
    description = _description(validator, inner, where)
    strict = validator.boolean(inner, "strict")
    format_ = schemas.parameters(validator, inner.get("parameters"), name, (*where, "parameters"), strict=strict)
    return Tool(name, description, format_)


def _description(validator: Validator, inner: Record, path: JsonPath) -> str:
    if not isinstance(validator, OpenAIValidator) and isinstance(inner.get("description"), bool):
        # facts §5.6: `description: false` gives 8001 on Workers AI
        raise InvalidBody(
            "AiError: Invalid input", param=validator.format_path((*path, "description")), code=_INVALID_INPUT
        )
    return schemas.description(validator, inner, path)


def read_tool_choice(validator: Validator, body: Record, offered: list[Tool]) -> str:
    """`auto`, `none`, `required` or the name of one tool."""
    value: Any = body.get("tool_choice")
    for key in ("tool_choice", "parallel_tool_calls"):
        if body.get(key) is not None and not body.get("tools"):
            validator.fail(f"'{key}' is only allowed when 'tools' are specified.", (key,))
    if value is None:
        return "auto"
    if isinstance(value, str):
        if value not in _CHOICES and not isinstance(validator, OpenAIValidator):
            # facts §9.2: "any" is rejected with 8001
            raise InvalidBody(
                f"AiError: Invalid input: tool_choice '{value}'", param="tool_choice", code=_INVALID_INPUT
            )
        return validator.one_of(value, ("tool_choice",), _CHOICES)
    return _chosen(validator, validator.record(value, ("tool_choice",)), offered)


def _chosen(validator: Validator, value: Record, offered: list[Tool]) -> str:
    path = ("tool_choice",)
    kinds = ("function", "custom", "allowed_tools")
    kind = validator.one_of(validator.required(value, "type", path), (*path, "type"), kinds)
    inner = validator.record(validator.required(value, kind, path), (*path, kind))
    if kind == "allowed_tools":
        return validator.one_of(
            validator.required(inner, "mode", (*path, kind)), (*path, kind, "mode"), ("auto", "required")
        )
    name = validator.required_text(inner, "name", (*path, kind))
    if name not in {t.name for t in offered if t.custom is (kind == "custom")}:
        validator.fail(f"Tool choice '{name}' not found in 'tools' parameter.", (*path, kind, "name"))
    return name


def read_schema(validator: Validator, body: Record) -> Record | None:
    """The schema of the answer; `{}` for any JSON object, None for plain text."""
    if body.get("response_format") is None:
        return None
    path: JsonPath = ("response_format",)
    format_ = validator.record(body["response_format"], path)
    kinds = ("json_object", "json_schema", "text")
    kind = validator.one_of(validator.required(format_, "type", path), (*path, "type"), kinds)
    if kind != "json_schema":
        return {} if kind == "json_object" else None
    where = (*path, "json_schema")
    return enveloped(validator, validator.record(validator.required(format_, "json_schema", path), where), where)


def enveloped(validator: Validator, inner: Record, path: JsonPath) -> Record:
    """The schema inside `{"name", "schema", "strict"}`; a bare schema fails (facts §9.1)."""
    name = schemas.tool_name(validator, inner, path)
    schema = validator.record(validator.required(inner, "schema", path), (*path, "schema"))
    strict = validator.boolean(inner, "strict")
    schemas.sound(validator, schema, f"response_format '{name}'", (*path, "schema"), strict=strict)
    return schema
