"""Streams written by hand, word for word, for the tests of both frameworks; knows neither."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cfaig_integrations.simulator import Simulator


def play(simulator: Simulator, *events: Mapping[str, Any] | str, times: int = 1) -> None:
    """Queues a stream word for word; an event with a `type` is also named by it."""
    lines: list[str] = []
    for event in events:
        if isinstance(event, str):
            lines.append(f"data: {event}\n\n")
        else:
            name = f"event: {event['type']}\n" if "type" in event else ""
            lines.append(f"{name}data: {json.dumps(event)}\n\n")
    simulator.reply_raw(body="".join(lines), content_type="text/event-stream", times=times)


def chat_chunk(delta: Mapping[str, Any], finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk of chat completions."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **fields}


def call_piece(index: int | None, *, id_: str | None = None, name: str | None = None, args: str = "") -> dict[str, Any]:
    """One entry of a delta's `tool_calls`; None is left out."""
    function = {"arguments": args} if name is None else {"name": name, "arguments": args}
    piece: dict[str, Any] = {"function": function}
    if index is not None:
        piece["index"] = index
    return piece if id_ is None else {**piece, "id": id_, "type": "function"}


def last_request(simulator: Simulator) -> Any:
    """The body of the last request, without the envelope of `run`."""
    body = simulator.requests[-1].body
    return body["input"] if isinstance(body.get("input"), dict) else body
