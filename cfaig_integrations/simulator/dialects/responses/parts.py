"""Reads the `content` of one Responses message, or the `output` of a call."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from cfaig_integrations.simulator.dialects import attachments
from cfaig_integrations.simulator.dialects.validation import JsonPath, Record, Validator

INPUT_PARTS = ("input_text", "input_image", "input_file", "input_audio")
OUTPUT_PARTS = ("input_text", "input_image", "input_file")
ASSISTANT_PARTS = ("output_text", "refusal")


def content(validator: Validator, value: Any, allowed: Collection[str], path: JsonPath) -> tuple[str, list[str]]:
    """The text of a string or list of parts, and the kinds of its attachments."""
    if isinstance(value, str):
        return value, []
    if not isinstance(value, list):
        validator.wrong_type(path, "one of an array of objects or string", value)
    texts: list[str] = []
    kinds: list[str] = []
    for i, part in enumerate(validator.array(value, path)):
        inner_path = (*path, i)
        record = validator.record(part, inner_path)
        kind = validator.one_of(validator.required(record, "type", inner_path), (*inner_path, "type"), allowed)
        if kind in ("input_text", "output_text", "refusal"):
            texts.append(_text_part(validator, record, kind, inner_path))
        else:
            _attachment(validator, record, kind, inner_path)
            kinds.append(kind.removeprefix("input_"))
    return "\n".join(t for t in texts if t), kinds


def _text_part(validator: Validator, part: Record, kind: str, path: JsonPath) -> str:
    key = "refusal" if kind == "refusal" else "text"
    extra = ("annotations", "logprobs") if kind == "output_text" else ("prompt_cache_breakpoint",)
    validator.only_fields(part, ("type", key, *extra), path)
    return validator.text(validator.required(part, key, path), (*path, key))


def _attachment(validator: Validator, part: Record, kind: str, path: JsonPath) -> None:
    if kind == "input_image":
        validator.only_fields(part, ("type", "detail", "file_id", "image_url", "prompt_cache_breakpoint"), path)
        if part.get("file_id") is None:
            attachments.url(
                validator, validator.required_text(part, "image_url", path), (*path, "image_url"), ("image/",)
            )
    elif kind == "input_audio":
        inner_path = (*path, "input_audio")
        audio = validator.record(validator.required(part, "input_audio", path), inner_path)
        attachments.encoded(validator, validator.required_text(audio, "data", inner_path), (*inner_path, "data"))
    else:
        keys = ("type", "detail", "file_id", "file_data", "file_url", "filename", "prompt_cache_breakpoint")
        validator.only_fields(part, keys, path)
        _file(validator, part, path)


def _file(validator: Validator, part: Record, path: JsonPath) -> None:
    sources = [k for k in ("file_id", "file_data", "file_url") if part.get(k) is not None]
    if not sources:
        validator.missing_field((*path, "file_id"))
    if "file_data" in sources:
        attachments.url(validator, validator.required_text(part, "file_data", path), (*path, "file_data"))
        validator.required_text(part, "filename", path)
    if "file_url" in sources:
        attachments.url(validator, validator.required_text(part, "file_url", path), (*path, "file_url"))
