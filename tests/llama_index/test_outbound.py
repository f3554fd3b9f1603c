"""The further data of a response; `test_inbound` and `test_cumulative_streams` have its message."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ImageBlock

from cfaig_integrations.core.chat import ChatReply, Choice, Usage
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


def visible(choice: Choice) -> list[list[tuple[str, float]]] | None:
    response = to_response(ChatReply("chat_completions", "", "", (choice,), None), info("chat_completions"))
    if response.logprobs is None:
        return None
    return [[(each.token, each.logprob) for each in token] for token in response.logprobs]


def of_chat(logprobs: Any) -> Choice:
    return Choice(Turn("assistant", (Text("Hi!"),)), "stop", "stop", {"chat_completions": {"logprobs": logprobs}})


def of_responses(logprobs: Any) -> Choice:
    text = Text("Hi!", extras={"responses": {"part": {"type": "output_text", "logprobs": logprobs}}})
    return Choice(Turn("assistant", (text,)), "stop", "stop")


@pytest.mark.parametrize(
    ("finish", "normalized", "state"),
    [
        ("refusal", "content_filter", "refused"),
        ("pause", "stop", "incomplete"),
        ("error", "error", "failed"),
        ("unknown", "unknown", "unknown"),
    ],
)
def test_a_finish_reason_that_openai_lacks_is_translated(finish: Any, normalized: str, state: str) -> None:
    choice = Choice(Turn("assistant", (Text("Hi!"),)), finish, "the provider's word")
    response = to_response(ChatReply("messages", "", "", (choice,), None), info("messages"))
    assert response.additional_kwargs["finish_reason"] == "the provider's word"
    assert response.additional_kwargs["normalized_finish_reason"] == normalized
    assert response.additional_kwargs["finish_state"] == state
    assert response.raw["finish_reason"] == normalized


def test_usage_counts_the_tokens_of_the_cache_and_of_reasoning_apart() -> None:
    reply = ChatReply("messages", "", "", (of_chat(None),), Usage(9, 7, 16, cache_read=3, reasoning=5))
    assert to_response(reply, info("messages")).raw["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 7,
        "total_tokens": 16,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }


@pytest.mark.parametrize("choice", [of_chat({"content": TOKENS}), of_responses(TOKENS)], ids=["chat", "responses"])
def test_log_probabilities_are_read_from_every_wire(choice: Choice) -> None:
    assert visible(choice) == [[("Hi", -0.1), ("Yo", -3)], [("!", -0.2)]]


@pytest.mark.parametrize(
    "odd", [None, {}, [], "x", {"content": "x"}, {"content": ["x"]}, {"content": None}, {"tokens": ["Hi"]}], ids=str
)
def test_without_log_probabilities_the_field_is_none(odd: Any) -> None:
    assert visible(of_chat(odd)) is None
    assert visible(of_responses(odd)) is None


@pytest.mark.parametrize("odd", [{"token": "a"}, {"token": "a", "logprob": None}, {"top_logprobs": [{"token": "a"}]}])
def test_a_token_without_a_log_probability_is_skipped(odd: Any) -> None:
    assert visible(of_chat({"content": [odd, TOKENS[1]]})) == [[], [("!", -0.2)]]


GENERATED_IMAGE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()
WITH_AN_IMAGE = Turn(
    "assistant",
    (
        Text("Here it is:", extras={"chat_completions": {"note": 1}}),
        Media("image", data=GENERATED_IMAGE, mime="image/png", extras={"chat_completions": {"index": 0}}),
    ),
)


def test_a_generated_image_is_stored_once_and_sent_back() -> None:
    message = to_message(WITH_AN_IMAGE)
    written = message.model_dump_json()
    assert written.count(GENERATED_IMAGE) == 1
    assert to_turns([ChatMessage.model_validate_json(written)]) == (WITH_AN_IMAGE,)


def test_a_removed_image_is_not_sent() -> None:
    message = to_message(WITH_AN_IMAGE)
    message.blocks = [block for block in message.blocks if not isinstance(block, ImageBlock)]
    (turn,) = to_turns([message])
    assert [type(part) for part in turn.parts] == [Text]


def test_a_replaced_image_is_sent() -> None:
    other = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(32)).decode()
    message = to_message(WITH_AN_IMAGE)
    message.blocks = [
        ImageBlock(image=other.encode(), image_mimetype="image/png") if isinstance(block, ImageBlock) else block
        for block in message.blocks
    ]
    (turn,) = to_turns([message])
    assert [part.data for part in turn.parts if isinstance(part, Media)] == [other]
