"""`fold` inverts `unfold`, for any reply and for every recorded one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfaig_integrations.core.chat import ChatReply, Choice, Usage
from cfaig_integrations.core.content import (
    Citation,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from cfaig_integrations.core.events import TextDelta
from cfaig_integrations.core.fold import fold, unfold
from cfaig_integrations.errors import GatewayError, ProtocolError
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.registry import codec
from tests.wire.harness import needs_recordings, recordings

texts = st.text(max_size=8)
extras = st.dictionaries(
    st.sampled_from(["chat_completions", "messages"]), st.dictionaries(texts, texts, min_size=1, max_size=2), max_size=2
)
citations = st.lists(st.builds(Citation, url=texts, title=texts), max_size=2).map(tuple)
parts = st.one_of(
    st.builds(Text, texts, citations, extras),
    st.builds(Reasoning, texts, extras),
    st.builds(Refusal, texts, extras),
    st.builds(ToolCall, texts, texts, texts, st.sampled_from(["function", "custom"]), extras),
    st.builds(Media, st.just("image"), data=texts, extras=extras),
    st.builds(Opaque, st.just("responses"), st.dictionaries(texts, texts)),
)
turns = st.builds(lambda made, more: Turn("assistant", tuple(made), extras=more), st.lists(parts, max_size=4), extras)
choices = st.builds(Choice, turns, st.sampled_from(["stop", "length", "tool_calls", "unknown"]), texts, extras)
replies = st.builds(
    ChatReply,
    st.just("messages"),
    texts,
    texts,
    st.lists(choices, min_size=1, max_size=3).map(tuple),
    st.none() | st.builds(Usage, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
    extras,
)


@given(replies)
def test_folding_the_events_of_a_reply_gives_the_reply(reply: ChatReply) -> None:
    assert fold(reply.wire, unfold(reply)) == reply


def test_a_text_is_one_delta() -> None:
    reply = ChatReply("messages", "1", "m", (Choice(Turn("assistant", (Text("one two"),)), "stop"),))
    assert [event for event in unfold(reply) if isinstance(event, TextDelta)] == [TextDelta(0, "one two")]


def test_a_tools_result_in_a_reply_is_refused() -> None:
    reply = ChatReply("messages", "1", "m", (Choice(Turn("assistant", (ToolResult("call", ()),)), "stop"),))
    with pytest.raises(ProtocolError, match="tool's result"):
        unfold(reply)


@needs_recordings
@pytest.mark.parametrize(
    ("kind", "wire"), [("chat", "chat_completions"), ("responses", "responses"), ("messages", "messages")]
)
def test_every_recorded_reply_survives(kind: str, wire: Any) -> None:
    count = 0
    for record in recordings(kind, stream=False):
        try:
            reply = codec(wire).decode(record["response_body"].encode())
        except (GatewayError, EmbeddedError):
            continue
        assert fold(wire, unfold(reply)) == reply, record["line"]
        count += 1
    assert count > 50
