"""A conversation to `system` and `messages`, in the order that Anthropic requires.

- `system` is one string, before the conversation: Cloudflare answers 400 to an array of blocks (facts §1.4).
- Neighbors of one role become one message; tool results come first in theirs.
- Empty text is refused, and so is whitespace at the end of a last assistant message (the start of the answer).

A speaker's `name` has no place in the format and is left out: it is a label, as every agent framework sets it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TypeAlias, assert_never

from cfaig_integrations.core.content import (
    Json,
    JsonDict,
    Media,
    Modeled,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.encoding import arguments_object, call_id

PDF = "application/pdf"
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
"""Official SDK: `Base64ImageSourceParam`."""
SEARCH_RESULT = "search_result"
"""Extra of a text: a block with the same content, which can be cited (`core.sources`)."""
CACHE_MARKER = "cache_control"
"""Key of Anthropic's cache marker."""

_Content: TypeAlias = str | list[JsonDict]


def conversation(turns: Iterable[Turn]) -> tuple[str, list[JsonDict]]:
    """`system` (empty if there is none) and `messages`.

    Raises:
        ConfigError: Nothing is left to send.
    """
    system: list[str] = []
    marker: object = None
    messages: list[JsonDict] = []
    for turn in turns:
        if turn.role == "system":
            texts = [part for part in turn.parts if isinstance(part, Text)]
            marker = next((own[CACHE_MARKER] for part in texts if CACHE_MARKER in (own := own_extras(part))), marker)
            system += [part.text for part in turn.parts if type(part) is Text and part.text.strip()]
            continue
        content = _content(turn)
        if not content:
            continue
        role = "assistant" if turn.role == "assistant" else "user"
        if messages and messages[-1]["role"] == role:
            blocks = messages[-1]["content"] = _as_blocks(messages[-1]["content"])
            blocks += _as_blocks(content)
        else:
            messages.append({"role": role, "content": content})
    _put_in_order(messages)
    if not messages:
        raise ConfigError(
            "There is no message to answer.", field="turns", remedy="Pass at least one user turn that is not empty."
        )
    if marker is not None:
        _mark_first_user_block(messages, marker)
    return "\n\n".join(system), messages


def _mark_first_user_block(messages: list[JsonDict], marker: object) -> None:
    """Moves the cache marker of the system text, which has no place for it, to the first block after it.

    A breakpoint there covers the tools and the system text too (facts §14.4).
    """
    for message in messages:
        if message["role"] == "user":
            blocks = message["content"] = _as_blocks(message["content"])
            blocks[0].setdefault(CACHE_MARKER, marker)
            return


def _content(turn: Turn) -> _Content:
    parts = turn.parts
    if len(parts) == 1 and type(part := parts[0]) is Text and not part.citations and not part.extras:
        return "" if part.text.isspace() else part.text
    if turn.role != "assistant":
        return [block for part in parts if (block := _block(part)) and not _is_blank(block)]
    # Whitespace between other blocks is accepted (seen in a request with a 2xx answer); alone it is not.
    blocks = [block for part in parts if (block := _block(part)) and (block["type"] != "text" or block["text"])]
    return [] if all(map(_is_blank, blocks)) else blocks


def _is_blank(block: JsonDict) -> bool:
    """Whether a block is only whitespace, which Anthropic refuses ("must contain non-whitespace text")."""
    return block["type"] == "text" and not block["text"].strip()


def _as_blocks(content: _Content) -> list[JsonDict]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _put_in_order(messages: list[JsonDict]) -> None:
    for message in messages:
        content: _Content = message["content"]
        if message["role"] == "user" and not isinstance(content, str):
            content.sort(key=lambda block: block["type"] != "tool_result")
    if messages and messages[-1]["role"] == "assistant":
        if content := _trimmed(messages[-1]["content"]):
            messages[-1]["content"] = content
        else:
            messages.pop()


def _trimmed(content: _Content) -> _Content:
    if isinstance(content, str):
        return content.rstrip()
    while content and content[-1]["type"] == "text":
        if text := content[-1]["text"].rstrip():
            content[-1]["text"] = text
            break
        content.pop()
    return content


def _block(part: Part) -> JsonDict | None:
    """The content block of a part; None if this provider cannot understand it.

    Reasoning without this format's extras comes from another provider, and the servers of other providers left traces
    that only they understand: both are left out.
    """
    match part:
        case Refusal(extras=extras) if "messages" in extras:
            return None  # it was made of a stop reason
        case Text() | Refusal():
            return _text_block(part)
        case Reasoning(text, extras):
            return {"type": "thinking", "thinking": text, **own_extras(part)} if "messages" in extras else None
        case ToolCall():
            arguments = {"input": part.arguments} if part.kind == "custom" else arguments_object(part.arguments)
            id_ = call_id(part.id, prefix="toolu_")
            return {"type": "tool_use", "id": id_, "name": part.name, "input": arguments, **own_extras(part)}
        case Media():
            return _media_block(part)
        case ToolResult():
            return _tool_result(part)
        case Opaque(wire, raw):
            return dict(raw) if wire == "messages" else None
        case _:
            assert_never(part)


def _text_block(part: Text | Refusal) -> JsonDict:
    """A text block, with its citations if they are Anthropic's; or the search result that the text says in words.

    An empty list of citations means nothing and is left out; so is a null `file_id`, which Anthropic's answers have and
    its requests do not (official SDK: `CitationCharLocation` against `CitationCharLocationParam`).
    """
    extras = own_extras(part)
    if SEARCH_RESULT in extras:
        rest = {key: value for key, value in extras.items() if key != SEARCH_RESULT}
        return {"type": SEARCH_RESULT, **extras[SEARCH_RESULT], **rest}
    block: JsonDict = {"type": "text", "text": part.text}
    if isinstance(part, Text) and part.citations:
        raws = (citation.raw for citation in part.citations)
        # The type of every citation of Anthropic ends so, and that of no other provider.
        if cited := [_without_null_file(raw) for raw in raws if str(raw.get("type")).endswith("_location")]:
            block["citations"] = cited
    block.update(extras)
    return block


def _without_null_file(raw: Json) -> JsonDict:
    return {key: value for key, value in raw.items() if key != "file_id" or value is not None}


def _tool_result(result: ToolResult) -> JsonDict:
    match result.parts:
        case ():
            content: _Content = ""
        case (Text(text, ()) as only,) if not own_extras(only):
            content = text
        case parts:
            content = [block for part in parts if (block := _block(part)) and not _is_blank(block)]
    call = call_id(result.call_id, prefix="toolu_")
    entry: JsonDict = {"type": "tool_result", "tool_use_id": call, "content": content}
    if result.failed:
        entry["is_error"] = True
    entry.update(own_extras(result))
    return entry


def own_extras(part: Modeled) -> Json:
    """What this format wrote into a part's extras, or a user wrote for it (`cache_control` ...)."""
    return part.extras.get("messages", {})


def image_type(media: Media) -> str:
    """The media type of an image, in the format's spelling."""
    return "image/jpeg" if media.essence == "image/jpg" else media.essence


def _media_block(media: Media) -> JsonDict:
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
    except ValueError as error:
        raise ConfigError(
            f"The text document {media.name or 'without a name'} is not UTF-8 text in base64: {error}.",
            field="data",
            value=media.data[:40],
            remedy="Pass its UTF-8 bytes in base64.",
        ) from error
