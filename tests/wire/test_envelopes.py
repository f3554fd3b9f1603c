"""Answers in Cloudflare's envelopes, of either kind and one around the other (facts §5.1, §5.2, §14.5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.registry import codec
from tests.wire.chat_kit import sse
from tests.wire.test_streams_as_sent import BOTH, added_up

BODIES: dict[str, Any] = {
    "chat": {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]},
    "native": {"response": "hi"},
}
RUN_BODIES: dict[str, Any] = {
    **BODIES,
    "gemini": {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}]},
    "messages": {"type": "message", "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn"},
    "responses": {
        "object": "response",
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "hi"}]}],
    },
}


def enveloped(body: Any) -> list[dict[str, Any]]:
    state = {"state": "Completed", "result": body, "gatewayMetadata": {"keySource": "Unified"}}
    return [state, {"result": body, "success": True}, {"result": state, "success": True, "errors": []}]


@pytest.mark.parametrize("body", RUN_BODIES.values(), ids=RUN_BODIES)
def test_every_envelope_around_every_answer(body: Any) -> None:
    for raw in enveloped(body):
        reply = codec("run").decode(json.dumps(raw).encode())
        assert reply.turn.text == "hi"
        assert ("gatewayMetadata" in reply.facts) is ("gatewayMetadata" in json.dumps(raw))
        if body in BODIES.values():
            assert codec("chat_completions").decode(json.dumps(raw).encode()).turn.text == "hi"
            assert added_up("chat_completions", sse(raw)).turn.text == "hi"


@BOTH
@pytest.mark.parametrize("result", [BODIES["chat"], {}, None])
def test_the_error_names_another_state(wire: Any, result: Any) -> None:
    for raw in (
        {"state": "Queued", "result": result},
        {"result": {"state": "Queued", "result": result}, "success": True},
    ):
        with pytest.raises(ProtocolError, match="Queued"):
            codec(wire).decode(json.dumps(raw).encode())


FAILED = {"state": "Failed", "result": {"error": {"message": "boom"}}}


@pytest.mark.parametrize("wire", ["chat_completions", "responses", "messages", "run"])
def test_an_error_inside_an_envelope(wire: Any) -> None:
    for raw in (*enveloped({"error": {"message": "boom"}}), FAILED, {"result": FAILED, "success": True}):
        with pytest.raises(EmbeddedError):
            codec(wire).decode(json.dumps(raw).encode())
    with pytest.raises(EmbeddedError):
        added_up(wire, sse(FAILED))


TYPED: dict[Any, list[dict[str, Any]]] = {
    "messages": [
        {"type": "message_start", "message": {"content": []}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "message_stop"},
    ],
    "responses": [
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "hi"},
        {"type": "response.completed", "response": {"status": "completed", "output": None}},
    ],
}


@pytest.mark.parametrize("wire", TYPED)
@pytest.mark.parametrize("through", ["itself", "run"])
def test_every_envelope_around_every_event(wire: Any, through: Any) -> None:
    for kind in range(3):
        stream = sse(*(enveloped(event)[kind] for event in TYPED[wire]), done=False)
        assert added_up(wire if through == "itself" else through, stream).turn.text == "hi"
