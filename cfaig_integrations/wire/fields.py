"""Values of an answer by their types: what is of no use is dropped, or an error names it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.common import as_str, is_error
from cfaig_integrations.wire.jsonio import dump_text, excerpt, load

_MOST = 2**53
"""The largest whole number that every JSON reader can hold."""

_BETWEEN = re.compile(r"(?:\s|\ufeff|data:|\[DONE\])*+")
_ERROR = re.compile(r'\{\s*"(?:error|errors|success|type)"\s*:')
_DECODER = json.JSONDecoder(strict=False)


def as_text(content: Any) -> str:
    """Content as text: numbers as their digits, objects as JSON (facts §5.1, §5.3)."""
    return content if isinstance(content, str) else dump_text(content)


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a JSON value is a list."""
    return isinstance(value, list)


def count_of(value: Any) -> int | None:
    """A number of tokens or a position in a list; None if it is none: no number, fractional, negative or absurd."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _MOST else None


def object_of(holder: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    """The object under `key`; None if there is none.

    Raises:
        ProtocolError: There is something else.
    """
    value = holder.get(key)
    if value is None or isinstance(value, dict):
        return value  # pyright: ignore[reportUnknownVariableType]  # keys of JSON objects are strings
    raise unusable(key, value, "an object")


def objects_of(holder: Mapping[str, Any], key: str, *, one: bool = False) -> list[dict[str, Any]]:
    """The objects in the list under `key`; with `one`, a single object may stand there without its list.

    Raises:
        ProtocolError: There is something else.
    """
    value = holder.get(key)
    if value is None or (one and value == ""):
        return []
    if one and isinstance(value, dict):
        return [value]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(value, list):
        raise unusable(key, value, "a list")
    for item in value:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(item, dict):
            raise unusable(f"{key}[]", item, "an object")
    return value  # pyright: ignore[reportUnknownVariableType]


def text_of(holder: Mapping[str, Any], key: str) -> str:
    """The text under `key`; empty if there is none, and a number's digits, for models that answer with one digit.

    Raises:
        ProtocolError: There is something else.
    """
    value = holder.get(key)
    if isinstance(value, str):
        return value
    if value is None or type(value) in (int, float):
        return as_str(value)
    raise unusable(key, value, "text")


def unusable(key: str, value: Any, wanted: str) -> ProtocolError:
    """The error for a field that is needed and is of the wrong type."""
    return ProtocolError(f"The answer's {key} is of type {type(value).__name__}, not {wanted}.")


def objects_in(data: bytes) -> list[dict[str, Any]]:
    """The JSON objects in the data of one event: more than one where a server glued events (facts §14.2).

    An event that was cut by an error which follows in it is that error. `[DONE]` is no object, and no mistake.

    Raises:
        ProtocolError: There is anything else than objects and lists of them.
    """
    text = data.decode("utf-8", "replace")
    found: list[Any] = []
    at = _end(text, 0)
    while at < len(text):
        try:
            _, end = _DECODER.raw_decode(text, at)
            value = load(text[at:end], repair=False)
        except (ValueError, RecursionError, ProtocolError) as error:
            if told := _error_at_the_end(text, at):
                return [told]
            raise ProtocolError("An event of the stream is not JSON.", body=excerpt(data)) from error
        found += value if value and isinstance(value, list) else [value]
        at = _end(text, end)
    if not all(isinstance(each, dict) for each in found):
        raise ProtocolError("An event of the stream is JSON, but no object.", body=excerpt(data))
    return found


def _end(text: str, at: int) -> int:
    """Where the next value begins: after blanks, end markers, and the label of an event that lost its line."""
    between = _BETWEEN.match(text, at)
    return between.end() if between else at


def _error_at_the_end(text: str, at: int) -> dict[str, Any] | None:
    places = [match.start() for match in _ERROR.finditer(text, at + 1)]
    for place in places[-2:]:  # the outer and the inner object of `{"type": "error", "error": {..}}`
        try:
            value = load(text[place:], repair=False)
        except ProtocolError:
            continue
        if isinstance(value, dict) and is_error(value):  # pyright: ignore[reportUnknownArgumentType]
            return value  # pyright: ignore[reportUnknownVariableType]
    return None
