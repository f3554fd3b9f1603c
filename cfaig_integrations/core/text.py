"""A lenient reader of the JSON that models and servers write, and the repair of surrogates.

Lenient in form, strict in content: a truncated value is an error and is never completed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from cfaig_integrations.core.json_types import JsonObject, JsonValue

_BOM = "\ufeff"
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAYBE_SURROGATE = re.compile("[\ud800-\udfff]|\\\\u[dD][89a-fA-F]")
_END_OF_THINKING = "</think>"
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*(?:([\w+.-]+)[ \t]*)?\r?$", re.MULTILINE)
"""A line that opens a fenced block, or closes it if no word follows."""
_FENCED = re.compile(r"(`{3,}|~{3,})[ \t]*(?:[\w+.-]+[ \t]*)?\r?\n(.*)^[ \t]*\1", re.MULTILINE | re.DOTALL)
_OPEN_FENCE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[ \t]*[\w+.-]*[ \t]*\r?\n\s*[{\[]", re.MULTILINE)
_BRACKET = re.compile(r"[{\[]")
_JSON_BRACKET = re.compile(r'\{\s*(?:"|$)|\[\s*(?:[{\["]|$)')
"""A bracket that begins a JSON value rather than a remark of the prose."""
_MAX_ATTEMPTS = 1000
"""Most brackets at which a JSON value is looked for in prose; keeps the search linear in the length of the text."""
_MAX_DEPTH = 200
"""Levels of nesting beyond which other readers and writers of JSON fail."""
_MAX_DIGITS = 1000


def read_int(digits: str) -> int | str:
    """A whole number; the digits themselves where there are so many that Python refuses to read or print them."""
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


_DECODER = json.JSONDecoder(strict=False, parse_int=read_int)


def repair_surrogates(text: str) -> str:
    """`text` as valid Unicode: two halves that belong together are joined, a single half becomes U+FFFD."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def repair_value(value: object) -> Any:
    """A JSON value with `repair_surrogates` applied to every string and key in it."""
    if isinstance(value, str):
        return repair_surrogates(value)
    if isinstance(value, dict):
        fields = cast("Mapping[Any, Any]", value)
        return {repair_value(key): repair_value(each) for key, each in fields.items()}
    if isinstance(value, list | tuple):
        return [repair_value(each) for each in cast("Iterable[Any]", value)]
    return value


class SurrogateJoiner:
    r"""Joins surrogate pairs whose halves arrive in two pieces of a text.

    Example:
        >>> joiner = SurrogateJoiner()
        >>> joiner.feed("a\ud83d"), joiner.feed("\ude00b"), joiner.close()
        ('a', '\U0001f600b', '')
    """

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half = ""

    def feed(self, piece: str) -> str:
        """The next piece, without a high half at its end, which waits for the piece after it."""
        if not self._half and piece.isascii():
            return piece
        text, self._half = self._half + piece, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return repair_surrogates(text)

    def close(self) -> str:
        """U+FFFD if a half is still waiting."""
        text, self._half = repair_surrogates(self._half), ""
        return text


def read_json(text: str, *, repair: bool = True) -> JsonValue:
    """The one JSON value that `text` is, with a BOM before it and raw control characters in its strings allowed.

    Args:
        text: The JSON text.
        repair: Whether to repair surrogates; not in a piece of a stream, where the next piece may hold the other half.

    Raises:
        ValueError: It is not one JSON value, it was cut off, or it is nested too deeply.
    """
    try:
        value: JsonValue = _DECODER.decode(text.lstrip(_BOM))
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    if text.count("{") + text.count("[") > _MAX_DEPTH and _is_too_deep(value):
        raise ValueError("the JSON is nested too deeply")
    return repair_value(value) if repair and _MAYBE_SURROGATE.search(text) else value


def _is_too_deep(value: JsonValue) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        containers = [each for each in level if isinstance(each, dict | list)]
        level = [child for each in containers for child in (each.values() if isinstance(each, dict) else each)]
    return any(isinstance(each, dict | list) for each in level)


def read_arguments(text: str | None) -> JsonObject:
    """The arguments of a tool call: one JSON object.

    Empty text and `null` are an empty object. An object may be encoded twice, be in a Markdown fence, or be the only
    item of a list.

    Raises:
        ValueError: The text does not hold a complete object.
    """
    stripped = (text or "").strip().lstrip(_BOM)
    if not stripped:
        return {}
    if fence := _FENCED.fullmatch(stripped):
        stripped = fence[2]
    value = read_json(stripped)
    for _ in range(2):
        if isinstance(value, str):
            value = read_json(value) if value.strip() else None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"the JSON is a {type(value).__name__}, not an object")
    return value


def find_json(text: str) -> JsonValue:
    """The JSON value of an answer that may have reasoning, prose or a Markdown fence around it.

    The whole text is tried first, then what follows `</think>`, then the last fence with JSON in it, then the last
    object (or else list) that is in the prose.

    Raises:
        ValueError: There is none, or it was truncated.
    """
    answer = strip_thinking(text).strip().lstrip(_BOM)
    for whole in dict.fromkeys((text.strip(), answer)):
        try:
            value = read_json(whole)
        except ValueError:
            continue
        if not isinstance(value, str):
            return value
        try:
            return read_json(value)  # encoded twice
        except ValueError:
            return value
    if answer.startswith("<think>"):
        raise ValueError("the text holds no JSON: it ends within its reasoning")
    for block, end in reversed(_fenced_blocks(answer)):
        try:
            value = read_json(block)
        except ValueError:
            continue
        after = answer[end:]
        # One more value may begin that no fence or bracket ends.
        last = max(after.rfind("}"), after.rfind("]"))
        incomplete = _OPEN_FENCE.search(after) or _JSON_BRACKET.search(after, last + 1)
        later = list(_values_in_prose(after)) if incomplete else []
        return later[-1] if later else value
    values = list(_values_in_prose(answer))
    if not values:
        raise ValueError("the text holds no JSON value")
    objects = [value for value in values if isinstance(value, dict)]
    return objects[-1] if objects else values[-1]


def strip_thinking(text: str) -> str:
    """`text` after its `<think>` section; the opening tag may be missing, as some chat templates write it."""
    _, tag, answer = text.rpartition(_END_OF_THINKING)
    return answer if tag else text


def _fenced_blocks(text: str) -> list[tuple[str, int]]:
    """The contents of fenced blocks and where each ends, in linear time however many of them do not end."""
    lines = list(_FENCE.finditer(text))
    closing: dict[str, int] = {}
    ends: list[int | None] = []
    for at in reversed(range(len(lines))):
        ends.append(closing.get(lines[at][1]))
        if not lines[at][2]:
            closing[lines[at][1]] = at
    ends.reverse()
    blocks: list[tuple[str, int]] = []
    at = 0
    while at < len(lines):
        end = ends[at]
        if end is not None:
            blocks.append((text[lines[at].end() : lines[end].start()], lines[end].end()))
            at = end
        at += 1
    return blocks


def _values_in_prose(text: str) -> Iterator[JsonValue]:
    """The JSON objects and lists in prose, outermost ones only.

    Raises:
        ValueError: One of them does not end, or two of them stand side by side, which is ambiguous.
    """
    at, attempts, end = 0, 0, -1
    while (bracket := _BRACKET.search(text, at)) and attempts < _MAX_ATTEMPTS:
        attempts += 1
        at = bracket.start()
        try:
            value, at = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            if _JSON_BRACKET.match(text, at) or error.pos >= len(text.rstrip()):
                raise ValueError(f"the JSON in the text is invalid or truncated: {error}") from None
            at += 1  # a bracket of the prose
        except RecursionError:
            raise ValueError("the JSON is nested too deeply") from None
        else:
            if end >= 0 and not text[end : bracket.start()].strip():
                raise ValueError("the text holds several JSON values side by side")
            end = at
            yield repair_value(value)
