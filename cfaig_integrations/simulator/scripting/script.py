"""The queues of answers and faults that a test has scripted, and the entries of its script: `{"text": "Hi"}`."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypedDict, TypeGuard, TypeVar, cast

from cfaig_integrations.simulator.http.reply import Reply
from cfaig_integrations.simulator.json_types import is_json, is_list, is_record
from cfaig_integrations.simulator.scripting.faults import Fault, find_fault
from cfaig_integrations.simulator.types import Answer, Call, ModelRequest

_TEXTS = ("text", "reasoning", "refusal")
_COUNTS = ("tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning")
_numbers = itertools.count(1)
_FINISHES = ("stop", "length", "tool_calls", "refusal")
_FIELDS = (*_TEXTS, *_COUNTS, "calls", "finish", "searches")


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


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class QueuedFault:
    """One fault, or several effects on the same response, with their details."""

    parts: tuple[tuple[Fault, Mapping[str, Any]], ...]

    def applies(self, *, stream: bool) -> bool:
        """Whether it applies to a streamed, or to a whole response."""
        kind = "stream" if stream else "whole"
        return all(fault.fits in {"any", kind} for fault, _ in self.parts)


def make_fault(name: str, details: Mapping[str, Any]) -> QueuedFault:
    """A fault by name; `a+b` applies several effects to one response, each with the details that it has."""
    faults = [find_fault(part) for part in name.split("+")]
    if len(faults) > 1 and any(fault.kind == "error" for fault in faults):
        raise ValueError(f"{name!r}: an error cannot be combined with another fault")
    if len(faults) == 1:
        return QueuedFault(((faults[0], faults[0].detailed(details)),))
    unknown = details.keys() - {key for fault in faults for key in fault.details}
    if unknown:
        raise TypeError(f"no fault of {name!r} has the detail {sorted(unknown)}")
    split_details = [{key: value for key, value in details.items() if key in fault.details} for fault in faults]
    return QueuedFault(
        tuple((fault, fault.detailed(its_details)) for fault, its_details in zip(faults, split_details, strict=True))
    )


@dataclass(frozen=True, slots=True)
class Step:
    """What one chat request receives: an answer, an error, or an answer that is slow or damaged."""

    answer: Answer | None = None
    fault: QueuedFault | None = None


@dataclass(slots=True)
class _Queued(Generic[Item]):
    item: Item
    times: int | None
    after: int = 0

    def __post_init__(self) -> None:
        _check_times(self.times)


def _check_times(times: Any) -> None:
    if times is not None and (not isinstance(times, int) or isinstance(times, bool) or times < 1):
        raise ValueError(f"times={times!r} is not valid: use a positive integer, or None for all requests that follow")


class Script:
    """The queued answers and faults."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._replies: list[_Queued[Reply | Step]] = []
        self._faults: list[_Queued[QueuedFault]] = []
        self.strict = False
        """Refuse chat requests for which no answer is queued."""
        self.unscripted: list[str] = []
        """Descriptions of the requests that were refused."""

    def add_reply(self, reply: Reply | Step, times: int | None = 1) -> None:
        """Queue a reply for `times` requests, None for all that follow."""
        with self._lock:
            self._replies.append(_Queued(reply, times))

    def add_fault(self, fault: QueuedFault, times: int | None = 1, after: int = 0) -> None:
        """Queue a fault for `times` requests (None for all that follow), after `after` requests."""
        with self._lock:
            self._faults.append(_Queued(fault, times, after))

    def next_raw(self) -> Reply | None:
        """The next reply, if it is in exact bytes."""
        reply = self._next(lambda reply: isinstance(reply, Reply))
        return reply if isinstance(reply, Reply) else None

    def next_step(self, *, faulty: bool) -> Step | None:
        """A copy of the next reply, if it is a step with a fault (`faulty`), or without one."""
        reply = self._next(lambda reply: isinstance(reply, Step) and (reply.fault is not None) is faulty)
        return deepcopy(reply) if isinstance(reply, Step) else None

    def _next(self, applies: Callable[[Reply | Step], bool]) -> Reply | Step | None:
        with self._lock:
            is_next = bool(self._replies) and applies(self._replies[0].item)
            return _take(self._replies, applies) if is_next else None

    def next_fault(self, *, stream: bool) -> QueuedFault | None:
        """The first fault that applies to the request."""
        with self._lock:
            return _take(self._faults, lambda fault: fault.applies(stream=stream))

    @property
    def waiting(self) -> tuple[int, int]:
        """Numbers of queued answers and faults."""
        with self._lock:
            return len(self._replies), len(self._faults)

    def clear(self) -> None:
        """Empty both queues, and answer unscripted requests again."""
        with self._lock:
            self._replies.clear()
            self._faults.clear()
            self.strict = False
            self.unscripted.clear()


def _take(queue: list[_Queued[Item]], applies: Callable[[Item], bool]) -> Item | None:
    for queued in queue:
        if not applies(queued.item):
            continue
        if queued.after > 0:
            queued.after -= 1
            return None
        if queued.times is not None:
            queued.times -= 1
            if queued.times <= 0:
                queue.remove(queued)
        return queued.item
    return None


class ToolCall(TypedDict, total=False):
    """A tool call of a scripted reply; `arguments` as text stand for arguments that are not valid JSON."""

    name: str
    arguments: Mapping[str, Any] | str
    id: str


class AnswerParts(TypedDict, total=False):
    """What an answer has besides text and tool calls."""

    reasoning: str
    refusal: str
    searches: Sequence[str]
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    tokens_reasoning: int


class ReplyFields(AnswerParts, total=False):
    """The fields of a scripted reply, all optional; see `ScriptedGateway.reply`."""

    tool_calls: Sequence[ToolCall]
    structured: Mapping[str, Any] | Sequence[Any]
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
_ANSWER = ("text", *AnswerParts.__optional_keys__)
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
    _check_times(times)
    if "error" in entry:
        if others := [key for key, value in entry.items() if value and key not in {"error", "times"}]:
            raise ValueError(f"error excludes {', '.join(others)}: an error is the whole response")
        return Step(fault=_error_step(entry["error"])), times
    return Step(_scripted_answer(entry), _effects(entry)), times


def _is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _check_keys(what: str, entry: Mapping[str, Any], allowed: Collection[str]) -> None:
    if unknown := sorted(str(key) for key in entry.keys() - set(allowed)):
        raise TypeError(f"{what} has no key {', '.join(map(repr, unknown))}; the keys are: {', '.join(allowed)}")


def _error_step(value: Any) -> QueuedFault:
    details: dict[str, Any] = dict(value) if _is_mapping(value) else {"name": value}
    name = details.pop("name", None)
    if not isinstance(name, str):
        raise ValueError("error must be the name of an error, or a mapping with its name and details")
    if find_fault(name).kind != "error":
        raise ValueError(f"{name!r} is not an error; use delay, pace or truncated for a response that is slow or cut")
    return make_fault(name, details)


def _scripted_answer(entry: Mapping[str, Any]) -> Answer:
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

    Programs ask for an object by a JSON schema, or by a tool whose parameters are the object's fields.
    """
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
