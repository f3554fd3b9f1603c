"""Whatever a decoder makes of a reply becomes a message, and a stream's chunks add up to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, message_chunk_to_message

from cfaig_integrations.core.chat import ChatReply, Choice, Usage
from cfaig_integrations.core.content import (
    NO_EXTRAS,
    Citation,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Turn,
    Wire,
)
from cfaig_integrations.core.fold import unfold
from cfaig_integrations.langchain.generations import GenerationChunkMaker, to_generations
from cfaig_integrations.langchain.inbound import to_turns
from cfaig_integrations.langchain.outbound_blocks import translate
from tests.langchain.kit import invoked, summed
from tests.recorded_replies import info

WIRES: tuple[Wire, ...] = ("chat_completions", "responses", "messages", "run")
ARGUMENTS = st.text(max_size=5) | st.sampled_from(["text", "image", "]", '{"a": 1}', "http://[::1", "data:,x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-5, 5) | ARGUMENTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(ARGUMENTS, inner, max_size=2),
    max_leaves=4,
)
KEYS = st.sampled_from(
    [
        *(
            "type",
            "id",
            "index",
            "text",
            "item",
            "summary",
            "signature",
            "encrypted_content",
            "content",
            "status",
        ),
        *(
            "action",
            "name",
            "input",
            "data",
            "result",
            "thinking",
            "citations",
            "annotations",
            "outputs",
            "queries",
        ),
        *("call_id",),
    ]
)
TYPES = st.sampled_from(
    [
        *(
            "web_search_call",
            "code_interpreter_call",
            "file_search_call",
            "mcp_call",
            "mcp_list_tools",
            "reasoning",
        ),
        *(
            "image_generation_call",
            "server_tool_use",
            "web_search_tool_result",
            "mcp_tool_use",
            "redacted_thinking",
        ),
        *(
            "code_execution_tool_result",
            "computer_call",
            "text",
            "tool_use",
            "document",
            "image",
            "thinking",
        ),
    ]
)
RAW = st.dictionaries(KEYS, JSON, max_size=4) | st.builds(
    lambda kind, rest: {**rest, "type": kind}, TYPES, st.dictionaries(KEYS, JSON, max_size=4)
)
EXTRAS = st.just(NO_EXTRAS) | st.dictionaries(st.sampled_from(WIRES), RAW, min_size=1, max_size=2)
PLACES = st.none() | st.integers()
CITATIONS = st.lists(
    st.builds(Citation, url=ARGUMENTS, title=ARGUMENTS, quoted=ARGUMENTS, start=PLACES, end=PLACES, raw=RAW), max_size=2
).map(tuple)
PARTS = st.one_of(
    st.builds(Text, ARGUMENTS, CITATIONS, EXTRAS),
    st.builds(Reasoning, ARGUMENTS, EXTRAS),
    st.builds(Refusal, ARGUMENTS, EXTRAS),
    st.builds(ToolCall, ARGUMENTS, ARGUMENTS, ARGUMENTS, st.sampled_from(["function", "custom"]), EXTRAS),
    st.builds(
        lambda kind, place, value: Media(kind, **{place: value or "x"}, mime="image/png"),
        st.sampled_from(["image", "audio", "video", "file"]),
        st.sampled_from(["url", "data", "file_id"]),
        ARGUMENTS,
    ),
    st.builds(Opaque, st.sampled_from(WIRES), RAW),
)


def with_own_ids(turn: Turn) -> Turn:
    """Calls are told apart by their ids."""
    parts = [replace(part, id=f"call_{n}") if isinstance(part, ToolCall) else part for n, part in enumerate(turn.parts)]
    return replace(turn, parts=tuple(parts))


TURNS = st.builds(Turn, st.just("assistant"), st.lists(PARTS, max_size=5).map(tuple), extras=EXTRAS).map(with_own_ids)
COUNTS = st.integers(0, 10**30)
OPTIONAL = st.none() | COUNTS
USAGES = st.none() | st.builds(Usage, COUNTS, COUNTS, COUNTS, OPTIONAL, OPTIONAL, OPTIONAL, OPTIONAL, OPTIONAL)
CHOICES = st.lists(
    st.builds(Choice, TURNS, st.sampled_from(["stop", "length", "unknown"]), ARGUMENTS, EXTRAS), min_size=1, max_size=2
).map(tuple)
REPLIES = st.builds(ChatReply, st.sampled_from(WIRES), ARGUMENTS, ARGUMENTS, CHOICES, USAGES, EXTRAS)


def facts(message: AIMessage) -> dict[str, Any]:
    return {
        "text": message.text,
        "calls": message.tool_calls,
        "broken": [(call["id"], call["name"]) for call in message.invalid_tool_calls],
        "beside": message.additional_kwargs,
        "usage": message.usage_metadata,
        "metadata": message.response_metadata,
        "turns": to_turns([message]),
    }


UNREADABLE = Turn("assistant", (Opaque("responses", {"type": "text", "text": True}),))


@settings(max_examples=120)
@given(REPLIES)
@example(ChatReply("chat_completions", "", "", (Choice(UNREADABLE, "stop", "", {}),), None, {}))
def test_chunks_add_up_to_the_message(reply: ChatReply) -> None:
    events = unfold(reply)
    whole = invoked(events, reply.wire)
    for as_blocks in (False, True):
        stream = summed(events, reply.wire, as_blocks=as_blocks)
        assert facts(stream) == facts(whole)
        message = cast("AIMessage", message_chunk_to_message(stream))
        assert message.content_blocks is not None
        assert facts(AIMessage.model_validate_json(message.model_dump_json())) == facts(whole)
    assert whole.content_blocks is not None
    in_blocks = whole.model_copy(update={"content": translate(whole)})
    assert to_turns([in_blocks]) == to_turns([whole])


@given(REPLIES)
def test_chunks_of_text_add_up_to_the_text(reply: ChatReply) -> None:
    reported = info(reply.wire)
    (first, *_) = to_generations(reply, reported, "asked")
    maker = GenerationChunkMaker(reported, "asked")
    pieces = [piece for event in unfold(reply) if (piece := maker.make(event)) is not None]
    assert "".join(piece.text for piece in pieces) == first.text
    assert maker.last().generation_info == first.generation_info


@pytest.mark.parametrize("raw", [{"type": {"a": 1}}, {"type": "web_search_call", "action": 7}, {"type": None}, {}])
def test_a_block_without_a_translation_is_non_standard(raw: dict[str, Any]) -> None:
    for wire in WIRES:
        reply = ChatReply(wire, "1", "m", (Choice(Turn("assistant", (Opaque(wire, raw),)), "stop"),), None)
        message = invoked(unfold(reply), wire)
        assert message.content_blocks is not None
        assert to_turns([message])[0].parts == (Opaque(wire, raw),)
