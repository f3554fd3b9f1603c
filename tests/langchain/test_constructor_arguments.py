"""Every constructor argument does something, on any event loop, and no two models share a cache entry."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import UUID

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.load import dumpd, load

from cfaig_integrations import GatewayOptions, errors
from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.langchain.call_methods import CALL_METHODS, every_way, every_wire, summed, weather
from tests.langchain.conftest import MODELS, Make, where

THINKING = {"type": "enabled", "budget_tokens": 1024}
ARGUMENTS: dict[str, tuple[str, Any]] = {
    "model": ("chat_completions", "openai/gpt-4.1-mini"),
    "api": ("chat_completions", "responses"),
    "temperature": ("chat_completions", 0.5),
    "max_tokens": ("chat_completions", 50),
    "top_p": ("chat_completions", 0.9),
    "top_k": ("messages", 4),
    "stop": ("chat_completions", ["x"]),
    "seed": ("chat_completions", 3),
    "frequency_penalty": ("chat_completions", 0.1),
    "presence_penalty": ("chat_completions", 0.2),
    "n": ("chat_completions", 2),
    "logprobs": ("chat_completions", True),
    "top_logprobs": ("responses", 2),
    "reasoning_effort": ("responses", "low"),
    "reasoning": ("responses", {"summary": "auto"}),
    "thinking": ("messages", THINKING),
    "service_tier": ("responses", "flex"),
    "store": ("responses", False),
    "verbosity": ("chat_completions", "low"),
    "logit_bias": ("chat_completions", {50256: -100}),
    "prompt_cache_key": ("responses", "tenant-7"),
    "prompt_cache_retention": ("responses", "24h"),
    "prompt_cache_options": ("responses", {"mode": "explicit"}),
    "include": ("responses", ["reasoning.encrypted_content"]),
    "truncation": ("responses", "auto"),
    "context_management": ("responses", [{"type": "compaction", "compact_threshold": 9000}]),
    "output_config": ("messages", {"effort": "low"}),
    "mcp_servers": ("messages", [{"type": "url", "name": "docs", "url": "https://x.example"}]),
    "container": ("messages", "container_1"),
    "inference_geo": ("messages", "us"),
    "betas": ("messages", ["beta-1"]),
    "extra_body": ("chat_completions", {"user": "u"}),
    "streaming": ("chat_completions", True),
    "account_id": ("chat_completions", "f" * 32),
    "api_token": ("chat_completions", "another-token"),
    "gateway_id": ("chat_completions", "another"),
    "base_url": ("chat_completions", "the legacy host"),
    "gateway": ("chat_completions", GatewayOptions(cache_ttl=60)),
    "gateway_metadata": ("chat_completions", {"team": "docs"}),
    "run_metadata": ("chat_completions", False),
    "metadata_keys": ("chat_completions", ["run_id"]),
    "metadata_mapper": ("chat_completions", lambda run: {"who": run.framework}),
    "extra_headers": ("chat_completions", {"x-a": "1"}),
    "session_affinity": ("run", "conversation-1"),
}
"""Word: a wire that has a place for it, and a value. Each changes what is sent."""
BEHAVIOUR = frozenset(
    {
        *("stream_usage", "timeout", "stream_idle_timeout", "max_retries", "http_client", "http_async_client"),
        *("use_previous_response_id", "retry_after_send"),
    }
)
"""Words that change something else, each with a test of its own below."""
RUN = UUID(int=1)


def test_every_constructor_argument_is_tested() -> None:
    """langchainjs#2960."""
    fields = ChatCloudflareAIGateway.model_fields.keys() - BaseChatModel.model_fields.keys()
    assert fields == ARGUMENTS.keys() | BEHAVIOUR


def sent_by(simulator: Simulator, arguments: dict[str, Any]) -> tuple[Any, ...]:
    simulator.reset()
    simulator.gateway("another")
    model = ChatCloudflareAIGateway(**{**where(simulator), **arguments})
    with suppress(errors.AuthError, errors.NotFound):  # another token, another account
        model.invoke("Hi", {"run_id": RUN})
    request = simulator.requests[-1]
    headers = {
        name: value for name, value in request.headers.items() if name not in {"content-length", "cf-aig-event-id"}
    }
    return request.path, headers, request.body


@pytest.mark.parametrize("word", ARGUMENTS)
def test_every_constructor_argument_changes_the_request(simulator: Simulator, word: str) -> None:
    api, value = ARGUMENTS[word]
    if word == "base_url":
        value = simulator.legacy_url
    common = {"model": MODELS[api] if api in {"messages", "run"} else "openai/gpt-4.1", "api": api}
    before, again = sent_by(simulator, common), sent_by(simulator, common)
    assert before == again
    assert sent_by(simulator, {**common, word: value}) != before


def test_stream_usage_is_requested_or_not(make: Make, simulator: Simulator) -> None:
    for enabled in (True, False):
        list(make(api="chat_completions", stream_usage=enabled).stream("Hi"))
        assert ("stream_options" in simulator.requests[-1].body) is enabled


def test_retries_are_counted(make: Make, simulator: Simulator) -> None:
    for most in (0, 1):
        simulator.reset()
        simulator.fault("close_before_response", times=None)
        with pytest.raises(errors.ConnectFault):
            make(max_retries=most, retry_after_send=True).invoke("Hi")
        assert len(simulator.requests) == 1 + most


def test_a_request_that_may_be_billed_is_sent_once(make: Make, simulator: Simulator) -> None:
    simulator.fault("close_before_response", times=None)
    with pytest.raises(errors.ConnectFault, match="retry_after_send") as caught:
        make().invoke("Hi")
    assert len(simulator.requests) == 1
    assert (caught.value.maybe_billed, caught.value.is_retryable) == (True, True)
    assert not caught.value.retryable


@pytest.mark.parametrize("timeout", [0.05, (5, 0.05), httpx.Timeout(5, read=0.05)], ids=str)
@pytest.mark.parametrize("call_method", ["invoke", "ainvoke"])
async def test_timeouts_raise(make: Make, simulator: Simulator, timeout: Any, call_method: str) -> None:
    simulator.fault("slow_first_byte", seconds=30, times=None)
    with pytest.raises(errors.TimeoutFault):
        await CALL_METHODS[call_method](make(timeout=timeout, max_retries=0), "Hi")


@pytest.mark.parametrize("call_method", ["stream", "astream"])
async def test_an_idle_stream_ends(make: Make, simulator: Simulator, call_method: str) -> None:
    simulator.reply("one two three four five")
    simulator.fault("stall", seconds=30)
    with pytest.raises(errors.TimeoutFault):
        await CALL_METHODS[call_method](make(api="chat_completions", stream_idle_timeout=0.05, max_retries=0), "Hi")


@every_way
async def test_your_own_clients_are_used(make: Make, simulator: Simulator, call_method: str) -> None:
    headers = {"x-mine": "yes"}
    with httpx.Client(headers=headers) as client:
        async with httpx.AsyncClient(headers=headers) as aclient:
            await CALL_METHODS[call_method](make(http_client=client, http_async_client=aclient), "Hi")
    assert simulator.requests[-1].headers["x-mine"] == "yes"


TOKEN_LIMIT_PARAMETERS = {"max_tokens", "max_completion_tokens", "max_output_tokens"}
PARAMETER = {
    ("openai/gpt-5.4", "chat_completions"): "max_completion_tokens",
    ("openai/gpt-4.1", "chat_completions"): "max_completion_tokens",
    ("openai/a-model-of-next-year", "chat_completions"): "max_completion_tokens",
    ("anthropic/claude-haiku-4.5", "chat_completions"): "max_tokens",
    ("google/gemini-3-flash", "chat_completions"): "max_tokens",
    ("xai/grok-4.6", "chat_completions"): "max_tokens",
    ("@cf/zai-org/glm-5.2", "chat_completions"): "max_tokens",
    ("@cf/openai/gpt-oss-120b", "chat_completions"): "max_tokens",
    ("workers-ai/@cf/zai-org/glm-5.2", "chat_completions"): "max_tokens",
    ("dynamic/route", "chat_completions"): "max_tokens",
    ("openai/gpt-5.4", "responses"): "max_output_tokens",
    ("anthropic/claude-haiku-4.5", "messages"): "max_tokens",
}


@pytest.mark.parametrize(("model", "api"), PARAMETER)
@pytest.mark.parametrize("word", sorted(TOKEN_LIMIT_PARAMETERS))
@pytest.mark.parametrize("how", ["constructor", "call", "bind"])
def test_the_token_limit_parameter_fits_the_model(
    make: Make, simulator: Simulator, model: str, api: str, word: str, how: str
) -> None:
    """vercel/ai#11828, activepieces PR #11664, opencode PR #7970."""
    match how:
        case "constructor":
            make(model=model, api=api, **{word: 40}).invoke("Hi")
        case "call":
            make(model=model, api=api).invoke("Hi", **{word: 40})  # type: ignore[arg-type]
        case _:
            make(model=model, api=api).bind(**{word: 40}).invoke("Hi")
    body = simulator.requests[-1].body
    assert {name: body[name] for name in TOKEN_LIMIT_PARAMETERS & body.keys()} == {PARAMETER[model, api]: 40}


def test_the_token_limit_parameter_is_the_same_on_the_legacy_host(simulator: Simulator) -> None:
    arguments = {**where(simulator), "base_url": simulator.legacy_url, "max_tokens": 40}
    for model, word in (("openai/gpt-5.4", "max_completion_tokens"), ("@cf/zai-org/glm-5.2", "max_tokens")):
        ChatCloudflareAIGateway(model=model, **arguments).invoke("Hi")
        body = simulator.requests[-1].body
        assert {name: body[name] for name in TOKEN_LIMIT_PARAMETERS & body.keys()} == {word: 40}


@every_wire
def test_one_model_on_many_event_loops(make: Make, simulator: Simulator, api: str) -> None:
    """bytedance/deer-flow#2615, conductor#1563."""
    model = make(api=api)

    async def work() -> list[str]:
        whole = await asyncio.gather(*(model.ainvoke("Hi") for _ in range(3)))
        streamed = summed([chunk async for chunk in model.astream("Hi")])
        return [answer.text for answer in (*whole, streamed)]

    assert all(asyncio.run(work()))
    assert all(asyncio.run(work()))
    with ThreadPoolExecutor(3) as pool:
        assert all(all(texts) for texts in pool.map(lambda _: asyncio.run(work()), range(3)))
    assert len(simulator.requests) == 20
    assert simulator.in_flight == 0


SHAPING = ARGUMENTS.keys() - {
    *("streaming", "api_token", "extra_headers", "session_affinity"),  # another road to the same answer
    *("run_metadata", "metadata_keys", "metadata_mapper"),  # names of runs, which differ from call to call
}


@pytest.mark.parametrize("word", sorted(SHAPING))
def test_models_that_answer_differently_share_no_cache_entry(simulator: Simulator, word: str) -> None:
    """langchain#14590, #19328, PR #6396."""
    api, value = ARGUMENTS[word]
    simulator.gateway("another")
    common = {**where(simulator), "model": MODELS[api]}
    common |= {"api": api, "cache": InMemoryCache()}
    ChatCloudflareAIGateway(**common).invoke("Hi")
    ChatCloudflareAIGateway(**common).invoke("Hi")
    assert len(simulator.requests) == 1
    other = {**common, word: simulator.legacy_url if word == "base_url" else value}
    if word == "account_id":
        with pytest.raises(errors.NotFound):
            ChatCloudflareAIGateway(**other).invoke("Hi")
    else:
        ChatCloudflareAIGateway(**other).invoke("Hi")
    assert len(simulator.requests) == 2


@pytest.mark.parametrize(
    "arguments",
    [{"temperature": 0.5}, {"model": "openai/gpt-4.1-mini"}, {"stop": ["x"]}, {"tools": [weather]}, {"user": "u"}],
    ids=lambda arguments: next(iter(arguments)),
)
def test_calls_that_answer_differently_share_no_cache_entry(
    make: Make, simulator: Simulator, arguments: dict[str, Any]
) -> None:
    model = make(api="chat_completions", cache=InMemoryCache())
    for value in ({}, arguments, arguments):
        model.invoke("Hi", **value)
    assert len(simulator.requests) == 2


def test_a_model_can_be_saved_and_loaded(make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(temperature=0.5, gateway=GatewayOptions(cache_ttl=60), gateway_metadata={"team": "docs"})
    saved = json.loads(json.dumps(dumpd(model)))
    assert simulator.api_token not in json.dumps(saved)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", simulator.api_token)
    again = load(
        saved,
        allowed_objects=[ChatCloudflareAIGateway],
        valid_namespaces=["cfaig_integrations"],
        secrets_from_env=True,
    )
    assert again._get_llm_string() == model._get_llm_string()
    assert again.invoke("Hi").content
