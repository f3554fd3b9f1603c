"""Every argument of the classes that users replace has an effect here, or raises what to write instead.

`list_arguments.py` wrote the names in `arguments.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

import httpx
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.utils.function_calling import convert_to_openai_tool
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import ChatMessage
from llama_index.core.output_parsers import PydanticOutputParser
from llama_index.core.prompts import PromptTemplate
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel

from cfaig_integrations import errors
from cfaig_integrations.gateway.migration import ALIASES
from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.llama_index import CloudflareAIGateway

ARGUMENTS = json.loads((Path(__file__).parent / "arguments.json").read_text(encoding="utf-8"))
SECRET = "hush-hush-1"
OPENAI, ANTHROPIC, WORKERS_AI = "openai/gpt-5.4", "anthropic/claude-haiku-4.5", "@cf/zai-org/glm-5.2"
REPLACED_BY: dict[str, tuple[Any, str]] = {
    "ChatOpenAI": (ChatCloudflareAIGateway, OPENAI),
    "ChatAnthropic": (ChatCloudflareAIGateway, ANTHROPIC),
    "ChatCloudflareWorkersAI": (ChatCloudflareAIGateway, WORKERS_AI),
    "OpenAI": (CloudflareAIGateway, OPENAI),
    "OpenAIResponses": (CloudflareAIGateway, OPENAI),
    "OpenAILike": (CloudflareAIGateway, OPENAI),
    "Anthropic": (CloudflareAIGateway, ANTHROPIC),
    "CloudflareAIGateway": (CloudflareAIGateway, OPENAI),
}
MODELS_OF_CALLS = {"chat.completions.create": OPENAI, "responses.create": OPENAI, "messages.create": ANTHROPIC}


class City(BaseModel):
    """A city."""

    name: str


TOOL = convert_to_openai_tool(City)
FUNCTION = TOOL["function"]

REFUSING = httpx.MockTransport(lambda _: httpx.Response(429))
ASYNC_CLIENT = httpx.AsyncClient(transport=REFUSING)

VALUES: dict[str, Any] = {
    "account_id": "acc2",
    "additional_kwargs": {"user": "u"},
    "ai_gateway": "mine",
    "aig_allowed_models": ["@cf/zai-org/glm-5.2"],
    "aig_backoff": "exponential",
    "aig_max_attempts": 3,
    "aig_no_session_affinity": True,
    "aig_request_timeout": 5000,
    "aig_retry_delay": 100,
    "aig_session_id": "s1",
    "aig_turn_id": "t1",
    "anthropic_api_key": SECRET,
    "anthropic_api_url": "http://127.0.0.1:1/client/v4",
    "anthropic_proxy": "http://proxy:3128",
    "api_base": "http://127.0.0.1:1/client/v4",
    "api_key": SECRET,
    "api_token": SECRET,
    "api_version": "2026-01-01",
    "async_client": object(),
    "async_http_client": ASYNC_CLIENT,
    "async_openai_client": object(),
    "audio": {"voice": "alloy", "format": "wav"},
    "audio_config": {"voice": "alloy", "format": "wav"},
    "aws_access_key_id": SECRET,
    "aws_region": "eu-central-1",
    "aws_secret_access_key": SECRET,
    "background": True,
    "base_url": "http://127.0.0.1:1/client/v4",
    "betas": ["files-api-2025-04-14"],
    "billing_policy": "standard",
    "binding": object(),
    "built_in_tools": [{"type": "web_search"}],
    "cache": True,
    "cache_control": {"type": "ephemeral"},
    "cache_idx": 1,
    "call_metadata": {"team": "docs"},
    "callback_manager": CallbackManager(),
    "callbacks": [BaseCallbackHandler()],
    "client": object(),
    "cloudflare_account_id": "acc2",
    "cloudflare_ai_gateway": "mine",
    "cloudflare_api_base": "http://127.0.0.1:1/client/v4",
    "cloudflare_api_token": SECRET,
    "compaction": {"type": "auto"},
    "completion_to_prompt": lambda text: f"Task: {text}",
    "container": "container_1",
    "context_management": [{"type": "compaction", "compact_threshold": 9000}],
    "context_window": 9000,
    "conversation": "conv_1",
    "custom_get_token_ids": lambda text: [1, 2],
    "default_headers": {"x-a": "1"},
    "default_query": {"a": "1"},
    "default_request_timeout": 7.0,
    "diagnostics": {"type": "all"},
    "disable_streaming": True,
    "disabled_params": {"parallel_tool_calls": None},
    "effort": "low",
    "endpoint_format": "openai_compatible",
    "extra_body": {"user": "u"},
    "extra_headers": {"x-a": "1"},
    "extra_query": {"a": "1"},
    "fallback_credit_token": "f1",
    "fallbacks": [{"model": "claude-haiku-4-5"}],
    "frequency_penalty": 0.5,
    "function_call": "auto",
    "functions": [FUNCTION],
    "gateway": "mine",
    "http_async_client": ASYNC_CLIENT,
    "http_client": httpx.Client(transport=REFUSING),
    "http_socket_options": [(1, 2, 3)],
    "include": ["message.output_text.logprobs"],
    "include_response_headers": True,
    "inference_geo": "us",
    "instructions": "Be brief.",
    "is_chat_model": True,
    "is_function_calling_model": False,
    "llms": [object()],
    "logit_bias": {50256: -100},
    "logprobs": True,
    "max_completion_tokens": 9,
    "max_output_tokens": 9,
    "max_retries": 5,
    "max_tokens": 9,
    "max_tokens_to_sample": 9,
    "max_tool_calls": 3,
    "mcp_servers": [{"type": "url", "name": "docs", "url": "https://x.example"}],
    "messages_to_prompt": lambda messages: "A prompt.",
    "metadata": {"team": "docs"},
    "modalities": ["text"],
    "model": "openai/gpt-4.1",
    "model_kwargs": {"user": "u"},
    "model_name": "openai/gpt-4.1",
    "moderation": "auto",
    "n": 2,
    "name": "my model",
    "openai_api_base": "http://127.0.0.1:1/client/v4",
    "openai_api_key": SECRET,
    "openai_client": object(),
    "openai_organization": "org",
    "openai_proxy": "http://proxy:3128",
    "options": {"max_retries": 3},
    "organization": "org",
    "output_config": {"effort": "low"},
    "output_parser": PydanticOutputParser(City),
    "output_version": "v1",
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "Hi"},
    "presence_penalty": 0.5,
    "previous_response_id": "resp_1",
    "profile": {"max_input_tokens": 9000},
    "project_id": "p1",
    "prompt": {"id": "pmpt_1"},
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "pydantic_program_mode": PydanticProgramMode.LLM,
    "query_wrapper_prompt": PromptTemplate("Q: {query_str}"),
    "rate_limiter": InMemoryRateLimiter(requests_per_second=1e9, max_bucket_size=1e9),
    "reasoning": {"effort": "low"},
    "reasoning_effort": "low",
    "reasoning_options": {"effort": "low"},
    "region": "us-east5",
    "reject_if_busy": True,
    "repetition_penalty": 1.1,
    "request_timeout": 7.0,
    "response_format": {"type": "json_object"},
    "reuse_client": False,
    "reuse_last_container": True,
    "root_async_client": object(),
    "root_client": object(),
    "safety_identifier": "u1",
    "seed": 7,
    "service_tier": "flex",
    "session_id": "s1",
    "should_use_structured_outputs": True,
    "speed": "fast",
    "stop": ["END"],
    "stop_sequences": ["END"],
    "store": True,
    "stream": True,
    "stream_chunk_timeout": 7.0,
    "stream_options": {"include_usage": True},
    "stream_usage": False,
    "streaming": True,
    "strict": True,
    "system": "Be brief.",
    "system_prompt": "Be brief.",
    "tags": ["a"],
    "temperature": 0.5,
    "text": {"verbosity": "low"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "thinking_dict": {"type": "enabled", "budget_tokens": 1024},
    "thread": {"id": "t1"},
    "tiktoken_model_name": "gpt-4o",
    "timeout": 7.0,
    "tokenizer": object(),
    "tool_choice": "auto",
    "tools": [TOOL],
    "top_k": 5,
    "top_logprobs": 3,
    "top_p": 0.5,
    "track_previous_responses": True,
    "truncation": "auto",
    "use_previous_response_id": True,
    "use_responses_api": True,
    "user": "u",
    "user_profile_id": "uprof_1",
    "verbose": True,
    "verbosity": "low",
    "web_search_options": {"search_context_size": "low"},
    "workspace_id": "w1",
}
"""A realistic value of each argument."""
ON_ANTHROPIC = {
    "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
    "tool_choice": {"type": "auto"},
}
NEEDED = {
    "top_logprobs": {"logprobs": True},
    "parallel_tool_calls": {"tools": [TOOL]},
    "tool_choice": {"tools": [TOOL]},
}
"""Arguments that another one needs."""
LOCAL = {
    *("cache", "callbacks", "callback_manager", "custom_get_token_ids", "disable_streaming", "metadata", "name"),
    *("output_parser", "output_version", "profile", "pydantic_program_mode", "query_wrapper_prompt", "rate_limiter"),
    *("stream_usage", "streaming", "strict", "tags", "verbose", "context_window", "is_function_calling_model"),
    *("messages_to_prompt", "completion_to_prompt", "system_prompt", "use_previous_response_id"),
    *("account_id", "api_token", "base_url", "http_client", "http_async_client", "timeout"),
    *("stream_idle_timeout", "max_retries"),
}
"""Fields whose effect is not in a request of `invoke` or `chat`; the object has the value."""


class Requests:
    """A model's requests, each of which is refused, so that any argument may be in it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.clients = {
            "http_client": httpx.Client(transport=httpx.MockTransport(self._refuse)),
            "http_async_client": ASYNC_CLIENT,
        }

    def _refuse(self, request: httpx.Request) -> httpx.Response:
        differing = ("cf-aig-event-id", "cf-aig-metadata", "content-length")
        headers = {name: value for name, value in request.headers.items() if name not in differing}
        self.seen.append((request.url.path, json.loads(request.content), headers))
        return httpx.Response(429)

    def send(self, model: Any, /, **arguments: Any) -> None:
        chat = isinstance(model, ChatCloudflareAIGateway)
        method, ask = (model.invoke, "Hi") if chat else (model.chat, [ChatMessage(content="Hi")])
        with pytest.raises(errors.RateLimited):
            method(ask, **arguments)

    def has_effect(self) -> bool:
        """Whether the last two requests differ."""
        *_, one, other = self.seen
        return bool(one != other)


def bad_advice(error: errors.ConfigError, name: str) -> str | None:
    """What is wrong with an error about an argument: its fix must be more than a guess by the name."""
    generic = not error.remedy or "Further body fields" in error.remedy or "Did you mean" in error.remedy
    if generic or SECRET in str(error) or error.field not in (name, ALIASES.get(name, name)):
        return str(error)
    return None


def value_of(name: str, model: str) -> Any:
    return ON_ANTHROPIC[name] if name in ON_ANTHROPIC and model == ANTHROPIC else VALUES[name]


def fault_of_constructor_argument(kind: Any, model_id: str, name: str) -> str | None:
    """None if an argument has an effect, or raises what to write instead."""
    requests, value, canonical = Requests(), value_of(name, model_id), ALIASES.get(name, name)
    usual = {"model": model_id, "account_id": "acc", "api_token": "tok", "max_retries": 0} | requests.clients
    usual = {field: each for field, each in usual.items() if field != canonical} | NEEDED.get(name, {})
    try:
        model = kind(**usual, **{name: value})
        if canonical in LOCAL:
            kept = getattr(model, canonical)
            kept = kept.get_secret_value() if canonical == "api_token" else kept
            return None if kept == value else f"the value is {kept!r}"
        requests.send(model)
    except errors.ConfigError as error:
        return bad_advice(error, name)
    requests.send(kind(**{"model": model_id, **usual}))
    return None if requests.has_effect() else "no effect"


@pytest.mark.parametrize("replaced", ARGUMENTS["constructors"])
def test_an_argument_of_a_constructor_has_an_effect_or_advice(replaced: str) -> None:
    kind, model_id = REPLACED_BY[replaced]
    faults = {name: fault_of_constructor_argument(kind, model_id, name) for name in ARGUMENTS["constructors"][replaced]}
    assert {name: fault for name, fault in faults.items() if fault is not None} == {}


def fault_of_call_argument(kind: Any, model_id: str, name: str) -> str | None:
    """None if an argument has an effect, or raises what to write instead before anything is sent."""
    requests, needed = Requests(), NEEDED.get(name, {})
    model = kind(model=model_id, account_id="acc", api_token="tok", max_retries=0, **requests.clients)
    try:
        requests.send(model, **{**needed, name: value_of(name, model_id)})
    except errors.ConfigError as error:
        return "sent" if requests.seen else bad_advice(error, name)
    requests.send(model, **needed)
    return None if requests.has_effect() or name == "timeout" else "no effect"


@pytest.mark.parametrize("kind", [ChatCloudflareAIGateway, CloudflareAIGateway])
@pytest.mark.parametrize("function", MODELS_OF_CALLS)
def test_an_argument_of_a_call_has_an_effect_or_advice(kind: Any, function: str) -> None:
    # LangChain itself has `input` and `config["metadata"]`, and refuses the argument `metadata`.
    others = {"messages", "input", *({"metadata"} if kind is ChatCloudflareAIGateway else ())}
    names = [name for name in ARGUMENTS["functions"][function] if name not in others]
    faults = {name: fault_of_call_argument(kind, MODELS_OF_CALLS[function], name) for name in names}
    assert {name: fault for name, fault in faults.items() if fault is not None} == {}


METHODS = {name: names for name, names in ARGUMENTS["functions"].items() if name not in MODELS_OF_CALLS}


@pytest.mark.parametrize("function", METHODS)
def test_arguments_of_methods_are_taken(function: str) -> None:
    method = function.partition(".")[2]
    first: dict[str, Any] = {"tools": [TOOL]} if method == "bind_tools" else {"schema": City}
    for name in {*METHODS[function]} - {*first}:
        requests = Requests()
        model = ChatCloudflareAIGateway(OPENAI, account_id="acc", api_token="tok", max_retries=0, **requests.clients)
        value = {"include_raw": True, "method": "function_calling"}.get(name) or VALUES[name]
        for arguments in ({name: value}, {}):
            runnable: Any = getattr(model, method)(**first, **arguments)
            with pytest.raises(errors.RateLimited):
                runnable.invoke("Hi")
        assert requests.has_effect() or name == "include_raw", name
