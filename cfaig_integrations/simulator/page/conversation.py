"""A chat request and its answer as a conversation that can be read."""

from __future__ import annotations

import json

from cfaig_integrations.simulator.dialects import DIALECTS
from cfaig_integrations.simulator.gateway.chat_body import read_chat_body
from cfaig_integrations.simulator.gateway.log_store import LogEntry
from cfaig_integrations.simulator.json_types import is_record
from cfaig_integrations.simulator.page.answers import read_answer
from cfaig_integrations.simulator.page.markup import Child, Markup, tag
from cfaig_integrations.simulator.types import Message

MAX_BODY = 1_000_000
"""Characters; longer bodies are shown as they are only."""
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
