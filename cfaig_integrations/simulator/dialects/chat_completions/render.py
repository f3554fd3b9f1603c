"""Renders an answer as a `chat.completion`, and as the deltas of a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cfaig_integrations.simulator.catalogue import is_workers_ai, response_model_name
from cfaig_integrations.simulator.dialects import sse
from cfaig_integrations.simulator.types import Answer, Call, ModelRequest

Record = dict[str, Any]

_NEURONS_IN, _NEURONS_OUT = 1 / 110, 3 / 110
"""Neurons per token, as in a published response of a Gemma model."""
_FINISHES = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "refusal": "stop"}


@dataclass(slots=True)
class Shape:
    """The differences between providers' chat completions."""

    model: str
    response_model_name: str = ""
    workers: bool = False
    shows_reasoning: bool = False
    signs_calls: bool = False
    id: str = ""
    created: int = field(default_factory=sse.now)

    def __post_init__(self) -> None:
        """Derive everything from the model id."""
        self.workers = is_workers_ai(self.model)
        self.response_model_name = response_model_name(self.model)
        self.shows_reasoning = not self.model.startswith("openai/")
        # facts §1.4: Gemini 3 wants each replayed call's `thought_signature`
        self.signs_calls = self.model.startswith("google/gemini-3")
        self.id = sse.new_id("", 32).lower() if self.workers else sse.new_id("chatcmpl-", 29)

    def head(self, kind: str) -> Record:
        """The fields that every body and every chunk begin with."""
        head: Record = {"id": self.id, "object": kind, "created": self.created, "model": self.response_model_name}
        return head if self.workers else {**head, "service_tier": "default", "system_fingerprint": None}


def finish(answer: Answer) -> str:
    """The `finish_reason`."""
    return _FINISHES[sse.finish_reason(answer)]


def usage(shape: Shape, tokens_in: int, tokens_out: int, cached: int = 0, reasoning: int = 0) -> Record:
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
    return usage(shape, answer.tokens_in, out, answer.tokens_cached, reasoning)


def tool_call(shape: Shape, call: Call) -> Record:
    """One entry of `tool_calls`."""
    if call.custom:
        return {
            "id": call.id or call_id(shape.model),
            "type": "custom",
            "custom": {"name": call.name, "input": call.text},
        }
    entry: Record = {
        "id": call.id or call_id(shape.model),
        "type": "function",
        "function": {"name": call.name, "arguments": sse.arguments(call)},
    }
    if shape.signs_calls:
        entry["extra_content"] = {"google": {"thought_signature": sse.fake_signature(call.name)}}
    return entry


def call_id(model: str) -> str:
    """A new id; Mistral's have exactly nine characters (facts §9.2)."""
    return sse.new_id("", 9) if model.startswith("@cf/mistral") else sse.new_id("call_")


def whole(request: ModelRequest, answer: Answer) -> Record:
    """A `chat.completion` with `n` equal choices."""
    shape = Shape(request.model)
    choices: list[Record] = [
        {"index": i, "message": _message(shape, answer), "logprobs": None, "finish_reason": finish(answer)}
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
        yield from ({"reasoning_content": piece} for piece in sse.text_fragments(answer.reasoning))
    yield from ({"content": piece} for piece in sse.text_fragments(_content(shape, answer)))
    if not shape.workers:
        yield from ({"refusal": piece} for piece in sse.text_fragments(answer.refusal))
    for index, call in enumerate(answer.calls):
        opened = tool_call(shape, call)
        kind, key = ("custom", "input") if call.custom else ("function", "arguments")
        opened[kind][key] = ""
        yield {"tool_calls": [{"index": index, **opened}]}
        for piece in sse.argument_fragments(call):
            yield {"tool_calls": [{"index": index, kind: {key: piece}}]}
