"""`/ai/run` without its envelope: the bare input, and the content of `result` (facts §5.1).

Anthropic models use Messages, other third-party and newer `@cf/` models Chat Completions, older `@cf/` models the
native form of Workers AI.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cfaig_integrations.simulator.catalogue import is_workers_ai
from cfaig_integrations.simulator.dialects import errors, sse
from cfaig_integrations.simulator.dialects.chat_completions import CHAT_COMPLETIONS, render
from cfaig_integrations.simulator.dialects.chat_completions.stream import padding, run_stream
from cfaig_integrations.simulator.dialects.dialect import Dialect
from cfaig_integrations.simulator.dialects.messages import MESSAGES
from cfaig_integrations.simulator.dialects.native import content, conversation
from cfaig_integrations.simulator.dialects.validation import WorkersAIValidator
from cfaig_integrations.simulator.types import Answer, ModelRequest

Record = dict[str, Any]

_NATIVE = re.compile(
    r"@(?:cf|hf)/(?:meta(?:-llama)?/|mistral(?:ai)?/|nousresearch/|thebloke/|tinyllama/|microsoft/phi|google/gemma-[27]b"
    r"|qwen/qwen1|deepseek-ai/deepseek-(?:math|coder)|defog/|fblgit/|openchat/|tiiuae/)"
)
_KEY_SOURCE = {"gatewayMetadata": {"keySource": "Unified"}}
_CODE = 5000


def is_native(model: str) -> bool:
    """Whether a model answers `{"response", "tool_calls", "usage"}` and not a `chat.completion`."""
    return _NATIVE.match(model) is not None


def _inner(model: str) -> Dialect:
    return MESSAGES if model.startswith("anthropic/") else CHAT_COMPLETIONS


def _read(body: Record) -> ModelRequest:
    model = str(body.get("model", ""))
    if not is_workers_ai(model):
        return _inner(model).read(body)
    request = CHAT_COMPLETIONS.read(conversation(body))
    if is_native(model) and request.stream and request.schema is not None:
        WorkersAIValidator().fail("JSON Mode does not support streaming")
    return request


def _whole(request: ModelRequest, answer: Answer) -> Record:
    if is_native(request.model):
        return _native(request, answer)
    body = _inner(request.model).whole(request, answer)
    return body if is_workers_ai(request.model) else {**body, **_KEY_SOURCE}


def _stream(request: ModelRequest, answer: Answer) -> Iterator[bytes]:
    if is_native(request.model):
        return _native_stream(request, answer)
    inner = _inner(request.model)
    return run_stream(request, answer) if inner is CHAT_COMPLETIONS else inner.stream(request, answer)


def _error_event(message: str) -> bytes:
    """An error inside a stream (facts §5.3)."""
    return sse.data({"error": {"message": message, "code": _CODE}})


def _native(request: ModelRequest, answer: Answer) -> Record:
    result: Record = {"response": content(request, answer)}
    if request.tools or answer.calls:
        result["tool_calls"] = [{"name": c.name, "arguments": c.arguments} for c in answer.calls]
    return {**result, "usage": _usage(request, answer)}


def _usage(request: ModelRequest, answer: Answer) -> Record:
    usage = render.total(render.Shape(request.model), request, answer)
    return {k: v for k, v in usage.items() if k != "neurons"}


def _native_stream(request: ModelRequest, answer: Answer) -> Iterator[bytes]:
    """`response` pieces with padding, a tail with usage, `[DONE]` (facts §5.3 a)."""
    text = answer.text or answer.refusal
    for n, piece in enumerate(sse.text_fragments(text)):
        yield sse.data({"response": piece, "p": padding(n)})
    if answer.calls:
        calls = [{"name": c.name, "arguments": c.arguments} for c in answer.calls]
        yield sse.data({"response": "", "tool_calls": calls, "p": padding(1)})
    yield sse.data({"response": "", "usage": _usage(request, answer)})
    yield sse.DONE


RUN = Dialect(_read, _whole, _stream, errors.openai, _error_event)
