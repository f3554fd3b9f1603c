"""The page of one log entry: what was sent, what came back, as a conversation where it can be read, and the facts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cfaig_integrations.simulator.dialects import DIALECTS
from cfaig_integrations.simulator.gateway.log_store import LogEntry
from cfaig_integrations.simulator.gateway.target import read_chat_body
from cfaig_integrations.simulator.json_types import Record, as_record, is_list, is_record, records
from cfaig_integrations.simulator.page import markup
from cfaig_integrations.simulator.page.log_page import ENTRY_PATH, metadata_links, status_badge
from cfaig_integrations.simulator.page.markup import Child, Markup, document, tag
from cfaig_integrations.simulator.page.query import PageQuery
from cfaig_integrations.simulator.types import Message

_Kind = Literal["text", "reasoning", "tool call"]
_TEXTS: dict[str, _Kind] = {
    "reasoning_content": "reasoning", "thinking": "reasoning", "content": "text", "text": "text", "refusal": "text",
    "response": "text", "partial_json": "tool call",
}  # fmt: skip
_CALLS = ("tool_use", "server_tool_use", "function_call", "custom_tool_call")
_PARTS = ("result", "choices", "message", "delta", "content_block", "summary", *_TEXTS, "output", "tool_calls")
"""The fields that hold an answer in the bodies and events of all formats, in the order in which they are shown."""


@dataclass(slots=True)
class Piece:
    """A part of an answer."""

    kind: _Kind
    text: str


def read_answer(body: str, content_type: str) -> list[Piece]:
    """The parts of an answer, in order; none for an error, and for what is no chat."""
    pieces: list[Piece] = []
    is_stream = content_type.startswith("text/event-stream")
    for text in [line[5:] for line in body.split("\n") if line.startswith("data:")] if is_stream else [body]:
        try:
            _read(as_record(json.loads(text)), pieces)
        except (ValueError, RecursionError):
            continue
    return [piece for piece in pieces if piece.text.strip()]


def _read(record: Record, pieces: list[Piece], kind: _Kind = "text") -> None:
    name = str(record.get("type"))
    if name in _CALLS:
        _add_call(record, pieces)
    elif name.startswith("response.") and name not in ("response.completed", "response.incomplete"):
        return  # the last event repeats everything
    else:
        for key in _PARTS:
            value = record.get(key)
            if isinstance(value, str) and key in _TEXTS:
                _add(pieces, kind if key == "text" else _TEXTS[key], value)
            elif key == "tool_calls":
                for call in records(value):
                    _add_call(call, pieces)
            else:
                inner = records(value if is_list(value) else [value])
                for each in inner[:1] if key == "choices" else inner:
                    _read(each, pieces, "reasoning" if key == "summary" else kind)


def _add(pieces: list[Piece], kind: _Kind, text: str, *, new: bool = False) -> None:
    """Add text to the last piece, or begin a new one."""
    if pieces and pieces[-1].kind == kind and not new:
        pieces[-1].text += text
    else:
        pieces.append(Piece(kind, text))


def _add_call(call: Record, pieces: list[Piece]) -> None:
    function: Record = next((call[key] for key in ("function", "custom") if is_record(call.get(key))), call)
    arguments = function.get("arguments") or function.get("input") or ""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    name = function.get("name")
    _add(pieces, "tool call", f"{name} {text}" if name else text, new=bool(name))


MAX_BODY = 1_000_000  # characters; longer bodies are shown as they are only
_MAX_TEXT = 20_000


def request_messages(entry: LogEntry) -> Markup | None:
    """The messages of the request; None where they cannot be read."""
    text, api = entry.get("request") or "", entry["request_type"]
    if api not in DIALECTS or len(text) > MAX_BODY:
        return None
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not is_record(body):
        return None
    request = read_chat_body(api, body, entry["path"].partition("run/")[2] or None)
    items = [item for message in request.messages for item in _items(message)]
    if request.tools:
        items.append(_item("tools", ", ".join(tool.name for tool in request.tools)))
    return tag("ol", items, class_="messages") if items else None


def answer_messages(entry: LogEntry) -> Markup | None:
    """What the model said; None where that cannot be read."""
    text = entry.get("response") or ""
    if len(text) > 5 * MAX_BODY:
        return None
    items = [_item(piece.kind, piece.text) for piece in read_answer(text, entry["response_content_type"])]
    return tag("ol", items, class_="messages") if items else None


def _items(message: Message) -> list[Markup]:
    texts: list[tuple[str, str]] = [(message.role, message.text)] if message.text else []
    texts += [(message.role, f"[{kind}]") for kind in message.media]
    texts += [
        ("tool call", f"{call.name} {call.text if call.custom else call.raw or json.dumps(call.arguments)}")
        for call in message.calls
    ]
    texts += [("failed tool" if result.failed else "tool result", result.text) for result in message.results]
    return [_item(role, text) for role, text in texts]


def _item(role: str, text: str) -> Markup:
    shown: Child = text
    if len(text) > _MAX_TEXT:
        shown = [text[:_MAX_TEXT], tag("span", f" ... and {len(text) - _MAX_TEXT:,} more characters", class_="muted")]
    return tag("li", tag("span", role, class_="role"), tag("div", shown, class_="text"))


MAX_SHOWN = 200_000  # characters of a body that the page shows; the rest is behind a link


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
    moment = tag("time", markup.local_time(entry["created_at"]), datetime=entry["created_at"])
    tokens = f"{markup.count(entry['tokens_in'])} in, {markup.count(entry['tokens_out'])} out"
    wire = markup.wire_of(entry["request_type"]) + (", streamed" if entry["streamed"] else "")
    facts: list[tuple[str, Child]] = [
        ("Time", moment),
        ("Framework", markup.framework_of(entry.get("user_agent")) or "unknown"),
        ("Wire", wire),
        ("Latency", markup.duration(entry["duration"])),
        ("Tokens", tokens),
        ("Cost", markup.money(entry["cost"])),
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
    rows = [(name.lower().replace(" ", "-"), tag("dt", name), tag("dd", value)) for name, value in facts]
    pairs = [tag("div", term, value, class_=slug) for slug, term, value in rows]
    return tag("dl", pairs, class_="facts")


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
        note = tag("p", f"The first {markup.count(MAX_SHOWN)} of {markup.count(len(text))} characters.", class_="muted")
    return Markup(tag("pre", text[:MAX_SHOWN], tabindex=0, role="region", aria_label=label) + (note or ""))


def _pretty(body: str) -> str:
    """JSON with indentation; anything else, and JSON that is long, as it is."""
    if len(body) > 5 * MAX_SHOWN:
        return body
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body
