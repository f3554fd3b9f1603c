"""The chart of cost and latency by a metadata key: two lists of bars, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cfaig_integrations.simulator.page import formats
from cfaig_integrations.simulator.page.markup import Child, Markup, tag
from cfaig_integrations.simulator.page.overview import Totals
from cfaig_integrations.simulator.page.query import PageQuery

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

    def cost_row(group: Totals) -> tuple[str, list[Markup]]:
        return formats.money(group.cost), [_bar(group.cost, highest_cost, "bar cost")]

    def latency_row(group: Totals) -> tuple[str, list[Markup]]:
        label = f"{formats.duration(group.median_duration)} · {formats.duration(group.p95_duration)}"
        return label, [
            _bar(group.p95_duration, slowest, "bar p95"),
            _bar(group.median_duration, slowest, "bar median"),
        ]

    return tag(
        "div",
        _chart(["Cost"], f"Cost by {key}", groups, key, query, cost_row),
        _chart(_LATENCY, f"Latency by {key}", groups, key, query, latency_row),
        class_="charts",
    )


def _chart(
    caption: Sequence[Child],
    label: str,
    groups: Sequence[Totals],
    key: str,
    query: PageQuery,
    row: Callable[[Totals], tuple[str, list[Markup]]],
) -> Markup:
    rows = [_row(index, group, key, query, *row(group)) for index, group in enumerate(groups)]
    height = _ROW * len(rows)
    svg = tag("svg", rows, width="100%", height=height, role="group", aria_label=label)
    return tag("figure", tag("figcaption", caption), svg)


def _row(index: int, group: Totals, key: str, query: PageQuery, value: str, bars: list[Markup]) -> Markup:
    name = formats.shorten(group.value, _LONGEST_NAME)
    calls = f"{formats.count(group.calls)} {'call' if group.calls == 1 else 'calls'}"
    if group.failed:
        calls += f", {formats.count(group.failed)} failed"
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
