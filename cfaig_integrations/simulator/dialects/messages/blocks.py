"""Reads one content block of a message."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from cfaig_integrations.simulator.dialects import attachments, schemas
from cfaig_integrations.simulator.dialects.validation import JsonPath, Record, Validator
from cfaig_integrations.simulator.json_types import is_list
from cfaig_integrations.simulator.types import Call, ToolResult

SERVER = (
    "advisor_tool_result", "bash_code_execution_tool_result", "code_execution_tool_result", "compaction",
    "container_upload", "mcp_tool_result", "mcp_tool_use", "server_tool_use",
    "text_editor_code_execution_tool_result", "tool_search_tool_result", "web_fetch_tool_result",
    "web_search_tool_result",
)  # fmt: skip
"""Blocks of server tools, which are not checked."""
_USER = ("text", "image", "document", "search_result", "tool_result", "container_upload")
_ASSISTANT = ("text", "thinking", "redacted_thinking", "tool_use", *SERVER)
_IN_RESULT = ("text", "image", "document", "search_result", "tool_reference")
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_ID = re.compile(r"[a-zA-Z0-9_-]+")


@dataclass(slots=True)
class Turn:
    """The content of one message."""

    role: str = "user"
    texts: list[str] = field(default_factory=list[str])
    calls: list[Call] = field(default_factory=list[Call])
    results: list[ToolResult] = field(default_factory=list[ToolResult])
    media: list[str] = field(default_factory=list[str])
    kinds: list[str] = field(default_factory=list[str])
    """The type of every block, in order."""


def read(validator: Validator, block: Record, role: str, path: JsonPath, turn: Turn) -> None:
    """Check one block and add its content to the turn."""
    allowed = _USER if role == "user" else _ASSISTANT
    kind = validator.one_of(validator.required(block, "type", path), (*path, "type"), allowed)
    _READERS.get(kind, _opaque)(validator, block, (*path, kind), turn)
    turn.kinds.append(kind)


def text(validator: Validator, value: str, path: JsonPath, role: str) -> str:
    """Non-empty text; of users, text that is not only whitespace."""
    if not value:
        validator.fail("messages: text content blocks must be non-empty", path)
    if role == "user" and not value.strip():
        validator.fail("messages: text content blocks must contain non-whitespace text", path)
    return value


def _opaque(validator: Validator, block: Record, path: JsonPath, turn: Turn) -> None:
    validator.text(block["type"], path)


def _text(validator: Validator, block: Record, path: JsonPath, turn: Turn) -> None:
    validator.only_fields(block, ("type", "text", "citations", "cache_control"), path)
    _check_cache_control(validator, block, path)
    turn.texts.append(
        text(validator, validator.text(validator.required(block, "text", path), (*path, "text")), path, turn.role)
    )


def _check_cache_control(validator: Validator, block: Record, path: JsonPath) -> None:
    cache_control = block.get("cache_control")
    if cache_control is not None:
        record = validator.record(cache_control, (*path, "cache_control"))
        validator.one_of(record.get("type"), (*path, "cache_control", "type"), ("ephemeral",))


def _source(
    validator: Validator, block: Record, path: JsonPath, kinds: tuple[str, ...], mimes: tuple[str, ...]
) -> None:
    inner_path = (*path, "source")
    source = validator.record(validator.required(block, "source", path), inner_path)
    kind = validator.one_of(validator.required(source, "type", inner_path), (*inner_path, "type"), kinds)
    if kind == "base64":
        validator.one_of(validator.required(source, "media_type", inner_path), (*inner_path, "media_type"), mimes)
        attachments.encoded(validator, validator.required_text(source, "data", inner_path), (*inner_path, "data"))
    elif kind == "text":
        validator.one_of(
            validator.required(source, "media_type", inner_path), (*inner_path, "media_type"), ("text/plain",)
        )
        validator.required_text(source, "data", inner_path)
    elif kind == "url":
        attachments.url(validator, validator.required_text(source, "url", inner_path), (*inner_path, "url"))
    else:
        validator.required(source, "file_id" if kind == "file" else "content", inner_path)


def _image(validator: Validator, block: Record, path: JsonPath, turn: Turn) -> None:
    validator.only_fields(block, ("type", "source", "cache_control"), path)
    _source(validator, block, path, ("base64", "url", "file"), _IMAGES)
    turn.media.append("image")


def _document(validator: Validator, block: Record, path: JsonPath, turn: Turn) -> None:
    validator.only_fields(block, ("type", "source", "cache_control", "citations", "context", "title"), path)
    _source(validator, block, path, ("base64", "text", "content", "url", "file"), ("application/pdf",))
    source = block["source"]
    if source["type"] == "text":
        turn.texts.append(source["data"])
    turn.media.append("file")


def _search_result(validator: Validator, block: Record, path: JsonPath, turn: Turn) -> None:
    validator.required_text(block, "source", path)
    validator.required_text(block, "title", path)
    for i, part in enumerate(validator.array(validator.required(block, "content", path), (*path, "content"))):
        inner_path = (*path, "content", i)
        turn.texts.append(validator.required_text(validator.record(part, inner_path), "text", inner_path))


def _identity(validator: Validator, block: Record, key: str, path: JsonPath) -> str:
    value = validator.required_text(block, key, path)
    if not _ID.fullmatch(value):
        validator.fail(
            f"{validator.format_path((*path, key))}: String should match pattern '^[a-zA-Z0-9_-]+$'", (*path, key)
        )
    return value


def _tool_use(validator: Validator, block: Record, path: JsonPath, turn: Turn) -> None:
    validator.only_fields(block, ("type", "id", "name", "input", "cache_control", "caller"), path)
    identity = _identity(validator, block, "id", path)
    name = schemas.tool_name(validator, block, path)
    if "input" not in block:
        validator.missing_field((*path, "input"))
    turn.calls.append(Call(identity, name, validator.record(block["input"], (*path, "input"))))


def _tool_result(validator: Validator, block: Record, path: JsonPath, turn: Turn) -> None:
    validator.only_fields(block, ("type", "tool_use_id", "content", "is_error", "cache_control"), path)
    _check_cache_control(validator, block, path)
    identity = _identity(validator, block, "tool_use_id", path)
    inner = Turn()
    content = block.get("content")
    if is_list(content):
        for i, part in enumerate(content):
            inner_path = (*path, "content", i)
            record = validator.record(part, inner_path)
            kind = validator.one_of(validator.required(record, "type", inner_path), (*inner_path, "type"), _IN_RESULT)
            _READERS.get(kind, _opaque)(validator, record, (*inner_path, kind), inner)
    elif content is not None:
        inner.texts.append(validator.text(content, (*path, "content")))
    turn.results.append(ToolResult(identity, "\n".join(inner.texts), validator.boolean(block, "is_error")))
    turn.media += inner.media


def _thinking(validator: Validator, block: Record, path: JsonPath, turn: Turn) -> None:
    validator.only_fields(block, ("type", "thinking", "signature"), path)
    if "thinking" not in block:
        validator.missing_field((*path, "thinking"))
    validator.text(block["thinking"], (*path, "thinking"))
    signature = validator.text(validator.required(block, "signature", path), (*path, "signature"))
    if not signature:
        validator.fail(
            f"{validator.format_path(path[:-1])}: Invalid `signature` in `thinking` block", (*path, "signature")
        )


def _redacted(validator: Validator, block: Record, path: JsonPath, turn: Turn) -> None:
    validator.only_fields(block, ("type", "data"), path)
    validator.required_text(block, "data", path)


_READERS: dict[str, Callable[[Validator, Record, JsonPath, Turn], None]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}


def count_cache_controls(body: Record) -> int:
    """How many blocks carry `cache_control`."""
    return json.dumps([body.get("messages"), body.get("tools")]).count('"cache_control": {')
