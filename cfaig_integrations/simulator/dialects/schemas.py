"""Checks of tool names and JSON schemas that all formats share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cfaig_integrations.simulator.dialects.validation import JsonPath, Record, Validator
from cfaig_integrations.simulator.json_types import is_list, is_record

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
_DEPTH = 40


def tool_name(validator: Validator, record: Record, path: JsonPath) -> str:
    """The `name` of a tool: up to 128 letters, digits, `_` and `-`."""
    name = validator.required_text(record, "name", path)
    if not _NAME.fullmatch(name):
        place = validator.format_path((*path, "name"))
        pattern = "^[a-zA-Z0-9_-]{1,128}$"
        validator.fail(f"Invalid '{place}': string does not match pattern. Expected '{pattern}'.", (*path, "name"))
    return name


def description(validator: Validator, record: Record, path: JsonPath) -> str:
    """The `description` of a tool, if any."""
    return validator.optional(record, "description", str, path) or ""


def parameters(validator: Validator, value: Any, name: str, path: JsonPath, *, strict: bool = False) -> Record:
    """A tool's parameters: a JSON schema of type `object`."""
    if value is None:
        return {"type": "object", "properties": {}}
    schema = validator.record(value, path)
    if schema and schema.get("type") != "object":
        got = schema.get("type")
        message = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{got}\"'."
        validator.fail(f"Invalid schema for function '{name}': {message}", path)
    sound(validator, schema, f"function '{name}'", path, strict=strict)
    return schema


def sound(validator: Validator, schema: Record, what: str, path: JsonPath, *, strict: bool = False) -> None:
    """Reject an invalid schema: unknown types, keywords with values of the wrong type, dangling `$ref`."""
    fault = next(_faults(schema, (), schema), "") or (next(_loose(schema, ()), "") if strict else "")
    if fault:
        validator.fail(f"Invalid schema for {what}: {fault}", path)


def _context(path: tuple[str, ...]) -> str:
    return f"In context={path!r}, "


def _faults(node: Any, path: tuple[str, ...], root: Record) -> Iterator[str]:
    if not is_record(node):
        if not isinstance(node, bool):
            yield f"{_context(path)}schema must be an object or a boolean."
        return
    record = node
    kind: Any = record.get("type")
    listed = kind if is_list(kind) else [kind] if kind is not None else []
    if kind == [] or any(not isinstance(k, str) or k not in _TYPES for k in listed):
        yield f"{_context(path)}{kind!r} is not valid under any of the given schemas."
    yield from _shape_faults(record, path, root)
    yield from _number_faults(record, path)
    for where, child in _children(record):
        if len(path) < _DEPTH:
            yield from _faults(child, (*path, where), root)


def _shape_faults(record: Record, path: tuple[str, ...], root: Record) -> Iterator[str]:
    required: Any = record.get("required")
    if required is not None and not (is_list(required) and all(isinstance(r, str) for r in required)):
        yield f"{_context(path)}{required!r} is not of type 'array'."
    if "properties" in record and not is_record(record["properties"]):
        yield f"{_context(path)}{record['properties']!r} is not of type 'object'."
    enum: Any = record.get("enum")
    if enum is not None and not (is_list(enum) and enum):
        yield f"{_context(path)}enum must be a non-empty array."
    for key in ("anyOf", "oneOf", "allOf"):
        if key in record and not _list(record[key]):
            yield f"{_context(path)}'{key}' must be a non-empty array."
    ref: Any = record.get("$ref")
    if ref is not None and not _resolves(ref, root):
        yield f"{_context(path)}reference {ref!r} can not be resolved."


def _number_faults(record: Record, path: tuple[str, ...]) -> Iterator[str]:
    for key in ("minItems", "maxItems", "minLength", "maxLength"):
        if key in record and (type(record[key]) is not int or record[key] < 0):
            yield f"{_context(path)}{key} must be a non-negative integer."
    for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"):
        if key in record and type(record[key]) not in (int, float, bool):
            yield f"{_context(path)}{key} must be a number."


def _loose(node: Any, path: tuple[str, ...]) -> Iterator[str]:
    """What OpenAI's strict mode rejects: open objects, and properties that are not required."""
    if not is_record(node) or len(path) >= _DEPTH:
        return
    record = node
    if record.get("type") == "object" or "properties" in record:
        if record.get("additionalProperties") is not False:
            yield f"{_context(path)}'additionalProperties' is required to be supplied and to be false."
        properties: Record = record.get("properties") or {}
        required: list[Any] = record.get("required") or []
        left = [k for k in properties if k not in required]
        if left:
            missing = f"including every key in properties. Missing '{left[0]}'."
            yield f"{_context(path)}'required' is required to be supplied and to be an array {missing}"
    for where, child in _children(record):
        yield from _loose(child, (*path, where))


def _children(record: Record) -> Iterator[tuple[str, Any]]:
    for key in ("properties", "$defs", "definitions"):
        if is_record(record.get(key)):
            yield from record[key].items()
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        yield from ((key, part) for part in _list(record.get(key)))
    if is_record(record.get("items")):
        yield "items", record["items"]


def _list(value: Any) -> list[Any]:
    return value if is_list(value) else []


def _resolves(ref: Any, root: Record) -> bool:
    if not isinstance(ref, str) or not ref.startswith("#"):
        return False
    node: Any = root
    for step in (s for s in ref[1:].split("/") if s):
        key = step.replace("~1", "/").replace("~0", "~")
        if not is_record(node) or key not in node:
            return False
        node = node[key]
    return is_record(node)
