"""Reads a Responses body.

Knows no stored response: what `previous_response_id` stands for is put before the items by the caller.
"""

from __future__ import annotations

from typing import Any

from cfaig_integrations.simulator.catalogue import is_workers_ai
from cfaig_integrations.simulator.dialects.responses.items import Items
from cfaig_integrations.simulator.dialects.responses.tools import read_schema, read_tool_choice, read_tools
from cfaig_integrations.simulator.dialects.validation import OpenAIReader, Reader, Record
from cfaig_integrations.simulator.types import Asked, Said

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
"""OpenAI's floor for `max_output_tokens` (wire-facts §5.3 e)."""
_NO_INPUT = "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided."


def read(body: Record, earlier: list[Any]) -> Asked:
    """Validate a body.

    Args:
        body: As sent.
        earlier: The items of the response that `previous_response_id` names, and of those before it.

    Raises:
        BadBody: In OpenAI's words, with code 7003.
    """
    reader = OpenAIReader()
    model = reader.named(body, "model")
    reader.no_foreign_keys(body)
    reader.only(body, _FIELDS)
    tools, search = read_tools(reader, body)
    schema = read_schema(reader, body)
    said = _said(reader, body, earlier, model)
    if schema == {} and "json" not in f"{body.get('input')}{body.get('instructions')}".lower():
        word = "Response input messages must contain the word 'json' in some form"
        reader.fail(f"{word} to use 'text.format' of type 'json_object'.", ("input",))
    _plain_fields(reader, body)
    return Asked(
        model=model,
        said=said,
        tools=tools,
        choice=read_tool_choice(reader, body, tools),
        parallel=reader.flag(body, "parallel_tool_calls", default=True),
        schema=schema,
        reason=_reasons(reader, body, model),
        max_tokens=reader.count(body, "max_output_tokens", least=_LEAST_TOKENS),
        stream=reader.flag(body, "stream"),
        searchable=search,
        echo=body,
    )


def _said(reader: Reader, body: Record, earlier: list[Any], model: str) -> list[Said]:
    given: Any = body.get("input")
    if given in (None, []) and not earlier:
        reader.fail(_NO_INPUT, ("input",))
    items = Items(reader, openai=model.startswith("openai/"), partial=body.get("conversation") is not None)
    if earlier:
        given = [*earlier, *([{"role": "user", "content": given}] if isinstance(given, str) else given or [])]
    said = items.read(given)
    instructions: str | None = reader.optional(body, "instructions", str)
    return [Said(role="system", text=instructions), *said] if instructions else said


def _plain_fields(reader: Reader, body: Record) -> None:
    reader.number(body, "temperature", least=0, most=2)
    reader.number(body, "top_p", least=0, most=1)
    reader.count(body, "top_logprobs", least=0, most=20)
    reader.count(body, "max_tool_calls")
    for key, kind in (("store", bool), ("background", bool), ("user", str), ("metadata", dict)):
        reader.optional(body, key, kind)
    for i, entry in enumerate(reader.array(body.get("include") or [], ("include",))):
        reader.among(entry, ("include", i), _INCLUDE)
    if body.get("truncation") is not None:
        reader.among(body["truncation"], ("truncation",), ("auto", "disabled"))
    if body.get("stream_options") is not None:
        if not body.get("stream"):
            reader.fail("The 'stream_options' parameter is only allowed when 'stream' is enabled.", ("stream_options",))
        reader.only(
            reader.record(body["stream_options"], ("stream_options",)), ("include_obfuscation",), ("stream_options",)
        )


def _reasons(reader: Reader, body: Record, model: str) -> bool:
    at = ("reasoning",)
    if body.get("reasoning") is None:
        return is_workers_ai(model)
    reasoning = reader.record(body["reasoning"], at)
    reader.only(reasoning, ("effort", "summary", "generate_summary", "context", "mode"), at)
    for key, allowed in (("effort", _EFFORTS), ("summary", _SUMMARIES), ("generate_summary", _SUMMARIES)):
        if reasoning.get(key) is not None:
            reader.among(reasoning[key], (*at, key), allowed)
    return reasoning.get("effort") != "none"
