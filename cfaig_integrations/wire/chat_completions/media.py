"""User content to parts of a message."""

from __future__ import annotations

from typing import Any, assert_never

from cfaig_integrations.core.content import Media, Opaque, Part, Text, Wire
from cfaig_integrations.errors import UnsupportedContent
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.common import require_droppable

WIRE: Wire = "chat_completions"

# The API knows audio by format, not by media type (official SDK: `InputAudio.format`); other servers know more.
_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-m4a": "m4a", "mp4": "m4a"}
_MARKS = frozenset({"detail", "image"})
"""Extras of a medium that are not further keys of its part."""


def content_of(parts: tuple[Part, ...], quirks: Quirks) -> str | list[dict[str, Any]]:
    """Content of a message: a string if there is only text, because older models know no lists (facts §9.2).

    Raises:
        UnsupportedContent: The wire cannot carry a part.
    """
    if all(type(part) is Text and WIRE not in part.extras for part in parts):
        # A server that joins the parts of a list does so without a separator, too.
        return "\n".join([part.text for part in parts if type(part) is Text and part.text])
    blocks = [part_block(part, quirks) for part in parts]
    return [block for block in blocks if block is not None]


def part_block(part: Part, quirks: Quirks) -> dict[str, Any] | None:
    """One part as an entry of a content list; None if it is another wire's and may be left out.

    Raises:
        UnsupportedContent: The wire cannot carry it.
    """
    match part:
        case Text():
            return {"type": "text", "text": part.text, **part.extras.get(WIRE, {})}
        case Media():
            return media_block(part, quirks)
        case Opaque(wire, raw):
            if wire == WIRE:
                return dict(raw)
            require_droppable(part, WIRE)
            return None
        case _:
            raise UnsupportedContent(
                f"A {type(part).__name__} does not belong in such a message.",
                field="turns",
                value=type(part).__name__,
                remedy="Reasoning, refusals and tool calls are the assistant's; tool results are for tool turns.",
            )


def media_block(media: Media, quirks: Quirks) -> dict[str, Any]:
    """A medium as an entry of a content list.

    Raises:
        UnsupportedContent: The wire cannot carry it in this form.
    """
    match media.kind:
        case "image":
            block = {"type": "image_url", "image_url": _image(media, quirks)}
        case "audio":
            block = {"type": "input_audio", "input_audio": _audio(media)}
        case "file":
            block = {"type": "file", "file": _file(media)}
        case "video":
            raise _cannot(
                media,
                "no part for video",
                f"A server that takes video can be given its own part as Opaque({WIRE!r}, raw).",
            )
        case _:
            assert_never(media.kind)
    block.update({key: value for key, value in media.extras.get(WIRE, {}).items() if key not in _MARKS})
    return block


def data_url(media: Media) -> str:
    """The bytes of a medium as a `data:` URL.

    Raises:
        UnsupportedContent: Its media type is not known.
    """
    if not media.mime:
        raise _cannot(media, "no place for bytes of unknown type", "Give the media type, such as image/png.")
    return f"data:{media.mime};base64,{media.data}"


def _image(media: Media, quirks: Quirks) -> dict[str, Any]:
    if media.file_id:
        raise _cannot(media, "no place for an image's file id", 'Use api="responses", or give its bytes or address.')
    if media.url and quirks.data_urls_only:
        # Workers AI does not fetch images (facts §9.2).
        raise _cannot(media, "no remote images with this model", "Give the image's bytes in base64.")
    image: dict[str, Any] = {"url": media.url or data_url(media)}
    detail = media.extras.get(WIRE, {}).get("detail")
    return image if detail is None else {**image, "detail": detail}


def _audio(media: Media) -> dict[str, Any]:
    if not media.data:
        raise _cannot(media, "no place for audio by address or file id", "Give its bytes in base64.")
    kind = media.mime.removeprefix("audio/").partition(";")[0]
    if not kind:
        raise _cannot(media, "no place for audio of unknown type", "Give the media type, such as audio/wav.")
    return {"data": media.data, "format": _AUDIO_FORMATS.get(kind, kind)}


def _file(media: Media) -> dict[str, Any]:
    if media.file_id:
        return {"file_id": media.file_id}
    if media.url:
        raise _cannot(media, "no place for a file's address", 'Use api="responses" or "messages", or give its bytes.')
    encoded = data_url(media)
    # With file_data the API demands a name (official docs, file inputs).
    name = media.name or "document." + media.mime.rpartition("/")[2].rpartition("+")[2]
    return {"file_data": encoded, "filename": name}


def _cannot(media: Media, why: str, remedy: str) -> UnsupportedContent:
    value = media.url or media.file_id or media.mime or media.kind
    return UnsupportedContent(f"Chat completions have {why}.", field="turns", value=value, remedy=remedy)
