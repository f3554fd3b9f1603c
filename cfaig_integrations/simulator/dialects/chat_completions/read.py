"""Reads the body of a Chat Completions request."""

from __future__ import annotations

from typing import Any

from cfaig_integrations.simulator.catalogue import is_workers_ai
from cfaig_integrations.simulator.dialects.chat_completions.history import History
from cfaig_integrations.simulator.dialects.chat_completions.tools import read_schema, read_tool_choice, read_tools
from cfaig_integrations.simulator.dialects.native import enveloped
from cfaig_integrations.simulator.dialects.validation import OpenAIValidator, Record, Validator, WorkersAIValidator
from cfaig_integrations.simulator.json_types import is_record
from cfaig_integrations.simulator.types import ModelRequest

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
"""The only one of them whose reasoning can be disabled (facts §9.3, §14.4)."""


def validator_for(model: str) -> Validator:
    """Workers AI's error messages for its own models, OpenAI's for all others."""
    return WorkersAIValidator() if is_workers_ai(model) else OpenAIValidator()


def read(body: Record) -> ModelRequest:
    """Validate a body.

    Raises:
        InvalidBody: With code 7003 in OpenAI's words, or 5006 or 8001 in Workers AI's for `@cf/` models.
    """
    model = str(body.get("model", ""))
    validator = validator_for(model)
    validator.required_text(body, "model")
    validator.no_tracing_fields(body)
    if is_workers_ai(model):
        body = enveloped(body)
    validator.only_fields(body, _OPENAI_FIELDS if model.startswith("openai/") else _OPENAI_FIELDS | _OTHER_FIELDS)
    messages = History(validator, thinking=not model.startswith("openai/")).read(validator.required(body, "messages"))
    tools = read_tools(validator, body)
    schema = read_schema(validator, body)
    if schema == {} and model.startswith("openai/") and "json" not in str(body["messages"]).lower():
        word = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        validator.fail(word, ("messages",))
    _sampling(validator, body)
    stream, usage = _streaming(validator, body)
    return ModelRequest(
        model=model,
        messages=messages,
        tools=tools,
        choice=read_tool_choice(validator, body, tools),
        parallel=validator.boolean(body, "parallel_tool_calls", default=True),
        schema=schema,
        reason=_reasons(validator, body, model),
        max_tokens=_limit(validator, body),
        stop=validator.text_list(body, "stop", _MOST_STOPS),
        stream=stream,
        usage_in_stream=usage,
        choices=validator.integer(body, "n", most=_MOST_CHOICES) or 1,
        echo=body,
    )


def _sampling(validator: Validator, body: Record) -> None:
    validator.number(body, "temperature", least=0, most=2)
    validator.number(body, "top_p", least=0, most=1)
    for penalty in ("frequency_penalty", "presence_penalty"):
        validator.number(body, penalty, least=-2, most=2)
    validator.integer(body, "seed", least=-(2**63))
    validator.integer(body, "top_k", least=0)
    validator.integer(body, "top_logprobs", least=0, most=20)
    for key, kind in (("logprobs", bool), ("store", bool), ("user", str), ("metadata", dict), ("logit_bias", dict)):
        validator.optional(body, key, kind)


def _limit(validator: Validator, body: Record) -> int | None:
    older, newer = validator.integer(body, "max_tokens"), validator.integer(body, "max_completion_tokens")
    if older is not None and newer is not None and isinstance(validator, OpenAIValidator):
        validator.fail("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
    return newer if newer is not None else older


def _streaming(validator: Validator, body: Record) -> tuple[bool, bool]:
    stream = validator.boolean(body, "stream")
    if body.get("stream_options") is None:
        return stream, False
    if not stream:
        validator.fail("The 'stream_options' parameter is only allowed when 'stream' is enabled.", ("stream_options",))
    options = validator.record(body["stream_options"], ("stream_options",))
    validator.only_fields(options, ("include_usage", "include_obfuscation"), ("stream_options",))
    return stream, validator.boolean(options, "include_usage")


def _reasons(validator: Validator, body: Record, model: str) -> bool:
    effort: Any = body.get("reasoning_effort")
    if effort is not None:
        validator.one_of(effort, ("reasoning_effort",), _EFFORTS)
    template: Record = validator.optional(body, "chat_template_kwargs", dict) or {}
    thinking: Any = body.get("thinking") or body.get("enable_thinking") or template.get("enable_thinking")
    if model.startswith(_SWITCHED) and template.get("thinking") is False:
        return False
    on = bool(thinking) and not (is_record(thinking) and "disabled" in str(thinking))
    return model.startswith(_ALWAYS_REASON) or on or effort not in (None, "none")
