"""The Responses wire against recorded exchanges of OpenAI, Azure, Bedrock, xAI, DeepSeek and OpenRouter."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import Text, ToolResult, Turn
from cfaig_integrations.core.fold import fold
from cfaig_integrations.errors import StreamBroken
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.jsonio import dump, load_object
from cfaig_integrations.wire.responses import CODEC
from tests.wire.harness import (
    assert_number,
    assert_same_in_any_split,
    events_of,
    folded,
    needs_complete_recordings,
    needs_recordings,
    recordings,
    validate_request,
)

ENDS = ("response.completed", "response.incomplete")

WHOLE = recordings("responses", stream=False)
STREAMS = recordings("responses", stream=True)

DELTAS_CONTRADICT = {
    "2c21df9d2d26": "published with its deltas shortened by hand: they say another sentence than the final text",
    "b107c5939ab5": "a compaction item is encrypted anew for response.completed",
    "429302bbc546": "the same",
    "149892abc090": "the fingerprint of a program item is encrypted anew for response.completed",
}
"""Streams whose final response contradicts their events: the ids of the recordings, and why."""

UNKNOWN_TO_THE_SDK = {
    ".input[].results[].vector_store_id: unknown key": "file_search_call as api.openai.com sends it",
    ".input[].action.sources[].type: 'api' not one of ['url']": "web_search_call of api.openai.com",
    ".input[].action.sources[].url: required, missing": "the same",
    ".input[].action.sources[].name: unknown key": "the same",
    ".input[].item_id: unknown key": "function_call of Bedrock's GPT-OSS",
    ".input[].output_index: unknown key": "the same",
}
"""Fields of providers that the official types do not have; they are sent back unchanged."""


def ending(record: dict[str, Any]) -> tuple[dict[str, Any], int] | None:
    """The response object of the first end marker, and where the bytes of its event end; None if there is none.

    Two recordings hold several responses one after the other; the first one counts.
    """
    at = 0
    for line in record["response_body"].encode().split(b"\n"):
        at += len(line) + 1
        if line.startswith(b"data:") and b'"response.' in line:
            event = json.loads(line[5:])
            if event["type"] in ENDS:
                return event["response"], at - 1
    return None


def whole_streams() -> list[tuple[dict[str, Any], dict[str, Any], int]]:
    return [(record, *found) for record in STREAMS if (found := ending(record)) is not None]


@needs_recordings
def test_every_item_of_a_whole_body_is_decoded() -> None:
    kinds = Counter[str]()
    for record in WHOLE:
        body = json.loads(record["response_body"])
        reply = CODEC.decode(record["response_body"].encode())
        assert reply.id == body["id"], record["line"]
        assert reply.model == body["model"]
        assert (reply.usage is None) == (body["usage"] is None)
        assert reply.finish in ("stop", "tool_calls", "pause", "length")
        for item in body["output"]:
            kinds[item["type"]] += 1
        texts = [part["text"] for item in body["output"] if item["type"] == "message" for part in item["content"]]
        assert reply.turn.text == "".join(texts)
        calls = [item for item in body["output"] if item["type"] == "function_call"]
        assert [call.arguments for call in reply.turn.tool_calls if call.kind == "function"] == [
            call["arguments"] for call in calls
        ]
    assert_number(len(WHOLE), 557)
    assert_number(len(kinds), 20)


@needs_recordings
def test_every_stream_folds_to_its_final_response() -> None:
    differing = set()
    for record, final, _ in whole_streams():
        reply = folded(CODEC, record["response_body"].encode())
        if reply != CODEC.decode(dump(final)):
            differing.add(record["id"])
    assert_number(len(whole_streams()), 81)
    assert differing == DELTAS_CONTRADICT.keys() & {record["id"] for record in STREAMS}


@needs_complete_recordings
def test_streams_without_an_end_marker_are_errors() -> None:
    raised = []
    for record in STREAMS:
        if ending(record) is None:
            with pytest.raises((StreamBroken, EmbeddedError)) as caught:
                folded(CODEC, record["response_body"].encode())
            raised.append(caught.value)
    refused = [error for error in raised if isinstance(error, EmbeddedError)]
    assert [error.body["error"]["code"] for error in refused] == ["insufficient_quota"]
    assert len(raised) == 2


@needs_recordings
@pytest.mark.parametrize("fold_of", range(4))
def test_streams_are_the_same_in_any_split(fold_of: int) -> None:
    for record, _, _ in whole_streams()[fold_of::4]:
        assert_same_in_any_split(CODEC, record["response_body"], seed=record["line"])


@needs_recordings
def test_a_truncated_stream_is_an_error() -> None:
    rng = random.Random(7)
    for record, _, end in whole_streams():
        data = record["response_body"].encode()
        cuts = {0, end - 1, *(rng.randrange(end) for _ in range(12))}
        whole = folded(CODEC, data).turn.text
        for cut in cuts:
            with pytest.raises(StreamBroken) as raised:
                events_of(CODEC, [data[:cut]])
            assert whole.startswith(raised.value.partial), record["line"]
        assert folded(CODEC, data[:end]) == folded(CODEC, data)


def follow_up(reply: ChatReply) -> ChatRequest:
    """The request that goes on after a reply: with its tools' results, or with another question."""
    results = tuple(ToolResult(call.id, (Text("ok"),)) for call in reply.turn.tool_calls)
    after = Turn("tool", results) if results else Turn("user", (Text("go on"),))
    return ChatRequest("m", (Turn("user", (Text("q"),)), reply.turn, after))


def replies() -> list[tuple[str, ChatReply, list[dict[str, Any]]]]:
    found = []
    for record in WHOLE:
        body = load_object(record["response_body"])
        found.append((record["id"], CODEC.decode(record["response_body"].encode()), body["output"]))
    for record, final, _ in whole_streams():
        events = events_of(CODEC, [record["response_body"].encode()])
        found.append((record["id"], fold("responses", events), final["output"]))
    return found


def without_ids(output: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What of a reply that is not stored goes back: no ids, and only reasoning that is encrypted."""
    kept = [item for item in output if item["type"] != "reasoning" or item.get("encrypted_content")]
    return [{key: value for key, value in item.items() if key != "id"} for item in kept]


@needs_complete_recordings
def test_every_reply_is_sent_back_unchanged_and_valid_by_the_official_types() -> None:
    deviations: set[str] = set()
    different, unstored = set(), 0
    for id_, reply, output in replies():
        body = CODEC.encode(follow_up(reply), stream=False)
        unstored += bool(reply.turn.extras)
        expected = without_ids(output) if reply.turn.extras else output
        if body["input"][1 : 1 + len(expected)] != expected:
            different.add(id_)
        deviations.update(re.sub(r"\[\d+\]", "[]", error) for error in validate_request("responses", body))
    assert different == DELTAS_CONTRADICT.keys() & {record["id"] for record in STREAMS}
    assert unstored
    assert deviations == set(UNKNOWN_TO_THE_SDK)


@needs_recordings
def test_ids_of_unstored_items_are_not_sent() -> None:
    for _, reply, output in replies():
        request = replace(follow_up(reply), store=False)
        items = CODEC.encode(request, stream=False)["input"][1:]
        assert not [item for item in items if "id" in item and item["type"] != "mcp_approval_request"]
        assert all(item["encrypted_content"] for item in items if item.get("type") == "reasoning")
        kept = [item for item in output if item["type"] != "reasoning" or item.get("encrypted_content")]
        assert [item.get("type") for item in items[: len(kept)]] == [item["type"] for item in kept]
