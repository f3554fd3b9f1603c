"""The bare input of `/ai/run`, and the content of `result`: each model family in its own format (wire-facts §5.1).

Knows no envelope. Anthropic models speak Messages, other third-party and newer `@cf/` models chat completions, older
`@cf/` models the native form of Workers AI.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cfaig_integrations.simulator.catalogue import is_workers_ai
from cfaig_integrations.simulator.dialects import errors, sse
from cfaig_integrations.simulator.dialects.chat_completions import ChatCompletions, render
from cfaig_integrations.simulator.dialects.chat_completions.stream import padding
from cfaig_integrations.simulator.dialects.messages import Messages
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


class Run:
    """The dialect of `/ai/run`, without its envelope."""

    def __init__(self) -> None:
        """Set up the dialects that it hands on to."""
        self._chat, self._messages = ChatCompletions(), Messages()

    def read(self, body: Record) -> ModelRequest:
        """Validate a bare input with the model put in."""
        model = str(body.get("model", ""))
        if not is_workers_ai(model):
            return self._inner(model).read(body)
        request = self._chat.read(conversation(body))
        if is_native(model) and request.stream and request.schema is not None:
            WorkersAIValidator().fail("JSON Mode does not support streaming")
        return request

    def whole(self, request: ModelRequest, answer: Answer) -> Record:
        """The content of `result`."""
        if is_native(request.model):
            return _native(request, answer)
        body = self._inner(request.model).whole(request, answer)
        return body if is_workers_ai(request.model) else {**body, **_KEY_SOURCE}

    def stream(self, request: ModelRequest, answer: Answer) -> Iterator[bytes]:
        """The stream of the model's own format."""
        if is_native(request.model):
            return _native_stream(request, answer)
        return self._inner(request.model).stream(request, answer)

    def error(self, status: int, code: int | str, message: str) -> Record:
        """A provider's error body."""
        return errors.openai(status, code, message)

    def error_event(self, message: str) -> bytes:
        """An error inside a stream (wire-facts §5.3)."""
        return sse.data({"error": {"message": message, "code": _CODE}})

    def _inner(self, model: str) -> ChatCompletions | Messages:
        return self._messages if model.startswith("anthropic/") else self._chat


def _native(request: ModelRequest, answer: Answer) -> Record:
    result: Record = {"response": content(request, answer)}
    if request.tools or answer.calls:
        result["tool_calls"] = [{"name": c.name, "arguments": c.arguments} for c in answer.calls]
    return {**result, "usage": _usage(request, answer)}


def _usage(request: ModelRequest, answer: Answer) -> Record:
    usage = render.total(render.Shape(request.model), request, answer)
    return {k: v for k, v in usage.items() if k != "neurons"}


def _native_stream(request: ModelRequest, answer: Answer) -> Iterator[bytes]:
    """`response` pieces with padding, a tail with usage, `[DONE]` (wire-facts §5.3 a)."""
    text = answer.text or answer.refusal
    for n, piece in enumerate(sse.text_fragments(text)):
        yield sse.data({"response": piece, "p": padding(n)})
    if answer.calls:
        calls = [{"name": c.name, "arguments": c.arguments} for c in answer.calls]
        yield sse.data({"response": "", "tool_calls": calls, "p": padding(1)})
    yield sse.data({"response": "", "usage": _usage(request, answer)})
    yield sse.DONE
