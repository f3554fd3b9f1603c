"""Bodies with an invalid value somewhere: paths, values of any type and size, invalid JSON bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

DEEP = b"[" * 100_000
"""Nested deeper than any reader can follow."""

VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 7, 1.5, -0.5, 1e308, 2**53 + 1, 10**400),
    *(float("inf"), float("-inf"), float("nan")),
    *("", "x", "0", "NaN", "\ud83d", "\udc4d", "a\x00b", "https://a", "data:image/png;base64,!"),
    *([], [1], [None], ["x"], [[]], [{}], [{"type": "text"}], [{"index": {}}]),
    *({}, {"a": 1}, {"type": "text"}, {"type": {}}, {"text": {}}, {"index": [], "type": []}, {"wire": "x"}),
]
JUNK = st.sampled_from(VALUES)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value inside `value`."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from paths(child, (*path, key))


def with_value(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    """`value` with `junk` at a path."""
    copy = json.loads(json.dumps(value))
    inside = copy
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = junk
    return copy


def as_json(value: Any) -> bytes:
    """The JSON of a value: NaN, infinities, halves of surrogate pairs and all."""
    return json.dumps(value).encode()
