"""Arguments of other packages: each runs here, or raises a message that contains what to write instead."""

from __future__ import annotations

from typing import Any, TypeAlias

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

import httpx

from cfaig_integrations import GatewayOptions, errors
from cfaig_integrations.adapters.arguments import split_arguments
from cfaig_integrations.langchain import (
    ChatCloudflareAIGateway,
    CloudflareAIGatewayEmbeddings,
    CloudflareAIGatewayLLM,
    CloudflareAIGatewayReranker,
)
from cfaig_integrations.llama_index import CloudflareAIGateway, CloudflareAIGatewayEmbedding, CloudflareAIGatewayRerank
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.models import METHODS, send

SECRET = "hush-hush-1"
CHAT = (ChatCloudflareAIGateway, CloudflareAIGateway)
EMBED = (CloudflareAIGatewayEmbeddings, CloudflareAIGatewayEmbedding)
EVERY: tuple[type[Any], ...] = (
    *CHAT,
    *EMBED,
    CloudflareAIGatewayLLM,
    CloudflareAIGatewayReranker,
    CloudflareAIGatewayRerank,
)
Kind: TypeAlias = type[ChatCloudflareAIGateway] | type[CloudflareAIGateway]
every_chat_class = pytest.mark.parametrize("kind", CHAT)


def model_for(kind: type[Any]) -> str:
    return "openai/gpt-4.1" if kind in (*CHAT, CloudflareAIGatewayLLM) else "@cf/baai/bge-m3"


def made(kind: type[Any], **arguments: Any) -> Any:
    return kind(**{"model": model_for(kind), "account_id": "acc", "api_token": "tok", **arguments})


RENAMED: dict[str, tuple[Any, str, Any]] = {
    "additional_kwargs": ({"user": "u"}, "extra_body", {"user": "u"}),
    "ai_gateway": ("mine", "gateway_id", "mine"),
    "aig_metadata": ({"team": "docs"}, "gateway_metadata", {"team": "docs"}),
    "default_headers": ({"x-a": "1"}, "extra_headers", {"x-a": "1"}),
    "default_request_timeout": (5, "timeout", 5),
    "effort": ("low", "reasoning_effort", "low"),
    "gateway_options": (GatewayOptions(cache_ttl=60), "gateway", GatewayOptions(cache_ttl=60)),
    "max_completion_tokens": (9, "max_tokens", 9),
    "max_tokens_to_sample": (9, "max_tokens", 9),
    "model_kwargs": ({"user": "u"}, "extra_body", {"user": "u"}),
    "reasoning_options": ({"effort": "low"}, "reasoning", {"effort": "low"}),
    "request_timeout": (5, "timeout", 5),
    "stop_sequences": (["x"], "stop", ["x"]),
    "stop": ("x", "stop", ["x"]),
    "stream_chunk_timeout": (7, "stream_idle_timeout", 7),
    "thinking_dict": ({"type": "adaptive"}, "thinking", {"type": "adaptive"}),
}


@every_chat_class
@pytest.mark.parametrize("name", RENAMED)
def test_an_argument_with_another_name_is_taken(kind: Kind, name: str) -> None:
    value, field, expected = RENAMED[name]
    assert getattr(made(kind, **{name: value}), field) == expected


@every_chat_class
@pytest.mark.parametrize("name", ["api_base", "openai_api_base", "anthropic_api_url", "cloudflare_api_base"])
def test_an_address_with_another_name_is_taken(kind: Kind, simulator: Simulator, name: str) -> None:
    arguments = where(simulator)
    url = f"{arguments.pop('base_url')}/accounts/{arguments.pop('account_id')}/ai/v1"
    model = kind(**{"model": "openai/gpt-4.1", name: url, **arguments})
    assert (model.invoke("Hi") if isinstance(model, ChatCloudflareAIGateway) else model.complete("Hi")).text


@pytest.mark.parametrize("kind", EVERY)
def test_accounts_tokens_and_clients_with_other_names_are_taken(kind: type[Any]) -> None:
    client = httpx.AsyncClient()
    model = kind(
        model=model_for(kind), cloudflare_account_id="acc", cloudflare_api_token=SECRET, async_http_client=client
    )
    assert (model.account_id, model.http_async_client) == ("acc", client)
    assert model.api_token.get_secret_value() == SECRET


@pytest.mark.parametrize("kind", EVERY)
def test_the_model_may_be_positional(kind: type[Any]) -> None:
    name = model_for(kind)
    assert kind(name, account_id="acc", api_token="tok").model == name
    with pytest.raises(errors.ConfigError, match=rf"{kind.__name__} takes one positional argument"):
        kind(name, 0.5, account_id="acc", api_token="tok")
    with pytest.raises(errors.ConfigError, match="twice"):
        kind(name, model=name, account_id="acc", api_token="tok")


ADVICE: dict[str, str] = {
    "aig_allowed_models": "gateway=GatewayOptions(allowed_models=...)",
    "aig_backoff": "gateway=GatewayOptions(backoff=...)",
    "aig_cache_ttl": "gateway=GatewayOptions(cache_ttl=...)",
    "aig_max_attempts": "gateway=GatewayOptions(max_attempts=...)",
    "aig_no_session_affinity": "gateway=GatewayOptions(no_session_affinity=True)",
    "aig_request_timeout": "gateway=GatewayOptions(request_timeout=...)",
    "aig_retry_delay": "gateway=GatewayOptions(retry_delay=...)",
    "aig_session_id": "gateway=GatewayOptions(session_id=...)",
    "aig_skip_cache": "gateway=GatewayOptions(skip_cache=...)",
    "aig_turn_id": "gateway=GatewayOptions(turn_id=...)",
    "anthropic_api_key": "bills or holds the provider's key",
    "audio_config": "extra_body={'audio': ...}",
    "binding": "Python Workers",
    "built_in_tools": "llm.chat(..., tools=[...])",
    "cache_idx": "CachePoint",
    "cache_ttl": "gateway=GatewayOptions(cache_ttl=...)",
    "call_metadata": "gateway_metadata=",
    "client": "http_client=httpx.Client(...)",
    "default_query": "takes no query parameters",
    "disabled_params": "omitted",
    "endpoint_format": 'api="chat_completions"',
    "function_call": "tool_choice=",
    "functions": "bind_tools",
    "http_socket_options": "http_client=",
    "include_response_headers": "gateway_info(message)",
    "instructions": "extra_body={'instructions': ...}",
    "is_chat_model": "Leave it out",
    "llms": 'model="dynamic/<route>"',
    "modalities": "extra_body={'modalities': ...}",
    "openai_api_key": "bills or holds the provider's key",
    "openai_client": "http_client=",
    "openai_organization": "no meaning here",
    "openai_proxy": "http_client=httpx.Client(proxy=...)",
    "options": "gateway=GatewayOptions(...)",
    "organization": "no meaning here",
    "region": "no meaning here",
    "reject_if_busy": "gateway=GatewayOptions(reject_if_busy=...)",
    "repetition_penalty": "extra_body={'repetition_penalty': ...}",
    "request_timeout_ms": "gateway=GatewayOptions(request_timeout=...)",
    "reuse_client": "leave it out",
    "session_id": "session_affinity=",
    "skip_cache": "gateway=GatewayOptions(skip_cache=...)",
    "tiktoken_model_name": "custom_get_token_ids=",
    "track_previous_responses": "previous_response_id=",
    "use_responses_api": 'api="responses"',
    "user": "extra_body={'user': ...}",
    # misspelt
    "acount_id": "'account_id'",
    "maxTokens": "'max_tokens'",
    "max_token": "'max_tokens'",
    "temprature": "'temperature'",
    "topP": "'top_p'",
    # not in any table
    "some_proxy_setting": "http_client=",
    "azure_openai_key": "api_token=",
    "vendor_base_uri": "base_url=",
    "vendor_headers": "extra_headers=",
}


@every_chat_class
@pytest.mark.parametrize("name", ADVICE)
def test_an_argument_that_is_not_taken_says_what_to_write(kind: Kind, name: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        made(kind, **{name: SECRET})
    assert caught.value.field == name
    assert ADVICE[name] in str(caught.value)
    assert SECRET not in f"{caught.value!r} {caught.value.__dict__}"
    assert len(str(caught.value)) < 330


SENSITIVE = ["my_api_key", "azure_ad_token", "client_secret", "proxy_url", "service_base", "x_header", "bearer_token"]


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("name", SENSITIVE)
def test_nothing_that_may_hold_a_secret_is_sent_to_the_body(kind: type[Any], name: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        made(kind, **{name: SECRET})
    assert "extra_body" not in str(caught.value)
    assert SECRET not in f"{caught.value!r} {caught.value.__dict__}"


@every_chat_class
def test_a_gateway_that_is_a_name_says_what_to_write(kind: Kind) -> None:
    with pytest.raises(errors.ConfigError, match=r"gateway_id='\.\.\.'"):
        made(kind, gateway="mine")


@pytest.mark.parametrize("version", ["responses/v1", "v3"])
def test_the_output_version_of_another_package_is_refused(version: str) -> None:
    with pytest.raises(errors.ConfigError, match='output_version="v1"'):
        made(ChatCloudflareAIGateway, output_version=version)
    model = made(ChatCloudflareAIGateway, output_version="v1")
    with pytest.raises(errors.ConfigError, match='output_version="v1"'):
        model.output_version = version
    assert model.output_version == "v1"


# Calls


def at(simulator: Simulator, kind: Kind) -> Any:
    return kind(model="openai/gpt-4.1", **where(simulator))


CALLS: dict[str, str] = {
    "temprature": "'temperature'",
    "temperatur": "'temperature'",
    "maxTokens": "'max_tokens'",
    "max_token": "'max_tokens'",
    "top_pp": "'top_p'",
    "reasoning_efort": "'reasoning_effort'",
    "tool_choise": "'tool_choice'",
    "gateway_metdata": "'gateway_metadata'",
    "verbosty": "'verbosity'",
    "skip_cache": "gateway=GatewayOptions(skip_cache=...)",
    "aig_cache_ttl": "gateway=GatewayOptions(cache_ttl=...)",
    "openai_api_key": "holds the provider's key",
    "my_token": "holds the provider's key",
    "gateway_id": "gateway_options={'gateway_id': ...}",
    "ai_gateway": "gateway_options={'gateway_id': ...}",
    "max_retries": "model_copy(update={'max_retries': ...})",
    "base_url": "model_copy(update={'base_url': ...})",
    "functions": "bind_tools",
    "extra_query": "takes no query parameters",
}


@every_chat_class
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("method", METHODS[:2])
async def test_an_argument_of_a_call_that_is_not_taken_says_what_to_write(
    simulator: Simulator, kind: Kind, name: str, method: str
) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        await send(at(simulator, kind), method, **{name: SECRET})
    assert CALLS[name] in str(caught.value)
    assert SECRET not in str(caught.value)
    assert not simulator.requests


@every_chat_class
@pytest.mark.parametrize("method", METHODS[2:])
async def test_a_misspelt_argument_of_an_async_call_is_not_sent(simulator: Simulator, kind: Kind, method: str) -> None:
    with pytest.raises(errors.ConfigError, match="'temperature'"):
        await send(at(simulator, kind), method, temprature=0)
    assert not simulator.requests


@every_chat_class
async def test_a_field_of_the_official_types_is_sent(simulator: Simulator, kind: Kind) -> None:
    await send(at(simulator, kind), user="u")
    assert simulator.requests[-1].body["user"] == "u"


@pytest.mark.parametrize("name", ["min_tokens", "max_thinking_tokens", "repetition_penalty", "unheard_of"])
def test_what_may_be_a_models_new_field_goes_to_the_body(name: str) -> None:
    assert split_arguments({name: 1}).extra_body == {name: 1}


@every_chat_class
@pytest.mark.parametrize(
    ("name", "field"), [("max_completion_tokens", "max_completion_tokens"), ("effort", "reasoning_effort")]
)
async def test_an_argument_of_a_call_with_another_name_is_taken(
    simulator: Simulator, kind: Kind, name: str, field: str
) -> None:
    value: Any = 9 if "tokens" in name else "low"
    await send(at(simulator, kind), **{name: value})
    assert simulator.requests[-1].body[field] == value


@every_chat_class
async def test_headers_of_a_call_with_another_name_are_taken(simulator: Simulator, kind: Kind) -> None:
    await send(at(simulator, kind), default_headers={"x-a": "1"})
    assert simulator.requests[-1].headers["x-a"] == "1"


def test_a_third_party_embedding_model_is_not_on_the_rest_api(simulator: Simulator) -> None:
    model = CloudflareAIGatewayEmbeddings(model="openai/text-embedding-3-small", **where(simulator))
    with pytest.raises(errors.NotFound, match=r"@cf/baai/bge-m3.*legacy host.*/compat"):
        model.embed_query("Hello")
    llama_index = CloudflareAIGatewayEmbedding("openai/text-embedding-3-small", **where(simulator))
    with pytest.raises(errors.NotFound, match="@cf/baai/bge-m3"):
        llama_index.get_query_embedding("Hello")
