"""Makes a JSON value that is valid under a schema and uses the values of a text.

A required field that the text has no value for gets its default, its first choice or the nearest legal value.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from cfaig_integrations.simulator.fake_model import replies
from cfaig_integrations.simulator.fake_model.text import ExtractedText, find_words, word_set
from cfaig_integrations.simulator.json_types import is_list, is_record

Schema = dict[str, Any]

_DEPTH = 12
_ITEMS = 8
_MAX_VALUES = 10_000
_MAX_LENGTH = 100_000  # larger values are cut short, as a real model's are by its token limit
_ASKING = word_set("query question input prompt task request search q")
_PROSE = word_set(
    "answer summary text content description reason reasoning explanation response message body output result "
    "reply thought analysis story poem"
)
_ADDRESSEES = word_set("to cc bcc recipient sender recipients")
_NEGATIVE = re.compile(r"\b(?:no|not|don't|do not|without|false|off|never|disable[sd]?)\b", re.IGNORECASE)
_PLACEHOLDERS = {
    "date": "2026-01-01", "date-time": "2026-01-01T00:00:00Z", "time": "00:00:00", "email": "user@example.com",
    "uri": "https://example.com/", "url": "https://example.com/", "uuid": "00000000-0000-4000-8000-000000000000",
    "duration": "PT1H", "ipv4": "192.0.2.1",
}  # fmt: skip


def fill_schema(schema: Schema, extracted: ExtractedText) -> Any:
    """A value that `schema` accepts, made from a text."""
    return _Form(schema, extracted).value(schema, "", 0)


class _Form:
    def __init__(self, root: Schema, extracted: ExtractedText) -> None:
        self.root = root
        self.source = extracted
        self.values_left = _MAX_VALUES

    def plain(self, schema: Any) -> Schema:
        """The schema with its `$ref` and `allOf` resolved."""
        record: Schema = dict(schema) if is_record(schema) else {}
        for _ in range(_DEPTH):
            if "$ref" in record:
                record = {**self._target(str(record.pop("$ref"))), **record}
            elif "allOf" in record:
                for part in record.pop("allOf"):
                    record = _merged(record, self.plain(part))
            else:
                break
        return record

    def _target(self, ref: str) -> Schema:
        node = self.root
        for step in ref.removeprefix("#").strip("/").split("/"):
            node = node.get(step.replace("~1", "/").replace("~0", "~"), {}) if step else node
        return node

    def variants(self, schema: Schema) -> list[Schema]:
        """The alternatives of `anyOf`, `oneOf` or a list of types; or the schema itself."""
        kind: Any = schema.get("type")
        rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf", "type")}
        if is_list(kind) and kind:
            return [{**rest, "type": k} for k in kind]
        listed: Any = schema.get("anyOf") or schema.get("oneOf")
        if not listed:
            return [schema]
        return [{"title": schema.get("title", ""), **self.plain(v)} for v in listed]

    def value(self, raw: Any, name: str, depth: int) -> Any:
        self.values_left -= 1
        if self.values_left < 0:
            return None
        schema = self.plain(raw)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._choice(schema)
        options = self.variants(schema)
        if len(options) > 1:
            return self._option(schema, options, name, depth)
        return self._typed(options[0], name, depth)

    def _option(self, schema: Schema, options: list[Schema], name: str, depth: int) -> Any:
        real = [o for o in options if o.get("type") != "null"]
        fitting = next((o for o in real if depth < _DEPTH and self.fits(o, name)), None)
        if fitting is not None:
            return self.value(fitting, name, depth)
        if "default" in schema:
            return schema["default"]
        return None if len(real) < len(options) else self.value(real[0], name, depth)

    def _typed(self, schema: Schema, name: str, depth: int) -> Any:
        kind = _kind(schema)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind in ("integer", "number"):
            return self._number(schema, name, kind)
        if kind == "boolean":
            is_named = self.source.mentions(name)
            return not _NEGATIVE.search(self.source.text) if is_named else bool(schema.get("default", False))
        return None if kind == "null" else self._string(schema, name)

    def _choice(self, schema: Schema) -> Any:
        options: list[Any] = schema["enum"]
        mentioned = [o for o in options if isinstance(o, (str, int)) and self.source.mentions(str(o))]
        if mentioned:
            return max(mentioned, key=lambda o: len(str(o)))
        return schema["default"] if schema.get("default") in options and "default" in schema else options[0]

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties: dict[str, Any] = schema.get("properties") or {}
        required: list[str] = [k for k in schema.get("required") or () if k in properties]
        filled: dict[str, Any] = {}
        if depth < _DEPTH:
            filled = {k: self.value(properties[k], k, depth + 1) for k in required}
            for key in (k for k in properties if k not in filled):
                if self.fits(self.plain(properties[key]), key):
                    filled[key] = self.value(properties[key], key, depth + 1)
        if not filled and depth == 0:
            filled = {k: self.value(properties[k], k, 1) for k in properties}
        return {k: filled[k] for k in properties if k in filled}

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        least, most = int(schema.get("minItems") or 0), int(schema.get("maxItems") or _ITEMS)
        fixed: list[Any] = schema.get("prefixItems") or []
        if fixed:
            return [self.value(item, name, depth + 1) for item in fixed]
        item = self.plain(schema.get("items") or {})
        count = max(least, min(most, self._supply(item), _ITEMS))
        count = min(least if depth >= _DEPTH else count, max(0, self.values_left))
        items = [self.value(item, name.removesuffix("s"), depth + 1) for _ in range(count)]
        if not schema.get("uniqueItems"):
            return items
        return list({json.dumps(v): v for v in items}.values())

    def _supply(self, item: Schema) -> int:
        """The number of array items that the text has values for."""
        strings = len(self.source.quoted) or len(self.source.names) or min(1, len(self.source.words))
        kind = _kind(item)
        if item.get("enum"):
            return sum(self.source.mentions(str(o)) for o in item["enum"])
        if kind in ("integer", "number"):
            return len(self.source.numbers)
        if kind != "object":
            return strings
        properties: dict[str, Any] = item.get("properties") or {}
        kinds = {_kind(self.plain(p)) for p in properties.values()}
        return max(1, strings) if "string" in kinds else max(1, len(self.source.numbers))

    def _number(self, schema: Schema, name: str, kind: str) -> int | float:
        value = self.source.labelled_number(name) if name else None
        if value is None:
            value = self.source.number()
        if value is None:
            value = schema.get("default")
        number = float(value) if isinstance(value, (int, float)) else 0.0
        return _within(schema, number, whole=kind == "integer")

    def _string(self, schema: Schema, name: str) -> str:
        text = self._found(schema, name)
        if not text and isinstance(schema.get("default"), str):
            text = str(schema["default"])
        if not text:
            example = next(iter(schema.get("examples") or []), "")
            text = example if isinstance(example, str) and example else _PLACEHOLDERS.get(str(schema.get("format")), "")
        text = text or self.source.text.strip() or name
        text = text.ljust(min(int(schema.get("minLength") or 0), _MAX_LENGTH), "x")
        return text[: schema.get("maxLength")]

    def _found(self, schema: Schema, name: str) -> str | None:
        """The best value for a string field, if any."""
        label, last = name or str(schema.get("title", "")), (find_words(name) or [""])[-1]
        kind = str(schema.get("format") or (last if last in ("email", "url") else ""))
        if schema.get("pattern"):
            return self.source.patterned(str(schema["pattern"]))
        if kind in _PLACEHOLDERS:
            return self.source.formatted(kind)
        value = self.source.formatted("email") if last in _ADDRESSEES else None
        value = value or (self.source.labelled(label) if label else None) or replies.canned(label, self.source.text)
        if value or self.source.quoted:
            return value or self.source.string()
        if last in _ASKING:
            return self.source.text.strip()
        if last in _PROSE:
            return self.source.prose() or self.source.text.strip()
        return self.source.string() or self.source.phrase()

    def fits(self, schema: Schema, name: str) -> bool:
        """Whether the text has a value for an optional field."""
        kind = _kind(schema)
        if schema.get("enum"):
            return any(self.source.mentions(str(o)) for o in schema["enum"])
        options = self.variants(schema)
        if len(options) > 1:
            return any(self.fits(o, name) for o in options if o.get("type") != "null")
        if kind in ("integer", "number"):
            return bool(self.source.numbers)
        if kind == "boolean":
            return self.source.mentions(name)
        if kind in ("object", "array"):
            return self.source.mentions(name) or (kind == "array" and self._supply(self.plain(schema.get("items"))) > 1)
        return self._has_string(schema, name)

    def _has_string(self, schema: Schema, name: str) -> bool:
        if schema.get("pattern"):
            return self.source.patterned(str(schema["pattern"])) is not None
        if schema.get("format") in _PLACEHOLDERS:
            return self.source.has_format(str(schema["format"]))
        return bool(self.source.quoted or self.source.names) or (bool(name) and self.source.mentions(name))


def _kind(schema: Schema) -> str:
    kind: Any = schema.get("type")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _merged(into: Schema, part: Schema) -> Schema:
    both = {**part, **into}
    for key in ("properties", "required"):
        if key in into and key in part:
            both[key] = {**part[key], **into[key]} if key == "properties" else [*part[key], *into[key]]
    return both


def _within(schema: Schema, number: float, *, whole: bool) -> int | float:
    step = 1 if whole else 1e-6
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    if isinstance(schema.get("exclusiveMinimum"), (int, float)):
        low = max(low, schema["exclusiveMinimum"] + step)
    if isinstance(schema.get("exclusiveMaximum"), (int, float)):
        high = min(high, schema["exclusiveMaximum"] - step)
    if schema.get("multipleOf"):
        number = round(number / schema["multipleOf"]) * schema["multipleOf"]
    number = max(low, min(high, number))
    return int(number) if whole or number == int(number) else number
