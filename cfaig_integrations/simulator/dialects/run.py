"""`/ai/run` without its envelope: the bare input, and the content of `result` (facts §5.1).

Anthropic models use Messages, other third-party and newer `@cf/` models Chat Completions, older `@cf/` models the
native form of Workers AI.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from cfaig_integrations.simulator.catalogue import is_workers_ai
from cfaig_integrations.simulator.dialects import chat_completions, dialect
from cfaig_integrations.simulator.dialects.chat_completions import CHAT_COMPLETIONS, padding, stream
from cfaig_integrations.simulator.dialects.dialect import Dialect
from cfaig_integrations.simulator.dialects.messages import MESSAGES
from cfaig_integrations.simulator.dialects.validation import WorkersAIValidator
from cfaig_integrations.simulator.json_types import Record, is_list, is_record
from cfaig_integrations.simulator.types import Answer, ModelRequest

_NO_INPUT = "oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt', required properties at '/' are "


def conversation(body: Record) -> Record:
    """The same request as a chat completions body.

    `prompt` becomes a message, flat tools get their `function` wrapper, calls without an id get one (facts §9.2).
    """
    chat = {k: v for k, v in body.items() if k not in ("prompt", "image")}
    if "messages" not in body:
        if "prompt" not in body:
            WorkersAIValidator().fail(f"{_NO_INPUT}'messages'")
        prompt = WorkersAIValidator().text(body["prompt"], ("prompt",), empty=False)
        chat["messages"] = [{"role": "user", "content": prompt}]
    if is_list(chat["messages"]):
        chat["messages"] = _identified(chat["messages"])
    if is_list(body.get("tools")):
        chat["tools"] = [_wrapped(t) for t in body["tools"]] or None
    return {k: v for k, v in chat.items() if v is not None}


def _wrapped(tool: Any) -> Any:
    if is_record(tool) and "function" not in tool and "name" in tool:
        return {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}
    return tool


def _identified(messages: list[Any]) -> list[Any]:
    """Calls without an id get one, and results without one belong to the calls in order."""
    messages_with_ids: list[Any] = []
    waiting: list[str] = []
    for i, message in enumerate(messages):
        converted: Any = message
        if is_record(message) and is_list(message.get("tool_calls")):
            calls = [_openai_call(c, f"call_{i}_{n}") for n, c in enumerate(message["tool_calls"])]
            converted = {**message, "tool_calls": calls}
            waiting = [str(c.get("id")) for c in calls if is_record(c)]
        elif is_record(message) and message.get("role") == "tool":
            identity = message.get("tool_call_id") or (waiting[0] if waiting else None)
            waiting = [w for w in waiting if w != identity]
            converted = {**message, **({"tool_call_id": identity} if identity else {})}
        messages_with_ids.append(converted)
    return messages_with_ids


def _openai_call(call: Any, identity: str) -> Any:
    if not is_record(call) or "name" not in call:
        return call
    arguments = call.get("arguments", {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    function = {"name": call["name"], "arguments": text}
    return {"id": call.get("id") or identity, "type": "function", "function": function}


def _native_content(request: ModelRequest, answer: Answer) -> Any:
    """The `response` value: text; an object in JSON mode; a number for a single digit; null beside calls."""
    text = answer.text or answer.refusal
    if answer.calls and not text:
        return None
    if request.schema is not None:
        try:
            return json.loads(text)
        except ValueError:
            return text
    # facts §5.1: one-digit answers came as a number
    return int(text) if len(text) == 1 and text.isascii() and text.isdigit() else text


_NATIVE = re.compile(
    r"@(?:cf|hf)/(?:meta(?:-llama)?/|mistral(?:ai)?/|nousresearch/|thebloke/|tinyllama/|microsoft/phi|google/gemma-[27]b"
    r"|qwen/qwen1|deepseek-ai/deepseek-(?:math|coder)|defog/|fblgit/|openchat/|tiiuae/)"
)
_KEY_SOURCE = {"gatewayMetadata": {"keySource": "Unified"}}


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
    return stream(request, answer, run=True) if inner is CHAT_COMPLETIONS else inner.stream(request, answer)


def _native(request: ModelRequest, answer: Answer) -> Record:
    result: Record = {"response": _native_content(request, answer)}
    if request.tools or answer.calls:
        result["tool_calls"] = [{"name": c.name, "arguments": c.arguments} for c in answer.calls]
    return {**result, "usage": _usage(request, answer)}


def _usage(request: ModelRequest, answer: Answer) -> Record:
    usage = chat_completions.total(chat_completions.Shape(request.model), request, answer)
    return {k: v for k, v in usage.items() if k != "neurons"}


def _native_stream(request: ModelRequest, answer: Answer) -> Iterator[bytes]:
    """`response` pieces with padding, a tail with usage, `[DONE]` (facts §5.3 a)."""
    text = answer.text or answer.refusal
    for n, piece in enumerate(dialect.text_fragments(text)):
        yield dialect.data({"response": piece, "p": padding(n)})
    if answer.calls:
        calls = [{"name": c.name, "arguments": c.arguments} for c in answer.calls]
        yield dialect.data({"response": "", "tool_calls": calls, "p": padding(1)})
    yield dialect.data({"response": "", "usage": _usage(request, answer)})
    yield dialect.DONE


# the error inside a stream: facts §5.3
RUN = Dialect(
    _read, _whole, _stream, dialect.openai_error, lambda text: dialect.data({"error": {"message": text, "code": 5000}})
)
