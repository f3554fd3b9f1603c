"""Content blocks of LangChain, OpenAI, Anthropic and Mistral to parts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from mimetypes import guess_type
from typing import Any, Literal, TypeAlias, cast, get_args

from cfaig_integrations.adapters.tools import arguments_text
from cfaig_integrations.core.content import (
    Citation,
    Extras,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Wire,
    merge_extras,
)
from cfaig_integrations.core.hints import (
    Provider,
    anthropic_hints,
    encrypted_reasoning,
    image_detail,
    native_block,
    reasoning_signature,
)
from cfaig_integrations.core.sources import MediaKind, media_at, search_result
from cfaig_integrations.core.text import repair_surrogates
from cfaig_integrations.errors import UnsupportedContent

Block: TypeAlias = Mapping[str, Any]
Content: TypeAlias = str | Sequence[str | Block]

TOOL_OUTPUT_ITEMS = frozenset(
    {
        "apply_patch_call_output",
        "computer_call_output",
        "local_shell_call_output",
        "mcp_approval_response",
        "shell_call_output",
    }
)
"""OpenAI's items with which a program answers the calls of built-in tools (SDK: `ResponseInputItemParam`)."""
_PROVIDERS: Mapping[str, Provider] = {
    "openai": "openai",
    "azure": "openai",
    "anthropic": "anthropic",
    "bedrock": "anthropic",
}
"""`model_provider` of other packages' messages -> the provider in whose form their blocks are."""
_MEDIA_TYPES = frozenset({"image", "audio", "video", "file"})
_SERVER_TOOL_TYPES = frozenset(
    {"server_tool_call", "server_tool_call_chunk", "server_tool_result", "non_standard_annotation"}
)
"""Standard blocks of server tools, which no provider takes back; the result is in the text."""
_WRAPPED_TYPES = frozenset({"refusal", "thinking", "custom_tool_call"}) | TOOL_OUTPUT_ITEMS
"""Types that are read inside a `non_standard` block; langchain-core before 1.7.5 has no other block for a refusal."""
_NON_STANDARD_FORM = f"""{{"type": "non_standard", "value": {{"wire": {"|".join(get_args(Wire))}, "raw": {{...}}}}}}"""


def block_parts(blocks: Sequence[str | Block]) -> tuple[Part, ...]:
    """The content blocks of a system or human message."""
    return tuple([Text(block) if isinstance(block, str) else _to_part(block, None) for block in blocks])


def result_parts(content: Content) -> tuple[Text | Media | Opaque, ...]:
    """The content of a tool message or of a `tool_result` block.

    Raises:
        UnsupportedContent: A block is of a type that a tool result cannot hold.
    """
    if isinstance(content, str):
        return (Text(content),) if content else ()
    parts = block_parts(content)
    for part in parts:
        if not isinstance(part, Text | Media | Opaque):
            raise UnsupportedContent(
                f"A tool message cannot hold a {type(part).__name__} block.", field="messages", value=part
            )
    return cast("tuple[Text | Media | Opaque, ...]", parts)


def answer_parts(content: Content, model_provider: object, *, ours: bool) -> list[Part]:
    """The content of an AI message, empty parts included.

    Media that a block cannot show are left out of our own messages, whose replay state holds them.
    """
    provider = _PROVIDERS.get(str(model_provider))
    parts: list[Part] = []
    for block in (content,) if isinstance(content, str) else content:
        if isinstance(block, str):
            parts.append(Text(block))
            continue
        kind = _type_of(block)
        if provider == "openai" and kind == "image" and str(block.get("id") or "").startswith("ig_"):
            item = {"type": "image_generation_call", "id": block["id"], "result": block.get("base64")}
            parts.append(native_block(provider, {**item, **_object(block, "extras")}))
        elif kind not in _SERVER_TOOL_TYPES:
            try:
                parts.append(_to_part(block, provider))
            except UnsupportedContent:
                if not ours or kind not in _MEDIA_TYPES:
                    raise
    return parts


def _object(block: Block, key: str) -> Block:
    """The object under a key; empty if there is none."""
    value = block.get(key)
    return cast("Block", value) if isinstance(value, Mapping) else {}


def _type_of(block: Block) -> str:
    return kind if isinstance(kind := block.get("type"), str) else ""


def _to_part(block: Block, provider: Provider | None) -> Part:
    """One block of a message, of a provider if it is known."""
    kind = _type_of(block)
    if kind == "non_standard":
        return _non_standard(block, provider)
    read = _READERS.get(kind)
    if read is not None:
        try:
            return read(block)
        except (AttributeError, KeyError, TypeError) as error:
            raise UnsupportedContent(
                f"A content block of type {kind!r} is malformed: {error!r}.",
                field="content",
                value=kind,
                remedy="Compare it with the documentation of its type.",
            ) from error
    if provider is not None:
        return native_block(provider, block)
    raise UnsupportedContent(
        f"A content block has the unknown type {block.get('type')!r}.",
        field="content",
        value=kind,
        remedy=f"Use LangChain's standard blocks, or wrap a provider's own: {_NON_STANDARD_FORM}.",
    )


def _non_standard(block: Block, provider: Provider | None) -> Part:
    value = _object(block, "value")
    match value:
        case {"wire": str(), "raw": Mapping()}:
            return Opaque(value["wire"], value["raw"])
        case {"type": str(kind)} if kind in _WRAPPED_TYPES:
            return _to_part(value, provider)
        case _ if provider is not None:
            return native_block(provider, value)
        case _:
            raise UnsupportedContent(
                "A non_standard block does not name the format of its value.",
                field="content",
                value=value.get("type"),
                remedy=f"Write {_NON_STANDARD_FORM}.",
            )


def _text(block: Block) -> Text:
    citations = [
        Citation(
            url=str(annotation.get("url") or ""),
            title=str(annotation.get("title") or ""),
            quoted=str(annotation.get("cited_text") or ""),
            start=annotation.get("start_index"),
            end=annotation.get("end_index"),
            raw=_object(_object(annotation, "extras"), "raw"),
        )
        for annotation in block.get("annotations") or ()
        if annotation.get("type") == "citation"
    ]
    for citation in block.get("citations") or ():  # Anthropic's
        title = str(citation.get("title") or citation.get("document_title") or "")
        quoted = str(citation.get("cited_text") or "")
        citations.append(Citation(url=str(citation.get("url") or ""), title=title, quoted=quoted, raw=citation))
    return Text(str(block.get("text") or ""), tuple(citations), _cache_marker(block))


def reasoning(block: Block) -> Reasoning:
    """LangChain's standard block, or OpenAI's item."""
    extras = _object(block, "extras")
    summary: list[Block] | None = block.get("summary")
    text = block.get("reasoning")
    if text is None:
        text = "\n\n".join(str(part.get("text") or "") for part in summary or ())
    signature = reasoning_signature(extras.get("signature") or block.get("signature"))
    encrypted: object = extras.get("encrypted_content") or block.get("encrypted_content")
    item = encrypted_reasoning(str(text), id_=block.get("id"), encrypted_content=encrypted, summary=summary)
    return Reasoning(str(text), merge_extras(signature, item))


def _thinking(block: Block) -> Reasoning:
    """Anthropic's block, whose `thinking` is a text, or Mistral's, where it is a list of text blocks."""
    inner: str | list[Block] = block.get("thinking") or ""
    text = inner if isinstance(inner, str) else "".join(str(part.get("text") or "") for part in inner)
    return Reasoning(text, reasoning_signature(block.get("signature")))


def _tool_call(block: Block) -> ToolCall:
    arguments = next((block[key] for key in ("args", "input", "arguments") if block.get(key)), "")
    kind: Literal["function", "custom"] = "custom" if block.get("type") == "custom_tool_call" else "function"
    return ToolCall(
        str(block.get("call_id") or block.get("id") or ""),
        str(block.get("name") or ""),
        arguments_text(arguments, field="tool_calls"),
        kind,
    )


def _tool_result(block: Block) -> ToolResult:
    parts = result_parts(block.get("content") or "")
    return ToolResult(str(block["tool_use_id"]), parts, failed=bool(block.get("is_error")), extras=_cache_marker(block))


def _cache_marker(block: Block) -> Extras:
    """Anthropic's cache marker, in the block or in its `extras` (facts §7)."""
    return anthropic_hints(cache_control={**_object(block, "extras"), **block}.get("cache_control"))


def _document_hints(block: Block) -> Extras:
    """Anthropic's keys of a document: cache marker, citation switch and context."""
    fields = {**_object(block, "metadata"), **_object(block, "extras"), **block}
    return anthropic_hints(
        cache_control=fields.get("cache_control"), citations=fields.get("citations"), context=fields.get("context")
    )


def _media(block: Block) -> Media:
    """LangChain's image, audio, video and file blocks, of both generations, and Anthropic's image."""
    if isinstance(block.get("source"), dict):
        return _anthropic_media(block)
    if isinstance(block.get("file"), dict):
        return _openai_file(block)
    kind = cast("MediaKind", block["type"])
    mime, name = str(block.get("mime_type") or ""), _file_name(block)
    extras = _document_hints(block) if kind == "file" else _cache_marker(block)
    data = block.get("base64") or (block.get("data") if block.get("source_type") in {None, "base64"} else None)
    if data:
        return Media(kind, data=_base64(data), mime=mime, name=name, extras=extras)
    if block.get("file_id") or block.get("source_type") == "id":
        file_id = str(block.get("file_id") or block.get("id"))
        return Media(kind, file_id=file_id, mime=mime, name=name, extras=extras)
    if block.get("url"):
        return media_at(kind, str(block["url"]), mime=mime, name=name, extras=extras)
    raise _without_content(block)


def _without_content(block: Block) -> UnsupportedContent:
    return UnsupportedContent(
        f"A block of type {block.get('type')!r} has no content.",
        field="content",
        value=sorted(block),
        remedy='Give it "url", "base64" with "mime_type", or "file_id".',
    )


def _base64(data: object) -> str:
    if isinstance(data, str):
        return data
    raise UnsupportedContent(
        f"The base64 data of a block is a {type(data).__name__}, not a string.",
        field="base64",
        value=type(data).__name__,
        remedy="Write base64.b64encode(data).decode().",
    )


def _encoded(text: object) -> str:
    return b64encode(repair_surrogates(str(text)).encode()).decode()


def _file_name(block: Block) -> str:
    extras = {**_object(block, "metadata"), **_object(block, "extras")}
    names = (fields.get(key) for fields in (block, extras) for key in ("filename", "name", "title"))
    return str(next((name for name in names if name), ""))


def _image_url(block: Block) -> Media:
    """OpenAI's image part of Chat Completions."""
    image = block["image_url"]
    url, detail = (image, None) if isinstance(image, str) else (str(image["url"]), image.get("detail"))
    return media_at("image", url, extras=merge_extras(image_detail(detail), _cache_marker(block)))


def _input_image(block: Block) -> Media:
    """OpenAI's image part of Responses."""
    detail = image_detail(block.get("detail"))
    if block.get("file_id"):
        return Media("image", file_id=str(block["file_id"]), extras=detail)
    return media_at("image", str(block["image_url"]), extras=detail)


def _input_audio(block: Block) -> Media:
    audio = block["input_audio"]
    return Media("audio", data=_base64(audio["data"]), mime=f"audio/{audio['format']}")


def _openai_file(block: Block) -> Media:
    """OpenAI's file part, of Chat Completions or Responses."""
    file = _object(block, "file") or block
    name = str(file.get("filename") or "")
    match file:
        case {"file_id": str(file_id)}:
            return Media("file", file_id=file_id, name=name)
        case {"file_data": str(data)} if not data.startswith("data:"):
            return Media("file", data=data, mime=guess_type(name)[0] or "", name=name)
        case {"file_data": str(url)} | {"file_url": str(url)}:
            return media_at("file", url, name=name)
        case _:
            raise _without_content(block)


def _anthropic_media(block: Block) -> Media:
    """Anthropic's image and document blocks."""
    source = block["source"]
    kind: MediaKind = "image" if block["type"] == "image" else "file"
    mime, name = str(source.get("media_type") or ""), str(block.get("title") or "")
    extras = _document_hints(block)
    match source.get("type"):
        case "url":
            return media_at(kind, str(source["url"]), mime=mime, name=name, extras=extras)
        case "file":
            return Media(kind, file_id=str(source["file_id"]), mime=mime, name=name, extras=extras)
        case "base64":
            return Media(kind, data=_base64(source["data"]), mime=mime, name=name, extras=extras)
        case "text":
            return Media(kind, data=_encoded(source["data"]), mime=mime, name=name, extras=extras)
        case other:
            raise UnsupportedContent(
                f"An Anthropic block has a source of the unknown type {other!r}.",
                field="source",
                value=other,
                remedy="Use base64, url, file or text.",
            )


def _plain_text(block: Block) -> Media:
    """LangChain's plain-text document."""
    if block.get("url") or block.get("file_id") or block.get("base64"):
        return _media({**block, "type": "file"})
    mime = str(block.get("mime_type") or "text/plain")
    data = _encoded(block.get("text") or "")
    return Media("file", data=data, mime=mime, name=_file_name(block), extras=_document_hints(block))


def _search_result(block: Block) -> Text:
    """Anthropic's search result, which is cited only if it asks for it (SDK: `SearchResultBlockParam`)."""
    citations = block.get("citations") or {"enabled": False}
    extras = anthropic_hints(citations=citations, cache_control=block.get("cache_control"))
    texts = [str(part["text"]) for part in block["content"]]
    return search_result(str(block["title"]), str(block["source"]), texts, extras)


_READERS: Mapping[str, Callable[[Block], Part]] = {
    **dict.fromkeys(("text", "input_text", "output_text"), _text),
    "reasoning": reasoning,
    "thinking": _thinking,
    "refusal": lambda block: Refusal(str(block.get("refusal") or "")),
    **dict.fromkeys(("tool_call", "invalid_tool_call", "tool_call_chunk"), _tool_call),
    **dict.fromkeys(("tool_use", "input_json_delta"), _tool_call),  # Anthropic
    **dict.fromkeys(("function_call", "custom_tool_call"), _tool_call),  # OpenAI
    "tool_result": _tool_result,
    **dict.fromkeys(_MEDIA_TYPES, _media),
    "document": _anthropic_media,
    "image_url": _image_url,
    "input_image": _input_image,
    "input_audio": _input_audio,
    "input_file": _openai_file,
    "text-plain": _plain_text,
    "search_result": _search_result,
    **dict.fromkeys(TOOL_OUTPUT_ITEMS, lambda block: native_block("openai", block)),
}
