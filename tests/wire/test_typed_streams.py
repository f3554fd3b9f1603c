"""Messages and responses as servers send them: ends, invalid events, wrong types, repeated and missing data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfaig_integrations.errors import GatewayError, ProtocolError, StreamBroken
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.registry import codec
from tests.wire import messages_forms, responses_forms
from tests.wire.harness import events_of, folded
from tests.wire.messages_samples import MESSAGE
from tests.wire.messages_samples import message as anthropic
from tests.wire.mutations import DEEP, JUNK, as_json, paths, with_value
from tests.wire.responses_forms import OUTPUTS, STYLES, call, message, reasoning, response, text_part
from tests.wire.test_run_invalid_values import assert_well_typed

Json = dict[str, Any]

TOOL = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
WHOLE: dict[str, Json] = {
    "messages": anthropic({"type": "text", "text": "Hello there"}, TOOL, stop_reason="tool_use"),
    "responses": response(reasoning("Hm"), message(text_part("Hello there")), call('{"a": 1}')),
}
WIRES = tuple(WHOLE)


def stream_of(wire: str, body: Json | None = None) -> list[Json]:
    body = WHOLE[wire] if body is None else body
    if wire == "responses":
        return list(responses_forms.events(body))
    return list(messages_forms.sse_objects(messages_forms.stream_from_whole(body, 3)))


def sse(*events: Json, named: bool = True) -> bytes:
    def name(event: Json) -> bytes:
        return (
            f"event: {event['type']}\n".encode("utf-8", "replace")
            if named and isinstance(event.get("type"), str)
            else b""
        )

    return b"".join(name(event) + b"data: " + as_json(event) + b"\n\n" for event in events)


def decoded(wire: Any, data: bytes) -> tuple[str, list[tuple[str, Any]], str]:
    """Text, calls and reasoning of a stream."""
    turn = folded(codec(wire), data).turn
    thought = "".join(part.text for part in turn.parts if type(part).__name__ == "Reasoning")
    return turn.text, [(tool_call.name, json.loads(tool_call.arguments)) for tool_call in turn.tool_calls], thought


def at(events: list[Json], kind: str, count: int = 0) -> int:
    return [place for place, event in enumerate(events) if event["type"].endswith(kind)][count]


# Ends


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("tail", [b"data: {broken\n\n", b'data: {"error":{"message":"no"}}\n\n', b"data: ping\n\n"])
def test_nothing_is_read_after_the_end(wire: Any, tail: bytes) -> None:
    decoder = codec(wire).decoder()
    for event in stream_of(wire):
        assert not decoder.ended
        decoder.feed(event["type"], as_json(event))
    assert decoder.ended
    assert decoded(wire, sse(*stream_of(wire)) + tail) == decoded(wire, sse(*stream_of(wire)))


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        ("messages", [{"type": "message_stop"}]),
        ("messages", [{"type": "ping"}, {"type": "message_stop"}]),
        ("messages", [{"type": "message_start", "message": {"id": "m"}}, {"type": "message_stop"}]),
        ("messages", [{"type": "message_start", "message": {"id": "m", "stop_reason": "end_turn"}}]),
        ("messages", [{"type": "message_delta", "delta": {"stop_reason": ""}}]),
        ("messages", stream_of("messages")[:-2]),
        ("messages", []),
        ("responses", [{"type": "response.completed", "response": {"id": "r", "status": "completed"}}]),
        ("responses", [{"type": "response.completed", "response": {}}]),
        ("responses", stream_of("responses")[:-1]),
        ("responses", []),
    ],
)
@pytest.mark.parametrize("done", [b"", b"data: [DONE]\n\n"])
def test_an_incomplete_stream_is_an_error(wire: Any, events: list[Json], done: bytes) -> None:
    with pytest.raises(ProtocolError):
        folded(codec(wire), sse(*events) + done)


@pytest.mark.parametrize("rest", [b"", b'event: message_stop\ndata: {"type": "mess', b"data: [DONE]\n\n"])
def test_a_message_with_its_stop_reason_is_complete_without_message_stop(rest: bytes) -> None:
    whole = stream_of("messages")
    assert decoded("messages", sse(*whole[:-1]) + rest) == decoded("messages", sse(*whole))
    assert not decoded("messages", sse(whole[0], *whole[-2:-1]))[0]  # an answer of nothing


def test_an_empty_answer_is_valid() -> None:
    for end in ({"type": "message_stop"},), ():
        delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
        assert folded(codec("messages"), sse(delta, *end)).turn.parts == ()
    assert folded(codec("responses"), sse({"type": "response.completed", "response": response()})).turn.parts == ()


# Events as they arrive


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("glue", [b"\ndata: ", b"", b" ", b"\r\ndata:", b"\ndata: \xef\xbb\xbf"])
@pytest.mark.parametrize("named", [True, False])
def test_two_joined_events(wire: Any, glue: bytes, named: bool) -> None:
    events = stream_of(wire)
    for first in range(len(events) - 1):
        before, after = sse(*events[:first], named=named), sse(*events[first + 2 :], named=named)
        name = f"event: {events[first + 1]['type']}\n".encode() if named else b""
        both = name + b"data: " + as_json(events[first]) + glue + as_json(events[first + 1])
        assert decoded(wire, before + both + b"\n\n" + after) == decoded(wire, sse(*events))


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(("raw", "read"), [(b"\t", "\t"), (b"\x01", "\x01"), (b"\xff", "\ufffd"), (b"\x00", "\x00")])
def test_bytes_that_are_invalid_in_json(wire: Any, raw: bytes, read: str) -> None:
    data = sse(*stream_of(wire)).replace(b"Hel", b"He" + raw + b"l")
    assert decoded(wire, data)[0] == f"He{read}llo there"


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "alive", ["", "null", "ping", "keepalive", '{"type": "ping"}', '{"type": "keepalive", "sequence_number": 3}', "{}"]
)
def test_keep_alives_are_counted(wire: Any, alive: str) -> None:
    decoder = codec(wire).decoder()
    assert not decoder.feed("", alive.encode())
    assert decoder.keep_alives == 1
    events = stream_of(wire)
    data = sse(*events[:3]) + f"data: {alive}\n\n".encode() + sse(*events[3:])
    assert decoded(wire, data) == decoded(wire, sse(*events))


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("junk", ["upstream connect error", '{"type": "conte', "[1, 2]", '"text"', "3", "<html>", "}"])
def test_an_invalid_event_is_never_skipped(wire: Any, junk: str) -> None:
    events = stream_of(wire)
    for place in range(len(events) - 1):
        head = sse(*events[:place]) + f"data: {junk}\n\n".encode()
        with pytest.raises(ProtocolError) as raised:
            folded(codec(wire), head + sse(*events[place:]))
        assert not isinstance(raised.value, StreamBroken)
    with pytest.raises(StreamBroken):
        folded(codec(wire), sse(*events[:2]) + f"data: {junk}\n\n".encode())


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("glue", [b"", b"\ndata: "])
def test_an_error_in_a_list_or_joined_to_an_event(wire: Any, glue: bytes) -> None:
    error = {"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}}
    head = stream_of(wire)
    with pytest.raises(EmbeddedError) as raised:
        folded(codec(wire), sse(*head[:4]) + b"data: " + as_json([error]) + b"\n\n" + sse(*head[4:]))
    assert raised.value.body == error
    place = at(head, "text.delta" if wire == "responses" else "content_block_delta")
    decoder = codec(wire).decoder()
    for event in head[:place]:
        decoder.feed("", as_json(event))
    assert decoder.feed("", as_json(head[place]) + glue + as_json(error)), "the event before the error is returned"
    with pytest.raises(EmbeddedError):
        decoder.close()


@pytest.mark.parametrize("wire", WIRES)
def test_the_name_of_an_event_replaces_a_missing_type(wire: Any) -> None:
    events = stream_of(wire)
    for type_ in ({}, {"type": None}, {"type": []}, {"type": "x"}):
        for place in range(len(events)):
            invalid = {**{key: value for key, value in events[place].items() if key != "type"}, **type_}
            block = f"event: {events[place]['type']}\n".encode() + b"data: " + as_json(invalid) + b"\n\n"
            with suppress(ProtocolError):
                data = sse(*events[:place]) + block + sse(*events[place + 1 :])
                assert decoded(wire, data) == decoded(wire, sse(*events))


@pytest.mark.parametrize("wire", WIRES)
def test_a_delta_without_a_type_is_an_error(wire: Any) -> None:
    events = stream_of(wire)
    kind = "text.delta" if wire == "responses" else "content_block_delta"
    del events[at(events, kind)]["type"]
    with pytest.raises(ProtocolError, match="no type"):
        folded(codec(wire), sse(*events, named=False))


# Wrong indexes and types


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("junk", [None, True, 1, 7, -1, 1.5, 10**30, float("nan"), "x", [], {}])
def test_an_invalid_index_of_messages_loses_and_repeats_nothing(junk: Any, named: bool) -> None:
    events = stream_of("messages")
    for place, event in enumerate(events):
        if "index" in event:
            data = sse(*events[:place], {**event, "index": junk}, *events[place + 1 :], named=named)
            with suppress(ProtocolError):
                assert decoded("messages", data) == decoded("messages", sse(*events))


@pytest.mark.parametrize("key", ["output_index", "content_index", "item_id"])
@pytest.mark.parametrize("junk", [None, True, 3, 7, -1, 1.5, 10**30, "x", [], {}])
def test_an_invalid_index_of_responses_loses_and_repeats_nothing(key: str, junk: Any) -> None:
    events = stream_of("responses")
    for place, event in enumerate(events):
        if key in event:
            data = sse(*events[:place], {**event, key: junk}, *events[place + 1 :])
            with suppress(ProtocolError):
                assert decoded("responses", data) == decoded("responses", sse(*events))


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("junk", [[], {}, ["x"], {"text": "x"}, True])
def test_the_error_names_a_delta_of_the_wrong_type(wire: Any, junk: Any) -> None:
    events = stream_of(wire)
    place = at(events, "text.delta" if wire == "responses" else "content_block_delta")
    key, value = ("delta", junk) if wire == "responses" else ("text", {"type": "text_delta", "text": junk})
    events[place] = {**events[place], "delta": value}
    with pytest.raises(ProtocolError, match=rf"\b{key} is of type {type(junk).__name__}"):
        folded(codec(wire), sse(*events))


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("count", [1.5, float("inf"), float("nan"), -3, 10**30, "7", [], {}, True])
def test_an_invalid_count_is_ignored(wire: Any, count: Any) -> None:
    body = {**WHOLE[wire], "usage": {"input_tokens": count, "output_tokens": 4, "output_tokens_details": count}}
    for reply in (codec(wire).decode(as_json(body)), folded(codec(wire), sse(*stream_of(wire, body)))):
        assert reply.usage is not None
        assert (reply.usage.input, reply.usage.output, reply.usage.total, reply.usage.reasoning) == (0, 4, 4, None)


@pytest.mark.parametrize("cited", ["x", [1, None], 5, {"a": 1}, [{"url": [], "title": {}, "start_index": 1.5}]])
def test_invalid_citations_are_ignored(cited: Any) -> None:
    for wire, body in (
        ("messages", anthropic({"type": "text", "text": "a", "citations": cited})),
        ("responses", response(message({**text_part("a"), "annotations": cited}))),
    ):
        reply = codec(wire).decode(as_json(body))  # type: ignore[arg-type]
        assert reply.turn.text == "a"
        assert_well_typed(reply)


@pytest.mark.parametrize("content", ["Hello", [{"type": "text", "text": "Hello"}], {"type": "text", "text": "Hello"}])
def test_the_content_of_a_message_may_be_text_or_one_block(content: Any) -> None:
    assert codec("messages").decode(as_json({**WHOLE["messages"], "content": content})).turn.text == "Hello"
    start = {"type": "message_start", "message": {**WHOLE["messages"], "content": content}}
    assert decoded("messages", sse(start, {"type": "message_stop"}))[0] == "Hello"


# Data in one of several events, or in more than one

INPUTS: list[tuple[Any, Json]] = [
    (None, {}),
    ("", {}),
    ("  ", {}),
    ('{"a": 1}', {"a": 1}),
    ({"a": 1}, {"a": 1}),
    ({}, {}),
]


@pytest.mark.parametrize(("given_input", "arguments"), [*INPUTS, (..., {})])
def test_an_input_that_is_null_absent_or_text(given_input: Any, arguments: Json) -> None:
    block = {"type": "tool_use", "id": "t", "name": "f", "input": given_input}
    if given_input is ...:
        del block["input"]
    (tool_call,) = codec("messages").decode(as_json(anthropic(block))).turn.tool_calls
    assert json.loads(tool_call.arguments) == arguments
    head = {"type": "content_block_start", "index": 0, "content_block": block}
    delta = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}}
    assert decoded("messages", sse(head, delta))[1] == [("f", arguments)]


@pytest.mark.parametrize("begun", ["", "{", '{"a"', '{"a": 1}', {"a": 1}, {}, None])
def test_an_input_that_begins_in_its_block_continues_in_deltas(begun: Any) -> None:
    whole = '{"a": 1}'
    rests = [whole, whole[len(begun) :]] if isinstance(begun, str) else [whole]
    for rest in filter(None, rests):
        block = {"type": "tool_use", "id": "t", "name": "f", "input": begun}
        deltas = [
            {"type": "input_json_delta", "partial_json": rest[:3]},
            {"type": "input_json_delta", "partial_json": rest[3:]},
        ]
        events = [
            {"type": "content_block_start", "index": 0, "content_block": block},
            *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        ]
        assert decoded("messages", sse(*events))[1] == [("f", {"a": 1})]


@pytest.mark.parametrize("missing", ["content_block_start", "content_block_stop", "message_start", "message_delta"])
def test_messages_without_the_events_of_one_kind(missing: str) -> None:
    body = anthropic(
        {"type": "thinking", "thinking": "Hmm so", "signature": "s"}, {"type": "text", "text": "Hello there"}
    )
    events = stream_of("messages", body)
    assert decoded("messages", sse(*(event for event in events if event["type"] != missing))) == (
        "Hello there",
        [],
        "Hmm so",
    )


def _only(*events: Json, output: list[Json] | None = None) -> list[Json]:
    end = response() if output is None else response(*output)
    if output is None:
        del end["output"]
    head = {"type": "response.created", "response": {"id": "r"}}
    return [head, *({"output_index": 0, **event} for event in events), {"type": "response.completed", "response": end}]


SAID = message(text_part("Hello there"))
EMPTY = {**SAID, "content": []}
BARE_CALL = call("")
ADDED, DONE = {"type": "response.output_item.added"}, {"type": "response.output_item.done"}
PART_ADDED, PART_DONE = {"type": "response.content_part.added"}, {"type": "response.content_part.done"}
DELTAS = [
    {"type": "response.output_text.delta", "item_id": "msg_1", "content_index": 0, "delta": text}
    for text in ("Hello", " there")
]
TEXT_DONE = {"type": "response.output_text.done", "content_index": 0, "text": "Hello there"}
ARGUMENTS = {"type": "response.function_call_arguments.delta", "delta": '{"city":"Oslo"}'}


@pytest.mark.parametrize(
    "events",
    {
        "item added": [{**ADDED, "item": SAID}],
        "part added": [{**ADDED, "item": EMPTY}, {**PART_ADDED, "content_index": 0, "part": text_part("Hello there")}],
        "part done": [{**ADDED, "item": EMPTY}, {**PART_DONE, "content_index": 0, "part": text_part("Hello there")}],
        "text done": [TEXT_DONE],
        "item done": [{**DONE, "item": SAID}],
        "deltas": DELTAS,
        "all of them": [
            {**ADDED, "item": SAID},
            {**PART_ADDED, "content_index": 0, "part": text_part("Hello there")},
            *DELTAS,
            TEXT_DONE,
            {**PART_DONE, "content_index": 0, "part": text_part("Hello there")},
            {**DONE, "item": {**SAID, "id": "msg_9"}},
        ],
        "begun in added": [
            {**ADDED, "item": EMPTY},
            {**PART_ADDED, "content_index": 0, "part": text_part("Hello")},
            DELTAS[1],
        ],
        "begun in item added": [{**ADDED, "item": message(text_part("Hello"))}, DELTAS[1], TEXT_DONE],
        "added, then the first delta alone": [{**ADDED, "item": SAID}, DELTAS[0], {**DONE, "item": SAID}],
        "an index nobody announced": [{**event, "output_index": 4} for event in DELTAS],
    }.items(),
    ids=lambda row: row[0],
)
@pytest.mark.parametrize("output", [None, [], [SAID], [{**SAID, "id": "msg_8"}]])
def test_a_text_in_any_of_its_events_is_read_once(events: tuple[str, list[Json]], output: list[Json] | None) -> None:
    assert decoded("responses", sse(*_only(*events[1], output=output)))[0] == "Hello there"


@pytest.mark.parametrize(
    "events",
    {
        "added": [{**ADDED, "item": call()}],
        "done": [{**DONE, "item": call()}],
        "arguments done": [
            {**ADDED, "item": BARE_CALL},
            {"type": "response.function_call_arguments.done", "arguments": '{"city":"Oslo"}'},
        ],
        "deltas": [{**ADDED, "item": BARE_CALL}, ARGUMENTS],
        "deltas before added": [ARGUMENTS, {**ADDED, "item": BARE_CALL}],
        "an empty object, then deltas": [{**ADDED, "item": call("{}")}, ARGUMENTS],
        "an object in added, then deltas": [{**ADDED, "item": call({"city": "Oslo"})}, ARGUMENTS],  # type: ignore[arg-type]
        "all of them": [{**ADDED, "item": call()}, ARGUMENTS, {**DONE, "item": {**call(), "id": "fc_9"}}],
        "done elsewhere": [{**ADDED, "item": BARE_CALL}, {**DONE, "item": {**call(), "id": "x"}, "output_index": 3}],
    }.items(),
    ids=lambda row: row[0],
)
@pytest.mark.parametrize("output", [None, [], [call()], [call(id_="fc_8")]])
def test_arguments_in_any_of_their_events_are_read_once(
    events: tuple[str, list[Json]], output: list[Json] | None
) -> None:
    assert decoded("responses", sse(*_only(*events[1], output=output)))[1] == [("weather", {"city": "Oslo"})]


def test_arguments_of_a_call_whose_name_never_comes_are_an_error() -> None:
    with pytest.raises(ProtocolError, match="not its name"):
        folded(codec("responses"), sse(*_only(ARGUMENTS)))


# Anything at all


def _forms() -> Iterator[tuple[str, Json, list[Json]]]:
    yield "messages", MESSAGE, stream_of("messages", MESSAGE)
    yield "messages", WHOLE["messages"], stream_of("messages")
    for what, output in OUTPUTS.items():
        style = STYLES[len(what) % len(STYLES)]
        yield "responses", response(*output), list(responses_forms.events(response(*output), style))


FORMS = list(_forms())


def with_any_junk(data: st.DataObject, value: Json) -> Any:
    path = data.draw(st.sampled_from(list(paths(value))))
    return with_value(value, path, data.draw(JUNK))


@settings(max_examples=400)
@given(data=st.data())
def test_any_value_is_an_answer_or_an_error_of_the_package(data: st.DataObject) -> None:
    wire, body, events = data.draw(st.sampled_from(FORMS))
    events = list(events)
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.integers(0, len(events) - 1))
        match data.draw(st.sampled_from(["spoil", "spoil", "spoil", "double", "drop", "move"])):
            case "spoil" if events[place]:
                events[place] = with_any_junk(data, events[place])
            case "double":
                events.insert(place, events[place])
            case "drop":
                events[place] = {}
            case _:
                events.append(events.pop(place))
    stream, invalid = sse(*events, named=data.draw(st.booleans())), as_json(with_any_junk(data, body))
    for name in (wire, "run"):
        for read in (lambda: folded(codec(name), stream), lambda: codec(name).decode(invalid)):  # type: ignore[arg-type]  # noqa: B023
            with suppress(GatewayError, EmbeddedError):
                assert_well_typed(read())


@settings(max_examples=150)
@given(data=st.data())
def test_any_bytes_are_an_answer_or_an_error_of_the_package(data: st.DataObject) -> None:
    wire, body, events = data.draw(st.sampled_from(FORMS))
    for whole, read in ((sse(*events), folded), (as_json(body), lambda codec_, raw: codec_.decode(raw))):
        place = data.draw(st.integers(0, len(whole)))
        junk = data.draw(st.sampled_from([b"\xff", b"\n", b"\x00", b'"', b"{", b"\xef\xbb\xbf", DEEP, b"", b"}"]))
        cut = data.draw(st.integers(place, min(len(whole), place + 20)))
        with suppress(GatewayError, EmbeddedError):
            assert_well_typed(read(codec(wire), whole[:place] + junk + whole[cut:]))  # type: ignore[arg-type]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("depth", [150, 250, 900, 100_000])
def test_a_deeply_nested_value(wire: Any, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    bodies = [{**WHOLE[wire], key: "HERE"} for key in ("id", "usage", "error", "metadata")]
    streams = [[{**event, "HERE": "HERE"} for event in stream_of(wire)], [{"type": "error", "message": "HERE"}]]
    for body in bodies:
        with suppress(GatewayError, EmbeddedError):
            assert_well_typed(codec(wire).decode(as_json(body).replace(b'"HERE"', deep)))
    for events in streams:
        with suppress(GatewayError, EmbeddedError):
            events_of(codec(wire), [sse(*events).replace(b': "HERE"', b": " + deep)])
