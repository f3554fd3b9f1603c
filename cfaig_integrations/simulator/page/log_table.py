"""The table of log entries."""

from __future__ import annotations

from collections.abc import Sequence

from cfaig_integrations.simulator.gateway.log_store import LogEntry
from cfaig_integrations.simulator.page import formats
from cfaig_integrations.simulator.page.markup import Markup, tag
from cfaig_integrations.simulator.page.overview import metadata_text
from cfaig_integrations.simulator.page.query import PageQuery

ENTRY_PATH = "/_simulator/logs"
_COLUMNS = (
    ("status", "Status"),
    ("time", "Time"),
    ("model", "Model"),
    ("framework", "Framework"),
    ("wire", "Wire"),
    ("metadata", "Metadata"),
    ("tokens number", "Tokens in / out"),
    ("cost number", "Cost"),
    ("cache", "Cache"),
    ("latency number", "Latency"),
)
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
    moment = formats.local_time(entry["created_at"])
    cells = (
        status_badge(entry),
        tag("time", moment, datetime=entry["created_at"], title=entry["created_at"]),
        tag("a", entry["model"] or "(unknown model)", href=f"{ENTRY_PATH}/{entry['id']}"),
        formats.framework_of(entry.get("user_agent")),
        [formats.wire_of(entry["request_type"]), tag("span", " stream", class_="muted") if entry["streamed"] else None],
        metadata_links(entry, query),
        f"{formats.count(entry['tokens_in'])} / {formats.count(entry['tokens_out'])}",
        formats.money(entry["cost"]),
        tag("span", "HIT", class_="badge cached") if entry["cached"] else tag("span", "miss", class_="muted"),
        formats.duration(entry["duration"]),
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
        text = metadata_text(value)
        links.append(
            tag(
                "a",
                tag("span", key, class_="key"),
                tag("span", formats.shorten(text, _LONGEST_VALUE)),
                href=query.narrowed(key, text),
                class_="chip",
                title=f"Show only {key} = {text}",
            )
        )
    return tag("div", links, class_="chips")
