"""Streams a response as events, in the order of recorded OpenAI streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cfaig_integrations.simulator import tokens
from cfaig_integrations.simulator.dialects import sse
from cfaig_integrations.simulator.dialects.responses import render
from cfaig_integrations.simulator.types import Answer

Record = dict[str, Any]

_STEP = 3


def stream(response: Record, answer: Answer, items: list[Record]) -> Iterator[bytes]:
    """All events of a stream, numbered from 0; the last one carries the whole response."""
    last = render.finished(response, answer, items)
    ends = "response.incomplete" if last["status"] == "incomplete" else "response.completed"
    for number, event in enumerate(_events(response, items, ends, last)):
        yield sse.event({**event, "sequence_number": number})


def _events(response: Record, items: list[Record], ends: str, last: Record) -> Iterator[Record]:
    yield {"type": "response.created", "response": response}
    yield {"type": "response.in_progress", "response": response}
    for index, item in enumerate(items):
        yield {"type": "response.output_item.added", "output_index": index, "item": _empty_item(item)}
        for event in _inside(item):
            yield {**event, "item_id": item["id"], "output_index": index}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": ends, "response": last}


def _empty_item(item: Record) -> Record:
    """An item without its content."""
    empty: dict[str, Record] = {
        "message": {"status": "in_progress", "content": []},
        "function_call": {"status": "in_progress", "arguments": ""},
        "custom_tool_call": {"status": "in_progress", "input": ""},
        "reasoning": {"summary": [], **({"content": []} if "content" in item else {})},
        "web_search_call": {"status": "in_progress"},
    }
    return {**item, **empty[item["type"]]}


def _inside(item: Record) -> Iterator[Record]:
    match item["type"]:
        case "message":
            yield from _part(item["content"][0])
        case "function_call":
            yield from _arguments(item["arguments"], "function_call_arguments", "arguments")
        case "custom_tool_call":
            yield from _arguments(item["input"], "custom_tool_call_input", "input")
        case "reasoning":
            yield from _reasoning(item)
        case _:
            for state in ("in_progress", "searching", "completed"):
                yield {"type": f"response.web_search_call.{state}"}


def _part(part: Record) -> Iterator[Record]:
    """Text or refusal: part added, deltas, annotations, done, part done."""
    kind = "refusal" if part["type"] == "refusal" else "output_text"
    key = "refusal" if kind == "refusal" else "text"
    extra: Record = {} if kind == "refusal" else {"logprobs": []}
    blank: Record = {**part, key: "", **({} if kind == "refusal" else {"annotations": []})}
    at = {"content_index": 0}
    yield {"type": "response.content_part.added", **at, "part": blank}
    for piece in sse.text_fragments(part[key]):
        yield {"type": f"response.{kind}.delta", **at, "delta": piece, **extra}
    for n, note in enumerate(part.get("annotations", [])):
        yield {"type": "response.output_text.annotation.added", **at, "annotation_index": n, "annotation": note}
    yield {"type": f"response.{kind}.done", **at, key: part[key], **extra}
    yield {"type": "response.content_part.done", **at, "part": part}


def _arguments(text: str, name: str, key: str) -> Iterator[Record]:
    pieces = tokens.pieces(text)
    for i in range(0, len(pieces), _STEP):
        yield {"type": f"response.{name}.delta", "delta": "".join(pieces[i : i + _STEP])}
    yield {"type": f"response.{name}.done", key: text}


def _reasoning(item: Record) -> Iterator[Record]:
    for n, part in enumerate(item["summary"]):
        at = {"summary_index": n}
        yield {"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}}
        for piece in sse.text_fragments(part["text"]):
            yield {"type": "response.reasoning_summary_text.delta", **at, "delta": piece}
        yield {"type": "response.reasoning_summary_text.done", **at, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **at, "part": part}
    for n, part in enumerate(item.get("content", [])):
        for piece in sse.text_fragments(part["text"]):
            yield {"type": "response.reasoning_text.delta", "content_index": n, "delta": piece}
        yield {"type": "response.reasoning_text.done", "content_index": n, "text": part["text"]}
