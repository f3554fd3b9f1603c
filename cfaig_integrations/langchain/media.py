"""LangChain's, OpenAI's and Anthropic's media blocks to `Media`, and search results to text."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from mimetypes import guess_type
from typing import Any, cast

from cfaig_integrations.core.content import Extras, Media, Text, merged
from cfaig_integrations.core.hints import anthropic_hints, image_detail
from cfaig_integrations.core.sources import MediaKind, located, search_result
from cfaig_integrations.core.text import repair_surrogates
from cfaig_integrations.errors import UnsupportedContent

Block = Mapping[str, Any]


def held(block: Block, key: str) -> Block:
    """The object under a key, or an empty one."""
    found = block.get(key)
    return cast("Block", found) if isinstance(found, Mapping) else {}


def markers(block: Block) -> Extras:
    """What stands beside a block for one wire: Anthropic's cache marker (facts §7)."""
    beside = {**held(block, "extras"), **block}
    return anthropic_hints(cache_control=beside.get("cache_control"))


def _document_markers(block: Block) -> Extras:
    """The markers of a document: also Anthropic's citation switch, and what it is to know of the document."""
    beside = {**held(block, "metadata"), **held(block, "extras"), **block}
    return anthropic_hints(**{key: beside.get(key) for key in ("cache_control", "citations", "context")})


def standard_media(block: Block) -> Media:
    """LangChain's own image, audio, video and file blocks, of both generations, and Anthropic's image."""
    if isinstance(block.get("source"), dict):
        return sourced_media(block)
    if isinstance(block.get("file"), dict):
        return openai_file(block)
    kind = cast("MediaKind", block["type"])
    mime, name = str(block.get("mime_type") or ""), _name_of(block)
    extras = _document_markers(block) if kind == "file" else markers(block)
    data = block.get("base64") or (block.get("data") if block.get("source_type") in {None, "base64"} else None)
    if data:
        return Media(kind, data=_text_of(data), mime=mime, name=name, extras=extras)
    if block.get("file_id") or block.get("source_type") == "id":
        file_id = str(block.get("file_id") or block.get("id"))
        return Media(kind, file_id=file_id, mime=mime, name=name, extras=extras)
    if block.get("url"):
        return located(kind, str(block["url"]), mime=mime, name=name, extras=extras)
    raise _empty(block)


def _empty(block: Block) -> UnsupportedContent:
    return UnsupportedContent(
        f"A block of type {block.get('type')!r} has no content.",
        field="content",
        value=sorted(block),
        remedy='Give it "url", "base64" with "mime_type", or "file_id".',
    )


def _text_of(data: object) -> str:
    if isinstance(data, str):
        return data
    raise UnsupportedContent(
        f"Data in base64 is a {type(data).__name__}, not text.",
        field="base64",
        value=type(data).__name__,
        remedy="Write base64.b64encode(data).decode().",
    )


def _name_of(block: Block) -> str:
    extras = {**held(block, "metadata"), **held(block, "extras")}
    found = block.get("filename") or block.get("name") or block.get("title")
    return str(found or extras.get("filename") or extras.get("name") or extras.get("title") or "")


def image_url(block: Block) -> Media:
    """OpenAI's image part of chat completions."""
    where = block["image_url"]
    if isinstance(where, str):
        return located("image", where, extras=markers(block))
    return located("image", str(where["url"]), extras=merged(image_detail(where.get("detail")), markers(block)))


def input_image(block: Block) -> Media:
    """OpenAI's image part of Responses."""
    detail = image_detail(block.get("detail"))
    if block.get("file_id"):
        return Media("image", file_id=str(block["file_id"]), extras=detail)
    return located("image", str(block["image_url"]), extras=detail)


def input_audio(block: Block) -> Media:
    """OpenAI's audio part."""
    audio = block["input_audio"]
    return Media("audio", data=_text_of(audio["data"]), mime=f"audio/{audio['format']}")


def openai_file(block: Block) -> Media:
    """OpenAI's file part, of either format."""
    inner = held(block, "file") or block
    name = str(inner.get("filename") or "")
    match inner:
        case {"file_id": str(file_id)}:
            return Media("file", file_id=file_id, name=name)
        case {"file_data": str(data)} if data.startswith("data:"):
            return located("file", data, name=name)
        case {"file_data": str(data)}:
            return Media("file", data=data, mime=guess_type(name)[0] or "", name=name)
        case {"file_url": str(url)}:
            return located("file", url, name=name)
        case _:
            raise _empty(block)


def sourced_media(block: Block) -> Media:
    """Anthropic's image and document blocks."""
    source = block["source"]
    kind: MediaKind = "image" if block["type"] == "image" else "file"
    mime, name = str(source.get("media_type") or ""), str(block.get("title") or "")
    extras = _document_markers(block)
    match source.get("type"):
        case "url":
            return located(kind, str(source["url"]), mime=mime, name=name, extras=extras)
        case "file":
            return Media(kind, file_id=str(source["file_id"]), mime=mime, name=name, extras=extras)
        case "base64" | "text":
            return Media(kind, data=_base64_of(source), mime=mime, name=name, extras=extras)
        case other:
            raise UnsupportedContent(
                f"An Anthropic source of type {other!r} is not known.",
                field="source",
                value=other,
                remedy="Use base64, url, file or text.",
            )


def _base64_of(source: Block) -> str:
    if source["type"] == "base64":
        return _text_of(source["data"])
    return b64encode(repair_surrogates(str(source["data"])).encode()).decode()


def plain_text(block: Block) -> Media:
    """LangChain's plain-text document."""
    if block.get("url") or block.get("file_id") or block.get("base64"):
        return standard_media({**block, "type": "file"})
    data = b64encode(repair_surrogates(str(block.get("text") or "")).encode()).decode()
    mime = str(block.get("mime_type") or "text/plain")
    return Media("file", data=data, mime=mime, name=_name_of(block), extras=_document_markers(block))


def search_source(block: Block) -> Text:
    """Anthropic's search result. It is cited only if it says so (official SDK: `SearchResultBlockParam`)."""
    said = {"citations": block.get("citations") or {"enabled": False}, "cache_control": block.get("cache_control")}
    texts = [str(each["text"]) for each in block["content"]]
    return search_result(str(block["title"]), str(block["source"]), texts, anthropic_hints(**said))
