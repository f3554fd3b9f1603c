"""Text and media as the input parts of the Responses wire.

Images and files go by address, by file id or as data URL; sound and film do not go at all: the official types list
`input_text`, `input_image` and `input_file` as the content of a message and of a tool's output.
"""

from __future__ import annotations

import mimetypes
from typing import Any

from cfaig_integrations.core.content import Extras, Media, Opaque, Part, Text
from cfaig_integrations.errors import ConfigError, UnsupportedContent
from cfaig_integrations.wire.codec import Quirks

INPUT_PARTS = frozenset({"input_text", "input_image", "input_file", "input_audio"})

_OF_REPLIES = frozenset({"item", "part", "index"})
"""Extras that say where a part of a reply came from, and mean nothing in an input part."""


def input_part(part: Part, quirks: Quirks) -> dict[str, Any]:
    """One content part of a user's or system's message, or of a tool's output.

    Extras of this wire, such as an image's `detail`, become keys of the part.

    Raises:
        UnsupportedContent: The wire has no such part.
    """
    match part:
        case Text():
            return {"type": "input_text", "text": part.text, **own(part.extras)}
        case Media(kind="image"):
            return {"type": "input_image", **_image(part, quirks), **own(part.extras)}
        case Media(kind="file"):
            return {"type": "input_file", **_file(part), **own(part.extras)}
        case Opaque(wire="responses"):
            return dict(part.raw)
        case _:
            raise _no_place(part)


def own(extras: Extras) -> dict[str, Any]:
    """What the user said of an input part in this wire's words."""
    if not extras:
        return {}
    return {key: value for key, value in extras.get("responses", {}).items() if key not in _OF_REPLIES}


def _image(part: Media, quirks: Quirks) -> dict[str, Any]:
    if part.file_id:
        return {"file_id": part.file_id}
    if part.data:
        return {"image_url": _data_url(part)}
    if quirks.data_urls_only:
        raise UnsupportedContent(
            "This model does not fetch images from the web.",
            field="Media.url",
            value=part.url,
            remedy="Send the image's bytes in base64.",
        )
    return {"image_url": part.url}


def _file(part: Media) -> dict[str, Any]:
    named = {"filename": part.name} if part.name else {}
    if part.file_id:
        return {"file_id": part.file_id}
    if part.url:
        return {"file_url": part.url, **named}
    # The API refuses `file_data` without a file name.
    return {"filename": f"document{mimetypes.guess_extension(part.mime) or ''}", **named, "file_data": _data_url(part)}


def _data_url(part: Media) -> str:
    if not part.mime:
        raise ConfigError(
            f"The bytes of this {part.kind} cannot be sent without their media type.",
            field="Media.mime",
            value=part.mime,
            remedy="Say what they are, such as image/png or application/pdf.",
        )
    return f"data:{part.mime};base64,{part.data}"


def _no_place(part: Part) -> UnsupportedContent:
    kind = part.kind if isinstance(part, Media) else type(part).__name__
    remedy = "Use api='chat_completions'" if isinstance(part, Media) else "Put it into an assistant's turn"
    return UnsupportedContent(
        f"The responses wire has no input part for {kind!r}.", field="turns", value=kind, remedy=f"{remedy}."
    )
