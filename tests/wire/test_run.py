"""Cloudflare's `/ai/run`: envelopes, every provider's format, and other bodies (facts §1.4, §5)."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from cfaig_integrations.core.chat import ChatReply, ChatRequest, FunctionTool, OutputSchema, Usage
from cfaig_integrations.core.content import Citation, Media, Opaque, Reasoning, Text, ToolCall, ToolResult, Turn, Wire
from cfaig_integrations.errors import ProtocolError, StreamBroken, UnsupportedContent
from cfaig_integrations.wire.codec import EmbeddedError, Quirks
from cfaig_integrations.wire.registry import codec
from tests.wire.chat_kit import body, delta, sse
from tests.wire.harness import (
    assert_same_in_any_split,
    events_of,
    folded,
    needs_complete_recordings,
    needs_recordings,
    recordings,
)
from tests.wire.test_chat_completions_decode import REFUSALS

RUN = codec("run")
HELLO = Turn("user", (Text("hello"),))
TOOL = FunctionTool("f", "does it", {"type": "object", "properties": {}})
USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}


def decoded(raw: dict[str, Any]) -> ChatReply:
    return RUN.decode(json.dumps(raw).encode())


def wrapped(raw: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"result": raw, "success": True, "errors": [], "messages": [], **more}


def as_run(reply: ChatReply) -> ChatReply:
    return replace(reply, wire="run")


CHAT = json.loads(body({"content": "hi", "reasoning": "hm"}, usage=USAGE, gatewayMetadata={"keySource": "Unified"}))
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "c",
    "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 2},
    "gatewayMetadata": {"keySource": "Unified"},
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "g",
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "hi", "annotations": []}],
        }
    ],
    "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    "gatewayMetadata": {"keySource": "Unified"},
}
WRITTEN_IN: list[tuple[Wire, dict[str, Any]]] = [
    ("chat_completions", CHAT),
    ("messages", MESSAGE),
    ("responses", RESPONSE),
]


@pytest.mark.parametrize(("wire", "raw"), WRITTEN_IN)
def test_a_body_is_decoded_by_the_wire_of_its_format(wire: Wire, raw: dict[str, Any]) -> None:
    inner = codec(wire).decode(json.dumps(raw).encode())
    assert decoded(raw) == as_run(inner)
    assert decoded(wrapped(raw)) == as_run(inner)
    assert decoded(raw).facts["gatewayMetadata"] == {"keySource": "Unified"}
    assert decoded(raw).turn.text == "hi"


@pytest.mark.parametrize(("wire", "raw"), WRITTEN_IN)
def test_a_reply_is_sent_back_on_the_wire_of_its_format(wire: Any, raw: dict[str, Any]) -> None:
    request = ChatRequest("m", (HELLO, decoded(wrapped(raw)).turn, HELLO))
    sent = RUN.encode(request, stream=False, quirks=Quirks(run_body=wire))
    inner = codec(wire).encode(
        replace(request, turns=(HELLO, codec(wire).decode(json.dumps(raw).encode()).turn, HELLO)), stream=False
    )
    assert sent == {key: value for key, value in inner.items() if key != "model"}
    assert "hi" in json.dumps(sent)


def test_fields_of_the_envelope_become_extras() -> None:
    reply = decoded(wrapped(CHAT, gatewayMetadata={"keySource": "BYOK"}, messages=["slow"]))
    assert reply.extras["run"] == {"gatewayMetadata": {"keySource": "BYOK"}, "messages": ["slow"]}


@pytest.mark.parametrize(
    ("response", "text"), [("hi", "hi"), (4, "4"), ({"a": 1}, '{"a":1}'), ({}, "{}"), (None, ""), ("", "")]
)
def test_native_answers(response: Any, text: str) -> None:
    for raw in ({"response": response, "usage": USAGE}, wrapped({"response": response, "usage": USAGE})):
        reply = decoded(raw)
        assert reply.turn.text == text
        assert (reply.wire, reply.finish) == ("run", "stop")
        assert reply.usage == Usage(9, 2, 11, raw=USAGE)


def test_native_tool_calls() -> None:
    reply = decoded(wrapped({"response": None, "tool_calls": [{"name": "f", "arguments": {"x": 1}}]}))
    (call,) = reply.turn.tool_calls
    assert (call.name, call.arguments, reply.finish) == ("f", '{"x":1}', "tool_calls")
    request = ChatRequest("m", (HELLO, reply.turn, Turn("tool", (ToolResult(call.id, (Text("2"),)),))))
    sent = RUN.encode(request, stream=False, quirks=Quirks(run_body="native"))["messages"]
    assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"] == call.id


def test_a_stream_that_came_as_a_list() -> None:
    reply = decoded(
        wrapped({"streamed_data": [{"response": "h"}, {"response": "i"}, {"response": "", "usage": USAGE}]})
    )
    assert (reply.turn.text, reply.finish) == ("hi", "stop")
    assert reply.usage is not None


@pytest.mark.parametrize("raw", REFUSALS)
def test_an_error_in_a_2xx_answer(raw: dict[str, Any]) -> None:
    with pytest.raises(EmbeddedError):
        decoded(raw)
    with pytest.raises(EmbeddedError):
        decoded(wrapped(raw))
    with pytest.raises(EmbeddedError):
        events_of(RUN, [sse(raw).encode()])
    with pytest.raises(EmbeddedError):
        events_of(RUN, [sse({"response": "a"}, raw).encode()])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"state": "Completed", "result": {"image": "https://x"}}, "image"),
        (wrapped({"shape": [1, 2], "data": [[1, 2]]}), "shape"),
        (wrapped({"response": [{"id": 0, "score": 0.5}]}), "rerank"),
        (wrapped({"text": "words", "vtt": ""}), "vtt"),
        ({"result": None, "success": True}, "result"),
        ({"result": [{"label": "a", "score": 1}], "success": True}, "result"),
        ({}, "keys"),
        ({"candidates": [{"content": {"parts": [{"functionCall": {}}]}}]}, "functionCall.name"),
        ({"type": "message"}, "message"),
        ({"object": "response"}, "response"),
    ],
)
def test_other_bodies_are_a_protocol_error(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        decoded(raw)


def test_the_input_has_no_model_and_no_envelope() -> None:
    request = ChatRequest("m", (HELLO,), max_tokens=9, extra_body={"options": {"rejectIfBusy": True}})
    assert RUN.encode(request, stream=True) == {
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 9,
        "stream": True,
        "stream_options": {"include_usage": True},
        "options": {"rejectIfBusy": True},
    }
    assert RUN.encode(replace(request, extra_body={"model": "n"}), stream=False)["model"] == "n"


def test_the_native_input() -> None:
    schema = {"type": "object", "properties": {}}
    request = ChatRequest("m", (HELLO,), tools=(TOOL,), output=OutputSchema(schema))
    assert RUN.encode(request, stream=True, quirks=Quirks(run_body="native")) == {
        "messages": [{"role": "user", "content": "hello"}],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "does it", "parameters": TOOL.parameters}}
        ],
        "response_format": {"type": "json_schema", "json_schema": schema},
        "stream": True,
    }
    guided = RUN.encode(request, stream=False, quirks=Quirks(run_body="native", schema_form="guided_json"))
    assert guided["guided_json"] == schema


def test_other_inputs() -> None:
    request = ChatRequest("m", (HELLO,))
    assert RUN.encode(request, stream=False, quirks=Quirks(run_body="messages"))["max_tokens"]
    assert RUN.encode(request, stream=False, quirks=Quirks(run_body="responses"))["input"]


MESSAGES_STREAM = "".join(
    f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
    for event in (
        {"type": "ping"},
        {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    )
)
RESPONSES_STREAM = "".join(
    f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
    for event in (
        {"type": "response.created", "response": {**RESPONSE, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**RESPONSE["output"][0], "content": []}},  # type: ignore[index]
        {
            "type": "response.content_part.added",
            "output_index": 0,
            "content_index": 0,
            "item_id": "msg_1",
            "part": {"type": "output_text", "text": "", "annotations": []},
        },
        {
            "type": "response.output_text.delta",
            "output_index": 0,
            "content_index": 0,
            "item_id": "msg_1",
            "delta": "hi",
        },
        {"type": "response.output_item.done", "output_index": 0, "item": RESPONSE["output"][0]},  # type: ignore[index]
        {"type": "response.completed", "response": RESPONSE},
    )
)
CHAT_STREAM = sse(delta(role="assistant", content=""), delta(content="h"), delta(content="i", finish="stop"))
NATIVE_STREAM = sse("", {"p": "abc"}, {"response": "h", "p": "ab"}, {"response": "i"}, {"response": "", "usage": USAGE})
STREAMS: dict[Any, str] = {
    "chat_completions": CHAT_STREAM,
    "messages": MESSAGES_STREAM,
    "responses": RESPONSES_STREAM,
}


@pytest.mark.parametrize("wire", STREAMS)
def test_a_stream_is_decoded_by_the_wire_of_its_format(wire: Any) -> None:
    stream = STREAMS[wire]
    assert folded(RUN, stream.encode()) == as_run(folded(codec(wire), stream.encode()))
    assert folded(RUN, stream.encode()).turn.text == "hi"
    assert_same_in_any_split(RUN, stream, seed=3)


def test_a_native_stream() -> None:
    assert folded(RUN, NATIVE_STREAM.encode()) == decoded({"response": "hi", "usage": USAGE})


GEMINI_PARTS: list[dict[str, Any]] = [
    {"text": "let me ", "thought": True},
    {"text": "see", "thought": True, "thoughtSignature": "s0"},
    {"text": "It "},
    {"text": "is"},
    {"text": "", "thoughtSignature": "s1"},
    {"functionCall": {"name": "f", "args": {"x": "ü"}}, "thoughtSignature": "s2"},
    {"functionCall": {"name": "f", "id": "given"}},
    {"inlineData": {"mimeType": "image/png", "data": "QQ=="}},
    {"executableCode": {"language": "PYTHON", "code": "1"}},
    {"text": "end"},
]
GROUNDING = {"groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"retrievedContext": {}}]}
GEMINI: dict[str, Any] = {
    "candidates": [
        {
            "content": {"role": "model", "parts": GEMINI_PARTS},
            "finishReason": "STOP",
            "index": 0,
            "groundingMetadata": GROUNDING,
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 5,
        "toolUsePromptTokenCount": 1,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 60,
        "totalTokenCount": 69,
        "cachedContentTokenCount": 2,
    },
    "modelVersion": "g",
    "responseId": "r",
    "gatewayMetadata": {"keySource": "Unified"},
}


def test_gemini() -> None:
    reply = decoded(wrapped(GEMINI))
    made = reply.turn.tool_calls[0].id
    content = {"extra_content": {"google": {"thought_signature": "s2"}}}
    source = Citation("https://a", "A", raw=GROUNDING["groundingChunks"][0])
    assert made.startswith("call_")
    assert reply.turn.parts == (
        Reasoning("let me see", {"run": {"thought": True, "thoughtSignature": "s0"}}),
        Text("It is", (source,), {"run": {"thoughtSignature": "s1"}}),
        ToolCall(made, "f", '{"x":"ü"}', extras={"run": {"thoughtSignature": "s2"}, "chat_completions": content}),
        ToolCall("given", "f", "{}"),
        Media("image", data="QQ==", mime="image/png"),
        Opaque("run", GEMINI_PARTS[8]),
        Text("end"),
    )
    assert (reply.id, reply.model, reply.finish, reply.choices[0].provider_finish) == ("r", "g", "tool_calls", "STOP")
    assert reply.usage == Usage(6, 63, 69, cache_read=2, reasoning=60, raw=GEMINI["usageMetadata"])
    assert reply.facts == {"gatewayMetadata": {"keySource": "Unified"}}
    assert reply.choices[0].extras == {"run": {"groundingMetadata": GROUNDING}}


def gemini_stream() -> str:
    facts = {"modelVersion": "g", "responseId": "r"}
    middle = [
        {**facts, "candidates": [{"content": {"parts": [part]}}], "usageMetadata": {"promptTokenCount": 5}}
        for part in GEMINI_PARTS
    ]
    last = {**GEMINI, "candidates": [{"finishReason": "STOP", "groundingMetadata": GROUNDING}]}
    return sse(*middle, last, done=False)


def test_gemini_streamed() -> None:
    assert folded(RUN, gemini_stream().encode()) == decoded(GEMINI)
    assert_same_in_any_split(RUN, gemini_stream(), seed=4)


def test_the_signature_of_a_call_goes_back_in_the_form_of_the_request() -> None:
    turn = replace(decoded(GEMINI).turn, parts=decoded(GEMINI).turn.parts[:4])
    sent = RUN.encode(ChatRequest("m", (HELLO, turn)), stream=False)["messages"][1]
    assert sent["content"] == "It is"
    assert sent["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "s2"}}
    assert set(sent) == {"role", "content", "tool_calls"}


def test_blocks_of_gemini_on_another_wire() -> None:
    code, unknown = Opaque("run", GEMINI_PARTS[8]), Opaque("run", {"videoThing": {}})
    sent = RUN.encode(ChatRequest("m", (Turn("assistant", (code, Text("x"))),)), stream=False)
    assert sent["messages"] == [{"role": "assistant", "content": "x"}]
    with pytest.raises(UnsupportedContent):
        RUN.encode(ChatRequest("m", (Turn("assistant", (unknown,)),)), stream=False)


@pytest.mark.parametrize(
    ("raw_finish", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("OTHER", "unknown"),
        (None, "stop"),
    ],
)
def test_finish_reasons_of_gemini(raw_finish: str | None, finish: str) -> None:
    raw = {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": raw_finish}]}
    assert (decoded(raw).finish, decoded(raw).choices[0].provider_finish) == (finish, raw_finish or "")


def test_a_signature_without_text_belongs_to_the_part_before() -> None:
    parts = [{"text": "hm", "thought": True}, {"text": "", "thoughtSignature": "s"}]
    (part,) = decoded({"candidates": [{"content": {"parts": parts}}]}).turn.parts
    assert part == Reasoning("hm", {"run": {"thought": True, "thoughtSignature": "s"}})


def test_the_total_of_gemini_may_be_missing() -> None:
    raw = {"promptTokenCount": 4, "candidatesTokenCount": 3}
    assert decoded({"candidates": [{}], "usageMetadata": raw}).usage == Usage(4, 3, 7, raw=raw)


def test_events_before_the_format_is_known_are_not_lost() -> None:
    reply = folded(RUN, sse({"id": "x", "service_tier": "flex"}, {"response": "a"}).encode())
    assert (reply.id, reply.turn.text, reply.facts) == ("x", "a", {"service_tier": "flex"})


def test_a_blocked_prompt() -> None:
    reply = decoded({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}})
    assert (reply.finish, reply.choices[0].provider_finish, reply.turn.parts) == ("content_filter", "SAFETY", ())
    assert folded(RUN, sse({"promptFeedback": {"blockReason": "SAFETY"}}).encode()).finish == "content_filter"


@pytest.mark.parametrize(
    "stream",
    [
        "",
        "data: keep-alive\n\n",
        sse({"p": "abc"}),
        'data: {"resp',
        sse({"response": "a"}, done=False),
        sse({"candidates": [{"content": {"parts": [{"text": "a"}]}}]}),
        MESSAGES_STREAM.partition("event: message_delta")[0],
        RESPONSES_STREAM[:-40],
    ],
)
def test_a_stream_without_its_end_is_broken(stream: str) -> None:
    with pytest.raises(StreamBroken):
        events_of(RUN, [stream.encode()])


@pytest.mark.parametrize("end", [120, 400])
def test_a_truncated_stream_of_gemini_is_an_error(end: int) -> None:
    data, rng = gemini_stream().encode(), random.Random(end)
    for cut in (rng.randrange(data.index(b"finishReason")) for _ in range(end)):
        with pytest.raises(StreamBroken):
            events_of(RUN, [data[:cut]])


@pytest.mark.parametrize("first", ['{"choices": [', '{"candidates": [1]}'])
def test_an_invalid_first_event_is_an_error(first: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        events_of(RUN, [sse(first, {"response": "a"}).encode()])
    assert not isinstance(caught.value, StreamBroken)


KINDS: tuple[Any, ...] = ("chat", "messages", "responses")


@needs_recordings
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", [False, True])
def test_everything_recorded_is_the_same_through_run(kind: Any, stream: bool) -> None:
    wire: Any = "chat_completions" if kind == "chat" else kind
    same = 0
    for record in recordings(kind, stream=stream):
        text = record["response_body"]
        try:
            expected = folded(codec(wire), text.encode()) if stream else codec(wire).decode(text.encode())
        except (ProtocolError, EmbeddedError) as error:
            with pytest.raises(type(error)):
                folded(RUN, text.encode()) if stream else RUN.decode(text.encode())
            continue
        got = folded(RUN, text.encode()) if stream else RUN.decode(text.encode())
        assert got == as_run(expected), f"line {record['line']}"
        if not stream:
            assert RUN.decode(json.dumps(wrapped(json.loads(text))).encode()) == as_run(expected)
        same += 1
    assert same > 30


@needs_complete_recordings
def test_examples_of_cloudflares_documentation() -> None:
    found: Counter[str] = Counter()
    for record in recordings("cloudflare"):
        data = record["response_body"].encode()
        try:
            reply = folded(RUN, data) if record["stream"] else RUN.decode(data)
            found["text" if reply.turn.text else "nothing"] += 1
        except (ProtocolError, EmbeddedError) as error:
            found[type(error).__name__] += 1
    assert found == {
        "text": 13,
        "nothing": 1,  # the end of a stream that was shown without its beginning
        "StreamBroken": 1,  # a stream that was shown without its end
        "EmbeddedError": 1,  # the daily allocation, facts §5.6
        "ProtocolError": 3,  # speech, an image, a decision
    }
