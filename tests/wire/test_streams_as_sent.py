"""Chat streams as servers really send them: where they end, joined events, misplaced fields."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.core.content import Opaque, Text
from cfaig_integrations.core.events import Event, TextDelta
from cfaig_integrations.errors import ProtocolError, StreamBroken
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.registry import codec
from tests.wire.chat_kit import delta, sse
from tests.wire.harness import folded

WIRES: tuple[Any, ...] = ("chat_completions", "run")
BOTH = pytest.mark.parametrize("wire", WIRES)
ERROR = {"error": {"message": "boom"}}


def added_up(wire: Any, stream: str | bytes) -> ChatReply:
    return folded(codec(wire), stream if isinstance(stream, bytes) else stream.encode())


def call(arguments: Any, **more: Any) -> dict[str, Any]:
    return {"index": 0, "function": {"arguments": arguments}, **more}


BEGUN = delta(tool_calls=[call('{"a": ', id="c1", type="function") | {"function": {"name": "f", "arguments": '{"a":'}}])
TEXT = delta(content="Hello")


# Where a stream ends.


@BOTH
@pytest.mark.parametrize("finish_reason", ["", None, False, [], {}, {"a": 1}])
@pytest.mark.parametrize("first", [TEXT, BEGUN])
def test_an_empty_finish_reason_is_ignored(wire: Any, first: dict[str, Any], finish_reason: Any) -> None:
    chunk = json.loads(json.dumps(first))
    chunk["choices"][0]["finish_reason"] = finish_reason
    with pytest.raises(StreamBroken):
        added_up(wire, sse(chunk, chunk, done=False))
    assert added_up(wire, sse(chunk, done=True)).turn.parts


@BOTH
def test_an_empty_finish_reason_in_every_chunk(wire: Any) -> None:
    chunks = [delta(content="a", finish=""), delta(content="b", finish=""), delta(finish="length")]
    reply = added_up(wire, sse(*chunks, done=False))
    assert (reply.turn.text, reply.choices[0].provider_finish) == ("ab", "length")


@BOTH
@pytest.mark.parametrize(
    "tail",
    [
        "data: [DONE]\n\ndata: [DONE]\n\n",
        "[DONE]\n\n[DONE]\n\n",
        "data: [DONE]\ndata: [DONE]\n\n",
        "data: [DONE]",
        "data: [DONE]\n\ndata: junk {\n\n",
        "data: [DONE]\n\n" + sse(ERROR, done=False),
        "data: [DONE]\n\n" + sse(delta(content="!"), done=False),
    ],
)
def test_nothing_is_read_after_done(wire: Any, tail: str) -> None:
    assert added_up(wire, sse(TEXT, done=False) + tail).turn.text == "Hello"


@BOTH
def test_a_decoder_ends_with_done(wire: Any) -> None:
    decoder = codec(wire).decoder()
    for data, ended in ((json.dumps(TEXT), False), (json.dumps(delta(finish="stop")), False), ("[DONE]", True)):
        decoder.feed("", data.encode())
        assert decoder.ended is ended


@BOTH
@pytest.mark.parametrize("before", ["", sse({"choices": []}, done=False), ": x\n\n", sse("ping", done=False)])
def test_done_alone_is_an_error(wire: Any, before: str) -> None:
    with pytest.raises(StreamBroken):
        added_up(wire, before + "data: [DONE]\n\n")
    with pytest.raises(ProtocolError):
        codec(wire).decode(b"[DONE]")


@BOTH
def test_one_of_two_answers_without_a_finish_reason_is_an_error(wire: Any) -> None:
    with pytest.raises(StreamBroken):
        added_up(wire, sse(TEXT, delta(1, content="lost"), delta(finish="stop")))


def gemini(text: str, finish: str | None = None, usage: Any = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "responseId": "r"} | ({"usageMetadata": usage} if usage else {})


COUNTS = {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6}
ENDINGS = {
    "the last chunk": ([gemini("a"), gemini("b", "STOP", COUNTS)], "ab"),
    "counts after the last chunk": ([gemini("a"), gemini("b", "STOP"), {"usageMetadata": COUNTS}], "ab"),
    "every chunk has a reason": ([gemini("a", "STOP"), gemini("b", "STOP"), gemini("c", "STOP", COUNTS)], "abc"),
    "every chunk has counts": ([gemini("a", None, COUNTS), gemini("b", "STOP", COUNTS)], "ab"),
    "counts of the prompt only": ([gemini("a", "STOP", {"promptTokenCount": 4}), gemini("b", "STOP", COUNTS)], "ab"),
    "a reason without text": ([gemini("a"), {"candidates": [{"finishReason": "STOP"}], "usageMetadata": COUNTS}], "a"),
}


@pytest.mark.parametrize(("chunks", "text"), ENDINGS.values(), ids=ENDINGS)
def test_a_stream_of_gemini_truncated_between_chunks_is_an_error(chunks: list[dict[str, Any]], text: str) -> None:
    assert added_up("run", sse(*chunks, done=False)).turn.text == text
    for end in range(1, len(chunks)):
        with pytest.raises(StreamBroken):
            added_up("run", sse(*chunks[:end], done=False))


def test_finish_reasons_in_all_chunks_of_gemini() -> None:
    chunks = [gemini(text, "STOP", COUNTS) for text in "abc"]
    with pytest.raises(StreamBroken):
        added_up("run", sse(*chunks[:2], done=False))
    assert added_up("run", sse(*chunks)).turn.text == "abc"


# What servers glue together, and what only keeps the connection alive.

A, B = json.dumps(delta(content="a")), json.dumps(delta(content="b", finish="stop"))
JOINED = {
    "no blank line": f"data: {A}\ndata: {B}\n\n",
    "no line end": f"data: {A}data: {B}\n\n",
    "no label": f"data: {A}{B}\n\n",
    "a label that was lost": f"data: {A}\n{B}\n\n",
    "a list": f"data: [{A}, {B}]\n\n",
    "with the end": f"data: {A}\ndata: {B}\ndata: [DONE]\n\n",
    "with the end in the same line": f"data: {A}\n\ndata: {B}[DONE]\n\n",
    "marks of the byte order": f"\ufeffdata: \ufeff{A}\n\ndata: \ufeff{B}\n\n",
    "blanks": f"data:   {A}  \n\ndata:\t{B}\t\n\n",
}


@BOTH
@pytest.mark.parametrize("stream", JOINED.values(), ids=JOINED)
def test_joined_events(wire: Any, stream: str) -> None:
    assert added_up(wire, stream).turn.text == "ab"


@BOTH
@pytest.mark.parametrize("char", ["\t", "\x00", "\x1f", "\x7f", "\u2028", "\ud83d\ude00"])
def test_unescaped_characters(wire: Any, char: str) -> None:
    raw = A.replace('"a"', f'"a{char}"').encode("utf-16", "surrogatepass").decode("utf-16")
    assert added_up(wire, f"data: {raw}\n\n" + sse(json.loads(B))).turn.text.startswith("a")
    assert codec(wire).decode(raw.replace("delta", "message").encode()).turn.text.startswith("a")


@BOTH
def test_invalid_utf8(wire: Any) -> None:
    raw = A.encode().replace(b'"a"', b'"a\xff\xc3"')
    assert added_up(wire, b"data: " + raw + b"\n\ndata: " + B.encode()).turn.text == "a\ufffd\ufffdb"
    assert codec(wire).decode(raw.replace(b"delta", b"message")).turn.text == "a\ufffd\ufffd"


ERRORS = {
    "after an event": f"data: {A}\ndata: {json.dumps(ERROR)}\n\n",
    "in its line": f"data: {A}{json.dumps(ERROR)}\n\n",
    "in the middle of an event": f"data: {A}\n\ndata: {A[:40]}{json.dumps(ERROR)}\n\n",
    "with its label": f"data: {A}\n\ndata: {A[:40]}data: {json.dumps(ERROR)}\n\n",
    "without a label": f"data: {A}\n\n{json.dumps(ERROR)}\n\n",
    "a list, as Google sends it": f"data: {A}\n\ndata: [{json.dumps(ERROR)}]\n\n",
    "Anthropic's": f'data: {A}\n\ndata: {A[:40]}{{"type": "error", "error": {{"type": "x", "message": "boom"}}}}\n\n',
    "Responses'": f'data: {A}\n\ndata: {{"type": "response.failed", "response": {json.dumps(ERROR)}}}\n\n',
}


@BOTH
@pytest.mark.parametrize("stream", ERRORS.values(), ids=ERRORS)
def test_an_error_that_is_joined_to_an_event(wire: Any, stream: str) -> None:
    with pytest.raises(EmbeddedError, match="error") as caught:
        added_up(wire, stream)
    assert "boom" in json.dumps(caught.value.body)


@BOTH
def test_content_before_an_error_in_the_same_event_is_returned(wire: Any) -> None:
    decoder = codec(wire).decoder()
    events: list[Event] = [*decoder.feed("", f"{A}\n{json.dumps(ERROR)}".encode())]
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["a"]
    with pytest.raises(EmbeddedError):
        decoder.close()


@BOTH
@pytest.mark.parametrize("body", [[ERROR], [{"error": {"code": 400, "message": "boom"}}, {}]])
def test_an_error_in_a_list(wire: Any, body: Any) -> None:
    with pytest.raises(EmbeddedError):
        codec(wire).decode(json.dumps(body).encode())


KEEP_ALIVES = [
    *("data:\n\n", "data: ping\n\n", "data: null\n\n", "data: keep-alive\n\n", "data: {}\n\n"),
    "event: ping\ndata: x\n\n",
    'event: ping\ndata: {"type": "ping"}\n\n',
    'data: {"type": "ping"}\n\n',
    'data: {"type": "heartbeat"}\n\n',
    'data: {"choices": [], "created": 1}\n\n',
]


@BOTH
@pytest.mark.parametrize("alive", KEEP_ALIVES)
def test_keep_alives_are_counted_and_ignored(wire: Any, alive: str) -> None:
    stream = f"{alive}data: {A}\n\n{alive}{alive}data: {B}\n\n"
    assert added_up(wire, stream).turn == added_up(wire, sse(json.loads(A), json.loads(B))).turn
    decoder = codec(wire).decoder()
    decoder.feed("", A.encode())
    before, (name, _, data) = decoder.keep_alives, alive.rpartition("data:")
    decoder.feed("ping" if name else "", data.strip().encode())
    assert decoder.keep_alives == before + 1


INVALID = ["junk", '"text"', "1", "true", "[1]", "[]", "<html>", "{'a': 1}", A[:-1], A[:30], "[PONG]"]


@BOTH
@pytest.mark.parametrize("junk", INVALID)
def test_an_invalid_event_is_never_skipped(wire: Any, junk: str) -> None:
    for stream in (
        f"data: {A}\n\ndata: {junk}\n\ndata: {B}\n\ndata: [DONE]\n\n",
        f"data: {junk}\n\ndata: {A}\n\ndata: {B}\n\n",
    ):
        with pytest.raises(ProtocolError) as caught:
            added_up(wire, stream)
        assert not isinstance(caught.value, StreamBroken)
    with pytest.raises(StreamBroken):
        added_up(wire, f"data: {A}\n\ndata: {junk}")


# Values of the wrong type in known fields.


def chunk(**choice: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "finish_reason": None, **choice}]}


WRONG = {
    "choices": {"choices": {"a": 1}},
    "choices[]": {"choices": ["text"]},
    "delta": chunk(delta="Hello"),
    "delta ": chunk(delta=["Hello"], message={"content": "Hello"}),
    "message": chunk(message="Hello"),
    "tool_calls": chunk(delta={"tool_calls": "f"}),
    "tool_calls[]": chunk(delta={"tool_calls": [1]}),
    "function": chunk(delta={"tool_calls": [{"function": "f"}]}),
    "function.name": chunk(delta={"tool_calls": [{"function": {"name": {"a": 1}}}]}),
    "function_call": chunk(delta={"function_call": "f"}),
}


@BOTH
@pytest.mark.parametrize(("field", "wrong"), WRONG.items(), ids=WRONG)
def test_the_error_names_an_invalid_required_field(wire: Any, field: str, wrong: dict[str, Any]) -> None:
    named = field.strip().replace("[", r"\[")
    for before in ((), (TEXT, TEXT)):
        with pytest.raises(ProtocolError, match=named) as caught:
            added_up(wire, sse(*before, wrong, delta(finish="stop")))
        assert caught.value.body
    whole = json.dumps(wrong).replace("delta", "message") if '"message"' not in json.dumps(wrong) else json.dumps(wrong)
    with pytest.raises(ProtocolError):
        codec(wire).decode(whole.encode())


@BOTH
@pytest.mark.parametrize("message", [None, 1, "text", [], ...])
def test_a_body_without_a_message_is_an_error(wire: Any, message: Any) -> None:
    choice = {"index": 0, "finish_reason": "stop"} | ({} if message is ... else {"message": message})
    with pytest.raises(ProtocolError, match="message"):
        codec(wire).decode(json.dumps({"choices": [choice]}).encode())


@BOTH
@pytest.mark.parametrize("index", [0, 1, 7, 10**400, -1, 1.0, 0.5, "1", None, [], {}, True, 1e308])
def test_the_only_answer_is_the_first_whatever_its_index(wire: Any, index: Any) -> None:
    chunks = [chunk(delta={"content": text}) for text in ("a", "b", "c")] + [chunk(delta={}, finish_reason="stop")]
    for each in chunks:
        each["choices"][0]["index"] = index
    reply = added_up(wire, sse(*chunks, {"response": "", "usage": {"prompt_tokens": 1}}, done=False))
    assert (len(reply.choices), reply.turn.text, reply.finish) == (1, "abc", "stop")
    body = {"choices": [{"index": index, "message": {"content": "abc"}, "finish_reason": "stop"}]}
    assert codec(wire).decode(json.dumps(body).encode()).turn.text == "abc"


@BOTH
def test_a_message_next_to_deltas_is_not_read_twice(wire: Any) -> None:
    chunks = [chunk(delta={"content": text}, message={"content": "ab"}) for text in ("a", "b")]
    last = chunk(delta=None, message={"content": "ab"}, finish_reason="stop")
    assert added_up(wire, sse(*chunks, last)).turn.text == "ab"


@BOTH
def test_a_message_next_to_empty_deltas_is_read(wire: Any) -> None:
    last = chunk(delta={}, message={"content": "ab"}, finish_reason="stop")
    assert added_up(wire, sse(delta(role="assistant", content=""), last)).turn.text == "ab"
    pieces = [chunk(message={"content": "a"}), chunk(message={"content": "b"}, finish_reason="stop")]
    assert added_up(wire, sse(delta(role="assistant"), *pieces)).turn.text == "ab"
    body = json.dumps(chunk(message={"content": ""}, delta={"content": "ab"}, finish_reason="stop"))
    assert codec(wire).decode(body.encode()).turn.text == "ab"


@BOTH
def test_text_in_the_field_of_older_completions(wire: Any) -> None:
    assert added_up(wire, sse(chunk(text="a"), chunk(text="b", finish_reason="stop"))).turn.text == "ab"
    assert (
        codec(wire).decode(json.dumps({"choices": [{"text": "ab", "finish_reason": "stop"}]}).encode()).turn.text
        == "ab"
    )


@BOTH
@pytest.mark.parametrize("count", [1.5, -1, 1e308, 10**400, float("nan"), float("inf"), "9", True, [], {}])
def test_an_invalid_count_is_ignored(wire: Any, count: Any) -> None:
    usage = {"prompt_tokens": count, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": count}}
    body = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": usage}).encode()
    usage = codec(wire).decode(body).usage
    assert usage is not None
    assert (usage.input, usage.output, usage.total, usage.cache_read) == (0, 2, 2, None)


@BOTH
@pytest.mark.parametrize(
    ("arguments", "text"),
    [(None, ""), ("", ""), ({}, "{}"), ({"a": 1}, '{"a":1}'), ([{"a": 1}], '[{"a":1}]'), ('"{}"', '"{}"'), (1, "1")],
)
def test_arguments_of_any_type_are_text(wire: Any, arguments: Any, text: str) -> None:
    one = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    for calls in ([one], one):
        body = json.dumps({"choices": [{"message": {"content": None, "tool_calls": calls}}]}).encode()
        stream = sse(delta(tool_calls=calls), delta(finish="tool_calls"))
        for reply in (codec(wire).decode(body), added_up(wire, stream)):
            assert [(made.name, made.arguments) for made in reply.turn.tool_calls] == [("f", text)]


@BOTH
@pytest.mark.parametrize(
    "url", [None, "", "no address", "\ufffd", 1, [], {}, {"url": None}, {"url": {"a": 1}}, {"url": "x y"}]
)
def test_an_image_without_a_url_is_unchanged(wire: Any, url: Any) -> None:
    image = {"type": "image_url", "image_url": url}
    body = json.dumps({"choices": [{"message": {"content": "x", "images": [image, 1, None]}}]}).encode()
    stream = sse(delta(content="x", images=[image]), delta(finish="stop"))
    for reply in (codec(wire).decode(body), added_up(wire, stream)):
        assert reply.turn.parts == (Text("x"), Opaque("chat_completions", image))


@BOTH
@pytest.mark.parametrize("place", [None, "0", 1.5, -1, [], float("inf"), True])
def test_invalid_fields_of_a_citation_are_ignored(wire: Any, place: Any) -> None:
    source = {"url": place, "title": [], "content": {}, "start_index": place, "end_index": 4}
    note = {"type": "url_citation", "url_citation": source}
    message = {"content": "text", "annotations": [note, None, 1, {"url_citation": "x"}]}
    (part,) = codec(wire).decode(json.dumps({"choices": [{"message": message}]}).encode()).turn.parts
    assert isinstance(part, Text)
    (cited,) = part.citations
    assert (cited.title, cited.quoted, cited.start, cited.end) == ("", "", None, 4)
    assert isinstance(cited.url, str)
