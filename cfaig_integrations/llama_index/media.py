"""LlamaIndex's image, audio, video, document and citable blocks to parts.

An address is passed on and never fetched; a file is read from disk.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from io import IOBase
from mimetypes import guess_type
from pathlib import Path
from typing import IO, TypeAlias, cast

from filetype import guess_mime  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
from llama_index.core.base.llms.types import (
    AudioBlock,
    CitableBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    VideoBlock,
)
from llama_index.core.schema import ImageDocument

from cfaig_integrations.core.content import NO_EXTRAS, Extras, Media, Text
from cfaig_integrations.core.hints import anthropic_hints, image_detail
from cfaig_integrations.core.sources import MediaKind, located, search_result
from cfaig_integrations.errors import ConfigError, UnsupportedContent

MediaBlock: TypeAlias = ImageBlock | AudioBlock | VideoBlock | DocumentBlock

_UNTITLED = "input_document"
"""The title that LlamaIndex gives to a document that has none."""
_HEAD = 8192
"""How much of a file says what it is, in base64 characters: a multiple of four."""


def media(block: MediaBlock) -> Media:
    """The medium of a block.

    Raises:
        ConfigError: Its file cannot be read, or holds nothing.
        UnsupportedContent: It has no content.
    """
    match block:
        case ImageBlock():
            extras = image_detail(block.detail or None)
            mime = block.image_mimetype or ""
            return _medium("image", block.image, block.path, block.url, mime=mime, extras=extras)
        case AudioBlock():
            form = block.format or ""
            mime = form if not form or "/" in form else f"audio/{form}"
            return _medium("audio", block.audio, block.path, block.url, mime=mime)
        case VideoBlock():
            return _medium("video", block.video, block.path, block.url, mime=block.video_mimetype or "")
        case DocumentBlock():
            return _document(block)


def _document(block: DocumentBlock, *, title: str = "", extras: Extras = NO_EXTRAS) -> Media:
    own = block.title if block.title != _UNTITLED else None
    name = own or title or (Path(block.path).name if block.path else "")
    mime = block.document_mimetype or ""
    return _medium("file", block.data, block.path, block.url, mime=mime, name=name, extras=extras)


def old_images(documents: object) -> Iterator[Media]:
    """The images that a message of older programs has beside its content.

    Raises:
        ConfigError: A file cannot be read, or holds nothing.
        UnsupportedContent: They are no image documents.
    """
    for document in cast("Iterable[object]", documents):
        if not isinstance(document, ImageDocument):
            raise UnsupportedContent(
                f"A {type(document).__name__} among additional_kwargs['images'] is no image.",
                field="images",
                value=type(document).__name__,
                remedy="Give ImageDocument objects there, or better an ImageBlock in the message's blocks.",
            )
        data = document.image.encode() if document.image else None
        mime = document.image_mimetype or ""
        yield _medium("image", data, document.image_path, document.image_url, mime=mime)


def citable(block: CitableBlock) -> Iterator[Text | Media]:
    """A source that the answer may cite: its text as a search result, its documents with Anthropic's citations on.

    Anthropic's search results hold nothing but text (official SDK: `SearchResultBlockParam`), so an image stands by
    itself after the text.

    Raises:
        ConfigError: A file cannot be read, or holds nothing.
    """
    texts = [inner.text for inner in block.content if isinstance(inner, TextBlock) and inner.text]
    if texts:
        yield search_result(block.title, block.source, texts)
    for inner in block.content:
        if isinstance(inner, DocumentBlock):
            cited = anthropic_hints(citations={"enabled": True}, context=block.source or None)
            yield _document(inner, title=block.title, extras=cited)
        elif isinstance(inner, ImageBlock):
            yield media(inner)


def _medium(
    kind: MediaKind,
    data: bytes | IOBase | None,
    path: object,
    url: object,
    *,
    mime: str,
    name: str = "",
    extras: Extras = NO_EXTRAS,
) -> Media:
    """The first of data, path and url that is given, in LlamaIndex's own order."""
    if data:
        encoded = _base64(kind, data)
    elif path:
        encoded = _encoded(kind, _file(kind, Path(str(path))))
    elif url:
        return located(kind, str(url), mime=mime, name=name, extras=extras)
    else:
        raise UnsupportedContent(
            f"A block of kind {kind!r} has no content.",
            field="blocks",
            value=kind,
            remedy="Give it its bytes, a path or a url.",
        )
    mime = mime or _mime(kind, encoded, name or str(path or ""))
    return Media(kind, data=encoded, mime=mime, name=name, extras=extras)


def _base64(kind: MediaKind, data: bytes | IOBase) -> str:
    """Base64 of what a block holds: blocks keep bytes in base64, and streams as they are."""
    if isinstance(data, IOBase):
        return _encoded(kind, _stream(kind, cast("IO[bytes] | IO[str]", data)))
    try:
        b64decode(data, validate=True)
    except binascii.Error:  # given to the block after it was made
        return b64encode(data).decode()
    return data.decode()


def _stream(kind: MediaKind, stream: IO[bytes] | IO[str]) -> bytes:
    """All that a stream holds; it is left where it stood."""
    try:
        place = stream.tell()
        stream.seek(0)
        found = stream.read()
        stream.seek(place)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The stream of a block of kind {kind!r} cannot be read from its beginning: {error}.",
            field="blocks",
            value=repr(stream),
            remedy="A history is sent with every call: give bytes, a path, or an open stream that can be read again.",
        ) from error
    return found.encode() if isinstance(found, str) else found


def _file(kind: MediaKind, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The file of a block of kind {kind!r} cannot be read: {error}.",
            field="path",
            value=str(path),
            remedy="Give the path of a file that this process can read, or the bytes.",
        ) from error


def _encoded(kind: MediaKind, found: bytes) -> str:
    if not found:
        raise ConfigError(
            f"The file of a block of kind {kind!r} is empty.", field="blocks", value=kind, remedy="Leave the block out."
        )
    return b64encode(found).decode()


def _mime(kind: MediaKind, encoded: str, name: str) -> str:
    """Media type of what LlamaIndex did not recognise, by its name or its first bytes; empty if they do not say."""
    by_name = guess_type(name)[0] or ""
    if by_name and (kind == "file" or by_name.startswith(kind)):
        return by_name
    head = b64decode(encoded[:_HEAD])
    by_bytes = cast("str | None", guess_mime(head))
    if by_bytes and (kind == "file" or by_bytes.startswith(kind)):
        return by_bytes
    return "text/plain" if kind == "file" and _is_text(head) else ""


def _is_text(head: bytes) -> bool:
    try:
        return "\0" not in getincrementaldecoder("utf-8")().decode(head)  # which lets the last character be cut
    except UnicodeDecodeError:
        return False
