"""Arguments of other packages: the name of each here, or what to write instead.

The packages are langchain-openai, langchain-anthropic, langchain-cloudflare, and LlamaIndex's packages for OpenAI,
Anthropic, OpenAI-like servers and Cloudflare AI Gateway, as of November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache

from cfaig_integrations.gateway.options import GatewayOptions

ALIASES: Mapping[str, str] = {
    "additional_kwargs": "extra_body",
    "ai_gateway": "gateway_id",
    "aig_metadata": "gateway_metadata",
    "anthropic_api_url": "base_url",
    "api_base": "base_url",
    "api_base_url": "base_url",
    "api_key": "api_token",
    "async_http_client": "http_async_client",
    "cloudflare_account_id": "account_id",
    "cloudflare_ai_gateway": "gateway_id",
    "cloudflare_api_base": "base_url",
    "cloudflare_api_token": "api_token",
    "default_headers": "extra_headers",
    "default_request_timeout": "timeout",
    "effort": "reasoning_effort",
    "gateway_options": "gateway",
    "headers": "extra_headers",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "max_tokens_to_sample": "max_tokens",
    "model_kwargs": "extra_body",
    "model_name": "model",
    "openai_api_base": "base_url",
    "reasoning_options": "reasoning",
    "request_timeout": "timeout",
    "stop_sequences": "stop",
    "stream_chunk_timeout": "stream_idle_timeout",
    "thinking_dict": "thinking",
}
"""Other names of an argument -> its name here."""

_NO_PROVIDER_KEY = (
    "The gateway bills or holds the provider's key: leave it out, and pass Cloudflare's token as api_token=. "
    "For a stored key (BYOK) see gateway=GatewayOptions(byok_alias=...)."
)
_CLIENT = "Pass http_client=httpx.Client(...), and http_async_client=httpx.AsyncClient(...) for async calls."
_PROXY = "Pass http_client=httpx.Client(proxy=...), and http_async_client=httpx.AsyncClient(proxy=...)."
_NO_MEANING = "It has no meaning here: leave it out."
_ONE_PROVIDER = (
    "It has no meaning here: the gateway's account pays, or the gateway holds the provider's key. Leave it out."
)
_TOKENIZER = "Leave it out; in LangChain, custom_get_token_ids= sets a tokenizer."
_TOOLS = "Pass them to the call: model.bind_tools([...]) in LangChain, llm.chat(..., tools=[...]) in LlamaIndex."
_BATCH = "Use batch_size= in LangChain, embed_batch_size= in LlamaIndex."

_ADVICE: Mapping[str, str] = {
    "aig_no_session_affinity": "Write session_affinity=False, or gateway=GatewayOptions(no_session_affinity=True).",
    "allowed_special": _TOKENIZER,
    "audio_config": "Write extra_body={'audio': ...}.",
    "batch_size": "Use max_concurrency= of the LLM class, or embed_batch_size= of LlamaIndex's embeddings.",
    "best_of": "Write n=..., and choose among the answers.",
    "binding": "It is for Python Workers, which this package does not support: use account_id= and api_token=.",
    "built_in_tools": _TOOLS,
    "cache_idx": "Put a CachePoint into the messages, or cache_control on a content block.",
    "call_metadata": "Write extra_body={'metadata': ...}, or gateway_metadata=... for the gateway's log.",
    "chunk_size": _BATCH,
    "disabled_params": "Leave it out: unset arguments are omitted from requests.",
    "disallowed_special": _TOKENIZER,
    "embedding_ctx_length": "Split the texts before, or use truncate_inputs=True with models that have it.",
    "endpoint_format": 'Write api="chat_completions" or api="run".',
    "function_call": "Write tool_choice=...",
    "functions": _TOOLS,
    "include_response_headers": "Leave it out: see gateway_info(message) or additional_kwargs['cf_aig'] in LlamaIndex.",
    "is_chat_model": "Leave it out: every model is a chat model.",
    "llms": 'Write model="dynamic/<route>": a dynamic route of the gateway falls back from one model to the next. '
    "In LangChain there is model.with_fallbacks([...]), too.",
    "options": "Write gateway=GatewayOptions(...), and gateway_metadata=... for its metadata.",
    "output_format": "Write response_format=..., or use with_structured_output or structured_predict.",
    "previous_response_id": "Write previous_response_id=... in the call.",
    "reuse_last_container": "Write container=response_metadata['container']['id'] in the next call.",
    "session_id": "Write session_affinity='...', or gateway=GatewayOptions(session_id=...) for the Auto Router.",
    "should_use_structured_outputs": "Write structured_output='json_schema'.",
    "stream": "Call stream or astream in LangChain, stream_chat or stream_complete in LlamaIndex.",
    "stream_options": "Write stream_usage=True or stream_usage=False.",
    "streaming": "Call stream_chat or stream_complete.",
    "system": "Pass a system message.",
    "tokenizer": "Set llama_index.core.Settings.tokenizer; in LangChain, pass custom_get_token_ids=.",
    "tools": _TOOLS,
    "track_previous_responses": "Write store=True, and previous_response_id=... in the next call.",
    "use_previous_response_id": "Write previous_response_id=... in the call.",
    "use_responses_api": 'Write api="responses", or api="chat_completions" for False.',
    # The header and the beta feature of anthropic 2.14 and langchain-anthropic 1.7.
    "user_profile_id": "Write extra_headers={'anthropic-user-profile-id': ...} and betas=['user-profiles-2026-03-24'].",
    **dict.fromkeys(("anthropic_api_key", "openai_api_key", "provider_api_key"), _NO_PROVIDER_KEY),
    **dict.fromkeys(("default_query", "extra_query"), "The API takes no query parameters: leave it out."),
    **dict.fromkeys(("anthropic_proxy", "openai_proxy", "proxies", "proxy"), _PROXY),
    **dict.fromkeys(("openai_organization", "organization", "project", "workspace_id"), _ONE_PROVIDER),
    **dict.fromkeys(
        (
            "async_client",
            "async_openai_client",
            "client",
            "http_socket_options",
            "openai_client",
            "root_async_client",
            "root_client",
        ),
        _CLIENT,
    ),
    **dict.fromkeys(("tiktoken_enabled", "tiktoken_model_name"), _TOKENIZER),
    **dict.fromkeys(("retry_max_seconds", "retry_min_seconds"), "Write max_retries=...; the waits between are fixed."),
    **dict.fromkeys(
        (
            "api_version",
            "aws_access_key_id",
            "aws_region",
            "aws_secret_access_key",
            "azure_deployment",
            "azure_endpoint",
            "check_embedding_ctx_length",
            "deployment",
            "mode",
            "openai_api_type",
            "openai_api_version",
            "project_id",
            "region",
            "reuse_client",
            "show_progress_bar",
            "skip_empty",
            "strip_new_lines",
        ),
        _NO_MEANING,
    ),
}
"""Arguments without a counterpart of the same value -> what to write."""

BODY_FIELDS = frozenset(
    {
        # OpenAI's Chat Completions and Responses
        *("audio", "background", "conversation", "instructions", "max_tool_calls", "metadata", "modalities"),
        *("moderation", "prediction", "prompt", "safety_identifier", "text", "user", "web_search_options"),
        # Anthropic's Messages
        *("billing_policy", "cache_control", "compaction", "diagnostics", "fallback_credit_token", "fallbacks"),
        *("speed", "system", "thread"),
        # Workers AI and other providers
        *("chat_template_kwargs", "enable_search", "enable_thinking", "guided_json", "lora", "min_p", "min_tokens"),
        *("options", "raw", "repetition_penalty", "search_parameters", "thinking_budget"),
    }
)
"""Body fields of the formats that are not arguments here (official types of openai 2.54 and anthropic 2.14)."""

_SENSITIVE = re.compile(r"key|token|secret|url|base|proxy|header", re.IGNORECASE)
_TOKEN_COUNT = re.compile(r"tokens|token_ids?\b", re.IGNORECASE)
"""A number of tokens is no secret."""
_CUTOFF = 0.78
"""Similarity of a misspelt name: `temprature` has 0.95, `top_a` and `top_p` 0.8, `binding` and `thinking` 0.67."""
_OPTION_PREFIX = re.compile("^(?:cf_)?aig_")


def remedy(name: str, names: Iterable[str]) -> str:
    """What to write in place of an argument that a class or a call does not have."""
    if advice := _advice(name, names):
        return advice
    if not _SENSITIVE.search(name):
        return "Further body fields go in extra_body=."
    return next((text for pattern, text in _FALLBACKS if pattern.search(name)), _NO_MEANING)


@lru_cache(maxsize=1024)
def remedy_of_call(name: str, names: tuple[str, ...]) -> str | None:
    """What to write in place of an argument that a call does not have; None if it may be a model's new body field."""
    if _SENSITIVE.search(name):
        return None if _TOKEN_COUNT.search(name) and not _advice(name, names) else remedy(name, names)
    advice = _advice(name, names)
    return advice and f"{advice} A body field of this very name goes in extra_body=."


def _advice(name: str, names: Iterable[str]) -> str | None:
    option = _OPTION_PREFIX.sub("", name).removesuffix("_ms")
    if name in _ADVICE:
        return _ADVICE[name]
    if option in GatewayOptions.model_fields:
        return f"Write gateway=GatewayOptions({option}=...)."
    if name in BODY_FIELDS and not _SENSITIVE.search(name):
        return f"Write extra_body={{{name!r}: ...}}."
    spellings = {_spelling(each): ALIASES.get(each, each) for each in names}
    near = get_close_matches(_spelling(name), spellings, n=1, cutoff=_CUTOFF)
    return f"Did you mean {spellings[near[0]]!r}?" if near else None


_FALLBACKS = (
    (re.compile("proxy", re.IGNORECASE), _PROXY),
    (re.compile("header", re.IGNORECASE), "Request headers go in extra_headers=."),
    (re.compile("url|base", re.IGNORECASE), "The address of the API is base_url=, by default Cloudflare's."),
    (re.compile("key|secret|token", re.IGNORECASE), _NO_PROVIDER_KEY),
)


def _spelling(name: str) -> str:
    """A name without what differs between conventions: `maxTokens`, `max-tokens`."""
    return re.sub(r"[_\W]", "", name).lower()


def canonical(name: str, fields: Collection[str]) -> str:
    """An argument under its name here, if that is one of `fields`; else the name itself."""
    target = ALIASES.get(name, name)
    return target if name not in fields and target in fields else name
