"""Turns to LangChain's standard content blocks, and the translator that core asks for them.

Blocks of tools that a server runs are left to core's translators for the provider whose format they are in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never, cast

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
from cfaig_integrations.core.hints import provider_of, reasoning_identity
from cfaig_integrations.core.replay import matches, restore, whole_parts
from cfaig_integrations.langchain.inbound import PROVIDER, REPLAY_KEY, assistant_turn, shown_turn
from cfaig_integrations.langchain.tool_calls import parsed

Block = dict[str, Any]

REFUSALS_ARE_KNOWN = "refusal" in types.KNOWN_BLOCK_TYPES
"""Whether core has a refusal block (1.7.5 and later). Pieces of the block that stands in for it do not add up."""


def blocks_of(turn: Turn) -> list[Block]:
    """The standard blocks of a turn, tool calls included, in the provider's order."""
    return [block for part in turn.parts for block in part_blocks(part)]


def part_blocks(part: Part) -> list[Block]:
    """The standard blocks of one part; a server tool's block may be a call and its result at once."""
    match part:
        case Text(text, citations):
            block: Block = {"type": "text", "text": text}
            if citations:
                block["annotations"] = [annotation(citation) for citation in citations]
            return [block] if text or citations else []
        case Reasoning(text, extras):
            return [{"type": "reasoning", "reasoning": text} | reasoning_extras(extras)]
        case ToolCall():
            return [_call_block(part)]
        case Refusal(text):
            return [refusal_block(text)]
        case Media():
            return [_media_block(part)]
        case Opaque():
            return opaque_blocks(part)
        case ToolResult():
            return []
        case _:
            assert_never(part)


def annotation(citation: Citation) -> Block:
    """A citation as a standard annotation; the provider's own object stays in its extras."""
    made: Block = {"type": "citation"}
    shown = {"url": citation.url, "title": citation.title, "cited_text": citation.quoted}
    made |= {key: value for key, value in shown.items() if value}
    if citation.start is not None:
        made["start_index"] = citation.start
    if citation.end is not None:
        made["end_index"] = citation.end
    if citation.raw:
        made["extras"] = {"raw": dict(citation.raw)}
    return made


def reasoning_extras(extras: Extras) -> Block:
    """What a reasoning block shows of its extras, so that other packages can give it back too."""
    signature, _, encrypted = reasoning_identity(extras)
    shown: Block = {"signature": signature} if signature else {}
    if encrypted:
        shown["encrypted_content"] = encrypted
    return {"extras": shown} if shown else {}


def refusal_block(text: str) -> Block:
    """A refusal."""
    if REFUSALS_ARE_KNOWN:
        return {"type": "refusal", "refusal": text}
    return {"type": "non_standard", "value": {"type": "refusal", "refusal": text}}


def _call_block(call: ToolCall) -> Block:
    args, error = parsed(call)
    if error is None:
        return {"type": "tool_call", "id": call.id, "name": call.name, "args": args}
    return {"type": "invalid_tool_call", "id": call.id, "name": call.name, "args": call.arguments, "error": error}


def _media_block(media: Media) -> Block:
    block: Block = {"type": media.kind}
    found = {"url": media.url, "base64": media.data, "file_id": media.file_id, "mime_type": media.mime}
    block |= {key: value for key, value in found.items() if value}
    beside = {"filename": media.name, "transcript": media.text}
    if any(beside.values()):
        block["extras"] = {key: value for key, value in beside.items() if value}
    return block


def opaque_blocks(part: Opaque) -> list[Block]:
    """A server tool's block in standard form, as core's translator for its provider has it."""
    provider = provider_of(part)
    if provider is not None:
        # The translators may take pieces out of what they are given.
        message = AIMessage(content=[dict(part.raw)], response_metadata={"model_provider": provider})
        try:
            found = [cast("Block", dict(block)) for block in message.content_blocks]
        except Exception:  # core's translators take a provider's block to be as its documentation says
            found = []
        if found and all(block.get("type") not in {"non_standard", "tool_call"} for block in found):
            return [{key: value for key, value in block.items() if key != "index"} for block in found]
    return [{"type": "non_standard", "value": {"wire": part.wire, "raw": dict(part.raw)}}]


def translate(message: AIMessage) -> list[types.ContentBlock]:
    """The standard blocks of one of our messages."""
    return cast("list[types.ContentBlock]", blocks_of(assistant_turn(message)))


def translate_chunk(chunk: AIMessageChunk) -> list[types.ContentBlock]:
    """The standard blocks of a piece of a stream, or of pieces added up."""
    calls = [_call_chunk(found) for found in chunk.tool_call_chunks]
    state = chunk.additional_kwargs.get(REPLAY_KEY)
    ended = chunk.chunk_position == "last"
    if isinstance(chunk.content, list) and chunk.content and not ended:
        return cast("list[types.ContentBlock]", [*chunk.content, *calls])  # a piece made as blocks, indexed
    shows = chunk.content or chunk.tool_calls or chunk.additional_kwargs.keys() & {"reasoning_content", "refusal"}
    turn = shown_turn(chunk)
    if ended and shows and (not state or matches(turn, state)):
        return cast("list[types.ContentBlock]", blocks_of(restore(turn, state)))
    elsewhere = ToolCall if ended or REFUSALS_ARE_KNOWN else ToolCall | Refusal
    said = turn.parts if shows else ()
    pieces = [block for part in said if not isinstance(part, elsewhere) for block in part_blocks(part)]
    return cast("list[types.ContentBlock]", [*pieces, *_came_whole(state), *calls])


def _came_whole(state: object) -> list[Block]:
    """The blocks of parts that came whole with this piece."""
    return [block for part in whole_parts(state) for block in part_blocks(part)]


def _call_chunk(found: Mapping[str, Any]) -> Block:
    return {"type": "tool_call_chunk", **{key: found.get(key) for key in ("id", "name", "args", "index")}}


def register_translations() -> None:
    """Makes core ask `translate` for the blocks of our messages."""
    register_translator(PROVIDER, translate, translate_chunk)
