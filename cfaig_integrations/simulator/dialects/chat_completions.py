"""Renders an answer as a `chat.completion`, whole or streamed, for third-party and Workers AI models."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from cfaig_integrations.simulator.catalogue import is_workers_ai, response_model_name
from cfaig_integrations.simulator.dialects import chat_request, dialect
from cfaig_integrations.simulator.dialects.dialect import Dialect
from cfaig_integrations.simulator.json_types import Record
from cfaig_integrations.simulator.types import Answer, Call, ModelRequest

_NEURONS_IN, _NEURONS_OUT = 1 / 110, 3 / 110
"""Neurons per token, as in a published response of a Gemma model."""
_FINISHES = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "refusal": "stop"}


class Shape:
    """The differences between providers' chat completions."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.workers = is_workers_ai(model)
        self.shows_reasoning = not model.startswith("openai/")
        self.id = dialect.new_id("", 32).lower() if self.workers else dialect.new_id("chatcmpl-", 29)
        self.created = dialect.now()

    def head(self, kind: str) -> Record:
        """The fields that every body and every chunk begin with."""
        model = response_model_name(self.model)
        head: Record = {"id": self.id, "object": kind, "created": self.created, "model": model}
        return head if self.workers else {**head, "service_tier": "default", "system_fingerprint": None}


def usage_of(shape: Shape, tokens_in: int, tokens_out: int, cached: int = 0, reasoning: int = 0) -> Record:
    """A usage object; `neurons` on Workers AI only (facts §5.4)."""
    base: Record = {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    if shape.workers:
        return {**base, "neurons": tokens_in * _NEURONS_IN + tokens_out * _NEURONS_OUT}
    base["prompt_tokens_details"]["audio_tokens"] = 0
    details = ("accepted_prediction_tokens", "audio_tokens", "rejected_prediction_tokens")
    return {**base, "completion_tokens_details": {"reasoning_tokens": reasoning, **dict.fromkeys(details, 0)}}


def total(shape: Shape, request: ModelRequest, answer: Answer) -> Record:
    """The usage of the whole answer, all choices together."""
    out, reasoning = answer.tokens_out * request.choices, answer.tokens_reasoning * request.choices
    return usage_of(shape, answer.tokens_in, out, answer.tokens_cached, reasoning)


def tool_call(shape: Shape, call: Call) -> Record:
    """One entry of `tool_calls`."""
    kind, key = _kind_of(call)
    entry: Record = {
        "id": call.id or call_id(shape.model),
        "type": kind,
        kind: {"name": call.name, key: dialect.arguments(call)},
    }
    if not call.custom and shape.model.startswith("google/gemini-3"):
        # facts §1.4: Gemini 3 wants each replayed call's `thought_signature`
        entry["extra_content"] = {"google": {"thought_signature": dialect.fake_signature(call.name)}}
    return entry


def _kind_of(call: Call) -> tuple[str, str]:
    """The type of a call, and the field of its arguments."""
    return ("custom", "input") if call.custom else ("function", "arguments")


def call_id(model: str) -> str:
    """A new id; Mistral's have exactly nine characters (facts §9.2)."""
    return dialect.new_id("", 9) if model.startswith("@cf/mistral") else dialect.new_id("call_")


def whole(request: ModelRequest, answer: Answer) -> Record:
    """A `chat.completion` with `n` equal choices."""
    shape = Shape(request.model)
    finish = _FINISHES[dialect.finish_reason(answer)]
    choices: list[Record] = [
        {"index": i, "message": _message(shape, answer), "logprobs": None, "finish_reason": finish}
        for i in range(request.choices)
    ]
    return {**shape.head("chat.completion"), "choices": choices, "usage": total(shape, request, answer)}


def _message(shape: Shape, answer: Answer) -> Record:
    text = _content(shape, answer)
    message: Record = {"role": "assistant", "content": text or (None if answer.calls or answer.refusal else "")}
    if answer.reasoning and shape.shows_reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.calls:
        message["tool_calls"] = [tool_call(shape, c) for c in answer.calls]
    if not shape.workers:
        message |= {"refusal": answer.refusal or None, "annotations": []}
    return message


def _content(shape: Shape, answer: Answer) -> str:
    """The content; Workers AI has no field for a refusal, so it is in the content."""
    return answer.text or (answer.refusal if shape.workers else "")


def deltas(shape: Shape, answer: Answer) -> Iterator[Record]:
    """The deltas of one choice: role, reasoning, text or refusal, calls."""
    first: Record = {"role": "assistant", "content": ""}
    yield first if shape.workers else {**first, "refusal": None}
    if shape.shows_reasoning:
        yield from ({"reasoning_content": piece} for piece in dialect.text_fragments(answer.reasoning))
    yield from ({"content": piece} for piece in dialect.text_fragments(_content(shape, answer)))
    if not shape.workers:
        yield from ({"refusal": piece} for piece in dialect.text_fragments(answer.refusal))
    for index, call in enumerate(answer.calls):
        opened = tool_call(shape, call)
        kind, key = _kind_of(call)
        opened[kind][key] = ""
        yield {"tool_calls": [{"index": index, **opened}]}
        for piece in dialect.argument_fragments(dialect.arguments(call)):
            yield {"tool_calls": [{"index": index, kind: {key: piece}}]}


_PADDING = "abdefghijklmnoprstuvxyz1234567890"
_NUMERIC = ("@cf/mistralai/mistral-small-3.1", "@cf/qwen/qwen2.5-coder")
"""They send a single digit as a JSON number (facts §5.3)."""


def stream(request: ModelRequest, answer: Answer, *, run: bool = False) -> Iterator[bytes]:
    """All events of a stream, `[DONE]` included; on `/ai/run` it has a tail for models of Workers AI.

    The captured streams that have it are of this path (recorded/cloudflare.jsonl c7e6a6944dce, df3808f6a3e1).
    """
    shape = Shape(request.model)
    if not shape.workers:
        events = _plain(shape, request, answer)
    elif not run:
        events = _counted_at_the_end(shape, request, answer)
    else:
        events = chain(_workers(shape, request, answer), [{"response": "", "usage": total(shape, request, answer)}])
    yield from map(dialect.data, events)
    yield dialect.DONE


def padding(seed: int) -> str:
    """The field `p`: random padding."""
    return (_PADDING * 2)[: 5 + seed * 7 % 40]


def _plain(shape: Shape, request: ModelRequest, answer: Answer) -> Iterator[Record]:
    head = shape.head("chat.completion.chunk")
    tail: Record = {"usage": None} if request.usage_in_stream else {}
    for i in range(request.choices):
        for delta in deltas(shape, answer):
            yield {**head, "choices": [_choice(i, delta, None)], **tail}
        yield {**head, "choices": [_choice(i, {}, _FINISHES[dialect.finish_reason(answer)])], **tail}
    if request.usage_in_stream:
        yield {**head, "choices": [], "usage": total(shape, request, answer)}


def _choice(index: int, delta: Record, finish: str | None) -> Record:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def _counted_at_the_end(shape: Shape, request: ModelRequest, answer: Answer) -> Iterator[Record]:
    """The chunks of Workers AI: the last has no choices, but the whole usage, whether it was requested or not."""
    *chunks, last = _workers(shape, request, answer)
    for chunk in chunks:
        del chunk["usage"]
        yield chunk
    yield {**last, "usage": total(shape, request, answer)}


def _workers(shape: Shape, request: ModelRequest, answer: Answer) -> Iterator[Record]:
    """OpenAI chunks, each with its own usage, and an empty chunk; their usage adds up to the total."""
    head = shape.head("chat.completion.chunk")
    tokens_in, cached, out, left = answer.tokens_in, answer.tokens_cached, 0, answer.tokens_out * request.choices
    for i in range(request.choices):
        for n, delta in enumerate(deltas(shape, answer)):
            usage = usage_of(shape, tokens_in, out, cached)
            chunk = _choice(i, _numeric(shape.model, delta), None)
            yield {**head, "choices": [chunk], "p": padding(n), "usage": usage}
            left -= out
            tokens_in, cached, out = 0, 0, min(1, left)
        finish = _choice(i, {}, _FINISHES[dialect.finish_reason(answer)])
        yield {**head, "choices": [finish], "p": padding(9), "usage": usage_of(shape, 0, 0)}
    yield {**head, "choices": [], "p": padding(3), "usage": usage_of(shape, 0, left)}


def _numeric(model: str, delta: Record) -> Record:
    text = delta.get("content")
    if isinstance(text, str) and len(text) == 1 and text in "0123456789" and model.startswith(_NUMERIC):
        return {"content": int(text)}
    return delta


CHAT_COMPLETIONS = Dialect(
    chat_request.read,
    whole,
    stream,
    dialect.openai_error,
    lambda text: dialect.data(dialect.openai_error(500, "server_error", text)),
)
