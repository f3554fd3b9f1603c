"""Reads the body of a Responses request."""

from __future__ import annotations

from typing import Any

from cfaig_integrations.simulator.catalogue import is_workers_ai
from cfaig_integrations.simulator.dialects.responses.items import Items
from cfaig_integrations.simulator.dialects.responses.tools import read_schema, read_tool_choice, read_tools
from cfaig_integrations.simulator.dialects.validation import OpenAIValidator, Record, Validator
from cfaig_integrations.simulator.types import Message, ModelRequest

_FIELDS = frozenset(
    {
        "background", "context_management", "conversation", "include", "input", "instructions", "max_output_tokens",
        "max_tool_calls", "metadata", "model", "moderation", "options", "parallel_tool_calls", "previous_response_id",
        "prompt", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning",
        "safety_identifier", "service_tier", "store", "stream", "stream_options", "temperature", "text", "tool_choice",
        "tools", "top_logprobs", "top_p", "truncation", "user",
    }
)  # fmt: skip
_INCLUDE = (
    "code_interpreter_call.outputs", "computer_call_output.output.image_url", "file_search_call.results",
    "message.input_image.image_url", "message.output_text.logprobs", "reasoning.encrypted_content",
    "web_search_call.action.sources", "web_search_call.results",
)  # fmt: skip
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_SUMMARIES = ("auto", "concise", "detailed")
_LEAST_TOKENS = 16
"""OpenAI's floor for `max_output_tokens` (facts §5.3 e)."""
_NO_INPUT = "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided."


def read(body: Record, previous_items: list[Any]) -> ModelRequest:
    """Validate a body.

    Raises:
        InvalidBody: In OpenAI's words, with code 7003.
    """
    validator = OpenAIValidator()
    model = validator.required_text(body, "model")
    validator.no_tracing_fields(body)
    validator.only_fields(body, _FIELDS)
    tools, search = read_tools(validator, body)
    schema = read_schema(validator, body)
    messages = _read_messages(validator, body, previous_items, model)
    if schema == {} and "json" not in f"{body.get('input')}{body.get('instructions')}".lower():
        word = "Response input messages must contain the word 'json' in some form"
        validator.fail(f"{word} to use 'text.format' of type 'json_object'.", ("input",))
    _plain_fields(validator, body)
    return ModelRequest(
        model=model,
        messages=messages,
        tools=tools,
        choice=read_tool_choice(validator, body, tools),
        parallel=validator.boolean(body, "parallel_tool_calls", default=True),
        schema=schema,
        reason=_reasons(validator, body, model),
        max_tokens=validator.integer(body, "max_output_tokens", least=_LEAST_TOKENS),
        stream=validator.boolean(body, "stream"),
        searchable=search,
        echo=body,
    )


def _read_messages(validator: Validator, body: Record, previous_items: list[Any], model: str) -> list[Message]:
    value: Any = body.get("input")
    if value in (None, []) and not previous_items:
        validator.fail(_NO_INPUT, ("input",))
    items = Items(validator, openai=model.startswith("openai/"), partial=body.get("conversation") is not None)
    if previous_items:
        value = [*previous_items, *([{"role": "user", "content": value}] if isinstance(value, str) else value or [])]
    messages = items.read(value)
    instructions: str | None = validator.optional(body, "instructions", str)
    return [Message(role="system", text=instructions), *messages] if instructions else messages


def _plain_fields(validator: Validator, body: Record) -> None:
    validator.number(body, "temperature", least=0, most=2)
    validator.number(body, "top_p", least=0, most=1)
    validator.integer(body, "top_logprobs", least=0, most=20)
    validator.integer(body, "max_tool_calls")
    for key, kind in (("store", bool), ("background", bool), ("user", str), ("metadata", dict)):
        validator.optional(body, key, kind)
    for i, entry in enumerate(validator.array(body.get("include") or [], ("include",))):
        validator.one_of(entry, ("include", i), _INCLUDE)
    if body.get("truncation") is not None:
        validator.one_of(body["truncation"], ("truncation",), ("auto", "disabled"))
    if body.get("stream_options") is not None:
        if not body.get("stream"):
            validator.fail(
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.", ("stream_options",)
            )
        validator.only_fields(
            validator.record(body["stream_options"], ("stream_options",)), ("include_obfuscation",), ("stream_options",)
        )


def _reasons(validator: Validator, body: Record, model: str) -> bool:
    path = ("reasoning",)
    if body.get("reasoning") is None:
        return is_workers_ai(model)
    reasoning = validator.record(body["reasoning"], path)
    validator.only_fields(reasoning, ("effort", "summary", "generate_summary", "context", "mode"), path)
    for key, allowed in (("effort", _EFFORTS), ("summary", _SUMMARIES), ("generate_summary", _SUMMARIES)):
        if reasoning.get(key) is not None:
            validator.one_of(reasoning[key], (*path, key), allowed)
    return reasoning.get("effort") != "none"
