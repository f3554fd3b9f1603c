"""Turns to LangChain's standard content blocks, for `content_blocks` of this package's messages."""

from __future__ import annotations

from typing import Any, TypeAlias, assert_never, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages import content as types
from langchain_core.messages.block_translators import register_translator

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
    Turn,
)
from cfaig_integrations.core.hints import provider_of, reasoning_identity, refusal_category
from cfaig_integrations.core.replay import matches, restore, whole_parts
from cfaig_integrations.langchain.inbound import assistant_turn, shown_turn
from cfaig_integrations.langchain.outbound import PROVIDER, REPLAY_KEY, parsed_arguments

Block: TypeAlias = dict[str, Any]

HAS_REFUSAL_BLOCK = "refusal" in types.KNOWN_BLOCK_TYPES
"""Whether core has a refusal block (1.7.5 and later). Chunks of the `non_standard` block in its place do not add up."""


def part_blocks(part: Part) -> list[Block]:
    """The standard blocks of one part. A server tool's part may be both a call and its result."""
    match part:
        case Text(text, citations):
            block: Block = {"type": "text", "text": text}
            if citations:
                block["annotations"] = [annotation(citation) for citation in citations]
            return [block] if text or citations else []
        case Reasoning(text, extras):
            return [{"type": "reasoning", "reasoning": text} | reasoning_extras(extras)]
        case ToolCall(id_, name, arguments):
            args, error = parsed_arguments(part)
            if error is None:
                return [{"type": "tool_call", "id": id_, "name": name, "args": args}]
            return [{"type": "invalid_tool_call", "id": id_, "name": name, "args": arguments, "error": error}]
        case Refusal(text):
            return [refusal_block(text, refusal_category(part))]
        case Media():
            return [_media_block(part)]
        case Opaque():
            return _opaque_blocks(part)
        case ToolResult():
            return []
        case _:
            assert_never(part)


def annotation(citation: Citation) -> Block:
    """A citation as a standard annotation, with the provider's own object in its extras."""
    block: Block = {"type": "citation"}
    texts = {"url": citation.url, "title": citation.title, "cited_text": citation.quoted}
    block |= {key: value for key, value in texts.items() if value}
    places = {"start_index": citation.start, "end_index": citation.end}
    block |= {key: value for key, value in places.items() if value is not None}
    if citation.raw:
        block["extras"] = {"raw": dict(citation.raw)}
    return block


def reasoning_extras(extras: Extras) -> Block:
    """The `extras` of a reasoning block, from which other packages can send the reasoning back too."""
    signature, _, encrypted = reasoning_identity(extras)
    fields = {"signature": signature, "encrypted_content": encrypted}
    block_extras = {key: value for key, value in fields.items() if value}
    return {"extras": block_extras} if block_extras else {}


def refusal_block(text: str, category: object = None) -> Block:
    """A refusal, with Anthropic's category if there is one."""
    block: Block = {"type": "refusal", "refusal": text}
    if category:
        block["extras"] = {"category": category}
    return block if HAS_REFUSAL_BLOCK else {"type": "non_standard", "value": block}


def _media_block(media: Media) -> Block:
    fields = {"url": media.url, "base64": media.data, "file_id": media.file_id, "mime_type": media.mime}
    block: Block = {"type": media.kind} | {key: value for key, value in fields.items() if value}
    extras = {"filename": media.name, "transcript": media.text}
    if any(extras.values()):
        block["extras"] = {key: value for key, value in extras.items() if value}
    return block


def _opaque_blocks(part: Opaque) -> list[Block]:
    """A provider's own block as core's translator for the provider writes it."""
    provider = provider_of(part)
    if provider is not None and part.raw.get("type") != "text":  # a text that is not as documented stays as it is
        # The translators may remove entries from their input.
        message = AIMessage(content=[dict(part.raw)], response_metadata={"model_provider": provider})
        try:
            blocks = [cast("Block", dict(block)) for block in message.content_blocks]
        except Exception:  # core's translators expect a block to be as the provider documents it
            blocks = []
        if blocks and all(block.get("type") not in {"non_standard", "tool_call"} for block in blocks):
            return [{key: value for key, value in block.items() if key != "index"} for block in blocks]
    return [{"type": "non_standard", "value": {"wire": part.wire, "raw": dict(part.raw)}}]


def _turn_blocks(turn: Turn) -> list[types.ContentBlock]:
    return cast("list[types.ContentBlock]", [block for part in turn.parts for block in part_blocks(part)])


def translate(message: AIMessage) -> list[types.ContentBlock]:
    """The standard blocks of one of our messages, in the provider's order."""
    return _turn_blocks(assistant_turn(message))


def translate_chunk(chunk: AIMessageChunk) -> list[types.ContentBlock]:
    """The standard blocks of one chunk of a stream, or of several added up."""
    calls = [
        {"type": "tool_call_chunk", **{key: call.get(key) for key in ("id", "name", "args", "index")}}
        for call in chunk.tool_call_chunks
    ]
    is_last = chunk.chunk_position == "last"
    if isinstance(chunk.content, list) and chunk.content and not is_last:
        return cast("list[types.ContentBlock]", [*chunk.content, *calls])  # made as indexed blocks
    state = chunk.additional_kwargs.get(REPLAY_KEY)
    has_content = chunk.content or chunk.tool_calls or chunk.additional_kwargs.keys() & {"reasoning_content", "refusal"}
    turn = shown_turn(chunk)
    # A refusal without a text is in the replay state alone; as a block it was in a chunk of its own.
    has_parts = has_content or (state and chunk.content == "")
    if is_last and has_parts and (not state or matches(turn, state)):
        return _turn_blocks(restore(turn, state))
    left_out = ToolCall if is_last or HAS_REFUSAL_BLOCK else ToolCall | Refusal
    parts = [part for part in turn.parts if not isinstance(part, left_out)] if has_content else []
    blocks = [block for part in (*parts, *whole_parts(state)) for block in part_blocks(part)]
    return cast("list[types.ContentBlock]", [*blocks, *calls])


register_translator(PROVIDER, translate, translate_chunk)
