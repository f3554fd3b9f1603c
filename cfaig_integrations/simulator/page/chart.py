"""Totals over the newest entries and by the values of a metadata key, and their chart, as SVG."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from cfaig_integrations.simulator.gateway.log_store import Outline
from cfaig_integrations.simulator.json_types import scalar_text
from cfaig_integrations.simulator.page import markup
from cfaig_integrations.simulator.page.markup import Child, Markup, tag
from cfaig_integrations.simulator.page.query import PageQuery


@dataclass(slots=True)
class Totals:
    """The totals of some entries."""

    value: str = ""  # the metadata value that they share
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
            value = scalar_text(entry.metadata[key])
            groups.setdefault(value, Totals(value)).add(entry)
    return sorted(groups.values(), key=lambda group: (-group.cost, -group.calls, group.value))


MAX_VALUES = 8
_ROW = 38
_BAR = 8
_LONGEST_NAME = 28
_LATENCY: tuple[Child, ...] = (
    "Latency: ",
    tag("span", "median", class_="legend median"),
    " ",
    tag("span", "95th percentile", class_="legend p95"),
)


def charts(groups: Sequence[Totals], key: str, query: PageQuery) -> Markup:
    """Both charts; a bar links to the entries of its value."""
    highest_cost = max((group.cost for group in groups), default=0.0)
    slowest = max((group.p95_duration for group in groups), default=0.0)

    costs = [(markup.money(g.cost), [_bar(g.cost, highest_cost, "bar cost")]) for g in groups]
    latencies = [
        (
            f"{markup.duration(g.median_duration)} · {markup.duration(g.p95_duration)}",
            [_bar(g.p95_duration, slowest, "bar p95"), _bar(g.median_duration, slowest, "bar median")],
        )
        for g in groups
    ]

    def chart(caption: Sequence[Child], name: str, values: Sequence[tuple[str, list[Markup]]]) -> Markup:
        rows = [_row(i, group, key, query, *value) for i, (group, value) in enumerate(zip(groups, values, strict=True))]
        svg = tag("svg", rows, width="100%", height=_ROW * len(rows), role="group", aria_label=f"{name} by {key}")
        return tag("figure", tag("figcaption", caption), svg)

    return tag("div", chart(["Cost"], "Cost", costs), chart(_LATENCY, "Latency", latencies), class_="charts")


def _row(index: int, group: Totals, key: str, query: PageQuery, value: str, bars: list[Markup]) -> Markup:
    name = markup.shorten(group.value, _LONGEST_NAME)
    calls = f"{markup.count(group.calls)} {'call' if group.calls == 1 else 'calls'}"
    if group.failed:
        calls += f", {markup.count(group.failed)} failed"
    content: list[Child] = [
        tag("title", f"{key} = {group.value}: {value}, {calls}"),
        tag("rect", x=0, y=0, width="100%", height=_ROW, class_="hit"),
        tag("text", name, " ", tag("tspan", calls, class_="muted"), x=0, y=16),
        tag("text", value, x="100%", y=16, text_anchor="end", class_="value"),
        tag("rect", x=0, y=22, width="100%", height=_BAR, rx=2, class_="track"),
        *bars,
    ]
    link = tag("a", content, href=query.narrowed(key, group.value), aria_label=f"{name} {calls} {value}")
    return tag("svg", link, x=0, y=index * _ROW, width="100%", height=_ROW)


def _bar(value: float, highest: float, class_: str) -> Markup:
    share = 100 * value / highest if highest > 0 else 0.0
    return tag("rect", x=0, y=22, width=f"{share:.2f}%", height=_BAR, rx=2, class_=class_)
