"""Reads the `content` of one Responses message, or the `output` of a call.

Knows no order of items.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from cfaig_integrations.simulator.dialects import attachments
from cfaig_integrations.simulator.dialects.validation import At, Reader, Record

GIVEN = ("input_text", "input_image", "input_file", "input_audio")
RETURNED = ("input_text", "input_image", "input_file")
MADE = ("output_text", "refusal")


def content(reader: Reader, value: Any, allowed: Collection[str], at: At) -> tuple[str, list[str]]:
    """The text of a string or list of parts, and the kinds of its attachments."""
    if isinstance(value, str):
        return value, []
    if not isinstance(value, list):
        reader.mistyped(at, "one of an array of objects or string", value)
    texts: list[str] = []
    kinds: list[str] = []
    for i, part in enumerate(reader.array(value, at)):
        where = (*at, i)
        record = reader.record(part, where)
        kind = reader.among(reader.need(record, "type", where), (*where, "type"), allowed)
        if kind in ("input_text", "output_text", "refusal"):
            texts.append(_words(reader, record, kind, where))
        else:
            _attachment(reader, record, kind, where)
            kinds.append(kind.removeprefix("input_"))
    return "\n".join(t for t in texts if t), kinds


def _words(reader: Reader, part: Record, kind: str, at: At) -> str:
    key = "refusal" if kind == "refusal" else "text"
    extra = ("annotations", "logprobs") if kind == "output_text" else ("prompt_cache_breakpoint",)
    reader.only(part, ("type", key, *extra), at)
    return reader.text(reader.need(part, key, at), (*at, key))


def _attachment(reader: Reader, part: Record, kind: str, at: At) -> None:
    if kind == "input_image":
        reader.only(part, ("type", "detail", "file_id", "image_url", "prompt_cache_breakpoint"), at)
        if part.get("file_id") is None:
            attachments.url(reader, reader.named(part, "image_url", at), (*at, "image_url"), ("image/",))
    elif kind == "input_audio":
        where = (*at, "input_audio")
        audio = reader.record(reader.need(part, "input_audio", at), where)
        attachments.encoded(reader, reader.named(audio, "data", where), (*where, "data"))
    else:
        keys = ("type", "detail", "file_id", "file_data", "file_url", "filename", "prompt_cache_breakpoint")
        reader.only(part, keys, at)
        _file(reader, part, at)


def _file(reader: Reader, part: Record, at: At) -> None:
    given = [k for k in ("file_id", "file_data", "file_url") if part.get(k) is not None]
    if not given:
        reader.missing((*at, "file_id"))
    if "file_data" in given:
        attachments.url(reader, reader.named(part, "file_data", at), (*at, "file_data"))
        reader.named(part, "filename", at)
    if "file_url" in given:
        attachments.url(reader, reader.named(part, "file_url", at), (*at, "file_url"))
