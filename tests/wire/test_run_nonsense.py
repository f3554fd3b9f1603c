"""Answers with a wrong value somewhere: an error of the package or an answer, never an accident."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import Refused
from cfaig_integrations.wire.registry import codec
from tests.wire.chat_kit import body, sse
from tests.wire.harness import folded
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
CHUNK = {**WHOLE, "choices": [{"index": 0, "delta": MESSAGE, "finish_reason": "stop", "logprobs": {"content": []}}]}
NATIVE = {"response": "x", "tool_calls": [{"name": "f", "arguments": {}}], "usage": USAGE}
JUNK = st.sampled_from([None, True, 0, 1.5, "", "x", [], [1], [None], {}, {"a": 1}, {"type": "text"}, [[]]])


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value inside `value`."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def spoilt(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    """`value` with `junk` at a place."""
    copy = json.loads(json.dumps(value))
    inside = copy
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = junk
    return copy


@pytest.mark.parametrize("raw", [WHOLE, CHUNK, NATIVE, GEMINI], ids=["whole", "chunk", "native", "gemini"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_wrong_value_anywhere(raw: dict[str, Any], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(places(raw))))
    wrong = spoilt(raw, path, data.draw(JUNK))
    for wire in ("chat_completions", "run"):
        with suppress(ProtocolError, Refused):
            assert_well_typed(codec(wire).decode(json.dumps(wrong).encode()))
        with suppress(ProtocolError, Refused):
            assert_well_typed(folded(codec(wire), sse(raw, wrong, wrong).encode()))


def assert_well_typed(reply: ChatReply) -> None:
    """Checks what the type checker trusts the decoders with."""
    words: list[Any] = [reply.id, reply.model]
    for choice in reply.choices:
        words.append(choice.finish_word)
        for part in choice.turn.parts:
            words += [
                getattr(part, name)
                for name in ("text", "id", "name", "arguments", "url", "data", "mime")
                if hasattr(part, name)
            ]
            words += [
                word for cited in getattr(part, "citations", ()) for word in (cited.url, cited.title, cited.quoted)
            ]
    assert all(isinstance(word, str) for word in words), words
    if reply.usage:
        assert all(isinstance(count, int) for count in (reply.usage.input, reply.usage.output, reply.usage.total))
