"""Mutations that keep an input readable: of JSON values, of events, of pieces of text."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

from tests.wire.mutations import VALUES, as_json, paths, with_value

Mutation: TypeAlias = Callable[[bytes, Random], bytes]

KEYS = (
    "type", "index", "delta", "choices", "message", "content", "text", "output", "item", "item_id", "output_index",
    "content_index", "content_block", "response", "status", "usage", "finish_reason", "stop_reason", "tool_calls",
    "function", "arguments", "name", "id", "call_id", "error", "errors", "code", "success", "result", "state", "data",
    "embedding", "shape", "annotations", "citations", "candidates", "parts", "finishReason", "input", "reasoning",
    "internalCode", "httpCode", "retryable", "request_id", "image", "logprobs", "thinking", "signature", "partial_json",
)  # fmt: skip
PIECES = (
    b"\n\n", b"\r\n\r\n", b"\r", b"\n", b"data: ", b"data:", b"event: ", b"event: ping\n", b": x\n\n", b"[DONE]",
    b"data: [DONE]\n\n", b"{}", b"null", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xff", b"\\ud83d", b"<html>", b"</think>",
    b"[" * 300, b'{"a":' * 300, b"9" * 400, b'{"error": {"message": "x"}}', b"Bearer abcdefgh12345",
)  # fmt: skip


def mutated(data: bytes, rng: Random, byte_level: Mutation | None = None) -> bytes:
    """`data` after one mutation or a few; `byte_level` is the engine's own."""
    mutations = [_json, _json, _json, _events, _events, _insert, _delete, _repeat, byte_level or _byte]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(mutations)(data, rng)
    return data


def lengthened(data: bytes, rng: Random, size: int) -> bytes:
    """`data` with a piece of it repeated until it has `size` bytes: work that is not proportional to them shows."""
    start = rng.randint(0, len(data))
    piece = data[start : start + rng.choice((1, 4, 20, 100))] or b" "
    return data[:start] + piece * max(1, (size - len(data)) // len(piece)) + data[start:]


def _byte(data: bytes, rng: Random) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + bytes([rng.randrange(256)]) + data[at + rng.randint(0, 1) :]


def _insert(data: bytes, rng: Random) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice(PIECES) + data[at:]


def _delete(data: bytes, rng: Random) -> bytes:
    """Removes a piece; in one case of three all that follows, as a lost connection does."""
    at = rng.randint(0, len(data))
    return data[:at] + (b"" if rng.random() < 0.3 else data[at + rng.randint(1, 40) :])


def _repeat(data: bytes, rng: Random) -> bytes:
    start = rng.randint(0, len(data))
    end = min(len(data), start + rng.choice((1, 4, 20, 100)))
    return data[:end] + data[start:end] * rng.choice((1, 1, 2, 5, 30)) + data[end:]


def _events(data: bytes, rng: Random) -> bytes:
    """Removes, repeats, moves or joins events."""
    events = data.split(b"\n\n")
    at, to = rng.randrange(len(events)), rng.randrange(len(events))
    match rng.randrange(5):
        case 0:
            del events[at]
        case 1:
            events.insert(to, events[at])
        case 2:
            events[at], events[to] = events[to], events[at]
        case 3:
            events[at : at + 2] = [b"\n".join(events[at : at + 2])]
        case _:
            events[at : at + 2] = [b"".join(events[at : at + 2])]
    return b"\n\n".join(events)


def _json(data: bytes, rng: Random) -> bytes:
    """Changes a value in one line that is JSON."""
    lines = data.split(b"\n")
    order = rng.sample(range(len(lines)), len(lines))
    for number in order[:20]:
        line = lines[number]
        label, text = (line[:6], line[6:]) if line.startswith(b"data: ") else (b"", line)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        lines[number] = label + as_json(_changed(value, rng))
        return b"\n".join(lines)
    return _insert(data, rng)


def _changed(value: Any, rng: Random) -> Any:
    places = list(paths(value))
    if not places:
        return rng.choice(VALUES)
    place = rng.choice(places)
    *outer, key = place
    holder = _at(value, tuple(outer))
    match rng.randrange(6):
        case 0 | 1:
            return with_value(value, place, rng.choice(VALUES))
        case 2:
            return with_value(value, place, _at(value, rng.choice(places)))
        case 3 if isinstance(holder, dict):
            return with_value(value, (*outer, rng.choice(KEYS)), holder[key])
        case 4 if isinstance(holder, dict):
            return with_value(value, (*outer, rng.choice(KEYS)), rng.choice(VALUES))
        case _:
            changed = json.loads(json.dumps(value))
            del _at(changed, tuple(outer))[key]
            return changed


def _at(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        value = value[key]
    return value
