"""Fields of a JSON object by their types: a value of the wrong type is ignored, or an error names its field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard

from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.jsonio import dump_text

_LARGEST = 2**53
"""The largest whole number that every JSON reader can represent."""


def as_str(value: JsonValue) -> str:
    """An id, a name or an enumeration value; a number as its digits, empty if it is anything else."""
    return value if isinstance(value, str) else dump_text(value) if type(value) in (int, float) else ""


def as_text(content: JsonValue) -> str:
    """Content as text: numbers as their digits, objects as JSON (facts §5.1, §5.3)."""
    return content if isinstance(content, str) else dump_text(content)


def is_object(value: object) -> TypeGuard[JsonObject]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def count_of(value: JsonValue) -> int | None:
    """A number of tokens or a position in a list; None if it is not a whole number from 0 to 2**53."""
    if type(value) is not int:
        if type(value) is not float or not value.is_integer():
            return None
        value = int(value)
    return value if 0 <= value <= _LARGEST else None


def object_or_empty(value: JsonValue) -> JsonObject:
    """An object; empty if the value is anything else."""
    return value if isinstance(value, dict) else {}


def list_or_empty(value: JsonValue) -> list[JsonValue]:
    """A list; empty if the value is anything else."""
    return value if isinstance(value, list) else []


def objects_among(value: JsonValue) -> list[JsonObject]:
    """The objects in a list; none if the value is anything else."""
    return [item for item in list_or_empty(value) if isinstance(item, dict)]


def object_of(holder: Mapping[str, JsonValue], key: str) -> JsonObject | None:
    """The object under `key`; None if there is none.

    Raises:
        ProtocolError: The value is not an object.
    """
    value = holder.get(key)
    if value is None or isinstance(value, dict):
        return value
    raise wrong_type(key, value, "an object")


def objects_of(holder: Mapping[str, JsonValue], key: str, *, one: bool = False) -> list[JsonObject]:
    """The objects in the list under `key`; with `one`, a single object may stand there without a list.

    Raises:
        ProtocolError: The value is not a list of objects.
    """
    value = holder.get(key)
    if value is None or (one and value == ""):
        return []
    if one and isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise wrong_type(key, value, "a list")
    objects = [item for item in value if isinstance(item, dict)]
    if len(objects) < len(value):
        raise wrong_type(f"{key}[]", next(item for item in value if not isinstance(item, dict)), "an object")
    return objects


def text_of(holder: Mapping[str, JsonValue], key: str) -> str:
    """The text under `key`; empty if there is none, and a number's digits, for models that answer with one digit.

    Raises:
        ProtocolError: The value is neither text nor a number.
    """
    value = holder.get(key)
    if value is None or type(value) in (str, int, float):
        return as_str(value)
    raise wrong_type(key, value, "text")


def wrong_type(key: str, value: JsonValue, expected: str) -> ProtocolError:
    """The error for a required field of the wrong type."""
    return ProtocolError(f"The answer's {key} is of type {type(value).__name__}, not {expected}.")
