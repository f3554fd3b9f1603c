"""Reads the `content` of one chat message.

Knows neither the order of messages nor tool calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cfaig_integrations.simulator.dialects import attachments
from cfaig_integrations.simulator.dialects.validation import At, Reader, Record

_SOUNDS = ("wav", "mp3")
_DETAILS = ("auto", "low", "high", "original")
_CACHED = ("cache_control", "prompt_cache_breakpoint")

_ALLOWED = {
    "system": ("text",),
    "developer": ("text",),
    "tool": ("text",),
    "assistant": ("text", "refusal"),
    "user": ("text", "image_url", "input_audio", "file", "video_url"),
}


def content(reader: Reader, value: Any, role: str, at: At) -> tuple[str, list[str]]:
    """The text of a message, and the kinds of its attachments."""
    if isinstance(value, str):
        return value, []
    if not isinstance(value, list):
        reader.mistyped(at, "one of a string or array of objects", value)
    texts: list[str] = []
    kinds: list[str] = []
    for i, part in enumerate(reader.array(value, at)):
        record = reader.record(part, (*at, i))
        kind = reader.among(reader.need(record, "type", (*at, i)), (*at, i, "type"), _ALLOWED[role])
        text, seen = _PARTS[kind](reader, record, (*at, i))
        texts += [text] if text else []
        kinds += [seen] if seen else []
    if not value:
        reader.fail(f"Invalid '{reader.place(at)}': empty array. Expected an array with minimum length 1.", at)
    return "\n".join(texts), kinds


def _text(reader: Reader, part: Record, at: At) -> tuple[str, str]:
    reader.only(part, ("type", "text", *_CACHED), at)
    return reader.text(reader.need(part, "text", at), (*at, "text")), ""


def _refusal(reader: Reader, part: Record, at: At) -> tuple[str, str]:
    reader.only(part, ("type", "refusal"), at)
    return reader.named(part, "refusal", at), ""


def _image(reader: Reader, part: Record, at: At) -> tuple[str, str]:
    reader.only(part, ("type", "image_url", *_CACHED), at)
    where = (*at, "image_url")
    image = reader.record(reader.need(part, "image_url", at), where)
    reader.only(image, ("url", "detail"), where)
    attachments.url(reader, reader.named(image, "url", where), (*where, "url"), ("image/",))
    if image.get("detail") is not None:
        reader.among(image["detail"], (*where, "detail"), _DETAILS)
    return "", "image"


def _video(reader: Reader, part: Record, at: At) -> tuple[str, str]:
    where = (*at, "video_url")
    attachments.url(reader, reader.named(reader.record(part.get("video_url"), where), "url", where), (*where, "url"))
    return "", "video"


def _audio(reader: Reader, part: Record, at: At) -> tuple[str, str]:
    reader.only(part, ("type", "input_audio", *_CACHED), at)
    where = (*at, "input_audio")
    audio = reader.record(reader.need(part, "input_audio", at), where)
    attachments.encoded(reader, reader.named(audio, "data", where), (*where, "data"))
    reader.among(reader.need(audio, "format", where), (*where, "format"), _SOUNDS)
    return "", "audio"


def _file(reader: Reader, part: Record, at: At) -> tuple[str, str]:
    reader.only(part, ("type", "file", *_CACHED), at)
    where = (*at, "file")
    file = reader.record(reader.need(part, "file", at), where)
    reader.only(file, ("file_data", "file_id", "filename"), where)
    if file.get("file_id") is None:
        attachments.url(reader, reader.named(file, "file_data", where), (*where, "file_data"))
        reader.named(file, "filename", where)
    return "", "file"


_PARTS: dict[str, Callable[[Reader, Record, At], tuple[str, str]]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "video_url": _video,
    "input_audio": _audio,
    "file": _file,
}
