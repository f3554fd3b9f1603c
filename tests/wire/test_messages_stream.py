"""Streamed Anthropic messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfaig_integrations.core.content import Opaque, Reasoning, Text, ToolCall, extras_of
from cfaig_integrations.core.events import (
    ArgumentsDelta,
    CitationAdded,
    Event,
    Finished,
    PartAdded,
    PartExtras,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
    UsageUpdated,
)
from cfaig_integrations.core.fold import fold
from cfaig_integrations.errors import ProtocolError, StreamBroken
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.messages import CODEC
from tests.wire.harness import assert_same_in_any_split, chunked, events_of, folded
from tests.wire.messages_forms import comparable, sse, stream_from_whole, whole_from_stream
from tests.wire.messages_samples import CITATIONS, ERRORS, MESSAGE, message, text

START = {"type": "message_start", "message": message(stop_reason=None)}
END = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn", "stop_sequence": None},
    "usage": {"output_tokens": 9},
}
STOP = {"type": "message_stop"}


def begin(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def more(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def parts_of(*events: dict[str, Any]) -> tuple[Any, ...]:
    return folded(CODEC, sse(START, *events, END, STOP).encode()).turn.parts


def fed(*events: dict[str, Any]) -> list[Event]:
    decoder = CODEC.decoder()
    return [decoded for event in events for decoded in decoder.feed(event["type"], json.dumps(event).encode())]


def test_the_sample_is_equal_in_both_forms() -> None:
    streamed = stream_from_whole(MESSAGE)
    assert comparable(CODEC.decode(json.dumps(whole_from_stream(streamed)).encode())) == comparable(
        folded(CODEC, streamed.encode())
    )
    assert comparable(folded(CODEC, streamed.encode())) == comparable(CODEC.decode(json.dumps(MESSAGE).encode()))


@pytest.mark.parametrize("seed", range(5))
def test_the_sample_is_equal_in_any_split(seed: int) -> None:
    assert_same_in_any_split(CODEC, stream_from_whole(MESSAGE), seed)


BLOCKS = st.one_of(
    st.builds(text, st.text(max_size=9)),
    st.builds(text, st.text(max_size=9), citations=st.lists(st.sampled_from(CITATIONS), min_size=1, max_size=2)),
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": st.text(max_size=9), "signature": st.text()}),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["tool_use", "server_tool_use", "mcp_tool_use"]),
            "id": st.text(),
            "name": st.text(),
            "input": st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
        }
    ),
    st.fixed_dictionaries({"type": st.just("other_tool_result"), "content": st.lists(st.text(), max_size=2)}),
)


@given(st.lists(BLOCKS, max_size=5), st.integers(1, 5), st.randoms())
def test_any_message_is_equal_in_both_forms(blocks: list[dict[str, Any]], step: int, rng: Any) -> None:
    body = message(*blocks)
    streamed = fold("messages", events_of(CODEC, chunked(stream_from_whole(body, step).encode(), rng)))
    assert comparable(streamed) == comparable(CODEC.decode(json.dumps(body).encode()))


def test_the_events_of_a_small_answer() -> None:
    assert fed(
        START,
        {"type": "ping"},
        begin(0, type="thinking", thinking="", signature=""),
        more(0, type="thinking_delta", thinking="so"),
        more(0, type="signature_delta", signature="s"),
        stop(0),
        begin(1, type="text", text=""),
        more(1, type="citations_delta", citation=CITATIONS[0]),
        more(1, type="text_delta", text=""),
        more(1, type="text_delta", text="Hi"),
        stop(1),
        begin(2, type="tool_use", id="t", name="add", input={}),
        more(2, type="input_json_delta", partial_json=""),
        more(2, type="input_json_delta", partial_json='{"a": '),
        more(2, type="input_json_delta", partial_json="1}"),
        stop(2),
        END,
        STOP,
    ) == [
        Started("msg_2", "model-1"),
        UsageUpdated(CODEC.decode(json.dumps(message()).encode()).usage),  # type: ignore[arg-type]
        PartStarted(0, "reasoning"),
        PartExtras(0, extras_of("messages", signature="")),
        ReasoningDelta(0, "so"),
        PartExtras(0, extras_of("messages", signature="s")),
        PartStarted(1, "text"),
        CitationAdded(1, CODEC.decode(json.dumps(MESSAGE).encode()).turn.parts[-4].citations[0]),  # type: ignore[union-attr]
        TextDelta(1, "Hi"),
        PartStarted(2, "tool_call", id="t", name="add"),
        ArgumentsDelta(2, '{"a": '),
        ArgumentsDelta(2, "1}"),
        Finished("stop", "end_turn"),
        UsageUpdated(folded(CODEC, sse(START, END, STOP).encode()).usage),  # type: ignore[arg-type]
    ]


def test_tool_arguments_are_the_joined_pieces() -> None:
    broken = '{"a": [1, 2'
    (call,) = parts_of(
        begin(0, type="tool_use", id="t", name="f", input={}),
        more(0, type="input_json_delta", partial_json=broken),
        stop(0),
    )
    assert call == ToolCall("t", "f", broken)


@pytest.mark.parametrize(
    ("given_input", "pieces", "arguments"),
    [({}, [], "{}"), ({}, [""], "{}"), ({"a": 1}, [], '{"a":1}'), ({}, ['{"b"', ": 2}"], '{"b": 2}')],
)
def test_tool_input_comes_whole_in_pieces_or_not_at_all(given_input: Any, pieces: list[str], arguments: str) -> None:
    deltas = [more(0, type="input_json_delta", partial_json=piece) for piece in pieces]
    (call,) = parts_of(begin(0, type="tool_use", id="t", name="f", input=given_input), *deltas, stop(0))
    assert call == ToolCall("t", "f", arguments)


def test_blocks_may_begin_with_content() -> None:
    assert parts_of(
        begin(0, type="text", text="Hel", citations=CITATIONS[:1]),
        more(0, type="text_delta", text="lo"),
        stop(0),
        begin(1, type="thinking", thinking="so", signature="early"),
        stop(1),
    ) == (
        Text("Hello", CODEC.decode(json.dumps(MESSAGE).encode()).turn.parts[-4].citations[:1]),  # type: ignore[union-attr]
        Reasoning("so", extras_of("messages", signature="early")),
    )


def test_server_tool_input_is_joined_and_keeps_its_position() -> None:
    events = fed(
        START,
        begin(0, type="server_tool_use", id="s", name="web_search", input={}),
        begin(1, type="text", text="while"),
        more(0, type="input_json_delta", partial_json='{"query": "x'),
        more(0, type="input_json_delta", partial_json='"}'),
        stop(1),
        stop(0),
    )
    raw = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
    assert events[2:] == [PartStarted(1, "text"), TextDelta(1, "while"), PartAdded(0, Opaque("messages", raw))]


def test_truncated_server_tool_input_is_kept() -> None:
    (part,) = parts_of(
        begin(0, type="server_tool_use", id="s", name="f", input={}),
        more(0, type="input_json_delta", partial_json='{"q'),
        stop(0),
    )
    assert part.raw["input"] == {"invalid_arguments": '{"q'}


def test_unknown_deltas_continue_unknown_blocks() -> None:
    assert parts_of(
        begin(0, type="compaction", content=None),
        more(0, type="compaction_delta", content="what was", encrypted_content="e"),
        more(0, type="compaction_delta", content=" said"),
        stop(0),
        begin(1, type="from_the_future", text=""),
        more(1, type="text_delta", text="a"),
        more(1, type="text_delta", text="b"),
        more(1, type="depth_delta", depth={"x": 1}),
        stop(1),
    ) == (
        Opaque("messages", {"type": "compaction", "content": "what was said", "encrypted_content": "e"}),
        Opaque("messages", {"type": "from_the_future", "text": "ab", "depth": {"x": 1}}),
    )


def test_unknown_deltas_of_a_known_block_become_extras() -> None:
    (part,) = parts_of(begin(0, type="text", text="a"), more(0, type="mood_delta", mood="calm"), stop(0))
    assert part == Text("a", extras=extras_of("messages", mood="calm"))


def test_final_counts_replace_the_first_ones() -> None:
    start = message(
        usage={"input_tokens": 5, "cache_read_input_tokens": 7, "service_tier": "standard", "output_tokens": 1}
    )
    end = {**END, "usage": {"output_tokens": 9, "input_tokens": 6, "cache_read_input_tokens": None}}
    usage = folded(CODEC, sse({"type": "message_start", "message": start}, end, STOP).encode()).usage
    assert usage is not None
    assert (usage.input, usage.cache_read, usage.output, usage.total) == (13, 7, 9, 22)
    assert usage.raw == {
        "input_tokens": 6,
        "cache_read_input_tokens": 7,
        "service_tier": "standard",
        "output_tokens": 9,
    }


def test_unmodeled_fields_of_the_start_and_of_the_end() -> None:
    start = message(stop_details=None, gatewayMetadata={"keySource": "Unified"})
    delta = {"stop_reason": "stop_sequence", "stop_sequence": "END", "container": {"id": "c"}}
    end = {**END, "delta": delta, "context_management": {"applied_edits": []}}
    reply = folded(CODEC, sse({"type": "message_start", "message": start}, end, STOP).encode())
    assert reply.facts == {
        "gatewayMetadata": {"keySource": "Unified"},
        "container": {"id": "c"},
        "context_management": {"applied_edits": []},
    }
    assert reply.choices[0].extras == extras_of("messages", stop_sequence="END")
    assert (reply.finish, reply.choices[0].provider_finish) == ("stop", "stop_sequence")


def test_a_fallback_model_is_the_model_of_the_reply() -> None:
    # A whole body names it, message_start the requested model.
    block = {"type": "fallback", "from": {"model": "model-1"}, "to": {"model": "model-2"}}
    reply = folded(CODEC, sse(START, begin(0, **block), stop(0), END, STOP).encode())
    assert (reply.model, reply.turn.parts) == ("model-2", (Opaque("messages", block),))


def test_a_message_start_may_hold_the_whole_message() -> None:
    whole = message(text("a"), {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}, stop_reason="tool_use")
    streamed = folded(CODEC, sse({"type": "message_start", "message": whole}, STOP).encode())
    assert streamed == CODEC.decode(json.dumps(whole).encode())


def test_a_repeated_message_start_is_ignored() -> None:
    twice = sse(START, START, begin(0, **text("a")), stop(0), END, STOP)
    assert folded(CODEC, twice.encode()).turn.parts == (Text("a"),)


def test_a_message_after_the_end_of_another_continues_the_answer() -> None:
    first = sse(START, begin(0, **text("a")), stop(0), END, STOP)
    second = sse({"type": "message_start", "message": message(id="msg_3")}, begin(0, **text("b")), stop(0), END, STOP)
    reply = folded(CODEC, (first + second).encode())
    assert (reply.id, reply.turn.parts) == ("msg_3", (Text("a"), Text("b")))


def test_a_truncated_second_message_is_an_error() -> None:
    data = sse(START, begin(0, **text("a")), stop(0), END, STOP, START).encode()
    with pytest.raises(StreamBroken) as raised:
        events_of(CODEC, [data])
    assert raised.value.partial == "a"


def test_a_message_inside_another_is_an_error() -> None:
    with pytest.raises(StreamBroken) as raised:
        fed(START, begin(0, **text("so far")), START)
    assert raised.value.partial == "so far"


def test_open_blocks_end_with_the_message() -> None:
    raw = {"type": "from_the_future"}
    assert parts_of(begin(0, **raw), begin(1, type="tool_use", id="t", name="f", input={})) == (
        Opaque("messages", raw),
        ToolCall("t", "f", "{}"),
    )


@pytest.mark.parametrize("error", ERRORS, ids="-".join)
@pytest.mark.parametrize("name", ["error", ""])
def test_an_error_in_a_stream_is_raised(error: dict[str, Any], name: str) -> None:
    decoder = CODEC.decoder()
    decoder.feed("message_start", json.dumps(START).encode())
    with pytest.raises(EmbeddedError) as raised:
        decoder.feed(name, json.dumps(error).encode())
    assert raised.value.body == error


@pytest.mark.parametrize(
    "data", [b"keep-alive", b"[DONE]", b"", b"  ", b'{"type": "ping"}', b'{"type": "from_the_future"}']
)
def test_events_without_content_are_skipped(data: bytes) -> None:
    decoder = CODEC.decoder()
    assert list(decoder.feed("", data)) == []
    assert list(decoder.feed("ping", b"{broken")) == [], "a ping is not even read"
    assert list(decoder.feed("", data)) == []
    with pytest.raises(StreamBroken):
        decoder.close()


@pytest.mark.parametrize(
    "event",
    [
        more(7, type="input_json_delta", partial_json="of a block that never began"),
        {"type": "content_block_delta", "index": 0},
        {"type": "content_block_start", "index": 0, "content_block": None},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use"}},
        {"type": "message_start"},
        {"type": "message_delta"},
    ],
)
def test_an_invalid_event_is_a_protocol_error(event: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match=r"not of Anthropic's format|no start of a tool_use block"):
        fed(event)


def test_invalid_json_is_a_protocol_error_or_at_the_end_a_truncation() -> None:
    decoder = CODEC.decoder()
    decoder.feed("message_start", json.dumps(START).encode())
    assert list(decoder.feed("content_block_start", b'{"type": "content_bl')) == []
    with pytest.raises(StreamBroken):
        decoder.close()
    with pytest.raises(ProtocolError) as raised:
        decoder.feed("message_stop", json.dumps(STOP).encode())
    assert not isinstance(raised.value, StreamBroken)


def test_a_truncated_stream_is_an_error_with_its_partial_text() -> None:
    data = sse(START, begin(0, **text("")), more(0, type="text_delta", text="née"), stop(0), END, STOP).encode()
    last = data.index(b"}\n\nevent: message_stop")
    for at in range(last + 1):
        with pytest.raises(StreamBroken) as raised:
            events_of(CODEC, [data[:at]])
        assert "née".startswith(raised.value.partial)
    assert raised.value.partial == "née"
    for at in range(last + 1, len(data)):  # only the end marker is missing, facts §14.2
        assert events_of(CODEC, [data[:at]]) == events_of(CODEC, [data])
