"""Reads one content block of a message.

Knows no order of blocks or turns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from cfaig_integrations.simulator.dialects import attachments, schemas
from cfaig_integrations.simulator.dialects.validation import At, Reader, Record
from cfaig_integrations.simulator.json_types import is_list
from cfaig_integrations.simulator.types import Call, Result

SERVER = (
    "advisor_tool_result", "bash_code_execution_tool_result", "code_execution_tool_result", "compaction",
    "container_upload", "mcp_tool_result", "mcp_tool_use", "server_tool_use",
    "text_editor_code_execution_tool_result", "tool_search_tool_result", "web_fetch_tool_result",
    "web_search_tool_result",
)  # fmt: skip
"""Accepted and not looked into: what server tools left behind."""
_USER = ("text", "image", "document", "search_result", "tool_result", "container_upload")
_ASSISTANT = ("text", "thinking", "redacted_thinking", "tool_use", *SERVER)
_IN_RESULT = ("text", "image", "document", "search_result", "tool_reference")
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_ID = re.compile(r"[a-zA-Z0-9_-]+")


@dataclass(slots=True)
class Turn:
    """What the blocks of one turn hold."""

    role: str = "user"
    texts: list[str] = field(default_factory=list[str])
    calls: list[Call] = field(default_factory=list[Call])
    results: list[Result] = field(default_factory=list[Result])
    media: list[str] = field(default_factory=list[str])
    kinds: list[str] = field(default_factory=list[str])
    """The type of every block, in order."""


def read(reader: Reader, block: Record, role: str, at: At, turn: Turn) -> None:
    """Check one block and put what it holds into the turn."""
    allowed = _USER if role == "user" else _ASSISTANT
    kind = reader.among(reader.need(block, "type", at), (*at, "type"), allowed)
    _READERS.get(kind, _opaque)(reader, block, (*at, kind), turn)
    turn.kinds.append(kind)


def text(reader: Reader, value: str, at: At, role: str) -> str:
    """Text that is not empty; the user's not blank either, while a model may have written a blank line."""
    if not value:
        reader.fail("messages: text content blocks must be non-empty", at)
    if role == "user" and not value.strip():
        reader.fail("messages: text content blocks must contain non-whitespace text", at)
    return value


def _opaque(reader: Reader, block: Record, at: At, turn: Turn) -> None:
    reader.text(block["type"], at)


def _text(reader: Reader, block: Record, at: At, turn: Turn) -> None:
    reader.only(block, ("type", "text", "citations", "cache_control"), at)
    _cache_mark(reader, block, at)
    turn.texts.append(text(reader, reader.text(reader.need(block, "text", at), (*at, "text")), at, turn.role))


def _cache_mark(reader: Reader, block: Record, at: At) -> None:
    mark = block.get("cache_control")
    if mark is not None:
        record = reader.record(mark, (*at, "cache_control"))
        reader.among(record.get("type"), (*at, "cache_control", "type"), ("ephemeral",))


def _source(reader: Reader, block: Record, at: At, kinds: tuple[str, ...], mimes: tuple[str, ...]) -> None:
    where = (*at, "source")
    source = reader.record(reader.need(block, "source", at), where)
    kind = reader.among(reader.need(source, "type", where), (*where, "type"), kinds)
    if kind == "base64":
        reader.among(reader.need(source, "media_type", where), (*where, "media_type"), mimes)
        attachments.encoded(reader, reader.named(source, "data", where), (*where, "data"))
    elif kind == "text":
        reader.among(reader.need(source, "media_type", where), (*where, "media_type"), ("text/plain",))
        reader.named(source, "data", where)
    elif kind == "url":
        attachments.url(reader, reader.named(source, "url", where), (*where, "url"))
    else:
        reader.need(source, "file_id" if kind == "file" else "content", where)


def _image(reader: Reader, block: Record, at: At, turn: Turn) -> None:
    reader.only(block, ("type", "source", "cache_control"), at)
    _source(reader, block, at, ("base64", "url", "file"), _IMAGES)
    turn.media.append("image")


def _document(reader: Reader, block: Record, at: At, turn: Turn) -> None:
    reader.only(block, ("type", "source", "cache_control", "citations", "context", "title"), at)
    _source(reader, block, at, ("base64", "text", "content", "url", "file"), ("application/pdf",))
    source = block["source"]
    if source["type"] == "text":
        turn.texts.append(source["data"])
    turn.media.append("file")


def _search_result(reader: Reader, block: Record, at: At, turn: Turn) -> None:
    reader.named(block, "source", at)
    reader.named(block, "title", at)
    for i, part in enumerate(reader.array(reader.need(block, "content", at), (*at, "content"))):
        where = (*at, "content", i)
        turn.texts.append(reader.named(reader.record(part, where), "text", where))


def _identity(reader: Reader, block: Record, key: str, at: At) -> str:
    found = reader.named(block, key, at)
    if not _ID.fullmatch(found):
        reader.fail(f"{reader.place((*at, key))}: String should match pattern '^[a-zA-Z0-9_-]+$'", (*at, key))
    return found


def _tool_use(reader: Reader, block: Record, at: At, turn: Turn) -> None:
    reader.only(block, ("type", "id", "name", "input", "cache_control", "caller"), at)
    identity = _identity(reader, block, "id", at)
    name = schemas.tool_name(reader, block, at)
    if "input" not in block:
        reader.missing((*at, "input"))
    turn.calls.append(Call(identity, name, reader.record(block["input"], (*at, "input"))))


def _tool_result(reader: Reader, block: Record, at: At, turn: Turn) -> None:
    reader.only(block, ("type", "tool_use_id", "content", "is_error", "cache_control"), at)
    _cache_mark(reader, block, at)
    identity = _identity(reader, block, "tool_use_id", at)
    inner = Turn()
    content = block.get("content")
    if is_list(content):
        for i, part in enumerate(content):
            where = (*at, "content", i)
            record = reader.record(part, where)
            kind = reader.among(reader.need(record, "type", where), (*where, "type"), _IN_RESULT)
            _READERS.get(kind, _opaque)(reader, record, (*where, kind), inner)
    elif content is not None:
        inner.texts.append(reader.text(content, (*at, "content")))
    turn.results.append(Result(identity, "\n".join(inner.texts), reader.flag(block, "is_error")))
    turn.media += inner.media


def _thinking(reader: Reader, block: Record, at: At, turn: Turn) -> None:
    reader.only(block, ("type", "thinking", "signature"), at)
    if "thinking" not in block:
        reader.missing((*at, "thinking"))
    reader.text(block["thinking"], (*at, "thinking"))
    signature = reader.text(reader.need(block, "signature", at), (*at, "signature"))
    if not signature:
        reader.fail(f"{reader.place(at[:-1])}: Invalid `signature` in `thinking` block", (*at, "signature"))


def _redacted(reader: Reader, block: Record, at: At, turn: Turn) -> None:
    reader.only(block, ("type", "data"), at)
    reader.named(block, "data", at)


_READERS: dict[str, Callable[[Reader, Record, At, Turn], None]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}


def cache_marks(body: Record) -> int:
    """How many blocks carry `cache_control`."""
    return json.dumps([body.get("messages"), body.get("tools")]).count('"cache_control": {')
