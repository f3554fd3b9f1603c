"""The native input of Workers AI as a chat completion request, and the native `response` value."""

from __future__ import annotations

import json
import re
from typing import Any

from cfaig_integrations.simulator.dialects.validation import WorkersAIValidator
from cfaig_integrations.simulator.json_types import is_list, is_record
from cfaig_integrations.simulator.types import Answer, ModelRequest

Record = dict[str, Any]

_JSON_MODE = re.compile(r"@(?:cf|hf)/(?:meta/llama-3|nousresearch/hermes-2-pro|thebloke/deepseek-coder)")
_GUIDED = re.compile(r"@cf/(?:mistral(?:ai)?/|qwen/qwq-|qwen/qwen2\.5-coder|google/gemma-3-|meta/llama-4-)")

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


def enveloped(body: Record) -> Record:
    """A body of Workers AI with its output schema in OpenAI's envelope.

    The models of the documented JSON mode take the bare schema, and read an envelope as a schema without rules; newer
    models take either. Only some models have `guided_json`; others ignore it. A model has one input schema, on
    `/ai/run` and on chat completions (facts §9.1).
    """
    model, form = str(body.get("model", "")), body.get("response_format")
    if is_record(form) and form.get("type") == "json_schema":
        schema = form.get("json_schema")
        if _JSON_MODE.match(model) and is_record(schema) and is_record(schema.get("schema")):
            return {**body, "response_format": {"type": "json_object"}}
        return {**body, "response_format": {**form, "json_schema": _enveloped(form.get("json_schema"))}}
    guided = body.get("guided_json")
    if form is None and is_record(guided) and _GUIDED.match(model):
        any_object = {"type": "json_object"}
        form = {"type": "json_schema", "json_schema": _enveloped(guided)} if guided else any_object
        return {**body, "response_format": form}
    return body


def _wrapped(tool: Any) -> Any:
    if is_record(tool) and "function" not in tool and "name" in tool:
        return {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}
    return tool


def _enveloped(schema: Any) -> Any:
    if is_record(schema) and "schema" not in schema:
        return {"name": "response", "schema": schema}
    return {"name": "response", **schema} if is_record(schema) else schema


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


def content(request: ModelRequest, answer: Answer) -> Any:
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
