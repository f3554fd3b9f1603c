"""Reads what a model said from a logged response, whole or streamed, in any of the formats."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from cfaig_integrations.simulator.json_types import is_list, is_record

Record = dict[str, Any]


@dataclass(slots=True)
class Piece:
    """A part of an answer."""

    kind: Literal["text", "reasoning", "tool call"]
    text: str


def read_answer(body: str, content_type: str) -> list[Piece]:
    """The parts of an answer, in order; none for an error, and for what is no chat."""
    pieces: list[Piece] = []
    if content_type.startswith("text/event-stream"):
        for event in _events(body):
            _add_event(event, pieces)
    else:
        try:
            _add_whole(json.loads(body), pieces)
        except (ValueError, RecursionError):
            return []
    return [piece for piece in pieces if piece.text.strip()]


def _events(body: str) -> Iterator[Record]:
    for line in body.split("\n"):
        if line.startswith("data:"):
            try:
                event = json.loads(line[5:])
            except (ValueError, RecursionError):
                continue
            if is_record(event):
                yield event


def _add(pieces: list[Piece], kind: Literal["text", "reasoning", "tool call"], text: Any, *, new: bool = False) -> None:
    """Add text to the last piece, or begin a new one."""
    if not isinstance(text, str):
        return
    if pieces and pieces[-1].kind == kind and not new:
        pieces[-1].text += text
    else:
        pieces.append(Piece(kind, text))


def _add_event(event: Record, pieces: list[Piece]) -> None:
    match event.get("type"):
        case "response.completed" | "response.incomplete":
            _add_whole(event.get("response"), pieces)
        case "content_block_start":
            _add_block(event.get("content_block"), pieces)
        case "content_block_delta":
            delta = event.get("delta")
            if is_record(delta):
                _add(pieces, "text", delta.get("text"))
                _add(pieces, "reasoning", delta.get("thinking"))
                _add(pieces, "tool call", delta.get("partial_json"))
        case _:
            _add_whole(event, pieces)


def _add_whole(body: Any, pieces: list[Piece]) -> None:
    """A whole body, or an event of Chat Completions or Workers AI, which have the same form."""
    if not is_record(body):
        return
    if is_record(body.get("result")):
        body = body["result"]
    choices = _records(body.get("choices"))
    if choices:
        message = choices[0].get("message") or choices[0].get("delta")
        if is_record(message):
            _add_message(message, pieces)
    for block in _records(body.get("content")):
        _add_block(block, pieces)
    for item in _records(body.get("output")):
        _add_item(item, pieces)
    _add(pieces, "text", body.get("response"))
    for call in _records(body.get("tool_calls")):
        _add_call(call, pieces)


def _add_message(message: Record, pieces: list[Piece]) -> None:
    _add(pieces, "reasoning", message.get("reasoning_content"))
    _add(pieces, "text", message.get("content"))
    _add(pieces, "text", message.get("refusal"))
    for call in _records(message.get("tool_calls")):
        _add_call(call, pieces)


def _add_call(call: Record, pieces: list[Piece]) -> None:
    function: Record = next((call[key] for key in ("function", "custom") if is_record(call.get(key))), call)
    arguments = function.get("arguments") or function.get("input", "")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    name = function.get("name")
    _add(pieces, "tool call", f"{name} {text}" if name else text, new=bool(name))


def _add_block(block: Any, pieces: list[Piece]) -> None:
    """A content block of Messages."""
    if not is_record(block):
        return
    if block.get("type") in {"tool_use", "server_tool_use"}:
        content = json.dumps(block["input"], ensure_ascii=False) if block.get("input") else ""
        _add(pieces, "tool call", f"{block.get('name')} {content}", new=True)
    _add(pieces, "text", block.get("text"))
    _add(pieces, "reasoning", block.get("thinking"))


def _add_item(item: Record, pieces: list[Piece]) -> None:
    """An output item of Responses."""
    if item.get("type") in {"function_call", "custom_tool_call"}:
        _add_call(item, pieces)
    for part in _records(item.get("summary")):
        _add(pieces, "reasoning", part.get("text"))
    for part in _records(item.get("content")):
        _add(pieces, "text", part.get("text") or part.get("refusal"))


def _records(value: Any) -> list[Record]:
    return [item for item in value if is_record(item)] if is_list(value) else []
