"""Conversations that the provider stores: digests, new turns, and messages for forgotten responses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cfaig_integrations.core.chat import ChatRequest, Continuation
from cfaig_integrations.core.content import Text, ToolCall, Turn, extras_of
from cfaig_integrations.errors import ApiError
from cfaig_integrations.gateway.continuation import history_digest, is_forgotten, new_turns, reply_digest

USER, REPLY = Turn("user", (Text("Hi"),)), Turn("assistant", (Text("Hello"), ToolCall("c", "f", '{"a":1,"b":2}')))
GPT = "openai/gpt-5.4"


def test_history_digest_depends_on_turns_and_provider() -> None:
    same = history_digest(GPT, (Turn("user", (Text("Hi"),)),))
    assert same == history_digest(GPT, [USER]) == history_digest("openai/gpt-5.5", [USER])
    others = [
        history_digest("anthropic/claude-opus-5", [USER]),
        history_digest(GPT, []),
        history_digest(GPT, [USER, USER]),
        history_digest(GPT, [replace(USER, role="system")]),
        history_digest(GPT, [replace(USER, name="ann")]),
        history_digest(GPT, [Turn("user", (Text("H"), Text("i")))]),
        history_digest(GPT, [Turn("user", (Text("Hi", extras=extras_of("messages", a=1)),))]),
    ]
    assert len({same, *others}) == 1 + len(others)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"parts": (Text("Hel"), Text("lo"), REPLY.parts[1])}, True),
        ({"parts": (Text("Hello"), ToolCall("c", "f", '{ "b": 2, "a": 1 }'))}, True),
        ({"parts": (Text("Hello!"), REPLY.parts[1])}, False),
        ({"parts": (Text("Hello"),)}, False),
        ({"parts": (Text("Hello"), ToolCall("c", "f", '{"a":1,"b":3}'))}, False),
        ({"parts": (Text("Hello"), ToolCall("c", "g", '{"a":1,"b":2}'))}, False),
        ({"parts": (Text("Hello"), ToolCall("d", "f", '{"a":1,"b":2}'))}, False),
        ({"parts": (Text("Hello"), ToolCall("c", "f", '{"a":1,"b":'))}, False),
    ],
)
def test_reply_digest_depends_on_text_and_calls(other: dict[str, Any], same: bool) -> None:
    assert (reply_digest("s", replace(REPLY, **other)) == reply_digest("s", REPLY)) is same
    assert reply_digest("t", REPLY) != reply_digest("s", REPLY)


@pytest.mark.parametrize(
    ("status", "code", "message", "forgotten"),
    [
        (400, "previous_response_not_found", "Previous response with id 'resp_1' not found.", True),
        (404, None, "Previous response with id 'resp_1' not found.", True),
        (200, "previous_response_not_found", "gone", True),
        (400, 7003, "Model execution failed (User Input Error): Unknown parameter: 'previous_response_id'.", True),
        (400, None, "No tool call found for function call output with call_id call_1.", True),
        (404, 7003, "Model not found", False),
        (400, None, "Invalid value at input", False),
        (500, "previous_response_not_found", "Previous response with id 'resp_1' not found.", False),
    ],
)
def test_messages_for_a_forgotten_response(status: int, code: Any, message: str, forgotten: bool) -> None:
    assert is_forgotten(ApiError(message, status=status, code=code)) is forgotten


def test_new_turns_follow_the_stored_reply() -> None:
    turns = (USER, REPLY, USER)
    assert new_turns(ChatRequest(GPT, turns)) == ()
    assert new_turns(ChatRequest(GPT, turns, continues=Continuation())) == ()
    assert new_turns(ChatRequest(GPT, turns, continues=Continuation("r", 2))) == (USER,)
    assert new_turns(ChatRequest(GPT, turns, continues=Continuation("r", 3))) == ()
