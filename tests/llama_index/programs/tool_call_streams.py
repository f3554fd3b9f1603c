"""Hand-written streams of tool calls, for every wire.

Knows nothing of this package. A stream is a list of network chunks, each a list of pieces. Token counts are zero, as in
the log of what is sent word for word.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Begin:
    """A call begins; its arguments follow."""

    place: int
    name: str

    @property
    def id(self) -> str:
        return f"call_{self.place}"


@dataclass(frozen=True, slots=True)
class More:
    """A piece of a call's arguments."""

    place: int
    text: str


Pieces: TypeAlias = Sequence[Sequence[Begin | More]]


def stream_of(api: str, chunks: Pieces) -> list[bytes]:
    """The bytes of each network chunk."""
    match api:
        case "responses":
            return list(_responses(chunks))
        case "messages":
            return list(_messages(chunks))
        case _:
            return list(_chat(chunks))


def _event(data: Any) -> bytes:
    name = b"event: " + data["type"].encode() + b"\n" if "type" in data else b""
    return name + b"data: " + json.dumps(data).encode() + b"\n\n"


def _calls(chunks: Pieces) -> dict[int, tuple[Begin, str]]:
    """Every call with its arguments."""
    result: dict[int, tuple[Begin, str]] = {}
    for piece in (piece for chunk in chunks for piece in chunk):
        match piece:
            case Begin():
                result[piece.place] = (piece, "")
            case More(place, text):
                result[place] = (result[place][0], result[place][1] + text)
    return result


def _chat(chunks: Pieces) -> Iterable[bytes]:
    """All pieces of a chunk in one event."""

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _event({"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more})

    yield chunk({"role": "assistant", "content": None})
    for pieces in chunks:
        yield chunk({"tool_calls": [_chat_piece(piece) for piece in pieces]})
    yield chunk({}, "tool_calls", usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})
    yield b"data: [DONE]\n\n"


def _chat_piece(piece: Begin | More) -> dict[str, Any]:
    match piece:
        case Begin(place, name):
            function = {"name": name, "arguments": ""}
            return {"index": place, "id": piece.id, "type": "function", "function": function}
        case More(place, text):
            return {"index": place, "function": {"arguments": text}}


def _responses(chunks: Pieces) -> Iterable[bytes]:
    calls = _calls(chunks)

    def item(place: int, status: str, arguments: str) -> dict[str, Any]:
        call = {"id": f"fc_{place}", "type": "function_call", "call_id": calls[place][0].id}
        return {**call, "name": calls[place][0].name, "status": status, "arguments": arguments}

    about: dict[str, Any] = {"id": "r", "object": "response", "created_at": 0, "model": "m", "output": []}
    yield _event({"type": "response.created", "response": {**about, "status": "in_progress"}})
    for pieces in chunks:
        written = b""
        for piece in pieces:
            at = {"output_index": piece.place}
            match piece:
                case Begin(place, _):
                    begun = item(place, "in_progress", "")
                    written += _event({"type": "response.output_item.added", **at, "item": begun})
                case More(place, text):
                    delta = {"type": "response.function_call_arguments.delta", "item_id": f"fc_{place}", "delta": text}
                    written += _event({**delta, **at})
        yield written
    items = [item(place, "completed", calls[place][1]) for place in sorted(calls)]
    for place, done in zip(sorted(calls), items, strict=True):
        yield _event({"type": "response.output_item.done", "output_index": place, "item": done})
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    ended = {**about, "status": "completed", "output": items, "usage": usage}
    yield _event({"type": "response.completed", "response": ended})


def _messages(chunks: Pieces) -> Iterable[bytes]:
    usage = {"input_tokens": 0, "output_tokens": 0}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    yield _event({"type": "message_start", "message": message})
    for pieces in chunks:
        written = b""
        for piece in pieces:
            at = {"index": piece.place}
            match piece:
                case Begin(_, name):
                    block = {"type": "tool_use", "id": piece.id, "name": name, "input": {}}
                    written += _event({"type": "content_block_start", **at, "content_block": block})
                case More(_, text):
                    delta = {"type": "input_json_delta", "partial_json": text}
                    written += _event({"type": "content_block_delta", **at, "delta": delta})
        yield written
    for place in sorted(_calls(chunks)):
        yield _event({"type": "content_block_stop", "index": place})
    yield _event({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 0}})
    yield _event({"type": "message_stop"})
