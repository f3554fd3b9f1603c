"""LlamaIndex's image, audio, video, document and citable blocks to parts.

A URL is passed on and never fetched; a file is read from disk.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from io import IOBase
from mimetypes import guess_type
from pathlib import Path
from typing import IO, cast

from filetype import guess_mime  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
from llama_index.core.base.llms.types import AudioBlock, CitableBlock, DocumentBlock, ImageBlock, TextBlock, VideoBlock
from llama_index.core.schema import ImageDocument

from cfaig_integrations.core.content import NO_EXTRAS, Extras, Media, Text
from cfaig_integrations.core.hints import anthropic_hints, image_detail
from cfaig_integrations.core.sources import MediaKind, media_at, search_result
from cfaig_integrations.errors import ConfigError, UnsupportedContent

_DEFAULT_TITLE = "input_document"
"""The title that LlamaIndex gives to a document without one."""
_HEAD_SIZE = 8192
"""How much of a file is looked at for its type, in base64 characters: a multiple of four."""


def media(block: ImageBlock | AudioBlock | VideoBlock | DocumentBlock) -> Media:
    """The content of a media block.

    Raises:
        ConfigError: Its file cannot be read, or is empty.
        UnsupportedContent: It has no content.
    """
    match block:
        case ImageBlock():
            extras, mime = image_detail(block.detail or None), block.image_mimetype or ""
            return _media("image", block.image, block.path, block.url, mime=mime, extras=extras)
        case AudioBlock():
            format_ = block.format or ""
            mime = format_ if not format_ or "/" in format_ else f"audio/{format_}"
            return _media("audio", block.audio, block.path, block.url, mime=mime)
        case VideoBlock():
            return _media("video", block.video, block.path, block.url, mime=block.video_mimetype or "")
        case DocumentBlock():
            return _document(block)


def _document(block: DocumentBlock, *, title: str = "", extras: Extras = NO_EXTRAS) -> Media:
    name = (block.title if block.title != _DEFAULT_TITLE else None) or title or Path(block.path or "").name
    mime = block.document_mimetype or ""
    return _media("file", block.data, block.path, block.url, mime=mime, name=name, extras=extras)


def image_documents(documents: object) -> Iterator[Media]:
    """The images that messages of older programs hold in `additional_kwargs`.

    Raises:
        ConfigError: A file cannot be read, or is empty.
        UnsupportedContent: One is not an image document.
    """
    for document in cast("Iterable[object]", documents):
        if not isinstance(document, ImageDocument):
            raise UnsupportedContent(
                f"A {type(document).__name__} in additional_kwargs['images'] is not an image.",
                field="images",
                value=type(document).__name__,
                remedy="Give ImageDocument objects, or better an ImageBlock in the message's blocks.",
            )
        data = document.image.encode() if document.image else None
        mime = document.image_mimetype or ""
        yield _media("image", data, document.image_path, document.image_url, mime=mime)


def citable_parts(block: CitableBlock) -> Iterator[Text | Media]:
    """A source that the answer may cite: its text as a search result, its documents with Anthropic's citations on.

    Anthropic's search results hold only text (official SDK: `SearchResultBlockParam`), so images follow it.

    Raises:
        ConfigError: A file cannot be read, or is empty.
    """
    texts = [inner.text for inner in block.content if isinstance(inner, TextBlock) and inner.text]
    if texts:
        yield search_result(block.title, block.source, texts)
    for inner in block.content:
        if isinstance(inner, DocumentBlock):
            extras = anthropic_hints(citations={"enabled": True}, context=block.source or None)
            yield _document(inner, title=block.title, extras=extras)
        elif isinstance(inner, ImageBlock):
            yield media(inner)


def _media(
    kind: MediaKind,
    data: bytes | IOBase | None,
    path: object,
    url: object,
    *,
    mime: str,
    name: str = "",
    extras: Extras = NO_EXTRAS,
) -> Media:
    """The first of data, path and url that is set, in LlamaIndex's order."""
    if data:
        encoded = _base64(kind, data)
    elif path:
        try:
            encoded = _encoded(kind, Path(str(path)).read_bytes())
        except OSError as error:
            raise ConfigError(
                f"The file of a block of kind {kind!r} cannot be read: {error}.",
                field="path",
                value=str(path),
                remedy="Give the path of a file that this process can read, or the bytes.",
            ) from error
    elif url:
        return media_at(kind, str(url), mime=mime, name=name, extras=extras)
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
    """Base64 of a block's data: bytes in a block are base64 already, streams are not."""
    if isinstance(data, IOBase):
        return _encoded(kind, _stream_content(kind, cast("IO[bytes] | IO[str]", data)))
    try:
        b64decode(data, validate=True)
    except binascii.Error:  # assigned to the block after its construction
        return b64encode(data).decode()
    return data.decode()


def _stream_content(kind: MediaKind, stream: IO[bytes] | IO[str]) -> bytes:
    """All of a stream's content; its position does not change."""
    try:
        position = stream.tell()
        stream.seek(0)
        content = stream.read()
        stream.seek(position)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The stream of a block of kind {kind!r} cannot be read from its beginning: {error}.",
            field="blocks",
            value=repr(stream),
            remedy="A history is sent with every call: give bytes, a path, or an open stream that can be read again.",
        ) from error
    return content.encode() if isinstance(content, str) else content


def _encoded(kind: MediaKind, content: bytes) -> str:
    if not content:
        raise ConfigError(
            f"The file of a block of kind {kind!r} is empty.", field="blocks", value=kind, remedy="Leave the block out."
        )
    return b64encode(content).decode()


def _mime(kind: MediaKind, encoded: str, name: str) -> str:
    """Media type of content that LlamaIndex did not recognize, from its name or first bytes; empty if unknown."""
    by_name = guess_type(name)[0] or ""
    if by_name and (kind == "file" or by_name.startswith(kind)):
        return by_name
    head = b64decode(encoded[:_HEAD_SIZE])
    by_content = cast("str | None", guess_mime(head))
    if by_content and (kind == "file" or by_content.startswith(kind)):
        return by_content
    return "text/plain" if kind == "file" and _is_text(head) else ""


def _is_text(head: bytes) -> bool:
    try:
        return "\0" not in getincrementaldecoder("utf-8")().decode(head)  # the last character may be incomplete
    except UnicodeDecodeError:
        return False
