"""Streams of the Responses wire from servers with different deviations."""

from __future__ import annotations

import contextlib
import json
import random
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfaig_integrations.core.content import Opaque, Text
from cfaig_integrations.core.events import (
    ArgumentsDelta,
    CitationAdded,
    Finished,
    PartAdded,
    PartExtras,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    ReplyExtras,
    Started,
    TextDelta,
    UsageUpdated,
)
from cfaig_integrations.errors import GatewayError, ProtocolError, StreamBroken
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.jsonio import dump
from tests.wire.harness import assert_same_in_any_split, events_of, folded, needs_recordings, recordings
from tests.wire.responses_forms import (
    CITATION,
    CODEC,
    OUTPUTS,
    REFUSAL,
    SEARCH,
    STYLES,
    Json,
    Style,
    call,
    message,
    reasoning,
    response,
    sse,
    stream,
    text_part,
)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("what", OUTPUTS)
def test_a_stream_folds_to_its_final_response(what: str, style: Style) -> None:
    answer = response(*OUTPUTS[what])
    reply, whole = folded(CODEC, stream(answer, style).encode()), CODEC.decode(dump(answer))
    if (what, style) == ("unknown content", "done texts only"):
        # Nothing told of the unknown part before the text behind it was said, so it comes last.
        first, unknown, last = whole.turn.parts
        assert reply.turn.parts == (first, last, unknown)
    else:
        assert reply == whole


@pytest.mark.parametrize("what", OUTPUTS)
def test_parts_are_numbered_from_zero_without_gaps(what: str) -> None:
    events = events_of(CODEC, [stream(response(*OUTPUTS[what])).encode()])
    numbers = [event.part for event in events if isinstance(event, PartStarted | PartAdded)]
    assert sorted(numbers) == list(range(len(numbers)))


@pytest.mark.parametrize("what", OUTPUTS)
def test_events_do_not_depend_on_chunks_line_ends_and_comments(what: str) -> None:
    answer = response(*OUTPUTS[what], metadata={"line": "a\u2028b\u0085c"})
    assert_same_in_any_split(CODEC, stream(answer), seed=1)


def test_events_in_their_order() -> None:
    answer = response(reasoning("Hm", "Ah"), message(text_part("Hi", CITATION), REFUSAL), SEARCH, call("{}"))
    events = events_of(CODEC, [stream(answer).encode()])
    assert [event for event in events if not isinstance(event, PartExtras | CitationAdded)] == [
        Started("resp_1", "m-1"),
        PartStarted(0, "reasoning"),
        ReasoningDelta(0, "Hm"),
        ReasoningDelta(0, "\n\nAh"),
        PartStarted(1, "text"),
        TextDelta(1, "Hi"),
        PartStarted(2, "refusal"),
        RefusalDelta(2, "No."),
        PartAdded(3, Opaque("responses", SEARCH)),
        PartStarted(4, "tool_call", id="call_1", name="weather"),
        ArgumentsDelta(4, "{}"),
        ReplyExtras({"responses": {"created_at": 1, "status": "completed"}}),
        UsageUpdated(CODEC.decode(dump(answer)).usage),  # type: ignore[arg-type]
        Finished("tool_calls", "completed"),
    ]
    assert [event.citation.url for event in events if isinstance(event, CitationAdded)] == [CITATION["url"]]


def test_text_of_deltas_is_not_repeated() -> None:
    answer = response(message(text_part("Hello, world")), call())
    events = events_of(CODEC, [stream(answer).encode()])
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Hello, world"
    assert "".join(event.text for event in events if isinstance(event, ArgumentsDelta)) == '{"city":"Oslo"}'


def test_the_end_of_a_text_is_filled_in_where_deltas_were_lost() -> None:
    answer = response(message(text_part("Hello, world")))
    events = [text for text in stream(answer).split("\n\n") if '"rld"' not in text]
    assert folded(CODEC, "\n\n".join(events).encode()).turn.text == "Hello, world"


def test_text_that_became_events_remains() -> None:
    answer = response(message(text_part("Hello, world")))
    text = stream(answer).replace('"delta": "Hel"', '"delta": "Hal"')
    assert folded(CODEC, text.encode()).turn.text == "Hallo, world"


def test_an_opaque_item_that_ends_late_keeps_its_position() -> None:
    answer = response(SEARCH, message(text_part("Found")))
    events = events_of(CODEC, [stream(answer, "late opaque items").encode()])
    kinds = [type(event) for event in events if isinstance(event, TextDelta | PartAdded)]
    assert kinds == [TextDelta, TextDelta, PartAdded]
    assert [type(part) for part in folded(CODEC, stream(answer, "late opaque items").encode()).turn.parts] == [
        Opaque,
        Text,
    ]


def test_an_item_of_the_final_response_alone_is_added() -> None:
    answer = response(reasoning("Hm"), message(text_part("So")))
    hidden = [text for text in stream(answer).split("\n\n") if '"output_index": 0' not in text]
    assert folded(CODEC, "\n\n".join(hidden).encode()) == CODEC.decode(dump(answer))


def test_an_item_without_an_index_is_recognized() -> None:
    """The text comes at index 0, and the end puts a reasoning that was never told before it."""
    heard = stream(response(message(text_part("So"))), "no added events").rpartition("event: ")[0]
    end = sse({"type": "response.completed", "response": response(reasoning("Hm"), message(text_part("So")))})
    reply = folded(
        CODEC, "".join(text + "\n\n" for text in heard.split("\n\n") if "item.done" not in text).encode() + end.encode()
    )
    assert [(type(part).__name__, part.text) for part in reply.turn.parts] == [("Text", "So"), ("Reasoning", "Hm")]


def test_a_final_response_without_output_changes_nothing() -> None:
    answer = response(message(text_part("Hello")), call())
    text = stream(answer).rpartition("event: ")[0] + sse({"type": "response.completed", "response": response()})
    reply = folded(CODEC, text.encode())
    assert (reply.turn.text, len(reply.turn.tool_calls), reply.finish) == ("Hello", 1, "tool_calls")


@pytest.mark.parametrize(
    ("status", "details", "finish"),
    [("incomplete", {"reason": "max_output_tokens"}, "length"), ("cancelled", None, "error")],
)
def test_other_ends(status: str, details: Json | None, finish: str) -> None:
    answer = response(message(text_part("Hel")), status=status, incomplete_details=details)
    reply = folded(CODEC, stream(answer).encode())
    assert reply == CODEC.decode(dump(answer))
    assert reply.finish == finish


ANSWER = response(reasoning("Hm"), message(text_part("Hello, wörld")), call())


def test_a_stream_truncated_anywhere_is_an_error() -> None:
    data = stream(ANSWER).encode().rstrip(b"\n")
    partials = set[str]()
    for end in range(len(data)):
        with pytest.raises(StreamBroken) as raised:
            events_of(CODEC, [data[:end]])
        partials.add(raised.value.partial)
    assert {"", "Hel", "Hello, wörld"} <= partials
    assert events_of(CODEC, [data])


def test_a_done_marker_is_not_an_end() -> None:
    text = stream(ANSWER).rpartition("event: ")[0] + "data: [DONE]\n\n"
    with pytest.raises(StreamBroken):
        folded(CODEC, text.encode())


def test_an_invalid_event_in_mid_stream_is_a_protocol_error() -> None:
    first, _, rest = stream(ANSWER).partition("\n\n")
    with pytest.raises(ProtocolError) as raised:
        folded(CODEC, f"{first}\n\ndata: {{broken\n\n{rest}".encode())
    assert not isinstance(raised.value, StreamBroken)


@pytest.mark.parametrize("noise", ["data: ping\n\n", "data: [DONE]\n\n", "data:\n\n", 'data: {"type":"keepalive"}\n\n'])
def test_keep_alives_are_ignored(noise: str) -> None:
    quiet = stream(ANSWER)
    assert folded(CODEC, quiet.replace("\n\n", "\n\n" + noise).encode()) == folded(CODEC, quiet.encode())


def test_space_before_the_data_is_ignored() -> None:
    quiet = stream(ANSWER)
    assert folded(CODEC, quiet.replace("data: ", "data:  ").encode()) == folded(CODEC, quiet.encode())


def test_what_follows_the_end_is_not_read() -> None:
    text = stream(ANSWER)
    later = stream(response(message(text_part("again"), id_="msg_9"), id="resp_2"))
    assert folded(CODEC, (text + "data: [DONE]\n\n" + later + "data: {broken\n\n").encode()) == folded(
        CODEC, text.encode()
    )


ERRORS: dict[str, Json] = {
    "flat error event": {"type": "error", "code": "server_error", "message": "no", "param": None},
    "response error": {"type": "response.error", "error": {"message": "no"}},
    "nested error event": {"type": "error", "error": {"code": "insufficient_quota", "message": "no"}},
    "openai": {"error": {"message": "no", "type": "server_error"}},
    "cloudflare": {"success": False, "errors": [{"code": 3040, "message": "no"}]},
    "gateway": {"success": False, "error": [{"code": 2021, "message": "no"}]},
    "errors only": {"errors": [{"code": 1, "message": "no"}]},
    "success only": {"success": False},
    "text": {"error": "no"},
    "workers ai": {"name": "AiError", "internalCode": 5006, "message": "no"},
}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("what", ERRORS)
def test_an_error_in_the_stream_is_raised_with_its_body(what: str, named: bool) -> None:
    head = stream(ANSWER).rpartition("event: ")[0]
    with pytest.raises(EmbeddedError) as raised:
        folded(CODEC, (head + sse(ERRORS[what], named=named)).encode())
    assert raised.value.body == ERRORS[what]


def test_an_error_under_the_name_of_the_end_is_an_error() -> None:
    head = stream(ANSWER).rpartition("event: ")[0]
    with pytest.raises(EmbeddedError):
        folded(CODEC, (head + 'event: response.completed\ndata: {"error":{"message":"no"}}\n\n').encode())


@pytest.mark.parametrize("end", ["failed", "completed"])
def test_a_failed_response_is_raised_with_the_whole_response(end: str) -> None:
    answer = response(status="failed", error={"code": "server_error", "message": "no"})
    with pytest.raises(EmbeddedError) as raised:
        folded(CODEC, sse({"type": f"response.{end}", "response": answer}).encode())
    assert raised.value.body == answer


def test_an_end_without_a_response_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        folded(CODEC, b'data: {"type":"response.completed"}\n\n')


REPEATED_BY_ITEM_DONE = {
    *("response.in_progress", "response.queued"),
    *("response.code_interpreter_call_code.delta", "response.code_interpreter_call_code.done"),
    *(f"response.code_interpreter_call.{word}" for word in ("in_progress", "interpreting", "completed")),
    *(f"response.web_search_call.{word}" for word in ("in_progress", "searching", "completed")),
    *(f"response.file_search_call.{word}" for word in ("in_progress", "searching", "completed")),
    *(f"response.image_generation_call.{w}" for w in ("in_progress", "generating", "partial_image", "completed")),
    *("response.mcp_call_arguments.delta", "response.mcp_call_arguments.done"),
    *(f"response.mcp_call.{word}" for word in ("in_progress", "completed", "failed")),
    *(f"response.mcp_list_tools.{word}" for word in ("in_progress", "completed", "failed")),
    *(f"response.shell_call_command.{word}" for word in ("added", "delta", "done")),
    *("response.shell_call_output_content.delta", "response.shell_call_output_content.done"),
    "response.compaction.compacting",
}
NEVER_SEEN = {f"response.audio{word}.{end}" for word in ("", ".transcript") for end in ("delta", "done")}
"""In the official union, but no output item of the API holds sound."""


def test_every_event_type_of_the_official_types_is_known() -> None:
    from openai.types.responses import ResponseStreamEvent

    from cfaig_integrations.wire.responses.stream import HANDLERS

    union = get_args(get_args(ResponseStreamEvent)[0])
    kinds = {get_args(event.model_fields["type"].annotation)[0] for event in union}
    assert len(kinds) > 50
    assert kinds - HANDLERS.keys() - REPEATED_BY_ITEM_DONE - NEVER_SEEN == {"error"}
    assert HANDLERS.keys().isdisjoint(REPEATED_BY_ITEM_DONE)


def test_a_failed_tool_is_not_a_failed_stream() -> None:
    failed = sse({"type": "response.mcp_call.failed", "error": {"message": "no"}}, named=False)
    text = stream(ANSWER)
    head, event, end = text.rpartition("event: ")
    assert folded(CODEC, (head + failed + event + end).encode()) == folded(CODEC, text.encode())


@pytest.mark.parametrize("kind", sorted(REPEATED_BY_ITEM_DONE | {"response.dream.dreaming"}))
@pytest.mark.parametrize("named", [True, False])
def test_progress_events_are_ignored(kind: str, named: bool) -> None:
    decoder = CODEC.decoder()
    data = {"type": kind, "output_index": 0, "item_id": "x", "delta": "d", "partial_image_b64": "AAAA"}
    assert not decoder.feed(kind if named else "", json.dumps(data).encode())


_SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.just(1.5), st.just("x"), st.just([]), st.just({}), st.just([1])
)


@settings(max_examples=300)
@given(what=st.sampled_from(sorted(OUTPUTS)), seed=st.integers(0, 10**6), value=_SCALARS)
def test_invalid_events_raise_only_errors_of_the_package(what: str, seed: int, value: Any) -> None:
    """One value anywhere in a good stream is replaced by another of any type."""
    rng = random.Random(seed)
    events = [
        (text.partition("\n")[0].removeprefix("event: "), json.loads(text.partition("data: ")[2]))
        for text in stream(response(*OUTPUTS[what])).split("\n\n")
        if text
    ]
    holder: Any = rng.choice(events)[1]
    while True:
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        if isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.8:
            holder = holder[key]
        else:
            holder[key] = value
            break
    text = "".join(f"event: {name}\ndata: {json.dumps(event)}\n\n" for name, event in events)
    with contextlib.suppress(GatewayError, EmbeddedError):
        folded(CODEC, text.encode())


@needs_recordings
@pytest.mark.parametrize("style", STYLES)
def test_recorded_bodies_sent_as_streams_fold_to_themselves(style: Style) -> None:
    different = []
    for record in recordings("responses", stream=False):
        answer = json.loads(record["response_body"])
        if answer["status"] != "completed":
            continue
        if folded(CODEC, stream(answer, style).encode()) != CODEC.decode(dump(answer)):
            different.append(record["line"])
    assert different == []
