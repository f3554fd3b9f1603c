"""Answers with a wrong value somewhere: an error of the package or an answer, never another exception."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.errors import GatewayError
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.registry import codec
from tests.wire.chat_kit import body
from tests.wire.harness import folded
from tests.wire.mutations import DEEP, JUNK, as_json, paths, with_value
from tests.wire.test_run import GEMINI

USAGE = {
    "prompt_tokens": 1,
    "completion_tokens": 2,
    "prompt_tokens_details": {"cached_tokens": 1},
    "completion_tokens_details": {},
}
MESSAGE: dict[str, Any] = {
    "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "x"}],
    "reasoning_details": [{"type": "reasoning.text", "text": "a", "index": 0}],
    "refusal": "no",
    "annotations": [{"type": "url_citation", "url_citation": {"url": "https://a"}}],
    "audio": {"id": "a", "data": "QQ==", "transcript": "t"},
    "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}],
    "function_call": {"name": "f", "arguments": "{}"},
    "tool_calls": [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "type": "custom", "custom": {"name": "f", "input": "x"}},
        {"name": "g", "arguments": {"x": 1}},
    ],
}
WHOLE = json.loads(body(MESSAGE, usage=USAGE, x_groq={"id": "r"}))
CHUNK: dict[str, Any] = {
    **WHOLE,
    "choices": [{"index": 0, "delta": MESSAGE, "finish_reason": "stop", "logprobs": {"content": []}}],
}
NATIVE: dict[str, Any] = {"response": "x", "tool_calls": [{"name": "f", "arguments": {}}], "usage": USAGE}
GEMINI_CHUNK: dict[str, Any] = {**GEMINI, "promptFeedback": {"blockReason": ""}}
RAW: list[dict[str, Any]] = [
    WHOLE,
    CHUNK,
    NATIVE,
    {"result": NATIVE, "success": True},
    {"state": "Completed", "result": WHOLE},
    GEMINI_CHUNK,
]
NAMES = ["whole", "chunk", "native", "envelope", "state", "gemini"]
KEYS = st.sampled_from(["wire", "type", "error", "state", "result", "index", "text", "logprobs", "annotations"])


def events(*values: Any) -> bytes:
    return b"".join(b"data: " + as_json(value) + b"\n\n" for value in values) + b"data: [DONE]\n\n"


def read(wire: Any, data: bytes, *, stream: bool) -> None:
    """Reads an answer that may be nonsense: what comes out is well typed, or an error of the package."""
    with suppress(GatewayError, EmbeddedError):
        assert_well_typed(folded(codec(wire), data) if stream else codec(wire).decode(data))


@pytest.mark.parametrize("raw", RAW, ids=NAMES)
@settings(max_examples=150)
@given(data=st.data())
def test_an_invalid_value_anywhere(raw: dict[str, Any], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(paths(raw))))
    wrong = with_value(raw, path, data.draw(JUNK))
    if data.draw(st.booleans()):
        wrong[data.draw(KEYS)] = data.draw(JUNK)
    for wire in ("chat_completions", "run"):
        read(wire, as_json(wrong), stream=False)
        read(wire, events(raw, wrong, wrong), stream=True)
        read(wire, events(wrong, raw), stream=True)


@pytest.mark.parametrize("raw", RAW, ids=NAMES)
@given(data=st.data())
def test_invalid_json_bytes_anywhere(raw: dict[str, Any], data: st.DataObject) -> None:
    whole = as_json(raw)
    at = data.draw(st.integers(0, len(whole)))
    junk = data.draw(st.sampled_from([b"\xff", b"\n", b"\x00", b'"', b"{", b"\xef\xbb\xbf", DEEP, b'{"a":' * 100_000]))
    cut = data.draw(st.integers(at, min(len(whole), at + 20)))
    broken = whole[:at] + junk + whole[cut:]
    for wire in ("chat_completions", "run"):
        read(wire, broken, stream=False)
        read(wire, b"data: " + broken + b"\n\n" + events(raw), stream=True)
        read(wire, events(raw)[:-20] + b"data: " + broken, stream=True)


@pytest.mark.parametrize("place", ["created", "choices", "usage", "id"])
@pytest.mark.parametrize("depth", [150, 250, 900, 100_000])
def test_a_deeply_nested_value(place: str, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    for raw in (WHOLE, CHUNK):
        data = as_json({**raw, place: "HERE"}).replace(b'"HERE"', deep)
        for wire in ("chat_completions", "run"):
            read(wire, data, stream=False)
            read(wire, b'data: {"result": ' + data + b', "success": true}\n\n', stream=True)
            read(wire, b"data: " + data + b"\n\ndata: [DONE]\n\n", stream=True)


def assert_well_typed(reply: ChatReply) -> None:
    """Checks what the type checker trusts the decoders with."""
    strings: list[Any] = [reply.id, reply.model]
    for choice in reply.choices:
        strings.append(choice.provider_finish)
        for part in choice.turn.parts:
            for cited in getattr(part, "citations", ()):
                assert all(place is None or type(place) is int for place in (cited.start, cited.end))
        for part in choice.turn.parts:
            strings += [
                getattr(part, name)
                for name in ("text", "id", "name", "arguments", "url", "data", "mime")
                if hasattr(part, name)
            ]
            strings += [
                string for cited in getattr(part, "citations", ()) for string in (cited.url, cited.title, cited.quoted)
            ]
    assert all(isinstance(string, str) for string in strings), strings
    if reply.usage:
        counts = [getattr(reply.usage, name) for name in reply.usage.__slots__ if name != "raw"]
        assert all(count is None or (type(count) is int and 0 <= count < 2**56) for count in counts), counts
    copy.deepcopy(reply)
