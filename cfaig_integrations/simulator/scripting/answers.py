"""Answers that a script gives: in words, checked field by field, or in exact bytes.

Knows no queue and no dialect.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from cfaig_integrations.simulator.types import Answer, Call

_TEXTS = ("text", "reasoning", "refusal")
_COUNTS = ("tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning")
_numbers = itertools.count(1)
_FINISHES = ("stop", "length", "tool_calls", "refusal")


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """Exact bytes for an answer."""

    status: int = 200
    chunks: tuple[bytes, ...] = ()
    """Served with these boundaries."""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def make_answer(fields: Mapping[str, Any]) -> Answer:
    """An answer from the words of a script.

    Args:
        fields: Fields of [Answer][]; each of `calls` is a [Call][], or a mapping with `name`, `arguments`, `raw` and
            `id`, of which only the name is needed.

    Raises:
        TypeError: A field that an answer has not.
        ValueError: A value that it cannot have.
    """
    unknown = fields.keys() - {*_TEXTS, *_COUNTS, "calls", "finish", "searches"}
    if unknown:
        raise TypeError(f"an answer has no field {sorted(unknown)}")
    answer = Answer()
    for name in (*_TEXTS, *_COUNTS):
        value = fields.get(name, getattr(answer, name))
        if not isinstance(value, str if name in _TEXTS else int):
            raise ValueError(f"{name} cannot be {value!r}")
        setattr(answer, name, value)
    answer.calls = [_call(call) for call in fields.get("calls", ())]
    answer.searches = [str(query) for query in fields.get("searches", ())]
    finish = fields.get("finish", "tool_calls" if answer.calls else "refusal" if answer.refusal else "stop")
    if finish not in _FINISHES:
        raise ValueError(f"finish is one of {', '.join(_FINISHES)}")
    answer.finish = finish
    return answer


def _call(given: Call | Mapping[str, Any]) -> Call:
    if isinstance(given, Call):
        return given
    unknown = given.keys() - {"id", "name", "arguments", "raw"}
    if unknown or not isinstance(given.get("name"), str):
        raise ValueError("a call has a name, and may have arguments, raw and an id")
    arguments = given.get("arguments", {})
    if not isinstance(arguments, dict):
        raise ValueError("a call's arguments are an object")
    made = str(given.get("id") or f"call{next(_numbers):05}")
    return Call(made, given["name"], cast("dict[str, Any]", arguments), str(given.get("raw", "")))


def make_raw_answer(
    status: int,
    body: bytes | str | None,
    chunks: Sequence[bytes] | None,
    content_type: str,
    headers: Mapping[str, str] | None,
) -> RawAnswer:
    """An answer in exact bytes.

    Raises:
        ValueError: Both a body and chunks were given.
    """
    if body is not None and chunks is not None:
        raise ValueError("give a body or chunks, not both")
    if isinstance(body, str):
        body = body.encode()
    whole = () if body is None else (body,)
    return RawAnswer(status, tuple(chunks) if chunks is not None else whole, content_type, dict(headers or {}))
