"""Text and media as the input parts of the Responses format: images and files by address, file id or data URL."""

from __future__ import annotations

import mimetypes

from cfaig_integrations.core.content import Extras, JsonDict, Media, Opaque, Text

INPUT_PARTS = frozenset({"input_text", "input_image", "input_file", "input_audio"})

_REPLY_KEYS = frozenset({"item", "part", "index"})
"""Extras that tell where a part of a reply came from, and mean nothing in an input part."""


def input_part(part: Text | Media | Opaque) -> JsonDict:
    """One content part of a user's or system's message, or of a tool's output.

    Extras of this format, such as an image's `detail`, become keys of the part.
    """
    match part:
        case Text():
            return {"type": "input_text", "text": part.text, **own_extras(part.extras)}
        case Media(kind="image", file_id=""):
            return {"type": "input_image", "image_url": part.url or _data_url(part), **own_extras(part.extras)}
        case Media(kind="image"):
            return {"type": "input_image", "file_id": part.file_id, **own_extras(part.extras)}
        case Media():
            return {"type": "input_file", **_file(part), **own_extras(part.extras)}
        case Opaque():
            return dict(part.raw)


def own_extras(extras: Extras) -> JsonDict:
    """What the user added to an input part in this format."""
    if not extras:
        return {}
    return {key: value for key, value in extras.get("responses", {}).items() if key not in _REPLY_KEYS}


def _file(part: Media) -> JsonDict:
    name = {"filename": part.name} if part.name else {}
    if part.file_id:
        return {"file_id": part.file_id}
    if part.url:
        return {"file_url": part.url, **name}
    # The API refuses `file_data` without a file name.
    return {"filename": f"document{mimetypes.guess_extension(part.mime) or ''}", **name, "file_data": _data_url(part)}


def _data_url(part: Media) -> str:
    return f"data:{part.mime};base64,{part.data}"
