"""Totals over the newest entries, and over those that share the value of a metadata key."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from cfaig_integrations.simulator.gateway.log_store import Outline, Scalar


@dataclass(slots=True)
class Totals:
    """The totals of some entries."""

    value: str = ""
    """The metadata value that they share."""
    calls: int = 0
    failed: int = 0
    cached: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    durations: list[float] = field(default_factory=list[float], repr=False)

    def add(self, entry: Outline) -> None:
        """Count one entry."""
        self.calls += 1
        self.failed += not entry.success
        self.cached += entry.cached
        self.tokens_in += entry.tokens_in
        self.tokens_out += entry.tokens_out
        self.cost += entry.cost
        self.durations.append(entry.duration)

    @property
    def median_duration(self) -> float:
        """Milliseconds."""
        return median(self.durations) if self.durations else 0.0

    @property
    def p95_duration(self) -> float:
        """Milliseconds that 95 % of the calls did not exceed."""
        return sorted(self.durations)[math.ceil(0.95 * self.calls) - 1] if self.durations else 0.0


def total(entries: Iterable[Outline]) -> Totals:
    """The totals of all entries."""
    totals = Totals()
    for entry in entries:
        totals.add(entry)
    return totals


def metadata_keys(entries: Iterable[Outline]) -> list[str]:
    """The metadata keys in use, the most frequent first; ids, which differ from call to call, last.

    Of equally frequent ones the first in the metadata comes first, where programs put their own entries.
    """
    counts = Counter(key for entry in entries for key in entry.metadata or ())
    return sorted(counts, key=lambda key: (key.endswith("_id"), -counts[key]))


def totals_by(key: str, entries: Sequence[Outline]) -> list[Totals]:
    """Totals by the values of a metadata key, the most expensive value first."""
    groups: dict[str, Totals] = {}
    for entry in entries:
        if entry.metadata and key in entry.metadata:
            value = metadata_text(entry.metadata[key])
            groups.setdefault(value, Totals(value)).add(entry)
    return sorted(groups.values(), key=lambda group: (-group.cost, -group.calls, group.value))


def metadata_text(value: Scalar) -> str:
    """A metadata value as the filters of the log compare it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
