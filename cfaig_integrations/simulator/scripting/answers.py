"""Scripted answers: as fields, or as exact bytes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from cfaig_integrations.simulator.json_types import is_json, is_record
from cfaig_integrations.simulator.types import Answer, Call

_TEXTS = ("text", "reasoning", "refusal")
_COUNTS = ("tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning")
_numbers = itertools.count(1)
_FINISHES = ("stop", "length", "tool_calls", "refusal")
_FIELDS = (*_TEXTS, *_COUNTS, "calls", "finish", "searches")


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A response in exact bytes."""

    status: int = 200
    chunks: tuple[bytes, ...] = ()
    """Each is sent separately."""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def make_answer(fields: Mapping[str, Any]) -> Answer:
    """An answer from the fields of a script."""
    unknown = fields.keys() - set(_FIELDS)
    if unknown:
        raise TypeError(f"an answer has no field {sorted(unknown)}; use one of: {', '.join(_FIELDS)}")
    answer = Answer()
    for name in (*_TEXTS, *_COUNTS):
        value = fields.get(name, getattr(answer, name))
        kind = str if name in _TEXTS else int
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{name}={value!r} has the wrong type: expected {kind.__name__}")
        if isinstance(value, int) and value < 0:
            raise ValueError(f"{name}={value!r} is not a number of tokens")
        setattr(answer, name, value)
    answer.calls = [_call(call) for call in fields.get("calls", ())]
    searches = fields.get("searches", ())
    if isinstance(searches, str) or not isinstance(searches, Sequence):
        raise ValueError(f"searches={searches!r} must be a list of queries")
    answer.searches = [str(query) for query in cast("Sequence[object]", searches)]
    finish = fields.get("finish", "tool_calls" if answer.calls else "refusal" if answer.refusal else "stop")
    if finish not in _FINISHES:
        raise ValueError(f"finish={finish!r} is not valid: use one of {', '.join(_FINISHES)}")
    answer.finish = finish
    return answer


def _call(call: Call | Mapping[str, Any]) -> Call:
    if isinstance(call, Call):
        return call
    unknown = call.keys() - {"id", "name", "arguments", "raw"}
    if unknown or not isinstance(call.get("name"), str):
        raise ValueError("a call needs a name; arguments, raw and id are optional")
    arguments = call.get("arguments", {})
    if not is_record(arguments):
        raise ValueError("the arguments of a call must be an object")
    if not is_json(arguments):
        raise ValueError(f"the arguments of the call {call['name']!r} cannot be written as JSON: {arguments!r:.100}")
    call_id = str(call.get("id") or f"call{next(_numbers):05}")
    return Call(call_id, call["name"], arguments, str(call.get("raw", "")))


def make_raw_answer(
    status: int,
    body: bytes | str | None,
    chunks: Sequence[bytes] | None,
    content_type: str,
    headers: Mapping[str, str] | None,
) -> RawAnswer:
    """A response in exact bytes."""
    if body is not None and chunks is not None:
        raise ValueError("body and chunks exclude each other: pass one of them")
    if isinstance(body, str):
        body = body.encode()
    whole = () if body is None else (body,)
    return RawAnswer(status, tuple(chunks) if chunks is not None else whole, content_type, dict(headers or {}))
