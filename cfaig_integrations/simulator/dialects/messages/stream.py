"""Streams a message as events, in the order of recorded Anthropic streams."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from cfaig_integrations.simulator import tokens
from cfaig_integrations.simulator.dialects import sse
from cfaig_integrations.simulator.dialects.messages import render
from cfaig_integrations.simulator.types import Answer, ModelRequest

Record = dict[str, Any]

_STEP = 3


def stream(request: ModelRequest, answer: Answer) -> Iterator[bytes]:
    """All events of a stream, from `message_start` to `message_stop`."""
    for event in _events(request, answer):
        yield sse.event(event)


def _events(request: ModelRequest, answer: Answer) -> Iterator[Record]:
    blocks = render.content(answer)
    no_stop = {"stop_reason": None, "stop_sequence": None, "stop_details": None}
    usage = {k: v for k, v in render.usage(answer, 1).items() if k != "server_tool_use"}
    started: Record = {**render.message(request, answer), "content": [], **no_stop, "usage": usage}
    yield {"type": "message_start", "message": started}
    if not blocks:
        yield {"type": "ping"}
    calls = iter(answer.calls)
    for index, block in enumerate(blocks):
        yield {"type": "content_block_start", "index": index, "content_block": _empty_block(block)}
        if index == 0:
            yield {"type": "ping"}
        text = sse.arguments(next(calls)) if block["type"] == "tool_use" else None
        for delta in _deltas(block, text):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": render.stop(answer), "usage": _last_usage(answer)}
    yield {"type": "message_stop"}


def _last_usage(answer: Answer) -> Record:
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    usage = {k: v for k, v in render.usage(answer, answer.tokens_out).items() if k in names}
    return {**usage, **render.searches(answer)}


def _empty_block(block: Record) -> Record:
    """A block without its content; results of server tools are complete."""
    empty: dict[str, Record] = {
        "text": {"text": "", **({"citations": []} if "citations" in block else {})},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
        "server_tool_use": {"input": {}},
    }
    return {**block, **empty.get(block["type"], {})}


def _deltas(block: Record, arguments: str | None) -> Iterator[Record]:
    match block["type"]:
        case "text":
            yield from ({"type": "citations_delta", "citation": c} for c in block.get("citations", []))
            yield from ({"type": "text_delta", "text": piece} for piece in sse.text_fragments(block["text"]))
        case "thinking":
            for piece in sse.text_fragments(block["thinking"]):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "tool_use":
            yield from _json_deltas(arguments or "")
        case "server_tool_use":
            yield from _json_deltas(json.dumps(block["input"], ensure_ascii=False))
        case _:
            return


def _json_deltas(text: str) -> Iterator[Record]:
    """The first fragment is empty, and it is the only one of a call without arguments."""
    pieces = tokens.pieces(text) if text != "{}" else []
    yield {"type": "input_json_delta", "partial_json": ""}
    for i in range(0, len(pieces), _STEP):
        yield {"type": "input_json_delta", "partial_json": "".join(pieces[i : i + _STEP])}
