"""Reads a Chat Completions body.

Knows which fields OpenAI has and which others take besides; what single models refuse is not decided here.
"""

from __future__ import annotations

from typing import Any

from cfaig_integrations.simulator.catalogue import is_workers_ai
from cfaig_integrations.simulator.dialects.chat_completions.history import History
from cfaig_integrations.simulator.dialects.chat_completions.tools import read_schema, read_tool_choice, read_tools
from cfaig_integrations.simulator.dialects.native import enveloped
from cfaig_integrations.simulator.dialects.validation import OpenAIReader, Reader, Record, WorkersReader
from cfaig_integrations.simulator.json_types import is_record
from cfaig_integrations.simulator.types import Asked

_OPENAI_FIELDS = frozenset(
    {
        "audio", "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "messages",
        "metadata", "modalities", "model", "moderation", "n", "parallel_tool_calls", "prediction", "presence_penalty",
        "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning_effort", "response_format",
        "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options", "temperature",
        "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options", "options",
    }
)  # fmt: skip
_OTHER_FIELDS = frozenset(
    {
        "chat_template_kwargs", "enable_search", "enable_thinking", "guided_json", "include_reasoning", "lora", "min_p",
        "raw", "reasoning", "repetition_penalty", "search_parameters", "thinking", "top_k", "extra_body",
    }
)  # fmt: skip
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_MOST_STOPS = 4
_MOST_CHOICES = 128
_ALWAYS_REASON = ("@cf/moonshotai/", "@cf/openai/", "@cf/zai-org/glm-5.3-flash")
_SWITCHED = "@cf/moonshotai/kimi-k2.6"
"""Of those above, whose reasoning cannot be switched off, the one where it can (wire-facts §9.3, §14.4)."""


def reader_for(model: str) -> Reader:
    """Who words the faults: Workers AI for its own models, OpenAI's way for all others."""
    return WorkersReader() if is_workers_ai(model) else OpenAIReader()


def read(body: Record) -> Asked:
    """Validate a body.

    Raises:
        BadBody: With code 7003 in OpenAI's words, or 5006 or 8001 in Workers AI's for `@cf/` models.
    """
    model = str(body.get("model", ""))
    reader = reader_for(model)
    reader.named(body, "model")
    reader.no_foreign_keys(body)
    if is_workers_ai(model):
        body = enveloped(body)
    reader.only(body, _OPENAI_FIELDS if model.startswith("openai/") else _OPENAI_FIELDS | _OTHER_FIELDS)
    said = History(reader, thinking=not model.startswith("openai/")).read(reader.need(body, "messages"))
    tools = read_tools(reader, body)
    schema = read_schema(reader, body)
    if schema == {} and model.startswith("openai/") and "json" not in str(body["messages"]).lower():
        word = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        reader.fail(word, ("messages",))
    _sampling(reader, body)
    stream, usage = _streaming(reader, body)
    return Asked(
        model=model,
        said=said,
        tools=tools,
        choice=read_tool_choice(reader, body, tools),
        parallel=reader.flag(body, "parallel_tool_calls", default=True),
        schema=schema,
        reason=_reasons(reader, body, model),
        max_tokens=_limit(reader, body),
        stop=reader.strings(body, "stop", _MOST_STOPS),
        stream=stream,
        usage_in_stream=usage,
        choices=reader.count(body, "n", most=_MOST_CHOICES) or 1,
        echo=body,
    )


def _sampling(reader: Reader, body: Record) -> None:
    reader.number(body, "temperature", least=0, most=2)
    reader.number(body, "top_p", least=0, most=1)
    for penalty in ("frequency_penalty", "presence_penalty"):
        reader.number(body, penalty, least=-2, most=2)
    reader.count(body, "seed", least=-(2**63))
    reader.count(body, "top_k", least=0)
    reader.count(body, "top_logprobs", least=0, most=20)
    for key, kind in (("logprobs", bool), ("store", bool), ("user", str), ("metadata", dict), ("logit_bias", dict)):
        reader.optional(body, key, kind)


def _limit(reader: Reader, body: Record) -> int | None:
    older, newer = reader.count(body, "max_tokens"), reader.count(body, "max_completion_tokens")
    if older is not None and newer is not None and isinstance(reader, OpenAIReader):
        reader.fail("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
    return newer if newer is not None else older


def _streaming(reader: Reader, body: Record) -> tuple[bool, bool]:
    stream = reader.flag(body, "stream")
    if body.get("stream_options") is None:
        return stream, False
    if not stream:
        reader.fail("The 'stream_options' parameter is only allowed when 'stream' is enabled.", ("stream_options",))
    options = reader.record(body["stream_options"], ("stream_options",))
    reader.only(options, ("include_usage", "include_obfuscation"), ("stream_options",))
    return stream, reader.flag(options, "include_usage")


def _reasons(reader: Reader, body: Record, model: str) -> bool:
    effort: Any = body.get("reasoning_effort")
    if effort is not None:
        reader.among(effort, ("reasoning_effort",), _EFFORTS)
    template: Record = reader.optional(body, "chat_template_kwargs", dict) or {}
    thinking: Any = body.get("thinking") or body.get("enable_thinking") or template.get("enable_thinking")
    if model.startswith(_SWITCHED) and template.get("thinking") is False:
        return False
    on = bool(thinking) and not (is_record(thinking) and "disabled" in str(thinking))
    return model.startswith(_ALWAYS_REASON) or on or effort not in (None, "none")
