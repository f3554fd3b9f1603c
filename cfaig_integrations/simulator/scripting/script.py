"""Two queues: the answers and the faults that a test has scripted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cfaig_integrations.simulator.scripting.answers import RawAnswer
from cfaig_integrations.simulator.scripting.faults import Fault, find_fault
from cfaig_integrations.simulator.types import Answer

Item = TypeVar("Item")
ReplyT = TypeVar("ReplyT", "Answer", RawAnswer, "Step")


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


class Script:
    """The queued answers and faults."""

    def __init__(self) -> None:
        """Start with empty queues."""
        self._lock = threading.Lock()
        self._replies: list[_Queued[Answer | RawAnswer | Step]] = []
        self._faults: list[_Queued[QueuedFault]] = []
        self.strict = False
        """Refuse chat requests for which no answer is queued."""
        self.unscripted: list[str] = []
        """Descriptions of the requests that were refused."""

    def add_reply(self, reply: Answer | RawAnswer | Step, times: int | None = 1) -> None:
        """Queue an answer for `times` requests, None for all that follow."""
        with self._lock:
            self._replies.append(_Queued(reply, times))

    def add_fault(self, fault: QueuedFault, times: int | None = 1, after: int = 0) -> None:
        """Queue a fault for `times` requests (None for all that follow), after `after` requests."""
        with self._lock:
            self._faults.append(_Queued(fault, times, after))

    def next_raw(self) -> RawAnswer | None:
        """The next answer, if it is in exact bytes."""
        return self._next(RawAnswer)

    def next_answer(self) -> Answer | None:
        """A copy of the next answer, if it is not in exact bytes."""
        return deepcopy(self._next(Answer))

    def next_step(self) -> Step | None:
        """A copy of the next answer, if it is a step."""
        return deepcopy(self._next(Step))

    def _next(self, kind: type[ReplyT]) -> ReplyT | None:
        with self._lock:
            if not self._replies or not isinstance(self._replies[0].item, kind):
                return None
            taken = _take(self._replies, lambda _: True)
            return taken if isinstance(taken, kind) else None

    def next_fault(self, *, stream: bool) -> QueuedFault | None:
        """The first fault that applies to the request."""
        with self._lock:
            return _take(self._faults, lambda found: found.applies(stream=stream))

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
