"""What a test told the simulator to say or to spoil next: two queues.

Knows neither how an answer is rendered nor how a fault is played.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cfaig_integrations.simulator.scripting.answers import RawAnswer
from cfaig_integrations.simulator.scripting.faults import Fault, fault_named
from cfaig_integrations.simulator.types import Answer

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class QueuedFault:
    """A fault, or several to be played upon one answer, with their details."""

    parts: tuple[tuple[Fault, Mapping[str, Any]], ...]

    def suits(self, *, stream: bool) -> bool:
        """Whether it can be played upon an answer of that kind."""
        wanted = "stream" if stream else "whole"
        return all(fault.fits in {"any", wanted} for fault, _ in self.parts)


def make_fault(name: str, details: Mapping[str, Any]) -> QueuedFault:
    """A fault by name; `a+b` plays several effects upon one answer, and each takes the details that it knows.

    Raises:
        ValueError: No such fault, or two faults that are not both effects.
        TypeError: A detail that none of them has.
    """
    faults = [fault_named(part) for part in name.split("+")]
    if len(faults) > 1 and any(fault.kind == "error" for fault in faults):
        raise ValueError(f"{name!r}: an error answer cannot be combined")
    if len(faults) == 1:
        return QueuedFault(((faults[0], faults[0].detailed(details)),))
    unknown = details.keys() - {key for fault in faults for key in fault.details}
    if unknown:
        raise TypeError(f"no fault of {name!r} has the detail {sorted(unknown)}")
    own = [{key: value for key, value in details.items() if key in fault.details} for fault in faults]
    return QueuedFault(tuple((fault, fault.detailed(mine)) for fault, mine in zip(faults, own, strict=True)))


@dataclass(slots=True)
class _Queued(Generic[Item]):
    item: Item
    times: int | None
    after: int = 0


class Script:
    """Answers and faults in the order in which they were queued."""

    def __init__(self) -> None:
        """Start with nothing to say."""
        self._lock = threading.Lock()
        self._replies: list[_Queued[Answer | RawAnswer]] = []
        self._faults: list[_Queued[QueuedFault]] = []

    def add_reply(self, reply: Answer | RawAnswer, times: int | None = 1) -> None:
        """Queue an answer for so many requests; None for all that follow."""
        with self._lock:
            self._replies.append(_Queued(reply, times))

    def add_fault(self, fault: QueuedFault, times: int | None = 1, after: int = 0) -> None:
        """Queue a fault for so many requests (None: all that follow), once `after` of them were let through."""
        with self._lock:
            self._faults.append(_Queued(fault, times, after))

    def next_raw(self) -> RawAnswer | None:
        """The next answer, if it is one in exact bytes."""
        with self._lock:
            if not self._replies or not isinstance(self._replies[0].item, RawAnswer):
                return None
            taken = _take(self._replies, lambda _: True)
            return taken if isinstance(taken, RawAnswer) else None

    def next_answer(self) -> Answer | None:
        """The next answer, if it is one in words; a copy, which the caller may complete."""
        with self._lock:
            if not self._replies or not isinstance(self._replies[0].item, Answer):
                return None
            taken = _take(self._replies, lambda _: True)
            return deepcopy(taken) if isinstance(taken, Answer) else None

    def next_fault(self, *, stream: bool) -> QueuedFault | None:
        """The first fault that suits the request and whose turn has come."""
        with self._lock:
            return _take(self._faults, lambda found: found.suits(stream=stream))

    @property
    def waiting(self) -> tuple[int, int]:
        """How many entries of answers and of faults are still queued."""
        with self._lock:
            return len(self._replies), len(self._faults)

    def clear(self) -> None:
        """Forget all that was queued."""
        with self._lock:
            self._replies.clear()
            self._faults.clear()


def _take(queue: list[_Queued[Item]], suits: Callable[[Item], bool]) -> Item | None:
    for queued in queue:
        if not suits(queued.item):
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
