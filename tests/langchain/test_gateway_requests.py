"""The gateway is spoken to in full, from everywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from pydantic import ValidationError

from cfaig_integrations import AIGateway, AsyncAIGateway, GatewayOptions, errors, gateway_context
from cfaig_integrations.langchain import (
    ChatCloudflareAIGateway,
    CloudflareAIGatewayEmbeddings,
    CloudflareAIGatewayReranker,
    gateway_info,
)
from cfaig_integrations.simulator import Simulator
from tests.langchain.call_methods import CALL_METHODS, EMBEDDER, every_way, every_wire, weather
from tests.langchain.conftest import MODELS, Make, where

AUTHORS = {
    "openai/gpt-4.1": "openai",
    "anthropic/claude-haiku-4.5": "anthropic",
    "google/gemini-3-flash": "google",
    "xai/grok-4.6": "xai",
    "@cf/zai-org/glm-5.2": "workers-ai",
}


@pytest.mark.parametrize("model", AUTHORS)
def test_one_class_reaches_every_author(make: Make, simulator: Simulator, model: str) -> None:
    """langchain#15993, PR #27671."""
    chat = make(model=model, gateway=GatewayOptions(cache_ttl=60))
    one, two = chat.invoke("Hi"), chat.invoke("Hi")
    assert one.content == two.content != ""
    logged = simulator.logs()
    assert [entry["id"] for entry in logged] == [answer.response_metadata["gateway"]["log_id"] for answer in (one, two)]
    assert logged[0]["provider"].startswith(AUTHORS[model].partition("-")[0])
    assert [answer.response_metadata["gateway"]["cache_status"] for answer in (one, two)] == ["MISS", "HIT"]
    assert [entry["cached"] for entry in logged] == [False, True]


@pytest.mark.parametrize("tools", [[], [weather]], ids=["plain", "tools"])
@pytest.mark.parametrize("model", AUTHORS)
def test_calls_go_to_the_accounts_own_endpoints(make: Make, simulator: Simulator, model: str, tools: list[Any]) -> None:
    """opencode#44827."""
    chat: Any = make(model=model)
    (chat.bind_tools(tools) if tools else chat).invoke("What is the weather in Paris?")
    root = f"/client/v4/accounts/{simulator.account_id}/ai/v1/"
    assert [request.path.startswith(root) for request in simulator.requests] == [True]
    assert "compat" not in simulator.requests[-1].path


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


def embed(simulator: Simulator, api: Any, arguments: dict[str, Any]) -> None:
    CloudflareAIGatewayEmbeddings(model=EMBEDDER, api=api, **where(simulator), **arguments).embed_query("Hi")


def aembed(simulator: Simulator, api: Any, arguments: dict[str, Any]) -> None:
    model = CloudflareAIGatewayEmbeddings(model=EMBEDDER, api=api, **where(simulator), **arguments)
    asyncio.run(model.aembed_documents(["Hi"]))


def rank(simulator: Simulator, arguments: dict[str, Any]) -> None:
    CloudflareAIGatewayReranker(**where(simulator), **arguments).compress_documents([Document("a"), Document("b")], "a")


def arank(simulator: Simulator, arguments: dict[str, Any]) -> None:
    reranker = CloudflareAIGatewayReranker(**where(simulator), **arguments)
    asyncio.run(reranker.acompress_documents([Document("a"), Document("b")], "a"))


def chat(simulator: Simulator, api: Any, call_method: str, arguments: dict[str, Any]) -> None:
    asyncio.run(
        CALL_METHODS[call_method](
            ChatCloudflareAIGateway(model=MODELS[api], api=api, **where(simulator), **arguments), "Hi"
        )
    )


Door = Callable[[Simulator, dict[str, Any]], None]


def chat_door(api: str, call_method: str) -> Door:
    return lambda simulator, arguments: chat(simulator, api, call_method, arguments)


DOORS: dict[str, Door] = {
    **{
        f"{api} {call_method}": chat_door(api, call_method)
        for api in MODELS
        for call_method in ("invoke", "ainvoke", "stream", "astream")
    },
    "embeddings run": lambda simulator, arguments: embed(simulator, "run", arguments),
    "embeddings v1": lambda simulator, arguments: embed(simulator, "embeddings", arguments),
    "embeddings run async": lambda simulator, arguments: aembed(simulator, "run", arguments),
    "embeddings v1 async": lambda simulator, arguments: aembed(simulator, "embeddings", arguments),
    "reranker": rank,
    "reranker async": arank,
}
"""Everything by which a LangChain program reaches the gateway."""

every_door = pytest.mark.parametrize("door", DOORS)


@every_door
def test_every_option_reaches_every_endpoint(simulator: Simulator, door: str) -> None:
    """opencode#45295."""
    options = GatewayOptions(**{name: value for name, (value, _, _) in OPTIONS.items()})
    DOORS[door](simulator, {"gateway": options})
    headers = simulator.requests[-1].headers
    assert {header: headers.get(header) for _, header, _ in OPTIONS.values()} == {
        header: result for _, header, result in OPTIONS.values()
    }


@every_door
def test_metadata_reaches_the_request_and_the_log(simulator: Simulator, door: str) -> None:
    """opencode#15621, PR #15619."""
    value = {"team": "docs", "tier": 2, "trial": False, "share": 0.5}
    DOORS[door](simulator, {"gateway_metadata": value, "run_metadata": False})
    assert json.loads(simulator.requests[-1].headers["cf-aig-metadata"]) == value
    assert simulator.logs()[-1]["metadata"] == value


@every_door
def test_the_token_is_in_the_authorization_header_only(simulator: Simulator, door: str) -> None:
    """opencode#40344."""
    DOORS[door](simulator, {})
    [request] = simulator.requests
    assert [name for name, value in request.headers.items() if simulator.api_token in value] == ["authorization"]
    assert simulator.api_token.encode() not in request.raw


@pytest.mark.parametrize("own_key", [False, True])
@every_way
async def test_on_the_legacy_host_authorization_belongs_to_the_provider(
    simulator: Simulator, call_method: str, own_key: bool
) -> None:
    arguments = {**where(simulator), "base_url": simulator.legacy_url, "model": "openai/gpt-4.1"}
    if own_key:
        arguments["extra_headers"] = {"Authorization": "Bearer sk-of-the-provider"}
    await CALL_METHODS[call_method](
        ChatCloudflareAIGateway(**arguments, gateway=GatewayOptions(byok_alias="second")), "Hi"
    )
    headers = simulator.requests[-1].headers
    assert [name for name, value in headers.items() if simulator.api_token in value] == ["cf-aig-authorization"]
    assert headers.get("authorization") == ("Bearer sk-of-the-provider" if own_key else None)
    assert headers["cf-aig-byok-alias"] == "second"


REST_HEADERS = {
    "cf-aig-gateway-id",
    "cf-aig-metadata",
    "x-session-affinity",
    *("cf-aig-session-id", "cf-aig-turn-id", "cf-aig-no-session-affinity"),
    *("cf-aig-allowed-models", "cf-aig-allowed-providers"),
    *(header for _, header, _ in OPTIONS.values()),
}
"""What Cloudflare's REST API documents (facts §3.1 to §3.3)."""


def test_only_what_the_rest_api_documents_is_sent_to_it(make: Make, simulator: Simulator) -> None:
    """livekit/agents PR #6131."""
    auto: dict[str, Any] = {
        "session_id": "s",
        "turn_id": "t",
        "no_session_affinity": True,
        "allowed_providers": ["anthropic"],
    }
    expected: dict[str, Any] = {name: value for name, (value, _, _) in OPTIONS.items()}
    model = make(model="cloudflare/auto", gateway=GatewayOptions(**expected, **auto, session_affinity="c"))
    model.invoke("Hi", gateway_metadata={"a": 1})
    sent = {name for name in simulator.requests[-1].headers if name.startswith(("cf-", "x-"))}
    assert len(sent) == len(OPTIONS) + 7
    assert sent <= REST_HEADERS
    with pytest.raises(errors.ConfigError, match="byok_alias"):
        make(gateway=GatewayOptions(byok_alias="x")).invoke("Hi")
    assert len(simulator.requests) == 1


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("request_timeout", "soon"),
        ("request_timeout", 0),
        ("max_attempts", 6),
        ("max_attempts", 0),
        ("retry_delay", 60_001),
        ("backoff", "quadratic"),
        ("cache_ttl", 59),
        ("custom_cost", {"per_token": 1}),
        ("skip_cache", "yes"),
        ("timeout", 5),
    ],
)
def test_options_are_typed_and_in_range(make: Make, simulator: Simulator, name: str, wrong: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        GatewayOptions(**{name: wrong})
    with pytest.raises(errors.ConfigError) as caught:
        make().invoke("Hi", gateway_options={name: wrong})
    assert name in f"{caught.value.field} {caught.value}"
    assert not simulator.requests


@every_wire
@pytest.mark.parametrize("how", ["call", "bind"])
@pytest.mark.parametrize("word", ["gateway", "gateway_options"])
def test_headers_and_options_for_one_call(make: Make, simulator: Simulator, api: str, how: str, word: str) -> None:
    """langchain#19383."""
    model = make(api=api, extra_headers={"x-both": "model", "x-model": "1"})
    arguments: dict[str, Any] = {"extra_headers": {"x-both": "call", "x-call": "2"}, word: {"cache_key": "k"}}
    if how == "call":
        model.invoke("Hi", **arguments)
    else:
        model.bind(**arguments).invoke("Hi")
    headers = simulator.requests[-1].headers
    assert [headers.get(name) for name in ("x-both", "x-model", "x-call")] == ["call", "1", "2"]
    assert headers["cf-aig-cache-key"] == "k"
    model.invoke("Hi")
    headers = simulator.requests[-1].headers
    assert [headers.get(name) for name in ("x-both", "x-model", "x-call")] == ["model", "1", None]
    assert "cf-aig-cache-key" not in headers


@pytest.mark.parametrize("call_method", ["invoke", "stream"])
def test_one_model_serves_every_user(make: Make, simulator: Simulator, call_method: str) -> None:
    """langchain-mcp-adapters#280."""
    model = make(metadata_keys=["user_id"])
    users = ("ann", "bob", "cid", "dee")

    def work(user: str) -> None:
        config: Any = {"metadata": {"user_id": user, "cf_aig_metadata": {"tenant": f"tenant of {user}"}}}
        with gateway_context(options={"cache_key": f"{user}:1"}):
            RunnableLambda[str, Any](lambda text: asyncio.run(CALL_METHODS[call_method](model, text))).invoke(
                "Hi", config
            )

    with ThreadPoolExecutor(len(users)) as pool:
        list(pool.map(work, users))
    reported = [
        (request.headers["cf-aig-cache-key"], json.loads(request.headers["cf-aig-metadata"]))
        for request in simulator.requests
    ]
    expected = [(f"{user}:1", {"tenant": f"tenant of {user}", "user_id": user}) for user in users]
    assert sorted(reported, key=str) == sorted(expected, key=str)


@every_wire
@every_way
async def test_headers_of_a_call_are_sent_by_every_method(
    make: Make, simulator: Simulator, api: str, call_method: str
) -> None:
    """langchain PR #38518."""
    await CALL_METHODS[call_method](make(api=api), "Hi", extra_headers={"X-Trace": "t1"})
    assert simulator.requests[-1].headers["x-trace"] == "t1"


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_late_log_entry_is_awaited(asynchronous: bool) -> None:
    """cloudflare/ai#255."""
    with Simulator(log_delay=0.3) as late:
        model = ChatCloudflareAIGateway(model="openai/gpt-4.1", **where(late))
        info = gateway_info(list(model.stream("Hi"))[-1])
        assert info is not None
        assert info.log_id
        if asynchronous:
            entry = asyncio.run(AsyncAIGateway(**where(late)).log(info.log_id))
        else:
            entry = AIGateway(**where(late)).log(info.log_id)
        assert (entry.id, entry.success) == (info.log_id, True)
        assert entry.tokens_out
        assert sum("/logs/" in request.path for request in late.requests) == 2


@every_wire
@every_way
async def test_every_answer_has_a_log_id_for_feedback(
    make: Make, simulator: Simulator, api: str, call_method: str
) -> None:
    """cloudflare-docs PR #17745."""
    info = gateway_info(await CALL_METHODS[call_method](make(api=api), "Hi"))
    assert info is not None
    assert [info.log_id] == [entry["id"] for entry in simulator.logs()]
    AIGateway(**where(simulator)).feedback(info.log_id or "", 1)
    assert [entry["feedback"] for entry in simulator.logs()] == [1]


@every_door
@pytest.mark.parametrize("gateway", ["default", "second"])
def test_every_endpoint_names_the_gateway(simulator: Simulator, door: str, gateway: str) -> None:
    """cloudflare/ai PR #410 for #403."""
    simulator.gateway(gateway)
    DOORS[door](simulator, {"gateway_id": gateway} if gateway != "default" else {})
    assert [request.headers.get("cf-aig-gateway-id") for request in simulator.requests] == [gateway]
    assert len(simulator.logs(gateway)) == 1


@every_wire
@pytest.mark.parametrize("call_method", ["invoke", "stream"])
async def test_the_caller_controls_logging(make: Make, simulator: Simulator, api: str, call_method: str) -> None:
    """cloudflare-docs PR #28904, #29036."""
    await CALL_METHODS[call_method](make(api=api, gateway=GatewayOptions(collect_log=False)), "Hi")
    assert simulator.logs() == []
    await CALL_METHODS[call_method](make(api=api, gateway=GatewayOptions(collect_log_payload=False)), "Hi")
    await CALL_METHODS[call_method](make(api=api), "Hi")
    without, with_bodies = simulator.logs()
    assert not without["request"]
    assert not without["response"]
    assert "Hi" in with_bodies["request"]
    assert without["tokens_out"]


def test_the_user_agent_names_the_framework(make: Make, simulator: Simulator) -> None:
    make().invoke("Hi")
    CloudflareAIGatewayEmbeddings(model=EMBEDDER, **where(simulator)).embed_query("Hi")
    agents = [request.headers["user-agent"] for request in simulator.requests]
    assert [agent.partition(" ")[2] for agent in agents] == ["langchain", "langchain"]
    assert all(agent.startswith("cfaig-integrations/") for agent in agents)
