"""Results that are fetched after the call: files by their URL, and runs in the background by their id."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from cfaig_integrations.simulator.clock import Clock, Ids

LIFETIME = 3600
"""Seconds; a URL of a result expires (facts §9.8)."""
_MOST_BYTES = 200_000_000


@dataclass(slots=True)
class Result:
    """A result that is kept."""

    data: bytes
    content_type: str
    expires_at: float
    polls: int = 0
    """How often it was asked for."""


class Results:
    """Results by their ids, until they expire or newer ones need their place."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        """Start empty."""
        self._clock = clock
        self._ids = ids
        self._results: dict[str, Result] = {}
        self._size = 0
        self._lock = threading.Lock()

    def add(self, data: bytes, content_type: str) -> str:
        """Keep a result; returns its id, which cannot be guessed."""
        with self._lock:
            name = self._ids.uuid4()
            self._results[name] = Result(data, content_type, self._clock.now() + LIFETIME)
            self._size += len(data)
            while self._size > _MOST_BYTES and len(self._results) > 1:
                self._size -= len(self._results.pop(next(iter(self._results))).data)
            return name

    def get(self, name: str) -> Result | None:
        """The result with an id; None if there is none, or it has expired."""
        with self._lock:
            result = self._results.get(name)
            if result is None or result.expires_at <= self._clock.now():
                return None
            result.polls += 1
            return result

    def clear(self) -> None:
        """Remove everything."""
        with self._lock:
            self._results.clear()
            self._size = 0
