"""Valid responses of every format, as bytes; all of them say `TEXT`, or hold one vector or one rank."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

Format: TypeAlias = Literal["chat_completions", "responses", "messages", "run", "embeddings", "rerank"]
Wire: TypeAlias = Literal["chat_completions", "responses", "messages", "run"]
WIRES: tuple[Wire, ...] = ("chat_completions", "responses", "messages", "run")

TEXT = "Hello there"
VECTOR = [0.5] * 1024
SCORE = 0.75
_PARTS = ("Hello", " there")


def event(data: Mapping[str, Any] | str, name: str = "") -> bytes:
    """One event of a stream."""
    text = data if isinstance(data, str) else json.dumps(data)
    return f"{f'event: {name}{chr(10)}' if name else ''}data: {text}\n\n".encode()


def _typed(kind: str, **fields: Any) -> bytes:
    return event({"type": kind, **fields}, kind)


def _chat_chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return event({"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]})


_ITEM = {"type": "message", "id": "m1", "role": "assistant", "status": "completed"}
_PART = {"type": "output_text", "text": TEXT, "annotations": []}
_RESPONSE = {
    "id": "r1",
    "object": "response",
    "status": "completed",
    "model": "m",
    "output": [{**_ITEM, "content": [_PART]}],
    "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
}
_MESSAGE = {
    "id": "m1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": TEXT}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 2},
}
_WHERE = {"item_id": "m1", "output_index": 0, "content_index": 0}
_USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
_WHOLE: Mapping[Format, Any] = {
    "chat_completions": {
        "id": "c1",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
        "usage": _USAGE,
    },
    "responses": _RESPONSE,
    "messages": _MESSAGE,
    "run": {"result": {"response": TEXT, "usage": _USAGE}, "success": True, "errors": [], "messages": []},
    "embeddings": {"result": {"shape": [1, 1024], "data": [VECTOR]}, "success": True, "errors": [], "messages": []},
    "rerank": {"result": {"response": [{"id": 0, "score": SCORE}]}, "success": True, "errors": [], "messages": []},
}
WHOLE: Mapping[Format, bytes] = {name: json.dumps(body).encode() for name, body in _WHOLE.items()}
"""Whole bodies."""

STREAMS: Mapping[Wire, list[bytes]] = {
    "chat_completions": [
        _chat_chunk({"role": "assistant", "content": ""}),
        *[_chat_chunk({"content": part}) for part in _PARTS],
        _chat_chunk({}, "stop"),
        event("[DONE]"),
    ],
    "responses": [
        _typed("response.created", response={**_RESPONSE, "status": "in_progress", "output": []}),
        _typed("response.output_item.added", output_index=0, item={**_ITEM, "status": "in_progress", "content": []}),
        _typed("response.content_part.added", **_WHERE, part={**_PART, "text": ""}),
        *[_typed("response.output_text.delta", **_WHERE, delta=part) for part in _PARTS],
        _typed("response.output_text.done", **_WHERE, text=TEXT),
        _typed("response.content_part.done", **_WHERE, part=_PART),
        _typed("response.output_item.done", output_index=0, item={**_ITEM, "content": [_PART]}),
        _typed("response.completed", response=_RESPONSE),
    ],
    "messages": [
        _typed("message_start", message={**_MESSAGE, "content": [], "stop_reason": None}),
        _typed("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *[_typed("content_block_delta", index=0, delta={"type": "text_delta", "text": part}) for part in _PARTS],
        _typed("content_block_stop", index=0),
        _typed("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}),
        _typed("message_stop"),
    ],
    "run": [*[event({"response": part}) for part in _PARTS], event({"response": "", "usage": _USAGE}), event("[DONE]")],
}
"""Streams, as events."""

OVERLOADED: Mapping[Wire, bytes] = {
    "chat_completions": event({"error": {"message": "Overloaded", "code": 529, "type": "overloaded_error"}}),
    "responses": _typed(
        "response.failed",
        response={**_RESPONSE, "status": "failed", "output": [], "error": {"code": "server_error", "message": "Oops"}},
    ),
    "messages": _typed("error", error={"type": "overloaded_error", "message": "Overloaded"}),
    "run": event({"success": False, "errors": [{"code": 3040, "message": "AiError: out of capacity"}]}),
}
"""The event by which each format says that the model did not run, or failed."""


def until_visible(wire: Wire) -> int:
    """Number of events of a stream up to the first part of the text."""
    return next(number for number, each in enumerate(STREAMS[wire], 1) if _PARTS[0].encode() in each)
