"""What of a reply is shown beside its message; the message itself: `test_inbound` and `test_cumulate`."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ImageBlock

from cfaig_integrations.core.chat import ChatReply, Choice
from cfaig_integrations.core.content import Media, Text, Turn
from cfaig_integrations.llama_index.inbound import to_turns
from cfaig_integrations.llama_index.outbound import to_message, to_response
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
    response = to_response(ChatReply("chat_completions", "", "", (choice,), None), info("chat_completions"))
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


DRAWN = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()
WITH_AN_IMAGE = Turn(
    "assistant",
    (
        Text("Here it is:", extras={"chat_completions": {"note": 1}}),
        Media("image", data=DRAWN, mime="image/png", extras={"chat_completions": {"index": 0}}),
    ),
)


def test_an_image_of_the_model_is_kept_once_and_comes_back() -> None:
    message = to_message(WITH_AN_IMAGE)
    written = message.model_dump_json()
    assert written.count(DRAWN) == 1
    assert to_turns([ChatMessage.model_validate_json(written)]) == (WITH_AN_IMAGE,)


def test_an_image_that_was_taken_out_is_not_sent() -> None:
    message = to_message(WITH_AN_IMAGE)
    message.blocks = [block for block in message.blocks if not isinstance(block, ImageBlock)]
    (turn,) = to_turns([message])
    assert [type(part) for part in turn.parts] == [Text]


def test_an_image_that_was_put_in_its_place_is_sent() -> None:
    other = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(32)).decode()
    message = to_message(WITH_AN_IMAGE)
    message.blocks = [
        ImageBlock(image=other.encode(), image_mimetype="image/png") if isinstance(block, ImageBlock) else block
        for block in message.blocks
    ]
    (turn,) = to_turns([message])
    assert [part.data for part in turn.parts if isinstance(part, Media)] == [other]
