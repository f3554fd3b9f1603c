"""Every recording of Anthropic's format: decoded in both forms, truncated, and sent back."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfaig_integrations.core.chat import ChatReply, ChatRequest, FunctionTool, NamedTool, NativeTool, OutputSchema
from cfaig_integrations.core.content import (
    NO_EXTRAS,
    Citation,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    extras_of,
)
from cfaig_integrations.errors import ConfigError, StreamBroken
from cfaig_integrations.wire.messages import CODEC
from tests.wire.harness import (
    assert_number,
    assert_same_in_any_split,
    events_of,
    folded,
    needs_complete_recordings,
    needs_recordings,
    recordings,
    validate_request,
)
from tests.wire.messages_forms import comparable, stream_from_whole, whole_from_stream
from tests.wire.messages_samples import CITATIONS

pytestmark = needs_recordings

SPLICED = {"4426680c6f58"}
"""A made-up stream in which a second message begins inside the first, whose end marker never came."""
SEVERAL = {"95283dde0814": 15, "b0e47cfb5829": 2, "95642aab303f": 3, "ee885e6bcc88": 3, "e9a6b703bf24": 2}
"""Recordings that hold several answers, one after the other: the bodies of several exchanges in one file."""
WHOLE = recordings("messages", stream=False)
STREAMS = [record for record in recordings("messages", stream=True) if record["id"] not in SPLICED]


def by_line(record: dict[str, Any]) -> str:
    return str(record["line"])


def sdk_errors(body: dict[str, Any]) -> list[str]:
    """The errors of Anthropic's types for a body; container, MCP and compaction blocks are in their beta types."""
    return validate_request("messages", body) and validate_request("messages_beta", body)


def test_there_is_something_to_check() -> None:
    assert_number(len(WHOLE), 418)
    assert_number(len(STREAMS), 53)


@pytest.mark.parametrize("record", WHOLE, ids=by_line)
def test_whole_bodies(record: dict[str, Any]) -> None:
    """Decoded, equal to the same message as a stream, and sent back."""
    body = json.loads(record["response_body"])
    reply = CODEC.decode(record["response_body"].encode())
    assert len(reply.turn.parts) == len(body["content"]) + (body["stop_reason"] == "refusal")
    assert reply.turn.text == "".join(block["text"] for block in body["content"] if block["type"] == "text")
    assert reply.finish != "unknown" or body["stop_reason"] == "compaction"
    assert comparable(folded(CODEC, stream_from_whole(body).encode())) == comparable(reply)
    assert_echo(reply, body["content"])


@pytest.mark.parametrize("record", STREAMS, ids=by_line)
def test_streams(record: dict[str, Any]) -> None:
    """Decoded in any split, equal to the same message as a whole body, and sent back."""
    text = record["response_body"]
    assert_same_in_any_split(CODEC, text, seed=record["line"])
    body = whole_from_stream(text)
    reply = folded(CODEC, text.encode())
    assert reply.finish != "unknown"
    assert comparable(reply) == comparable(CODEC.decode(json.dumps(body).encode()))
    assert_echo(reply, body["content"])


def assert_echo(reply: ChatReply, content: list[dict[str, Any]]) -> None:
    calls = reply.turn.tool_calls
    results = tuple(ToolResult(call.id, (Text("done"),)) for call in calls)
    after = Turn("tool", results) if calls else Turn("user", (Text("Go on."),))
    request = ChatRequest("m", (Turn("user", (Text("Hi."),)), reply.turn, after))
    body = CODEC.encode(request, stream=False)
    assert sdk_errors(body) == []
    given_back = [message["content"] for message in body["messages"] if message["role"] == "assistant"]
    if not content:
        assert given_back == []
        return
    (blocks,) = given_back
    assert ([{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks) == content


@pytest.mark.parametrize("record", STREAMS, ids=by_line)
def test_truncated_streams_are_errors(record: dict[str, Any]) -> None:
    data = record["response_body"].encode()
    # Up to the first message's stop reason, after which only its end marker comes.
    last = data.index(b"}", data.index(b"event: message_delta"))
    rng = random.Random(record["line"])
    for at in [0, 1, last, *(rng.randint(0, last) for _ in range(25))]:
        with pytest.raises(StreamBroken):
            events_of(CODEC, [data[:at]])


@pytest.mark.parametrize("record", [r for r in STREAMS if r["id"] in SEVERAL], ids=by_line)
def test_recordings_of_several_answers(record: dict[str, Any]) -> None:
    """Each answer by itself is whole, and together they are one after the other."""
    ends = [part for part in record["response_body"].split("event: message_start") if part.strip()]
    answers = ["event: message_start" + part for part in ends]
    assert len(answers) == SEVERAL[record["id"]]
    parts = [part for answer in answers for part in folded(CODEC, answer.encode()).turn.parts]
    assert list(folded(CODEC, record["response_body"].encode()).turn.parts) == parts


def test_a_message_inside_another_is_an_error() -> None:
    for record in recordings("messages", stream=True):
        if record["id"] in SPLICED:
            with pytest.raises(StreamBroken, match="before the message_stop"):
                folded(CODEC, record["response_body"].encode())


# Requests of every kind, against the official SDK's types

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
MARKS = st.sampled_from([NO_EXTRAS, extras_of("messages", cache_control={"type": "ephemeral", "ttl": "5m"})])
IDS = st.sampled_from(["toolu_1", "call|2", "", "näme"])
TEXTS = st.builds(
    Text, WORDS, st.lists(st.sampled_from(CITATIONS).map(lambda raw: Citation(raw=raw)), max_size=1).map(tuple), MARKS
)
MEDIA = st.sampled_from(
    [
        Media("image", data="AAAA", mime="image/png"),
        Media("image", url="https://a.example/i.png"),
        Media("file", data="AAAA", mime="application/pdf", name="p.pdf"),
        Media("file", url="https://a.example/p.pdf"),
        Media("file", data="aGk=", mime="text/plain"),
    ]
)
SAID = st.one_of(
    TEXTS,
    st.builds(Reasoning, WORDS, st.sampled_from([NO_EXTRAS, extras_of("messages", signature="s")])),
    st.builds(
        ToolCall,
        IDS,
        st.just("f"),
        st.sampled_from(['{"a": 1}', "", '{"a', "ls"]),
        st.sampled_from(["function", "custom"]),
    ),
    st.builds(Refusal, WORDS),
    st.just(Opaque("responses", {"type": "web_search_call"})),
    st.just(Opaque("messages", {"type": "redacted_thinking", "data": "x"})),
)
RESULTS = st.builds(
    ToolResult,
    IDS,
    st.lists(st.builds(Text, WORDS, st.just(()), MARKS) | MEDIA, max_size=2).map(tuple),
    st.booleans(),
    MARKS,
)
TURNS = st.lists(
    st.one_of(
        st.builds(Turn, st.just("user"), st.lists(TEXTS | MEDIA, max_size=3).map(tuple), WORDS),
        st.builds(Turn, st.just("assistant"), st.lists(SAID, max_size=3).map(tuple)),
        st.builds(Turn, st.just("tool"), st.lists(RESULTS, max_size=2).map(tuple)),
    ),
    max_size=6,
).map(lambda turns: (Turn("system", (Text("Be brief."), Text(""))), Turn("user", (Text("Hi."),)), *turns))
TOOLS = st.sampled_from(
    [
        FunctionTool("f", "", {}),
        FunctionTool(
            "g",
            "Does.",
            {"type": "object", "properties": {}},
            strict=True,
            extras=extras_of("messages", defer_loading=True),
        ),
        NativeTool({"type": "web_search_20250305", "name": "web_search", "max_uses": 2}),
    ]
)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


REQUESTS = st.builds(
    ChatRequest,
    st.just("anthropic/model"),
    TURNS,
    tools=st.lists(TOOLS, max_size=3).map(tuple),
    tool_choice=maybe(st.sampled_from(["auto", "none", "required", NamedTool("f")])),
    parallel_tool_calls=maybe(st.booleans()),
    output=maybe(st.just(OutputSchema({"type": "object"}, description="d"))),
    temperature=maybe(st.floats(0, 1)),
    max_tokens=maybe(st.integers(1, 9)),
    top_p=maybe(st.floats(0, 1)),
    top_k=maybe(st.integers(1, 9)),
    stop=st.lists(WORDS, max_size=2).map(tuple),
    reasoning_effort=maybe(st.sampled_from(["low", "medium", "high"])),
    thinking=maybe(st.sampled_from([{"type": "enabled", "budget_tokens": 2048}, {"type": "disabled"}])),
    service_tier=maybe(st.sampled_from(["auto", "standard_only"])),
    extra_body=st.sampled_from([{}, {"metadata": {"user_id": "u"}}]),
)


@settings(max_examples=300)
@given(REQUESTS, st.booleans())
def test_any_request_is_valid_by_the_official_types(request: ChatRequest, stream: bool) -> None:
    body = CODEC.encode(request, stream=stream)
    assert sdk_errors(body) == []
    roles = [message["role"] for message in body["messages"]]
    assert all(one != other for one, other in itertools.pairwise(roles))
    for message in body["messages"]:
        if isinstance(message["content"], list):
            kinds = [block["type"] for block in message["content"]]
            assert "tool_result" not in kinds[kinds.count("tool_result") :], "results come first"


@needs_complete_recordings
def test_the_official_types_reject_an_invalid_request() -> None:
    with pytest.raises(ConfigError):
        CODEC.encode(ChatRequest("m", ()), stream=False)
    assert sdk_errors({"model": "m", "messages": [{"role": "user", "content": [{"type": "txt"}]}], "max_tokens": 1})
