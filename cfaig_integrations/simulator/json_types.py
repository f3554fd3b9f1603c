"""JSON: reading it from a request, telling objects from lists, and writing it."""

from __future__ import annotations

import json
from typing import Any, TypeGuard

Record = dict[str, Any]


def is_record(value: object) -> TypeGuard[Record]:
    """Whether a parsed value is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a parsed value is a list."""
    return isinstance(value, list)


def as_record(value: object) -> Record:
    """The value if it is an object, else an empty object."""
    return value if is_record(value) else {}


def records(value: object) -> list[Record]:
    """The objects of a list; none if the value is no list."""
    return [item for item in value if is_record(item)] if is_list(value) else []


def scalar_text(value: object) -> str:
    """A scalar as the log's filters compare it, such as `true` or `7`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_json(value: Any) -> bool:
    """Whether a value can be written as JSON."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def parse_json(raw: bytes | str) -> Any:
    """Parse JSON that a client sent."""
    try:
        return json.loads(raw, parse_constant=_reject_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def encode(body: Any) -> bytes:
    """Compact JSON in UTF-8, as the API writes it; a lone surrogate, which UTF-8 does not have, is escaped."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":")).encode()
