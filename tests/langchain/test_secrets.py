"""What LangChain hands to tracers and pickles of a model: no secret of its headers, nor of what it says of others."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd

from cfaig_integrations.langchain import (
    ChatCloudflareAIGateway,
    CloudflareAIGatewayEmbeddings,
    CloudflareAIGatewayLLM,
    CloudflareAIGatewayReranker,
)
from cfaig_integrations.simulator import Simulator
from tests.conftest import where

SECRET = "canary-of-another-server"
MCP = {"mcp_servers": [{"type": "url", "name": "x", "url": "https://x.example", "authorization_token": SECRET}]}
PLACES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "constructor's body": ({"extra_body": MCP}, {}),
    "call's body": ({}, {"extra_body": MCP}),
    "call's own word": ({}, MCP),
    "a tuple": ({}, {"extra_body": {"mcp_servers": tuple(MCP["mcp_servers"])}}),
    "constructor's headers": ({"extra_headers": {"x-key": SECRET}}, {}),
    "call's headers": ({}, {"extra_headers": {"x-key": SECRET}}),
}


class Tracer(BaseCallbackHandler):
    """Keeps everything that a handler receives at the start of a run, as text."""

    def __init__(self) -> None:
        self.told = ""

    def on_llm_start(self, *value: Any, **arguments: Any) -> None:
        self.told += f"{value!r} {arguments!r}"

    def on_chat_model_start(self, *value: Any, **arguments: Any) -> None:
        self.told += f"{value!r} {arguments!r}"


async def ask(model: Any, how: str, config: Any, call: dict[str, Any]) -> None:
    match how:
        case "invoke":
            model.invoke("hi", config, **call)
        case "ainvoke":
            await model.ainvoke("hi", config, **call)
        case "batch":
            model.batch(["hi"], config, **call)
        case "stream":
            list(model.stream("hi", config, **call))
        case _:
            [piece async for piece in model.astream("hi", config, **call)]


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "batch", "stream", "astream"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", [ChatCloudflareAIGateway, CloudflareAIGatewayLLM])
def test_secrets_are_sent_but_not_traced(simulator: Simulator, kind: Any, place: str, how: str) -> None:
    own, call = PLACES[place]
    tracer = Tracer()
    model = kind(model="anthropic/claude-sonnet-5", api="messages", **where(simulator), **own)
    asyncio.run(ask(model, how, {"callbacks": [tracer]}, call))
    assert "claude-sonnet-5" in tracer.told
    assert SECRET not in tracer.told
    sent = simulator.requests[-1]
    assert SECRET in f"{sent.body} {sent.headers}"


def test_two_secrets_give_two_cache_keys(simulator: Simulator) -> None:
    def llm(secret: str) -> CloudflareAIGatewayLLM:
        body = {"mcp_servers": [{"authorization_token": secret}]}
        return CloudflareAIGatewayLLM(model="openai/gpt-5.4", extra_body=body, **where(simulator))

    assert llm("one").asdict() == llm("one").asdict() != llm("two").asdict()
    assert dumpd(llm("one"))["kwargs"]["extra_body"] == {"mcp_servers": [{"authorization_token": "one"}]}


MODELS: list[Any] = [
    lambda **arguments: ChatCloudflareAIGateway(model="openai/gpt-5.4", **arguments),
    lambda **arguments: CloudflareAIGatewayLLM(model="openai/gpt-5.4", **arguments),
    lambda **arguments: CloudflareAIGatewayEmbeddings(model="@cf/baai/bge-m3", **arguments),
    CloudflareAIGatewayReranker,
]


@pytest.mark.parametrize("make", MODELS, ids=["chat", "llm", "embeddings", "reranker"])
def test_pickles_omit_headers_with_a_warning(
    make: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = make(account_id="acc", api_token="canary-token", extra_headers={"x-key": SECRET}, max_retries=1)
    data = pickle.dumps(model)
    assert SECRET.encode() not in data
    assert b"canary-token" not in data
    assert "extra_headers" in caplog.text
    assert model.extra_headers == {"x-key": SECRET}
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "another")
    again = pickle.loads(data)
    assert (again.extra_headers, again.max_retries, again.account_id) == (None, 1, "acc")
    caplog.clear()
    pickle.dumps(make(account_id="acc", api_token="canary-token"))
    assert not caplog.text
