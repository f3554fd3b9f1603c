"""Images and documents to content blocks."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from cfaig_integrations.core.content import Media
from cfaig_integrations.errors import ConfigError, UnsupportedContent
from cfaig_integrations.wire.codec import Quirks

_PDF = "application/pdf"
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
"""Official SDK: `Base64ImageSourceParam`."""


def media_block(media: Media, quirks: Quirks) -> dict[str, Any]:
    """An `image` or `document` block. A document's name is its title; an image's name has no place in the format.

    Raises:
        UnsupportedContent: The format has no block for it.
    """
    match media.kind:
        case "image":
            block: dict[str, Any] = {"type": "image", "source": _image_source(media, quirks)}
        case "file":
            block = {"type": "document", "source": _document_source(media)}
            if media.name:
                block["title"] = media.name
        case "audio" | "video":
            raise UnsupportedContent(
                f"Anthropic's format has no {media.kind}.",
                field="turns",
                value=media.kind,
                remedy='Use api="chat_completions" with a model that takes it, or give a transcript as text.',
            )
    block.update(media.extras.get("messages", {}))
    return block


def _elsewhere(media: Media) -> dict[str, Any] | None:
    """The source of a medium whose bytes are not in the request."""
    if media.url:
        return {"type": "url", "url": media.url}
    if media.file_id:
        return {"type": "file", "file_id": media.file_id}
    return None


def _image_source(media: Media, quirks: Quirks) -> dict[str, Any]:
    if media.url and quirks.data_urls_only:
        raise UnsupportedContent(
            "This model is not given images by address.",
            field="turns",
            value=media.url,
            remedy="Give the image's bytes in base64.",
        )
    if source := _elsewhere(media):
        return source
    if not media.mime:
        raise _mime_needed("image", "image/png")
    mime = "image/jpeg" if media.mime == "image/jpg" else media.mime
    if mime not in _IMAGES:
        raise UnsupportedContent(
            f"Anthropic's format takes no images of type {media.mime!r}.",
            field="turns",
            value=media.mime,
            remedy=f"Convert it to one of {', '.join(_IMAGES)}.",
        )
    return {"type": "base64", "media_type": mime, "data": media.data}


def _document_source(media: Media) -> dict[str, Any]:
    if source := _elsewhere(media):
        return source
    if not media.mime:
        raise _mime_needed("document", _PDF)
    if media.mime == _PDF:
        return {"type": "base64", "media_type": _PDF, "data": media.data}
    if media.mime.startswith("text/"):
        # The only text type that the format has (official SDK: `PlainTextSourceParam`).
        return {"type": "text", "media_type": "text/plain", "data": _text_of(media)}
    raise UnsupportedContent(
        f"Anthropic's format takes PDF and text documents, not {media.mime!r}.",
        field="turns",
        value=media.mime,
        remedy='Give its text, convert it to PDF, or use api="responses" with a model that takes it.',
    )


def _mime_needed(what: str, example: str) -> ConfigError:
    return UnsupportedContent(
        f"The media type of {'an' if what == 'image' else 'a'} {what} given as data is not known.",
        field="mime",
        value="",
        remedy=f"Say it, for example {example!r}.",
    )


def _text_of(media: Media) -> str:
    try:
        return base64.b64decode(media.data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The text document {media.name or 'without a name'} is not UTF-8 text in base64: {error}.",
            field="data",
            value=media.data[:40],
            remedy="Give its UTF-8 bytes in base64.",
        ) from error
