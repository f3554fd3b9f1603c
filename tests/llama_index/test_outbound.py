"""What of a reply is shown beside its message; the message itself: `test_inbound` and `test_cumulate`."""

from __future__ import annotations

from typing import Any

import pytest

from cfaig_integrations.core.chat import ChatReply, Choice
from cfaig_integrations.core.content import Text, Turn
from cfaig_integrations.llama_index.outbound import to_response
from tests.recorded_replies import info

TOKENS: list[Any] = [
    {
        "token": "Hi",
        "logprob": -0.1,
        "bytes": [72, 105],
        "top_logprobs": [{"token": "Hi", "logprob": -0.1}, {"token": "Yo", "logprob": -3}],
    },
    {"token": "!", "logprob": -0.2},
]


def shown(choice: Choice) -> list[list[tuple[str, float]]] | None:
    response = to_response(ChatReply("chat_completions", "", "", (choice,), None), info("chat_completions"), {})
    if response.logprobs is None:
        return None
    return [[(each.token, each.logprob) for each in token] for token in response.logprobs]


def of_chat(logprobs: Any) -> Choice:
    return Choice(Turn("assistant", (Text("Hi!"),)), "stop", "stop", {"chat_completions": {"logprobs": logprobs}})


def of_responses(logprobs: Any) -> Choice:
    text = Text("Hi!", extras={"responses": {"part": {"type": "output_text", "logprobs": logprobs}}})
    return Choice(Turn("assistant", (text,)), "stop", "stop")


@pytest.mark.parametrize("choice", [of_chat({"content": TOKENS}), of_responses(TOKENS)], ids=["chat", "responses"])
def test_log_probabilities_of_every_wire_that_has_them(choice: Choice) -> None:
    assert shown(choice) == [[("Hi", -0.1), ("Yo", -3)], [("!", -0.2)]]


@pytest.mark.parametrize(
    "odd", [None, {}, [], "x", {"content": "x"}, {"content": ["x"]}, {"content": None}, {"tokens": ["Hi"]}], ids=str
)
def test_without_them_there_are_none(odd: Any) -> None:
    assert shown(of_chat(odd)) is None
    assert shown(of_responses(odd)) is None


@pytest.mark.parametrize("odd", [{"token": "a"}, {"token": "a", "logprob": None}, {"top_logprobs": [{"token": "a"}]}])
def test_an_answer_is_not_lost_for_a_token_without_one(odd: Any) -> None:
    assert shown(of_chat({"content": [odd, TOKENS[1]]})) == [[], [("!", -0.2)]]
