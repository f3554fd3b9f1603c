"""Reads the `content` of one Responses message, or the `output` of a call."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from cfaig_integrations.simulator.dialects import attachments
from cfaig_integrations.simulator.dialects.validation import JsonPath, Record, Validator

GIVEN = ("input_text", "input_image", "input_file", "input_audio")
RETURNED = ("input_text", "input_image", "input_file")
MADE = ("output_text", "refusal")


def content(validator: Validator, value: Any, allowed: Collection[str], path: JsonPath) -> tuple[str, list[str]]:
    """The text of a string or list of parts, and the kinds of its attachments."""
    if isinstance(value, str):
        return value, []
    if not isinstance(value, list):
        validator.wrong_type(path, "one of an array of objects or string", value)
    texts: list[str] = []
    kinds: list[str] = []
    for i, part in enumerate(validator.array(value, path)):
        where = (*path, i)
        record = validator.record(part, where)
        kind = validator.one_of(validator.required(record, "type", where), (*where, "type"), allowed)
        if kind in ("input_text", "output_text", "refusal"):
            texts.append(_words(validator, record, kind, where))
        else:
            _attachment(validator, record, kind, where)
            kinds.append(kind.removeprefix("input_"))
    return "\n".join(t for t in texts if t), kinds


def _words(validator: Validator, part: Record, kind: str, path: JsonPath) -> str:
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
        where = (*path, "input_audio")
        audio = validator.record(validator.required(part, "input_audio", path), where)
        attachments.encoded(validator, validator.required_text(audio, "data", where), (*where, "data"))
    else:
        keys = ("type", "detail", "file_id", "file_data", "file_url", "filename", "prompt_cache_breakpoint")
        validator.only_fields(part, keys, path)
        _file(validator, part, path)


def _file(validator: Validator, part: Record, path: JsonPath) -> None:
    given = [k for k in ("file_id", "file_data", "file_url") if part.get(k) is not None]
    if not given:
        validator.missing_field((*path, "file_id"))
    if "file_data" in given:
        attachments.url(validator, validator.required_text(part, "file_data", path), (*path, "file_data"))
        validator.required_text(part, "filename", path)
    if "file_url" in given:
        attachments.url(validator, validator.required_text(part, "file_url", path), (*path, "file_url"))
