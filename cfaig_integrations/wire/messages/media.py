"""Images and documents to content blocks."""

from __future__ import annotations

import base64
import binascii

from cfaig_integrations.core.content import Json, JsonDict, Media, Modelled
from cfaig_integrations.errors import ConfigError

PDF = "application/pdf"
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
"""Official SDK: `Base64ImageSourceParam`."""
SEARCH_RESULT = "search_result"
"""Extra of a text: the block that says the same, and can be cited (`core.sources`)."""
CACHE_MARKER = "cache_control"
"""Key of Anthropic's cache marker."""
_NO_VALUES: Json = {}


def own_extras(part: Modelled) -> Json:
    """What this format wrote into a part's extras, or a user wrote for it (`cache_control` ...)."""
    return part.extras.get("messages", _NO_VALUES)


def image_type(media: Media) -> str:
    """The media type of an image, in the format's spelling."""
    return "image/jpeg" if media.mime == "image/jpg" else media.mime


def media_block(media: Media) -> JsonDict:
    """An `image` or `document` block. A document's name is its title; an image's name has no place in the format.

    Raises:
        ConfigError: A text document is not UTF-8 text.
    """
    block: JsonDict = {"type": "image" if media.kind == "image" else "document", "source": _source(media)}
    if media.kind == "file" and media.name:
        block["title"] = media.name
    block.update(own_extras(media))
    return block


def _source(media: Media) -> JsonDict:
    if media.url:
        return {"type": "url", "url": media.url}
    if media.file_id:
        return {"type": "file", "file_id": media.file_id}
    if media.mime.startswith("text/"):
        # The only text type that the format has (official SDK: `PlainTextSourceParam`).
        return {"type": "text", "media_type": "text/plain", "data": _text_of(media)}
    return {"type": "base64", "media_type": image_type(media), "data": media.data}


def _text_of(media: Media) -> str:
    try:
        return base64.b64decode(media.data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The text document {media.name or 'without a name'} is not UTF-8 text in base64: {error}.",
            field="data",
            value=media.data[:40],
            remedy="Pass its UTF-8 bytes in base64.",
        ) from error
