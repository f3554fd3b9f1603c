"""Streams a chat completion: in OpenAI's format, and in the mixed format of `@cf/` models (facts §5.3 b, c)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cfaig_integrations.simulator import tokens
from cfaig_integrations.simulator.dialects import sse
from cfaig_integrations.simulator.dialects.chat_completions import render
from cfaig_integrations.simulator.types import Answer, ModelRequest

Record = dict[str, Any]

_PADDING = "abdefghijklmnoprstuvxyz1234567890"
_NUMERIC = ("@cf/mistralai/mistral-small-3.1", "@cf/qwen/qwen2.5-coder")
"""They send a single digit as a JSON number (facts §5.3)."""


def stream(request: ModelRequest, answer: Answer) -> Iterator[bytes]:
    """All events of a stream, `[DONE]` included."""
    shape = render.Shape(request.model)
    events = _counted_at_the_end(shape, request, answer) if shape.workers else _plain(shape, request, answer)
    yield from (sse.data(event) for event in events)
    yield sse.DONE


def run_stream(request: ModelRequest, answer: Answer) -> Iterator[bytes]:
    """All events of a stream on `/ai/run`, which has a tail for models of Workers AI.

    The captured streams that have it are of this path (recorded/cloudflare.jsonl c7e6a6944dce, df3808f6a3e1).
    """
    shape = render.Shape(request.model)
    if not shape.workers:
        yield from stream(request, answer)
        return
    yield from (sse.data(event) for event in _workers(shape, request, answer))
    yield sse.data({"response": "", "usage": render.total(shape, request, answer)})
    yield sse.DONE


def padding(seed: int) -> str:
    """The field `p`: random padding."""
    return (_PADDING * 2)[: 5 + seed * 7 % 40]


def _plain(shape: render.Shape, request: ModelRequest, answer: Answer) -> Iterator[Record]:
    head = shape.head("chat.completion.chunk")
    tail: Record = {"usage": None} if request.usage_in_stream else {}
    for i in range(request.choices):
        for delta in render.deltas(shape, answer):
            yield {**head, "choices": [_choice(i, delta, None)], **tail}
        yield {**head, "choices": [_choice(i, {}, render.finish(answer))], **tail}
    if request.usage_in_stream:
        yield {**head, "choices": [], "usage": render.total(shape, request, answer)}


def _choice(index: int, delta: Record, finish: str | None) -> Record:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def _counted_at_the_end(shape: render.Shape, request: ModelRequest, answer: Answer) -> Iterator[Record]:
    """The chunks of Workers AI with the usage of all in the last, which has no choices; requested or not."""
    *chunks, last = _workers(shape, request, answer)
    for chunk in chunks:
        del chunk["usage"]
        yield chunk
    yield {**last, "usage": render.total(shape, request, answer)}


def _workers(shape: render.Shape, request: ModelRequest, answer: Answer) -> Iterator[Record]:
    """OpenAI chunks, each with its own usage, and an empty chunk; their usage adds up to the total."""
    head = shape.head("chat.completion.chunk")
    tokens_in, cached, out, left = answer.tokens_in, answer.tokens_cached, 0, answer.tokens_out * request.choices
    for i in range(request.choices):
        for n, delta in enumerate(render.deltas(shape, answer)):
            usage = render.usage(shape, tokens_in, out, cached)
            chunk = _choice(i, _numeric(shape.model, delta), None)
            yield {**head, "choices": [chunk], "p": padding(n), "usage": usage}
            left -= out
            tokens_in, cached, out = 0, 0, min(1, left)
        finish = _choice(i, {}, render.finish(answer))
        yield {**head, "choices": [finish], "p": padding(9), "usage": render.usage(shape, 0, 0)}
    yield {**head, "choices": [], "p": padding(3), "usage": render.usage(shape, 0, left)}


def _numeric(model: str, delta: Record) -> Record:
    text = delta.get("content")
    if isinstance(text, str) and text in "0123456789" and tokens.count(text) == 1 and model.startswith(_NUMERIC):
        return {"content": int(text)}
    return delta
