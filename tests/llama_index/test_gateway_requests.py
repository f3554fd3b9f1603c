"""The gateway is spoken to in full, from everywhere, and no more than needed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from importlib import import_module
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.chat_engine.types import ChatMode
from llama_index.core.instrumentation.dispatcher import instrument_tags
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import NodeWithScore, TextNode
from pydantic import BaseModel

from cfaig_integrations import ConnectFault, GatewayError, GatewayOptions, ServerFault, gateway_context
from cfaig_integrations.adapters.fields import ChatFields, EmbedFields, GatewayFields
from cfaig_integrations.llama_index import (
    CloudflareAIGateway,
    CloudflareAIGatewayEmbedding,
    CloudflareAIGatewayRerank,
)
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.llama_index.call_methods import (
    EMBEDDER,
    METHODS,
    MODELS,
    WEATHER,
    Make,
    answer,
    begun,
    every_method,
    every_wire,
    read,
)

TEXTS = ("Paris is the capital of France.", "Rome is the capital of Italy.")
ASK = "What is the capital of France?"


class Program:
    """An index, and every kind of program that asks it."""

    def __init__(self, llm: CloudflareAIGateway, embed_model: CloudflareAIGatewayEmbedding) -> None:
        self.llm, self.embed_model = llm, embed_model
        self.index = VectorStoreIndex([TextNode(text=text) for text in TEXTS], embed_model=embed_model)

    async def run(self, kind: str) -> None:
        match kind:
            case "query":
                self.index.as_query_engine(llm=self.llm).query(ASK)
            case "aquery":
                await self.index.as_query_engine(llm=self.llm).aquery(ASK)
            case "streamed":
                response: Any = self.index.as_query_engine(llm=self.llm, streaming=True).query(ASK)
                assert list(response.response_gen)
            case "astreamed":
                response = await self.index.as_query_engine(llm=self.llm, streaming=True).aquery(ASK)
                assert [piece async for piece in response.async_response_gen()]
            case "chat engine":
                assert self.index.as_chat_engine(ChatMode.CONTEXT, llm=self.llm).chat(ASK)
            case "chat engine, streamed":
                engine = self.index.as_chat_engine(ChatMode.CONTEXT, llm=self.llm)
                assert list(engine.stream_chat(ASK).response_gen)
            case "agent":
                await FunctionAgent(tools=[WEATHER], llm=self.llm).run(ASK)


PROGRAMS = ("query", "aquery", "streamed", "astreamed", "chat engine", "chat engine, streamed", "agent")


@pytest.mark.parametrize("kind", PROGRAMS)
@pytest.mark.parametrize("how", ["context", "bound"])
async def test_options_reach_the_calls_inside_an_engine(make: Make, simulator: Simulator, kind: str, how: str) -> None:
    """run-llama#9055."""
    embed_model = CloudflareAIGatewayEmbedding(model=EMBEDDER, **where(simulator))
    content: dict[str, Any] = {"metadata": {"tenant": "acme"}, "options": {"cache_ttl": 300}}
    if how == "bound":
        program = Program(make().with_gateway(**content), embed_model.with_gateway(**content))
        simulator.reset()
        await program.run(kind)
    else:
        program = Program(make(), embed_model)
        simulator.reset()
        with gateway_context(**content):
            await program.run(kind)
    assert len(simulator.requests) == (1 if kind == "agent" else 2)
    for request in simulator.requests:
        assert request.headers["cf-aig-cache-ttl"] == "300"
        assert json.loads(request.headers["cf-aig-metadata"])["tenant"] == "acme"


@every_wire
@every_method
async def test_options_of_one_call_do_not_affect_the_next(
    make: Make, simulator: Simulator, api: str, method: str
) -> None:
    llm = make(api=api, gateway=GatewayOptions(cache_ttl=60))
    content: dict[str, Any] = {"gateway": {"cache_key": "k"}, "gateway_metadata": {"tenant": "acme"}}
    await answer(llm, method, **content, extra_headers={"x-own": "1"})
    await answer(llm, method)
    first, second = (request.headers for request in simulator.requests)
    names = ("cf-aig-cache-ttl", "cf-aig-cache-key", "x-own")
    assert [first.get(name) for name in names] == ["60", "k", "1"]
    assert [second.get(name) for name in names] == ["60", None, None]
    assert json.loads(first["cf-aig-metadata"])["tenant"] == "acme"
    assert "tenant" not in second.get("cf-aig-metadata", "")


class City(BaseModel):
    """A city."""

    name: str


def test_options_reach_a_structured_answer(make: Make, simulator: Simulator) -> None:
    simulator.reply('{"name": "Paris"}')
    arguments: dict[str, Any] = {"gateway": {"cache_key": "k"}, "gateway_metadata": {"tenant": "acme"}}
    assert make().structured_predict(City, PromptTemplate("Name a city."), llm_kwargs=arguments) == City(name="Paris")
    headers = simulator.requests[-1].headers
    assert headers["cf-aig-cache-key"] == "k"
    assert json.loads(headers["cf-aig-metadata"])["tenant"] == "acme"


OPTIONS: dict[str, tuple[Any, str, str]] = {
    "skip_cache": (True, "cf-aig-skip-cache", "true"),
    "cache_ttl": (300, "cf-aig-cache-ttl", "300"),
    "cache_key": ("k", "cf-aig-cache-key", "k"),
    "collect_log": (True, "cf-aig-collect-log", "true"),
    "collect_log_payload": (False, "cf-aig-collect-log-payload", "false"),
    "request_timeout": (9000, "cf-aig-request-timeout", "9000"),
    "max_attempts": (2, "cf-aig-max-attempts", "2"),
    "retry_delay": (100, "cf-aig-retry-delay", "100"),
    "backoff": ("linear", "cf-aig-backoff", "linear"),
    "zdr": (True, "cf-aig-zdr", "true"),
    "no_wholesale": (False, "cf-aig-no-wholesale", "false"),
    "custom_cost": ({"total_cost": 0.5}, "cf-aig-custom-cost", '{"total_cost":0.5}'),
    "event_id": ("e1", "cf-aig-event-id", "e1"),
    "otel_trace_id": ("a" * 32, "cf-aig-otel-trace-id", "a" * 32),
    "otel_parent_span_id": ("b" * 16, "cf-aig-otel-parent-span-id", "b" * 16),
}
"""Option: a value, its header, and what the header then says (facts §3.1)."""
NODES = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]
EntryPoint = Callable[[dict[str, Any]], Coroutine[Any, Any, Any]]


def chat_entry_points(api: Any, method: str) -> EntryPoint:
    async def ask(arguments: dict[str, Any]) -> Any:
        return await answer(CloudflareAIGateway(model=MODELS[api], api=api, **arguments), method)

    return ask


def embed_entry_points(api: Any, method: str) -> EntryPoint:
    async def ask(arguments: dict[str, Any]) -> Any:
        model = CloudflareAIGatewayEmbedding(model=EMBEDDER, api=api, **arguments)
        original: Any = list(TEXTS) if method.endswith("batch") else TEXTS[0]
        actual = getattr(model, method)(original)
        return await actual if method.startswith("a") else actual

    return ask


async def rank(arguments: dict[str, Any]) -> Any:
    return CloudflareAIGatewayRerank(**arguments).postprocess_nodes(NODES, query_str=ASK)


async def arank(arguments: dict[str, Any]) -> Any:
    return await CloudflareAIGatewayRerank(**arguments).apostprocess_nodes(NODES, query_str=ASK)


EMBEDS = [f"{form}{kind}" for form in ("", "a") for kind in ("get_query_embedding", "get_text_embedding_batch")]
ENTRY_POINTS: dict[str, EntryPoint] = {
    **{f"{api} {method}": chat_entry_points(api, method) for api in MODELS for method in METHODS},
    **{f"{api} {method}": embed_entry_points(api, method) for api in ("run", "embeddings") for method in EMBEDS},
    "rerank": rank,
    "arank": arank,
}
"""Everything by which a LlamaIndex program reaches the gateway."""

every_door = pytest.mark.parametrize("door", ENTRY_POINTS)


@every_door
async def test_every_header_reaches_every_endpoint(simulator: Simulator, door: str) -> None:
    """run-llama#9082, #12505."""
    options = GatewayOptions(**{name: value for name, (value, _, _) in OPTIONS.items()})
    original = {"team": "docs", "tier": 2, "trial": False}
    arguments = {
        "gateway": options,
        "gateway_metadata": original,
        "extra_headers": {"x-own": "1"},
        "run_metadata": False,
    }
    await ENTRY_POINTS[door]({**where(simulator), **arguments})
    headers = simulator.requests[-1].headers
    message = {header: headers.get(header) for _, header, _ in OPTIONS.values()}
    assert message == {header: content for _, header, content in OPTIONS.values()}
    assert headers["x-own"] == "1"
    assert json.loads(headers["cf-aig-metadata"]) == simulator.logs()[-1]["metadata"] == original


ENDPOINTS = {
    "chat_completions": "/ai/v1/chat/completions",
    "responses": "/ai/v1/responses",
    "messages": "/ai/v1/messages",
    "embeddings": "/ai/v1/embeddings",
    "run": "/ai/run/",
    "rerank": "/ai/run/@cf/baai/bge-reranker-base",
    "arank": "/ai/run/@cf/baai/bge-reranker-base",
}


@every_door
@pytest.mark.parametrize("gateway", ["default", "second"])
async def test_every_request_goes_through_the_gateway(simulator: Simulator, door: str, gateway: str) -> None:
    """run-llama#19395: of the package that was merged, not one request did."""
    simulator.gateway(gateway)
    await ENTRY_POINTS[door]({**where(simulator), **({} if gateway == "default" else {"gateway_id": gateway})})
    (request,) = simulator.requests
    assert request.path.startswith(f"/client/v4/accounts/{simulator.account_id}{ENDPOINTS[door.split()[0]]}")
    assert request.headers["cf-aig-gateway-id"] == gateway
    assert [name for name, value in request.headers.items() if simulator.api_token in value] == ["authorization"]
    assert simulator.api_token.encode() not in request.raw
    assert [entry["status_code"] for entry in simulator.logs(gateway)] == [200]


AUTHORS = {
    "openai/gpt-4.1": "openai",
    "anthropic/claude-haiku-4.5": "anthropic",
    "google/gemini-3-flash": "google",
    "xai/grok-4.6": "xai",
    "@cf/zai-org/glm-5.2": "workers",
}


@pytest.mark.parametrize("tools", [[], [WEATHER]], ids=["plain", "tools"])
@pytest.mark.parametrize("model", AUTHORS)
def test_models_of_every_author_go_through_the_gateway(
    make: Make, simulator: Simulator, model: str, tools: list[Any]
) -> None:
    response = make(model=model).chat_with_tools(tools, user_msg="What is the weather in Paris?")
    (entry,) = simulator.logs()
    assert entry["provider"].startswith(AUTHORS[model])
    assert response.additional_kwargs["cf_aig"]["log_id"] == entry["id"]


USERS = ("ann", "bob", "cid", "dee")


@pytest.mark.parametrize("method", ["chat", "stream_chat", "acomplete", "astream_chat"])
def test_instrument_tags_are_separate_per_thread(make: Make, simulator: Simulator, method: str) -> None:
    """openinference#765, PR #13700, phoenix#3274."""
    llm = make()

    def work(user: str) -> None:
        asyncio.run(answer(llm, method, f"I am {user}."))

    with ThreadPoolExecutor(len(USERS)) as pool:
        done = []
        for user in USERS:
            with instrument_tags({"user_id": user}):
                done.append(pool.submit(copy_context().run, work, user))
        for each in done:
            each.result()
    assert {entry["metadata"]["user_id"] for entry in simulator.logs()} == set(USERS)
    for request in simulator.requests:
        assert f"I am {json.loads(request.headers['cf-aig-metadata'])['user_id']}." in request.raw.decode()


def test_a_bound_copy_needs_no_context(make: Make, simulator: Simulator) -> None:
    llm = make()
    with ThreadPoolExecutor(len(USERS)) as pool:
        list(pool.map(lambda user: llm.with_gateway(metadata={"user_id": user}).complete("Hi"), USERS))
    assert {entry["metadata"]["user_id"] for entry in simulator.logs()} == set(USERS)


async def test_a_dynamic_route_is_a_model(make: Make, simulator: Simulator) -> None:
    """run-llama#19631, PR #21894: the gateway falls back, also before a stream's first token."""
    llm = make(model="dynamic/support")
    for method in METHODS:
        info = (await answer(llm, method)).additional_kwargs["cf_aig"]
        assert info["routed_model"].startswith("@cf/")
    assert llm.metadata.is_function_calling_model
    assert [request.body["model"] for request in simulator.requests] == ["dynamic/support"] * len(METHODS)


@every_method
async def test_a_failure_does_not_affect_the_next_call(make: Make, simulator: Simulator, method: str) -> None:
    """The fallback of the package of today never returns to its first model."""
    llm = make(max_retries=0)
    simulator.fault("provider_error")
    with pytest.raises(ServerFault):
        await answer(llm, method)
    assert (await answer(llm, method)).additional_kwargs["cf_aig"]["log_id"]
    assert [request.body["model"] for request in simulator.requests] == ["openai/gpt-4.1"] * 2


@every_method
async def test_there_is_one_layer_of_retries(make: Make, simulator: Simulator, method: str) -> None:
    """Another package sent 12 requests instead of 3."""
    simulator.fault("close_before_response", times=None)
    with pytest.raises(ConnectFault) as caught:
        await answer(make(max_retries=1, retry_after_send=True), method)
    assert caught.value.requests_sent == len(simulator.requests) == 2


@every_method
async def test_a_request_that_may_be_billed_is_sent_once(make: Make, simulator: Simulator, method: str) -> None:
    simulator.fault("close_before_response", times=None)
    with pytest.raises(ConnectFault, match="retry_after_send") as caught:
        await answer(make(), method)
    assert (caught.value.maybe_billed, len(simulator.requests)) == (True, 1)


@pytest.mark.parametrize(
    ("retries", "attempts", "requests"), [(None, None, 3), (0, None, 1), (None, 1, 3), (None, 3, 1), (1, 3, 2)]
)
def test_client_retries_are_off_where_the_gateway_retries(
    make: Make, simulator: Simulator, retries: int | None, attempts: int | None, requests: int
) -> None:
    simulator.fault("close_before_response", times=None)
    llm = make(max_retries=retries, retry_after_send=True, gateway=GatewayOptions(max_attempts=attempts))
    with pytest.raises(ConnectFault):
        llm.complete("Hi")
    assert len(simulator.requests) == requests


@pytest.mark.parametrize("fault", ["provider_bad_request", "model_not_found", "wrong_token", "payment_required"])
@every_method
async def test_permanent_errors_are_not_retried(make: Make, simulator: Simulator, method: str, fault: str) -> None:
    simulator.fault(fault, times=None)
    with pytest.raises(GatewayError) as caught:
        await answer(make(), method)
    assert caught.value.requests_sent == len(simulator.requests) == 1


def test_both_frameworks_share_argument_names() -> None:
    """langchain#15993, #27671, livekit PR #6131."""
    assert issubclass(CloudflareAIGateway, ChatFields)
    assert issubclass(CloudflareAIGatewayEmbedding, EmbedFields)
    assert issubclass(CloudflareAIGatewayRerank, GatewayFields)
    ours = CloudflareAIGateway.model_fields
    pytest.importorskip("langchain_core", reason="LANGCHAIN IS ABSENT: the words of the two halves were not compared")
    theirs = import_module("cfaig_integrations.langchain").ChatCloudflareAIGateway.model_fields
    shared = ChatFields.model_fields.keys()
    assert shared <= ours.keys() & theirs.keys()
    for argument in shared - {"api_token"}:
        assert ours[argument].annotation == theirs[argument].annotation
        assert ours[argument].get_default(call_default_factory=True) == theirs[argument].get_default(
            call_default_factory=True
        )


ALIASES: dict[str, tuple[str, Any]] = {
    "api_key": ("api_token", "t"),
    "gateway_options": ("gateway", GatewayOptions(cache_ttl=60)),
    "request_timeout": ("timeout", 5),
    "stop_sequences": ("stop", ["x"]),
    "model_name": ("model", "openai/gpt-4.1-mini"),
    "max_output_tokens": ("max_tokens", 40),
}


@pytest.mark.parametrize("name", ALIASES)
def test_both_frameworks_share_argument_aliases(make: Make, simulator: Simulator, name: str) -> None:
    argument, value = ALIASES[name]
    arguments: dict[str, Any] = {**where(simulator), "model": "openai/gpt-4.1"}
    arguments.pop(argument, None)
    created, plain = (
        CloudflareAIGateway(**arguments, **{name: value}),
        CloudflareAIGateway(**arguments, **{argument: value}),
    )
    assert (created.to_dict(), created.api_token) == (plain.to_dict(), plain.api_token)


@every_wire
@pytest.mark.parametrize("argument", ["gateway", "gateway_options"])
async def test_options_of_a_call_are_accepted_under_both_names(
    make: Make, simulator: Simulator, api: str, argument: str
) -> None:
    await read(await begun(make(api=api), "stream_chat", **{argument: {"cache_key": "k"}}))
    assert simulator.requests[-1].headers["cf-aig-cache-key"] == "k"


def test_the_user_agent_names_the_framework(make: Make, simulator: Simulator) -> None:
    make().complete("Hi")
    CloudflareAIGatewayEmbedding(model_name=EMBEDDER, **where(simulator)).get_query_embedding("Hi")
    agents = [request.headers["user-agent"] for request in simulator.requests]
    assert [agent.partition(" ")[2] for agent in agents] == ["llama-index", "llama-index"]
    assert all(agent.startswith("cfaig-integrations/") for agent in agents)
