"""The page of one log entry: what was sent, what came back, and what is known about the call."""

from __future__ import annotations

import json
from collections.abc import Mapping

from cfaig_integrations.simulator.gateway.log_store import LogEntry
from cfaig_integrations.simulator.page import formats
from cfaig_integrations.simulator.page.conversation import answer_messages, request_messages
from cfaig_integrations.simulator.page.layout import document
from cfaig_integrations.simulator.page.log_table import ENTRY_PATH, metadata_links, status_badge
from cfaig_integrations.simulator.page.markup import Child, Markup, tag
from cfaig_integrations.simulator.page.query import PageQuery

MAX_SHOWN = 200_000
"""Characters of a body that the page shows; the rest is behind a link."""


def entry_page(entry: LogEntry) -> Markup:
    """The whole page."""
    return document(
        f"{entry['model']} {entry['status_code']}",
        tag(
            "section",
            tag("h1", status_badge(entry), " ", entry["model"] or "(unknown model)"),
            _facts(entry),
            aria_label="Call",
        ),
        tag(
            "div",
            _side("request", entry, entry["request_headers"], entry.get("request"), request_messages(entry)),
            _side("response", entry, entry["response_headers"], entry.get("response"), answer_messages(entry)),
            class_="sides",
        ),
        controls=tag("a", "All calls", href="/", class_="button"),
    )


def missing_page(log_id: str) -> Markup:
    """The page for an id that the log does not have."""
    text = tag("p", "The log has no entry ", tag("code", log_id), ". It may have been deleted.", class_="empty")
    return document("Not found", text, controls=tag("a", "All calls", href="/", class_="button"))


def _facts(entry: LogEntry) -> Markup:
    moment = tag("time", formats.local_time(entry["created_at"]), datetime=entry["created_at"])
    tokens = f"{formats.count(entry['tokens_in'])} in, {formats.count(entry['tokens_out'])} out"
    wire = formats.wire_of(entry["request_type"]) + (", streamed" if entry["streamed"] else "")
    facts: list[tuple[str, Child]] = [
        ("Time", moment),
        ("Framework", formats.framework_of(entry.get("user_agent")) or "unknown"),
        ("Wire", wire),
        ("Latency", formats.duration(entry["duration"])),
        ("Tokens", tokens),
        ("Cost", formats.money(entry["cost"])),
        ("Cache", "hit" if entry["cached"] else "miss"),
        ("Provider", entry["provider"]),
        ("Gateway", entry["gateway"]),
        ("Path", tag("code", entry["path"])),
        ("Log id", tag("code", entry["id"])),
        ("Client", tag("code", entry.get("user_agent") or "unknown")),
    ]
    if entry["metadata"]:
        facts.append(("Metadata", metadata_links(entry, PageQuery())))
    if entry["feedback"] is not None or entry["score"] is not None:
        facts.append(("Feedback", f"{entry['feedback'] or 'none'}, score {entry['score'] or 'none'}"))
    pairs = [tag("div", tag("dt", name), tag("dd", value), class_=_slug(name)) for name, value in facts]
    return tag("dl", pairs, class_="facts")


def _slug(name: str) -> str:
    return name.lower().replace(" ", "-")


def _side(
    name: str, entry: LogEntry, headers: Mapping[str, str], body: str | None, conversation: Markup | None
) -> Markup:
    """The request or the response: as a conversation where there is one, then headers and body."""
    whole = tag("a", "as text", href=f"{ENTRY_PATH}/{entry['id']}/{name}", class_="muted") if body else None
    return tag(
        "section",
        tag("h2", name.capitalize(), " ", whole),
        conversation,
        tag("details", tag("summary", f"Headers ({len(headers)})"), _headers(headers)) if headers else None,
        tag("details", tag("summary", "Body"), _body(f"Body of the {name}", body), open=conversation is None),
        aria_label=name.capitalize(),
    )


def _headers(headers: Mapping[str, str]) -> Markup:
    rows = [tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in sorted(headers.items())]
    return tag("table", rows, class_="headers")


def _body(label: str, body: str | None) -> Markup:
    if not body:
        return tag("p", "Not logged." if body is None else "Empty.", class_="muted")
    text = _pretty(body)
    note = None
    if len(text) > MAX_SHOWN:
        note = tag(
            "p", f"The first {formats.count(MAX_SHOWN)} of {formats.count(len(text))} characters.", class_="muted"
        )
    return Markup(tag("pre", text[:MAX_SHOWN], tabindex=0, role="region", aria_label=label) + (note or ""))


def _pretty(body: str) -> str:
    """JSON with indentation; anything else, and JSON that is long, as it is."""
    if len(body) > 5 * MAX_SHOWN:
        return body
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body
