"""Shapes of JSON values, written as data: the fields of an object, and what each of them must be.

Attachments are checked without being fetched or decoded as images.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cfaig_integrations.simulator.dialects.validation import JsonPath, Validator, type_name
from cfaig_integrations.simulator.json_types import Record, as_record, is_list, is_record

Check = Callable[[Validator, Any, JsonPath], object]
Shape = Mapping[str, Check]  # a check for each field; `!` after the name marks a required one. Null counts as absent
_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=-]+)*;base64,(.+)", re.DOTALL)
_WEB = re.compile(r"https?://[^\s/]+\S*")
_TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
_DEPTH = 40
_LONGEST_ID = 64
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")  # of reasoning, as OpenAI names them
_MEDIA = {
    "image_url": "image", "input_image": "image", "input_audio": "audio", "file": "file", "input_file": "file",
    "video_url": "video",
}  # fmt: skip
"""Kinds of attachments by the type of their parts."""


def anything(_validator: Validator, _value: Any, _path: JsonPath) -> None:
    """Any value."""


def text(validator: Validator, value: Any, path: JsonPath) -> None:
    """A string."""
    validator.text(value, path)


def filled(validator: Validator, value: Any, path: JsonPath) -> None:
    """A string that is not empty."""
    validator.text(value, path, empty=False)


def of_type(kind: type) -> Check:
    """A value of exactly this type."""

    def check(validator: Validator, value: Any, path: JsonPath) -> None:
        if type(value) is not kind:
            validator.wrong_type(path, type_name(kind()), value)

    return check


flag = of_type(bool)


def one_of(*allowed: str) -> Check:
    """One of these strings."""
    return lambda validator, value, path: validator.one_of(value, path, allowed)


def number(least: float, most: float) -> Check:
    """A number within these limits."""
    return lambda validator, value, path: validator.number(value, path, least, most)


def integer(least: int = 1, most: int | None = None) -> Check:
    """An integer within these limits."""
    return lambda validator, value, path: validator.number(value, path, least, most, whole=True)


def list_of(item: Check, *, empty: bool = True) -> Check:
    """A list of such values."""

    def check(validator: Validator, value: Any, path: JsonPath) -> None:
        if validator.array(value, path) == [] and not empty:
            place = validator.format_path(path)
            validator.fail(f"Invalid '{place}': empty array. Expected an array with minimum length 1.", path)
        for index, each in enumerate(value):
            item(validator, each, (*path, index))

    return check


def text_or_list(item: Check, expected: str, *, empty: bool = True) -> Check:
    """A string, or a list of such values; `expected` is how a refusal names the two."""
    items = list_of(item, empty=empty)

    def check(validator: Validator, value: Any, path: JsonPath) -> None:
        if not isinstance(value, str | list):
            validator.wrong_type(path, expected, value)
        if not isinstance(value, str):
            items(validator, value, path)

    return check


def fields(shape: Shape, *, closed: bool = True) -> Check:
    """An object of this shape; other fields are refused unless it is not closed."""
    checks = {name.removesuffix("!"): check for name, check in shape.items()}
    required = [name.removesuffix("!") for name in shape if name.endswith("!")]

    def check(validator: Validator, value: Any, path: JsonPath) -> None:
        record = validator.record(value, path)
        for name in required:
            validator.required(record, name, path)
        if closed:
            validator.only_fields(record, checks, path)
        for name, inner in checks.items():
            if record.get(name) is not None:
                inner(validator, record[name], (*path, name))

    return check


def tagged(shapes: Mapping[str, Shape | Check], *, closed: bool = True, default: str | None = None) -> Check:
    """An object whose field `type` chooses its shape, or the check of the whole."""
    checks: dict[str, Check] = {
        kind: shape if callable(shape) else fields({"type": anything, **shape}, closed=closed)
        for kind, shape in shapes.items()
    }

    def check(validator: Validator, value: Any, path: JsonPath) -> None:
        record = validator.record(value, path)
        kind = record.get("type", default) if default else validator.required(record, "type", path)
        validator.one_of(kind, (*path, "type"), tuple(checks))
        checks[kind](validator, record, (*path, kind) if validator.tags_in_path else path)

    return check


def encoded(validator: Validator, value: Any, path: JsonPath) -> None:
    """Base64 that is not empty."""
    try:
        decoded = base64.b64decode(validator.text(value, path), validate=True)
    except ValueError:
        decoded = b""
    if not decoded:
        validator.fail(f"Invalid '{validator.format_path(path)}': expected a base64-encoded value.", path)


def url(*kinds: str) -> Check:
    """A data URL with base64 in it, of one of the kinds (`image/`, `application/pdf`), or an http(s) address."""

    def check(validator: Validator, value: Any, path: JsonPath) -> None:
        place, match = validator.format_path(path), _DATA.fullmatch(validator.text(value, path, empty=False))
        if match is None and _WEB.fullmatch(value):
            return
        if match is None:
            validator.fail(f"Invalid '{place}': expected a base64-encoded data URL or a valid URL.", path)
        mime = match[1] or "text/plain"
        if kinds and not mime.startswith(kinds):
            validator.fail(f"Invalid MIME type '{mime}' in '{place}'. Expected {' or '.join(kinds)}.", path)
        encoded(validator, match[2], path)

    return check


def file_of(shape: Shape, *sources: str) -> Check:
    """A file of this shape, with one of the sources; one in `file_data` needs a name."""
    whole = fields(shape)

    def check(validator: Validator, value: Any, path: JsonPath) -> None:
        whole(validator, value, path)
        if all(value.get(source) is None for source in sources):
            validator.missing_field((*path, sources[0]))
        if value.get("file_data") is not None:
            validator.required_text(value, "filename", path)

    return check


def content_of(value: Any) -> tuple[str, list[str]]:
    """The text of content that was checked, and the kinds of its attachments; of a string or of OpenAI's parts."""
    if isinstance(value, str):
        return value, []
    parts: list[Record] = value
    texts = [str(part.get("text") or part.get("refusal") or "") for part in parts]
    return "\n".join(filter(None, texts)), [_MEDIA[part["type"]] for part in parts if part["type"] in _MEDIA]


def matching(pattern: str) -> Check:
    """A string that matches a pattern as a whole."""

    def check(validator: Validator, value: Any, path: JsonPath) -> None:
        if not re.fullmatch(pattern, validator.text(value, path, empty=False)):
            place = validator.format_path(path)
            validator.fail(f"Invalid '{place}': string does not match pattern. Expected '^{pattern}$'.", path)

    return check


tool_name = matching("[a-zA-Z0-9_-]{1,64}")  # facts §14.3


def call_id(validator: Validator, value: Any, path: JsonPath) -> None:
    """The id of a call in OpenAI's formats: at most 64 characters (facts §14.3)."""
    length = len(validator.text(value, path, empty=False))
    if length > _LONGEST_ID:
        limits = f"maximum length {_LONGEST_ID}, but got a string with length {length} instead"
        place = validator.format_path(path)
        validator.fail(f"Invalid '{place}': string too long. Expected a string with {limits}.", path)


def parameters(validator: Validator, tool: Record, key: str, path: JsonPath) -> Record:
    """The parameters of a tool, under `key`: a JSON schema of type `object`."""
    if tool.get(key) is None:
        return {"type": "object", "properties": {}}
    name, schema = tool["name"], validator.record(tool[key], (*path, key))
    if schema and schema.get("type") != "object":
        message = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'."
        validator.fail(f"Invalid schema for function '{name}': {message}", (*path, key))
    if schema and "properties" not in schema and key == "parameters":
        # facts §14.3; Anthropic takes it, as in recorded/messages.jsonl 2b72033f1da7
        validator.fail(f"Invalid schema for function '{name}': In context=(), object schema missing properties.", path)
    return json_schema(validator, tool, key, f"function '{name}'", path)


def json_schema(validator: Validator, holder: Record, key: str, what: str, path: JsonPath) -> Record:
    """The JSON schema under `key`; unknown types, keywords with values of the wrong type and a dangling `$ref` fail.

    With `strict`, OpenAI's strict mode adds its rules.
    """
    schema, strict = validator.record(holder[key], (*path, key)), holder.get("strict") is True
    fault = next(_faults(schema, (), schema), "") or (next(_loose(schema, ()), "") if strict else "")
    if fault:
        validator.fail(f"Invalid schema for {what}: {fault}", (*path, key))
    return schema


def _faults(node: Any, path: tuple[str, ...], root: Record) -> Iterator[str]:
    if not is_record(node):
        if not isinstance(node, bool):
            yield f"In context={path!r}, schema must be an object or a boolean."
        return
    kind: Any = node.get("type")
    listed = kind if is_list(kind) else [kind] if kind is not None else []
    if kind == [] or any(not isinstance(k, str) or k not in _TYPES for k in listed):
        yield f"In context={path!r}, {kind!r} is not valid under any of the given schemas."
    for key, value in node.items():
        test, expected = _KEYWORDS.get(key, (None, ""))
        if test is not None and not test(value):
            yield f"In context={path!r}, {key}={value!r:.80} is not valid: it must be {expected}."
    if node.get("$ref") is not None and not _resolves(node["$ref"], root):
        yield f"In context={path!r}, reference {node['$ref']!r} can not be resolved."
    if len(path) < _DEPTH:
        for where, child in _children(node):
            yield from _faults(child, (*path, where), root)


_COUNT: tuple[Callable[[Any], bool], str] = (lambda v: type(v) is int and v >= 0, "a non-negative integer")
_FIGURE: tuple[Callable[[Any], bool], str] = (lambda v: type(v) in (int, float, bool), "a number")
_VARIANTS: tuple[Callable[[Any], bool], str] = (lambda v: is_list(v) and bool(v), "a non-empty array")
_KEYWORDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength"), _COUNT),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _FIGURE),
    **dict.fromkeys(("anyOf", "oneOf", "allOf"), _VARIANTS),
    "enum": (lambda v: v is None or (is_list(v) and bool(v)), "a non-empty array"),
    "required": (lambda v: v is None or (is_list(v) and all(isinstance(n, str) for n in v)), "an array of strings"),
    "properties": (is_record, "an object"),
}
"""What the value of a keyword must be."""


def _loose(node: Any, path: tuple[str, ...]) -> Iterator[str]:
    """What OpenAI's strict mode rejects: open objects, and properties that are not required."""
    if not is_record(node) or len(path) >= _DEPTH:
        return
    if node.get("type") == "object" or "properties" in node:
        if node.get("additionalProperties") is not False:
            yield f"In context={path!r}, 'additionalProperties' is required to be supplied and to be false."
        required: list[Any] = node.get("required") or []
        for key in as_record(node.get("properties")):
            if key not in required:
                missing = f"including every key in properties. Missing '{key}'."
                yield f"In context={path!r}, 'required' is required to be supplied and to be an array {missing}"
    for where, child in _children(node):
        yield from _loose(child, (*path, where))


def _children(record: Record) -> Iterator[tuple[str, Any]]:
    for key in ("properties", "$defs", "definitions"):
        if is_record(record.get(key)):
            yield from record[key].items()
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if is_list(record.get(key)):
            yield from ((key, part) for part in record[key])
    if is_record(record.get("items")):
        yield "items", record["items"]


def _resolves(ref: Any, root: Record) -> bool:
    if not isinstance(ref, str) or not ref.startswith("#"):
        return False
    node: Any = root
    for step in filter(None, ref[1:].split("/")):
        node = node.get(step.replace("~1", "/").replace("~0", "~")) if is_record(node) else None
    return is_record(node)
