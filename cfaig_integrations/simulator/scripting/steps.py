"""Reads one entry of a test's script, such as `{"text": "Hello"}` or `{"error": "no_credits"}`, into a step."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, TypedDict, TypeGuard, cast

from cfaig_integrations.simulator.json_types import is_json, is_list, is_record
from cfaig_integrations.simulator.scripting.answers import make_answer
from cfaig_integrations.simulator.scripting.faults import find_fault
from cfaig_integrations.simulator.scripting.script import QueuedFault, Step, make_fault
from cfaig_integrations.simulator.types import Answer, ModelRequest


class ToolCall(TypedDict, total=False):
    """A tool call of a scripted reply; `arguments` as text stand for arguments that are not valid JSON."""

    name: str
    arguments: Mapping[str, Any] | str
    id: str


class ReplyFields(TypedDict, total=False):
    """The fields of a scripted reply, all optional; see `ScriptedGateway.reply`."""

    tool_calls: Sequence[ToolCall]
    structured: Mapping[str, Any] | Sequence[Any]
    reasoning: str
    refusal: str
    searches: Sequence[str]
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    tokens_reasoning: int
    error: str | Mapping[str, Any]
    delay: float
    pace: float
    truncated: Literal["length", "connection"]
    times: int | None


class ScriptEntry(ReplyFields, total=False):
    """An entry of a script: the fields of a reply, and its text."""

    text: str


KEYS = tuple(sorted(ScriptEntry.__optional_keys__))
"""The keys of a script's entry."""
_ANSWER = ("text", "reasoning", "refusal", "searches", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning")
_CALLS = "tool_calls must be a list of mappings, such as {'name': 'weather', 'arguments': {...}}"
_TRUNCATED = ("length", "connection")


def make_step(entry: object) -> tuple[Step, int | None]:
    """A step, and for how many requests it is.

    Raises:
        TypeError: The entry is not a mapping, or has a key that does not exist.
        ValueError: A value is not valid, or two keys exclude each other.
    """
    if not _is_mapping(entry):
        raise TypeError(f"an entry of a script must be a mapping, not {type(entry).__name__}")
    _check_keys("a scripted reply", entry, KEYS)
    times = entry.get("times", 1)
    if times is not None and (not isinstance(times, int) or isinstance(times, bool) or times < 1):
        raise ValueError(f"times={times!r} is not valid: use a positive integer, or None for all requests that follow")
    if "error" in entry:
        if others := [key for key, value in entry.items() if value and key not in {"error", "times"}]:
            raise ValueError(f"error excludes {', '.join(others)}: an error is the whole response")
        return Step(fault=_error(entry["error"])), times
    return Step(_answer(entry), _effects(entry)), times


def _is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _check_keys(what: str, entry: Mapping[str, Any], allowed: Collection[str]) -> None:
    if unknown := sorted(str(key) for key in entry.keys() - set(allowed)):
        raise TypeError(f"{what} has no key {', '.join(map(repr, unknown))}; the keys are: {', '.join(allowed)}")


def _error(value: Any) -> QueuedFault:
    details: dict[str, Any] = dict(value) if _is_mapping(value) else {"name": value}
    name = details.pop("name", None)
    if not isinstance(name, str):
        raise ValueError("error must be the name of an error, or a mapping with its name and details")
    if find_fault(name).kind != "error":
        raise ValueError(f"{name!r} is not an error; use delay, pace or truncated for a response that is slow or cut")
    return make_fault(name, details)


def _answer(entry: Mapping[str, Any]) -> Answer:
    if "structured" in entry:
        if others := [key for key in ("text", "tool_calls", "refusal") if entry.get(key)]:
            raise ValueError(f"structured excludes {', '.join(others)}: it is the whole answer")
        if not _is_mapping(entry["structured"]) and not is_list(entry["structured"]):
            raise ValueError("structured must be an object or a list: the value that the program expects")
        if not is_json(entry["structured"]):
            raise ValueError(f"structured cannot be written as JSON: {entry['structured']!r:.100}")
    answer = make_answer({key: entry[key] for key in _ANSWER if key in entry})
    answer.structured = entry.get("structured")
    calls: Any = entry.get("tool_calls", ())
    if not isinstance(calls, list | tuple):
        raise TypeError(_CALLS)
    answer.calls = make_answer({"calls": [_call_fields(call) for call in cast("Sequence[object]", calls)]}).calls
    if answer.calls and not answer.refusal:
        answer.finish = "tool_calls"
    if _truncated(entry) == "length":
        answer.finish = "length"
        if answer.calls:
            last = answer.calls[-1]
            arguments = last.raw or json.dumps(last.arguments)
            last.raw = arguments[: max(1, len(arguments) // 2)]
    return answer


def _call_fields(call: Any) -> dict[str, Any]:
    if not _is_mapping(call):
        raise TypeError(_CALLS)
    fields = dict(call)
    _check_keys("a tool call", fields, ("name", "arguments", "id"))
    arguments = fields.get("arguments")
    if isinstance(arguments, str):
        fields["raw"] = fields.pop("arguments")
    elif _is_mapping(arguments):
        fields["arguments"] = dict(arguments)
    return fields


def _truncated(entry: Mapping[str, Any]) -> Literal["length", "connection"] | None:
    value = entry.get("truncated")
    if value is not None and value not in _TRUNCATED:
        raise ValueError(f"truncated={value!r} is not valid: use one of {', '.join(map(repr, _TRUNCATED))}")
    return value


def _effects(entry: Mapping[str, Any]) -> QueuedFault | None:
    """The delay, the pace and the cut of a reply."""
    parts: dict[str, dict[str, float]] = {}
    for key, fault in (("delay", "slow_first_byte"), ("pace", "slow_stream")):
        seconds = entry.get(key, 0)
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < float("inf"):
            raise ValueError(f"{key}={seconds!r} is not a number of seconds")
        if seconds:
            parts[fault] = {"seconds": seconds}
    if _truncated(entry) == "connection":
        parts["cut"] = {}
    queued = [make_fault(name, details).parts[0] for name, details in parts.items()]
    return QueuedFault(tuple(queued)) if queued else None


def fit_answer(answer: Answer, request: ModelRequest) -> None:
    """Give a scripted answer the form that the request asks for.

    Programs ask for an object by a JSON schema, or by a tool whose parameters are the object's fields. Calls of a
    custom tool have text instead of arguments.
    """
    custom = {tool.name for tool in request.tools if tool.custom}
    for call in answer.calls:
        call.custom = call.custom or call.name in custom
    value = answer.structured
    if value is None:
        return
    if is_record(value) and request.schema is None and request.choice != "none":
        names = [tool.name for tool in request.tools if _fits(value, tool.parameters)]
        name = request.choice if request.choice in {tool.name for tool in request.tools} else next(iter(names), None)
        if name is not None:
            answer.calls = make_answer({"calls": [{"name": name, "arguments": value}]}).calls
            answer.finish = "tool_calls" if answer.finish == "stop" else answer.finish
            return
    answer.text = json.dumps(value, ensure_ascii=False)


def _fits(value: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    required: Collection[str] = schema.get("required") or ()
    properties: Collection[str] = schema.get("properties") or ()
    return set(required) <= value.keys() <= set(properties)
