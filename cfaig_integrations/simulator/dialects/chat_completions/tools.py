"""Reads what a chat completion may use and must look like: `tools`, `tool_choice`, `response_format`.

Knows no message.
"""

from __future__ import annotations

from typing import Any

from cfaig_integrations.simulator.dialects import schemas
from cfaig_integrations.simulator.dialects.validation import At, OpenAIReader, Reader, Record
from cfaig_integrations.simulator.types import BadBody, Tool

_CHOICES = ("none", "auto", "required")
_INVALID_INPUT = 8001


def read_tools(reader: Reader, body: Record) -> list[Tool]:
    """The function tools on offer; custom tools are checked and left out."""
    if body.get("tools") is None:
        return []
    listed = reader.array(body["tools"], ("tools",))
    if not listed:
        reader.fail("Invalid 'tools': empty array. Expected an array with minimum length 1.", ("tools",))
    found = [_tool(reader, reader.record(t, ("tools", i)), ("tools", i)) for i, t in enumerate(listed)]
    return [t for t in found if t is not None]


def _tool(reader: Reader, tool: Record, at: At) -> Tool | None:
    kind = reader.among(reader.need(tool, "type", at), (*at, "type"), ("function", "custom"))
    reader.only(tool, ("type", kind, "cache_control"), at)
    where = (*at, kind)
    inner = reader.record(reader.need(tool, kind, at), where)
    name = schemas.tool_name(reader, inner, where)
    if kind == "custom":
        return None
    reader.only(inner, ("name", "description", "parameters", "strict"), where)
    about = _description(reader, inner, where)
    strict = reader.flag(inner, "strict")
    form = schemas.parameters(reader, inner.get("parameters"), name, (*where, "parameters"), strict=strict)
    return Tool(name, about, form)


def _description(reader: Reader, inner: Record, at: At) -> str:
    if not isinstance(reader, OpenAIReader) and isinstance(inner.get("description"), bool):
        # wire-facts §5.6: `description: false` gives 8001 on Workers AI
        raise BadBody("AiError: Invalid input", param=reader.place((*at, "description")), code=_INVALID_INPUT)
    return schemas.description(reader, inner, at)


def read_tool_choice(reader: Reader, body: Record, offered: list[Tool]) -> str:
    """`auto`, `none`, `required` or the name of one tool."""
    value: Any = body.get("tool_choice")
    for key in ("tool_choice", "parallel_tool_calls"):
        if body.get(key) is not None and not body.get("tools"):
            reader.fail(f"'{key}' is only allowed when 'tools' are specified.", (key,))
    if value is None:
        return "auto"
    if isinstance(value, str):
        if value not in _CHOICES and not isinstance(reader, OpenAIReader):
            # wire-facts §9.2: "any" is rejected with 8001
            raise BadBody(f"AiError: Invalid input: tool_choice '{value}'", param="tool_choice", code=_INVALID_INPUT)
        return reader.among(value, ("tool_choice",), _CHOICES)
    return _chosen(reader, reader.record(value, ("tool_choice",)), offered)


def _chosen(reader: Reader, value: Record, offered: list[Tool]) -> str:
    at = ("tool_choice",)
    kinds = ("function", "custom", "allowed_tools")
    kind = reader.among(reader.need(value, "type", at), (*at, "type"), kinds)
    inner = reader.record(reader.need(value, kind, at), (*at, kind))
    if kind == "allowed_tools":
        return reader.among(reader.need(inner, "mode", (*at, kind)), (*at, kind, "mode"), ("auto", "required"))
    name = reader.named(inner, "name", (*at, kind))
    if kind == "function" and name not in {t.name for t in offered}:
        reader.fail(f"Tool choice '{name}' not found in 'tools' parameter.", (*at, kind, "name"))
    return name if kind == "function" else "auto"


def read_schema(reader: Reader, body: Record) -> Record | None:
    """The schema of the answer; `{}` for any JSON object, None for plain text."""
    if body.get("response_format") is None:
        return None
    at: At = ("response_format",)
    form = reader.record(body["response_format"], at)
    kinds = ("json_object", "json_schema", "text")
    kind = reader.among(reader.need(form, "type", at), (*at, "type"), kinds)
    if kind != "json_schema":
        return {} if kind == "json_object" else None
    where = (*at, "json_schema")
    return enveloped(reader, reader.record(reader.need(form, "json_schema", at), where), where)


def enveloped(reader: Reader, inner: Record, at: At) -> Record:
    """The schema inside `{"name", "schema", "strict"}`; a bare schema fails (wire-facts §9.1)."""
    name = schemas.tool_name(reader, inner, at)
    found = reader.record(reader.need(inner, "schema", at), (*at, "schema"))
    strict = reader.flag(inner, "strict")
    schemas.sound(reader, found, f"response_format '{name}'", (*at, "schema"), strict=strict)
    return found
