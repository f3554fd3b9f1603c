"""Reads the `content` of one message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cfaig_integrations.simulator.dialects import attachments
from cfaig_integrations.simulator.dialects.validation import JsonPath, Record, Validator

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


def content(validator: Validator, value: Any, role: str, path: JsonPath) -> tuple[str, list[str]]:
    """The text of a message, and the kinds of its attachments."""
    if isinstance(value, str):
        return value, []
    if not isinstance(value, list):
        validator.wrong_type(path, "one of a string or array of objects", value)
    texts: list[str] = []
    kinds: list[str] = []
    for i, part in enumerate(validator.array(value, path)):
        record = validator.record(part, (*path, i))
        kind = validator.one_of(validator.required(record, "type", (*path, i)), (*path, i, "type"), _ALLOWED[role])
        text, attachment = _PARTS[kind](validator, record, (*path, i))
        texts += [text] if text else []
        kinds += [attachment] if attachment else []
    if not value:
        validator.fail(
            f"Invalid '{validator.format_path(path)}': empty array. Expected an array with minimum length 1.", path
        )
    return "\n".join(texts), kinds


def _text(validator: Validator, part: Record, path: JsonPath) -> tuple[str, str]:
    validator.only_fields(part, ("type", "text", *_CACHED), path)
    return validator.text(validator.required(part, "text", path), (*path, "text")), ""


def _refusal(validator: Validator, part: Record, path: JsonPath) -> tuple[str, str]:
    validator.only_fields(part, ("type", "refusal"), path)
    return validator.required_text(part, "refusal", path), ""


def _image(validator: Validator, part: Record, path: JsonPath) -> tuple[str, str]:
    validator.only_fields(part, ("type", "image_url", *_CACHED), path)
    inner_path = (*path, "image_url")
    image = validator.record(validator.required(part, "image_url", path), inner_path)
    validator.only_fields(image, ("url", "detail"), inner_path)
    attachments.url(validator, validator.required_text(image, "url", inner_path), (*inner_path, "url"), ("image/",))
    if image.get("detail") is not None:
        validator.one_of(image["detail"], (*inner_path, "detail"), _DETAILS)
    return "", "image"


def _video(validator: Validator, part: Record, path: JsonPath) -> tuple[str, str]:
    inner_path = (*path, "video_url")
    attachments.url(
        validator,
        validator.required_text(validator.record(part.get("video_url"), inner_path), "url", inner_path),
        (*inner_path, "url"),
    )
    return "", "video"


def _audio(validator: Validator, part: Record, path: JsonPath) -> tuple[str, str]:
    validator.only_fields(part, ("type", "input_audio", *_CACHED), path)
    inner_path = (*path, "input_audio")
    audio = validator.record(validator.required(part, "input_audio", path), inner_path)
    attachments.encoded(validator, validator.required_text(audio, "data", inner_path), (*inner_path, "data"))
    validator.one_of(validator.required(audio, "format", inner_path), (*inner_path, "format"), _SOUNDS)
    return "", "audio"


def _file(validator: Validator, part: Record, path: JsonPath) -> tuple[str, str]:
    validator.only_fields(part, ("type", "file", *_CACHED), path)
    inner_path = (*path, "file")
    file = validator.record(validator.required(part, "file", path), inner_path)
    validator.only_fields(file, ("file_data", "file_id", "filename"), inner_path)
    if file.get("file_id") is None:
        attachments.url(validator, validator.required_text(file, "file_data", inner_path), (*inner_path, "file_data"))
        validator.required_text(file, "filename", inner_path)
    return "", "file"


_PARTS: dict[str, Callable[[Validator, Record, JsonPath], tuple[str, str]]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "video_url": _video,
    "input_audio": _audio,
    "file": _file,
}
