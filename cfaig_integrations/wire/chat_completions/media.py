"""User content to parts of a message."""

from __future__ import annotations

from cfaig_integrations.core.content import JsonDict, Media, Opaque, Part, Reasoning, Text, ToolCall, Turn, Wire
from cfaig_integrations.wire.codec import Quirks

WIRE: Wire = "chat_completions"

# The API knows audio by format, not by media type (official SDK: `InputAudio.format`); other servers know more.
_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-m4a": "m4a", "mp4": "m4a"}
_MARKS = frozenset({"detail", "image"})
"""Extras of a medium that are not further keys of its part."""

# The API takes its answers' annotations back (recorded), although its request type has no such key.
_OPENAI_KEYS = frozenset({"annotations", "id", "legacy"})
"""Extras that are OpenAI's: of a message, of speech, and of a call from before there were tools."""


def sendable_extras(source: Turn | Text | Reasoning | ToolCall | Media, quirks: Quirks) -> JsonDict:
    """The extras of an assistant's turn or part that the model takes."""
    if quirks.closed_history or not source.extras:
        return {}
    extras = source.extras.get(WIRE, {})
    return {key: extras[key] for key in extras if key in _OPENAI_KEYS or not quirks.openai_history}


def content_of(parts: tuple[Part, ...]) -> str | list[JsonDict]:
    """Content of a message: a string if there is only text, because older models know no lists (facts §9.2)."""
    if len(parts) == 1 and type(only := parts[0]) is Text and not only.extras:
        return only.text
    texts = [part.text for part in parts if type(part) is Text and WIRE not in part.extras]
    if len(texts) == len(parts):
        # A server that joins the parts of a list does so without a separator, too.
        return "\n".join(filter(None, texts))
    return [block for part in parts if (block := part_block(part)) is not None]


def part_block(part: Part) -> JsonDict | None:
    """One part as an entry of a content list; None if it is another format's, which may be left out."""
    match part:
        case Text():
            return {"type": "text", "text": part.text, **part.extras.get(WIRE, {})}
        case Media():
            block = _media_block(part)
            block.update({key: value for key, value in part.extras.get(WIRE, {}).items() if key not in _MARKS})
            return block
        case Opaque(wire, raw) if wire == WIRE:
            return dict(raw)
        case _:
            return None


def _media_block(media: Media) -> JsonDict:
    match media.kind:
        case "image":
            image: JsonDict = {"url": media.url or data_url(media)}
            detail = media.extras.get(WIRE, {}).get("detail")
            return {"type": "image_url", "image_url": image if detail is None else {**image, "detail": detail}}
        case "audio":
            kind = media.mime.removeprefix("audio/").partition(";")[0]
            return {
                "type": "input_audio",
                "input_audio": {"data": media.data, "format": _AUDIO_FORMATS.get(kind, kind)},
            }
        case _ if media.file_id:
            return {"type": "file", "file": {"file_id": media.file_id}}
        case _:
            # With file_data the API demands a name (official docs, file inputs).
            name = media.name or "document." + media.mime.rpartition("/")[2].rpartition("+")[2]
            return {"type": "file", "file": {"file_data": data_url(media), "filename": name}}


def data_url(media: Media) -> str:
    """The bytes of a medium as a `data:` URL."""
    return f"data:{media.mime};base64,{media.data}"
