"""Streams as Cloudflare and the vendors behind it send them (facts §5.3)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.core.content import Media, Reasoning, Text, ToolCall
from cfaig_integrations.core.events import Finished, PartStarted, UsageUpdated
from cfaig_integrations.errors import ProtocolError, StreamBroken
from cfaig_integrations.wire.chat_completions import CODEC
from cfaig_integrations.wire.codec import EmbeddedError
from tests.wire.chat_kit import body, delta, sse, stream_of
from tests.wire.harness import assert_same_in_any_split, events_of, folded
from tests.wire.test_chat_completions_decode import REFUSALS, extras


def folded_reply(text: str) -> ChatReply:
    return folded(CODEC, text.encode())


def call(index: int | None, id_: str | None = None, name: str | None = None, arguments: Any = "") -> dict[str, Any]:
    piece: dict[str, Any] = {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
    return piece if index is None else {"index": index, **piece}


def usage(prompt: int, completion: int) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


HYBRID = sse(
    delta(role="assistant", content="", reasoning_content=None) | {"usage": usage(9, 0), "p": "abc"},
    delta(content="Hel", reasoning_content=None) | {"usage": usage(0, 1), "p": "a"},
    delta(content="lo", reasoning_content=None) | {"usage": usage(0, 1), "p": "abcd"},
    delta(finish="stop") | {"usage": usage(0, 0), "p": ""},
    {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [], "p": "x"},
    {"response": "", "usage": {**usage(9, 2), "neurons": 1.5}},
)


def test_a_stream_of_workers_ai() -> None:
    reply = folded_reply(HYBRID)
    assert reply == CODEC.decode(body({"content": "Hello"}, usage={**usage(9, 2), "neurons": 1.5}))
    assert_same_in_any_split(CODEC, HYBRID, seed=1)


def test_usage_and_finish_are_one_event_each() -> None:
    events = events_of(CODEC, [HYBRID.encode()])
    assert [type(event) for event in events].count(UsageUpdated) == 1
    assert [type(event) for event in events].count(Finished) == 1


def test_the_answer_that_comes_first_is_the_first() -> None:
    first, second = delta(content="x", finish="stop"), delta(content="y", finish="stop")
    first["choices"][0]["index"] = 1
    assert folded_reply(sse(first)).turn.text == "x"
    assert [each.turn.text for each in folded_reply(sse(first, second)).choices] == ["x", "y"]


def test_native_chunks() -> None:
    stream = sse(
        {"response": "Hel", "tool_calls": [], "p": "abc"},
        {"response": 1, "p": "abcdef"},
        {"response": "", "usage": usage(9, 2)},
    )
    assert folded_reply(stream) == CODEC.decode(json.dumps({"response": "Hel1", "usage": usage(9, 2)}).encode())


def test_native_tool_calls() -> None:
    calls = [{"name": "f", "arguments": {"x": 1}}, {"name": "f", "arguments": {"x": 2}}]
    stream = sse({"response": None, "tool_calls": calls}, {"response": "", "usage": usage(1, 1)})
    reply = folded_reply(stream)
    assert reply == CODEC.decode(json.dumps({"response": None, "tool_calls": calls, "usage": usage(1, 1)}).encode())
    assert [call.arguments for call in reply.turn.tool_calls] == ['{"x":1}', '{"x":2}']
    assert reply.finish == "tool_calls"


def test_numbers_missing_index_and_content_after_the_end() -> None:
    first = delta(content="a")
    del first["choices"][0]["index"]
    stream = sse(first, delta(content=1), delta(content=0, finish="stop"), delta(content="!", finish="stop"), "[DONE]")
    assert folded_reply(stream).turn.parts == (Text("a10!"),)


def test_a_chunk_of_nulls() -> None:
    nothing = {"id": None, "object": None, "created": None, "model": None, "choices": None, "usage": None}
    stream = sse(nothing, delta(content="x", role=None), {**nothing, "choices": [{"index": 0, "delta": None}]})
    assert folded_reply(stream).turn.text == "x"


def more(index: int, arguments: str) -> dict[str, Any]:
    """A piece with nothing but arguments, as OpenAI sends all but the first of a call."""
    return {"index": index, "function": {"arguments": arguments}}


STREAMS_OF_CALLS: dict[str, tuple[list[list[dict[str, Any]]], list[tuple[str, str, str]]]] = {
    "by index": (
        [[call(0, "a", "f")], [call(0, arguments='{"x"')], [call(0, arguments=":1}")], [call(1, "b", "g", "{}")]],
        [("a", "f", '{"x":1}'), ("b", "g", "{}")],
    ),
    "interleaved": (
        [
            [call(0, "a", "f"), call(1, "b", "g")],
            [call(1, arguments="{"), call(0, arguments="[")],
            [call(1, arguments="}")],
        ],
        [("a", "f", "["), ("b", "g", "{}")],
    ),
    "interleaved in chunks of one piece": (
        [[call(0, "a", "f"), call(1, "b", "g")], [more(0, "[")], [more(1, "{")], [more(0, "]")], [more(1, "}")]],
        [("a", "f", "[]"), ("b", "g", "{}")],
    ),
    "name and id repeated on every piece": (
        [[call(0, "a", "f", "{")], [call(0, "a", "f", "}")]],
        [("a", "f", "{}")],
    ),
    "no index": (
        [[call(None, "a", "f", "{")], [call(None, arguments="}")], [call(None, "b", "f", "{}")]],
        [("a", "f", "{}"), ("b", "f", "{}")],
    ),
    "no index and no id": (
        [[call(None, None, "f", "{")], [call(None, None, "f", "}")], [call(None, None, "f", "[]")]],
        [("", "f", "{}"), ("", "f", "[]")],
    ),
    "one index for two calls": (
        [[call(0, "a", "f", "{}")], [call(0, "b", "g", "[")], [call(0, arguments="]")]],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "nulls at the end": (
        [[call(0, "a", "f", "{}")], [{"id": None, "type": None, "function": {"name": None, "arguments": ""}}]],
        [("a", "f", "{}")],
    ),
    "nulls and nothing else": (
        [[{"id": None, "type": None, "function": {"name": None, "arguments": ""}}]],
        [],
    ),
    "complete calls inside a delta": (
        [
            [{"name": "f", "arguments": {"x": 1}}],
            [{"name": "f", "arguments": '{"x":1}'}],
            [call(0, None, "g", {"y": 2})],
        ],
        [("", "f", '{"x":1}'), ("", "f", '{"x":1}'), ("", "g", '{"y":2}')],
    ),
    "name after arguments": (
        [[call(0, "a")], [call(0, arguments="{")], [call(0, None, "f")], [call(0, arguments="}")]],
        [("a", "f", "{}")],
    ),
    "no name at all": ([[call(0, "a", arguments="{}")]], [("a", "", "{}")]),
    "an id that comes late": ([[call(0, None, "f", "{")], [call(0, "a", None, "}")]], [("", "f", "{}")]),
    "an index that starts at one": ([[call(1, "a", "f", "{}")]], [("a", "f", "{}")]),
    "cut by the token limit": ([[call(0, "a", "f", '{"x": "abc')]], [("a", "f", '{"x": "abc')]),
}


@pytest.mark.parametrize("case", STREAMS_OF_CALLS)
def test_pieces_of_tool_calls(case: str) -> None:
    pieces, expected = STREAMS_OF_CALLS[case]
    stream = sse(*(delta(tool_calls=piece) for piece in pieces), delta(finish="tool_calls"))
    calls = folded_reply(stream).turn.tool_calls
    assert [(call.name, call.arguments) for call in calls] == [(name, text) for _, name, text in expected]
    for made, (id_, _, _) in zip(calls, expected, strict=True):
        assert made.id == id_ if id_ else made.id.startswith("call_")
    assert len({made.id for made in calls}) == len(calls)
    assert_same_in_any_split(CODEC, stream, seed=2)


def test_a_call_starts_once() -> None:
    stream = sse(
        delta(tool_calls=[call(0, "a", "f")]), delta(tool_calls=[call(0, "a", "f", "{}")]), delta(finish="stop")
    )
    started = [event for event in events_of(CODEC, [stream.encode()]) if isinstance(event, PartStarted)]
    assert [(event.id, event.name) for event in started] == [("a", "f")]


def test_extra_content_of_a_call_is_kept_whenever_it_comes() -> None:
    signature = {"google": {"thought_signature": "s"}}
    late = {"index": 0, "function": {"arguments": "}"}, "extra_content": signature}
    stream = sse(delta(tool_calls=[call(0, "a", "f", "{")]), delta(tool_calls=[late]), delta(finish="stop"))
    assert folded_reply(stream).turn.tool_calls == (ToolCall("a", "f", "{}", extras=extras(extra_content=signature)),)


def test_parts_are_numbered_in_the_order_in_which_they_begin() -> None:
    stream = sse(
        delta(reasoning="hm"),
        delta(content="so"),
        delta(tool_calls=[call(0, "a", "f", "{}")]),
        delta(content=" it is"),
        delta(finish="stop"),
    )
    parts = folded_reply(stream).turn.parts
    assert parts == (Reasoning("hm", extras(field="reasoning")), Text("so it is"), ToolCall("a", "f", "{}"))


def test_audio_in_pieces() -> None:
    stream = sse(
        delta(audio={"id": "audio_1", "transcript": "hel"}),
        delta(audio={"data": "AAE=", "transcript": "lo"}),
        delta(audio={"data": "Ag=="}),
        delta(audio={"expires_at": 9}, finish="stop"),
    )
    assert folded_reply(stream).turn.parts == (
        Media("audio", data="AAEC", text="hello", extras=extras(id="audio_1", expires_at=9)),
    )


def test_unmodeled_fields_of_a_stream_are_joined() -> None:
    stream = sse(
        delta(reasoning="a", reasoning_details=[{"type": "reasoning.text", "text": "a", "index": 0}])
        | {"x_groq": {"id": "req"}},
        delta(reasoning="a", reasoning_details=[{"type": "reasoning.text", "text": "a", "index": 0}]),
        delta(reasoning_details=[{"type": "reasoning.text", "signature": "s", "index": 0}]),
        delta(annotations=[{"type": "url_citation", "url_citation": {"url": "https://a"}}]),
        delta(content="x"),
        delta(annotations=[{"type": "url_citation", "url_citation": {"url": "https://b"}}]),
        delta(finish="stop") | {"x_groq": {"usage": usage(3, 4)}},
    )
    reply = folded_reply(stream)
    assert reply.turn.extras["chat_completions"]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "aa", "index": 0, "signature": "s"}
    ]
    text = reply.turn.parts[-1]
    assert isinstance(text, Text)
    assert [citation.url for citation in text.citations] == ["https://a", "https://b"]
    assert reply.facts == {"created": 7, "x_groq": {"id": "req"}}
    assert reply.usage is not None
    assert (reply.usage.input, reply.usage.output) == (3, 4)


def test_text_around_reasoning_is_two_parts() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    stream = sse(
        delta(content="a"), delta(content=[thought]), delta(content="b"), delta(content="c"), delta(finish="stop")
    )
    assert [part.text for part in folded_reply(stream).turn.parts] == ["a", "hm", "bc"]  # type: ignore[union-attr]


def test_an_empty_finish_reason_does_not_replace_one() -> None:
    choice = folded_reply(sse(delta(content="a", finish="length"), delta(finish=""))).choices[0]
    assert (choice.finish, choice.provider_finish) == ("length", "length")


def test_usage_that_only_comes_with_text() -> None:
    stream = sse(*(delta(content=text) | {"usage": usage(9, number)} for number, text in enumerate("abc")))
    counts = folded_reply(stream).usage
    assert counts is not None
    assert (counts.input, counts.output) == (9, 2)


def test_a_field_in_the_middle_is_kept() -> None:
    fact = delta(content="c") | {"citations": ["https://a"]}
    stream = sse(delta(content="a"), delta(content="b"), fact, delta(content="d"), delta(finish="stop"))
    assert folded_reply(stream).facts == {"created": 7, "citations": ["https://a"]}


def test_logprobs_are_joined() -> None:
    first, second = delta(content="a"), delta(content="b")
    first["choices"][0]["logprobs"] = {"content": [{"token": "a"}], "refusal": None}
    second["choices"][0]["logprobs"] = {"content": [{"token": "b"}], "refusal": None}
    reply = folded_reply(sse(delta(content="-"), first, second, delta(finish="stop")))
    assert reply.choices[0].extras == extras(logprobs={"content": [{"token": "a"}, {"token": "b"}], "refusal": None})


def test_two_answers_at_once() -> None:
    stream = sse(delta(0, content="a"), delta(1, content="x"), delta(0, content="b", finish="stop"), done=False)
    with pytest.raises(StreamBroken):
        folded_reply(stream)
    whole = stream + sse(delta(1, content="y", finish="length"), done=False)
    assert [choice.turn.text for choice in folded_reply(whole).choices] == ["ab", "xy"]


def test_a_whole_completion_as_the_only_event() -> None:
    whole = body({"content": "x", "tool_calls": [call(0, "a", "f", "{}"), call(0, "b", "f", "{}")]})
    assert folded_reply(sse(json.loads(whole))) == CODEC.decode(whole)


@pytest.mark.parametrize("end", ["data: [DONE]\n\n", "[DONE]\n", "data:[DONE]", "data: [DONE]\n\ndata: [DONE]\n\n"])
def test_done_without_a_finish_reason_is_an_end(end: str) -> None:
    reply = folded_reply(sse(delta(content="x"), done=False) + end)
    assert (reply.turn.text, reply.finish, reply.choices[0].provider_finish) == ("x", "stop", "")


def test_a_finish_reason_without_done_is_an_end() -> None:
    assert folded_reply(sse(delta(content="x", finish="stop"), done=False)).turn.text == "x"


BROKEN = [
    "",
    ": nothing\n\n",
    sse({"choices": []}, done=False),
    sse(delta(content="hel"), done=False),
    sse(delta(content="hel"), "keep-alive", done=False),
    sse(delta(content="hel"), done=False) + 'data: {"choices": [{"del',
    sse(delta(content="hel"), done=False) + "data: [DON",
    sse(delta(content="hel", finish="stop"), done=False) + 'data: {"choices": [], "usage": {"pro',
]


@pytest.mark.parametrize("stream", BROKEN)
def test_a_stream_without_its_end_is_broken(stream: str) -> None:
    with pytest.raises(StreamBroken) as caught:
        folded_reply(stream)
    assert caught.value.partial == ("hel" if "hel" in stream else "")


def test_keep_alives_between_the_chunks_are_skipped() -> None:
    stream = sse("keep-alive", delta(content="a"), "", "ping", delta(content="b"), "null", delta(finish="stop"))
    assert folded_reply(stream).turn.text == "ab"


@pytest.mark.parametrize("chunk", ['{"choices": [', '{"choices": [1]}', '{"choices": [{"delta": {"tool_calls": 1}}]}'])
def test_an_invalid_chunk_is_a_protocol_error(chunk: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        folded_reply(sse(delta(content="a"), chunk, delta(content="b")))
    assert not isinstance(caught.value, StreamBroken)


@pytest.mark.parametrize("raw", REFUSALS)
def test_an_error_in_a_stream(raw: dict[str, Any]) -> None:
    with pytest.raises(EmbeddedError):
        folded_reply(sse(delta(content="a"), delta(content="b"), raw))


def test_padding_is_ignored() -> None:
    noisy = delta(content="x", channel="final", token_ids=[1], role="assistant")
    noisy |= {"p": "abc", "obfuscation": "x", "prompt_token_ids": [1], "kv_transfer_params": {"a": 1}}
    reply = folded_reply(sse(noisy, delta(finish="stop")))
    assert reply == folded_reply(sse(delta(content="x"), delta(finish="stop")))


TEXT = st.text(min_size=1, max_size=30)
ARGUMENTS = st.dictionaries(st.text(max_size=5), st.text(max_size=8) | st.integers(), max_size=3).map(json.dumps)
CALL = st.builds(lambda name, arguments: {"name": name, "arguments": arguments}, TEXT, ARGUMENTS)


@settings(max_examples=150)
@given(st.data())
def test_any_body_sent_as_a_stream_is_the_same_reply(data: st.DataObject) -> None:
    message: dict[str, Any] = {"role": "assistant", "content": data.draw(TEXT | st.none())}
    if data.draw(st.booleans()):
        message[data.draw(st.sampled_from(["reasoning", "reasoning_content", "reasoning_text"]))] = data.draw(TEXT)
    functions = data.draw(st.lists(CALL, max_size=3))
    if functions:
        message["tool_calls"] = [
            {"id": f"call_{number}", "type": "function", "function": function}
            for number, function in enumerate(functions)
        ]
    if data.draw(st.booleans()):
        message["refusal"] = data.draw(TEXT)
    finish = data.draw(st.sampled_from(["stop", "length", "tool_calls", None]))
    whole = body(message, finish=finish, usage=data.draw(st.none() | st.just(usage(3, 4))))
    stream = stream_of(json.loads(whole), size=data.draw(st.integers(1, 9)))
    assert folded_reply(stream) == CODEC.decode(whole)
