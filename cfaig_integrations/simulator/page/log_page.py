"""The page at `/`: filters, totals, chart and log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cfaig_integrations.simulator.gateway.log_store import LogEntry, LogStore
from cfaig_integrations.simulator.json_types import scalar_text
from cfaig_integrations.simulator.page import markup
from cfaig_integrations.simulator.page.chart import MAX_VALUES, Totals, charts, metadata_keys, total, totals_by
from cfaig_integrations.simulator.page.markup import Markup, document, tag
from cfaig_integrations.simulator.page.query import STATUSES, PageQuery

ENTRY_PATH = "/_simulator/logs"
_COLUMNS = (
    ("status", "Status"), ("time", "Time"), ("model", "Model"), ("framework", "Framework"), ("wire", "Wire"),
    ("metadata", "Metadata"), ("tokens number", "Tokens in / out"), ("cost number", "Cost"), ("cache", "Cache"),
    ("latency number", "Latency"),
)  # fmt: skip
_LONGEST_VALUE = 32


def log_table(entries: Sequence[LogEntry], query: PageQuery) -> Markup:
    """The table, the newest entry first; roles are explicit because narrow screens lay the rows out as cards."""
    head = [tag("th", label, class_=name, role="columnheader", scope="col") for name, label in _COLUMNS]
    return tag(
        "table",
        tag("caption", "Calls, the newest first", class_="hidden"),
        tag("thead", tag("tr", head, role="row"), role="rowgroup"),
        tag("tbody", [_row(entry, query) for entry in entries], role="rowgroup", id="rows"),
        role="table",
    )


def _row(entry: LogEntry, query: PageQuery) -> Markup:
    moment = markup.local_time(entry["created_at"])
    cells = (
        status_badge(entry),
        tag("time", moment, datetime=entry["created_at"], title=entry["created_at"]),
        tag("a", entry["model"] or "(unknown model)", href=f"{ENTRY_PATH}/{entry['id']}"),
        markup.framework_of(entry.get("user_agent")),
        [markup.wire_of(entry["request_type"]), tag("span", " stream", class_="muted") if entry["streamed"] else None],
        metadata_links(entry, query),
        f"{markup.count(entry['tokens_in'])} / {markup.count(entry['tokens_out'])}",
        markup.money(entry["cost"]),
        tag("span", "HIT", class_="badge cached") if entry["cached"] else tag("span", "miss", class_="muted"),
        markup.duration(entry["duration"]),
    )
    columns = zip(_COLUMNS, cells, strict=True)
    return tag(
        "tr",
        [tag("td", cell, class_=name, role="cell", data_label=label) for (name, label), cell in columns],
        id=f"call-{entry['number']}",
        data_version=f"{entry['revision']} {moment}",  # which the next day shows with its date
        role="row",
    )


def status_badge(entry: LogEntry) -> Markup:
    """The status code; red unless the call succeeded, with a word where the status does not say that it failed."""
    text = str(entry["status_code"])
    if not entry["success"] and entry["status_code"] < 400:
        text += " failed"
    return tag("span", text, class_="badge ok" if entry["success"] else "badge error")


def metadata_links(entry: LogEntry, query: PageQuery) -> Markup:
    """The metadata of an entry; each is a link to the entries that share it."""
    links: list[Markup] = []
    for key, value in (entry["metadata"] or {}).items():
        text = scalar_text(value)
        links.append(
            tag(
                "a",
                tag("span", key, class_="key"),
                tag("span", markup.shorten(text, _LONGEST_VALUE)),
                href=query.narrowed(key, text),
                class_="chip",
                title=f"Show only {key} = {text}",
            )
        )
    return tag("div", links, class_="chips")


PAGE_SIZE = 50
MAX_SUGGESTIONS = 50
WINDOW = 5000
"""Newest entries that totals, chart and the choices of the filters cover, so that a long log costs no more."""


@dataclass(frozen=True, slots=True)
class PageData:
    """What the page shows, read from the log."""

    entries: list[LogEntry]
    totals: Totals  # of the newest entries that pass the filter
    keys: list[str]
    groups: list[Totals]  # by the values of the chart's key
    gateways: list[str]
    models: list[str]
    wires: list[str]


def read_data(logs: LogStore, query: PageQuery) -> tuple[PageQuery, PageData]:
    """Read the log; the query comes back with the key of the chart."""
    recent = logs.outlines(limit=WINDOW)
    chosen = logs.outlines(query.filter(), limit=WINDOW) if query.filtered else recent
    keys = metadata_keys(chosen)
    if not query.by and keys:
        query = replace(query, by=keys[0])
    return query, PageData(
        entries=logs.find(query.filter(paged=True), limit=PAGE_SIZE), totals=total(chosen), keys=keys,
        groups=totals_by(query.by, chosen) if query.by else [], gateways=sorted({entry.gateway for entry in recent}),
        models=sorted({entry.model for entry in recent}), wires=sorted({entry.request_type for entry in recent}),
    )  # fmt: skip


def log_page(query: PageQuery, data: PageData) -> Markup:
    """The whole page."""
    live = query.before is None
    return document(
        "Calls",
        tag("h1", "Calls of the local gateway", class_="hidden"),
        _filters(query, data),
        tag("div", _totals(data.totals), _chart_section(query, data), id="overview"),
        tag(
            "section",
            tag("h2", "Calls"),
            log_table(data.entries, query) if data.entries else _empty(query),
            tag("nav", _older(query, data.entries), id="pages", aria_label="Pages"),
            id="log",
            aria_label="Calls",
        ),
        controls=_controls() if live else tag("a", "Back to the newest", href=query.url(), class_="button"),
    )


def _controls() -> Markup:
    """The state of the live updates; the script shows the button."""
    return tag(
        "div",
        tag("span", "Reload to update", id="state"),
        tag("span", id="news", class_="hidden", role="status"),
        tag("button", "Pause", id="pause", type="button", aria_pressed="false", hidden=True),
        class_="controls",
    )


def _filters(query: PageQuery, data: PageData) -> Markup:
    statuses = dict(STATUSES) if query.status in STATUSES else {**STATUSES, query.status: query.status}
    hidden = [tag("input", type="hidden", name="by", value=query.by)] if query.by else []
    for key, value in query.metadata:
        hidden += [tag("input", type="hidden", name=n, value=v) for n, v in (("key", key), ("value", value))]
    fields = [
        _select("model", "Model", query.model, [("", "Any"), *((model, model) for model in data.models)]),
        _select("wire", "Wire", query.wire, [("", "Any"), *((wire, markup.wire_of(wire)) for wire in data.wires)]),
        _select("status", "Status", query.status, statuses.items()),
        _select("key", "Metadata key", "", [("", "None"), *((key, key) for key in data.keys)]),
        _input("value", "Metadata value", "", list_="values"),
        _input("text", "Text in request or response", query.text, type_="search"),
    ]
    if len(data.gateways) > 1 or query.gateway:
        gateways = [("", "Any"), *((gateway, gateway) for gateway in data.gateways)]
        fields.insert(0, _select("gateway", "Gateway", query.gateway, gateways))
    values = [tag("option", value=group.value) for group in data.groups[:MAX_SUGGESTIONS]]
    form = tag(
        "form",
        hidden,
        fields,
        tag("datalist", values, id="values"),
        tag("button", "Filter", type="submit"),
        tag("a", "Clear", href="/", class_="button") if query.filtered else None,
        role="search",
        action="/",
    )
    return tag(
        "section",
        tag(
            "details", tag("summary", "Filters", " (active)" if query.filtered else None), form, open=True, id="filters"
        ),
        _active(query),
        aria_label="Filters",
    )


def _active(query: PageQuery) -> Markup | None:
    """The metadata filters, each with a link that removes it."""
    links = [
        tag(
            "a",
            tag("span", "Remove the filter ", class_="hidden"),
            tag("span", key, class_="key"),
            tag("span", value),
            tag("span", "\u00d7", aria_hidden="true", class_="remove"),
            href=query.widened(key, value),
            class_="chip active",
        )
        for key, value in query.metadata
    ]
    return tag("div", links, class_="chips") if links else None


def _select(name: str, label: str, current: str, options: Iterable[tuple[str, str]]) -> Markup:
    listed = [tag("option", text, value=value, selected=value == current) for value, text in options]
    return tag("label", tag("span", label), tag("select", listed, name=name))


def _input(name: str, label: str, current: str, *, list_: str | None = None, type_: str = "text") -> Markup:
    field = tag("input", type=type_, name=name, value=current, list=list_, autocomplete="off")
    return tag("label", tag("span", label), field)


def _totals(totals: Totals) -> Markup | None:
    if not totals.calls:
        return None
    failed = f"{markup.count(totals.failed)} ({totals.failed / totals.calls:.0%})" if totals.failed else "0"
    pairs = (
        ("Calls" if totals.calls < WINDOW else "Newest calls", markup.count(totals.calls)),
        ("Failed", failed),
        ("From cache", f"{totals.cached / totals.calls:.0%}"),
        ("Tokens in / out", f"{markup.compact(totals.tokens_in)} / {markup.compact(totals.tokens_out)}"),
        ("Cost", markup.money(totals.cost)),
        ("Median latency", markup.duration(totals.median_duration)),
    )
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs], class_="totals")


def _chart_section(query: PageQuery, data: PageData) -> Markup | None:
    if not data.keys and not query.by:
        return None
    keys = data.keys if query.by in data.keys else [query.by, *data.keys]
    links = [
        tag("a", key, href=query.url(by=key), aria_current="true" if key == query.by else None, class_="tab")
        for key in keys
    ]
    more = len(data.groups) - MAX_VALUES
    return tag(
        "section",
        tag("h2", "Cost and latency by"),
        tag("nav", links, aria_label="Metadata key of the chart", class_="tabs"),
        charts(data.groups[:MAX_VALUES], query.by, query) if data.groups else tag("p", "No values.", class_="muted"),
        tag("p", f"{markup.count(more)} more, with less cost", class_="muted") if more > 0 else None,
        id="chart",
        aria_label=f"Cost and latency by {query.by}",
    )


def _empty(query: PageQuery) -> Markup:
    text = "No call passes these filters." if query.filtered else "No calls yet. They appear here as they are made."
    return tag("p", text, class_="empty")


def _older(query: PageQuery, entries: Sequence[LogEntry]) -> Markup | None:
    if len(entries) < PAGE_SIZE:
        return None
    return tag("a", "Older calls", href=query.url(before=entries[-1]["number"]), class_="button", rel="next")
