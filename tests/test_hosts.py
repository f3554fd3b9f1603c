"""Each host that serves models, from both frameworks: address, credential, and the model's name on it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from llama_index.core.llms import ChatMessage

from cfaig_integrations.errors import GatewayError
from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator

LC = [HumanMessage("Say hi")]
LI = [ChatMessage("Say hi")]
CALLS: dict[str, Callable[..., Any]] = {
    "langchain invoke": lambda **arguments: ChatCloudflareAIGateway(**arguments).invoke(LC),
    "langchain stream": lambda **arguments: list(ChatCloudflareAIGateway(**arguments).stream(LC)),
    "langchain ainvoke": lambda **arguments: asyncio.run(ChatCloudflareAIGateway(**arguments).ainvoke(LC)),
    "langchain a copy": lambda **arguments: (
        ChatCloudflareAIGateway(**arguments).model_copy(update={"seed": 1}).invoke(LC)
    ),
    "langchain anew": lambda **arguments: again(ChatCloudflareAIGateway(**arguments)).invoke(LC),
    "llama_index chat": lambda **arguments: CloudflareAIGateway(**arguments).chat(LI),
    "llama_index stream": lambda **arguments: list(CloudflareAIGateway(**arguments).stream_chat(LI)),
    "llama_index achat": lambda **arguments: asyncio.run(CloudflareAIGateway(**arguments).achat(LI)),
    "llama_index a copy": lambda **arguments: copy.deepcopy(CloudflareAIGateway(**arguments)).chat(LI),
}


def again(model: ChatCloudflareAIGateway) -> ChatCloudflareAIGateway:
    """A model made anew of every field, as `configurable_fields` does."""
    return type(model)(**{name: getattr(model, name) for name in type(model).model_fields})


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_TOKEN", "ACCOUNT_ID", "API_BASE_URL", "AI_GATEWAY_ID"):
        monkeypatch.delenv(f"CLOUDFLARE_{name}", raising=False)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as made:
        yield made


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("call", CALLS)
def test_a_custom_domain_is_called_with_a_token_alone(sim: Simulator, call: str) -> None:
    """facts §14.6."""
    CALLS[call](model="google/gemini-3-flash", base_url=sim.custom_url, api_token=sim.api_token)
    request = sim.requests[-1]
    assert (request.path, request.body["model"]) == ("/compat/chat/completions", "google-ai-studio/gemini-3-flash")
    assert request.headers["authorization"] == f"Bearer {sim.api_token}"
    assert request.headers.keys().isdisjoint({"cf-aig-authorization", "cf-aig-gateway-id"})


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("has_token", [True, False])
def test_a_gateway_without_authentication_is_called_with_a_providers_key_alone(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, call: str, has_token: bool
) -> None:
    """facts §14.6; whether the environment has a token or not."""
    for name, value in sim.environment.items():
        monkeypatch.setenv(name, value)
    if not has_token:
        monkeypatch.delenv("CLOUDFLARE_API_TOKEN")
    sim.gateway(authentication=False)
    key = {"Authorization": "Bearer sk-own"}
    arguments = {"api_token": None} if has_token else {}
    CALLS[call](model="xai/grok-4.6", base_url=sim.legacy_url, extra_headers=key, **arguments)
    request = sim.requests[-1]
    assert (request.body["model"], request.headers["authorization"]) == ("grok/grok-4.6", "Bearer sk-own")
    assert "cf-aig-authorization" not in request.headers


@pytest.mark.parametrize("call", CALLS)
def test_a_token_of_the_environment_goes_beside_a_providers_key(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    for name, value in sim.environment.items():
        monkeypatch.setenv(name, value)
    key = {"Authorization": "Bearer sk-own"}
    CALLS[call](model="openai/gpt-4.1", base_url=sim.legacy_url, extra_headers=key)
    headers = sim.requests[-1].headers
    assert (headers["authorization"], headers["cf-aig-authorization"]) == ("Bearer sk-own", f"Bearer {sim.api_token}")


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("kind", [ChatCloudflareAIGateway, CloudflareAIGateway])
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"base_url": "https://ai.example.com/compat"}, "Access token"),
        ({"base_url": "https://gateway.ai.cloudflare.com/v1/acc/gw/compat"}, "extra_headers="),
        ({"account_id": "acc", "extra_headers": {"x-api-key": "sk"}}, "CLOUDFLARE_API_TOKEN"),
        ({"base_url": "https://ai.example.com/compat", "api_token": "t", "api": "responses"}, "chat_completions"),
    ],
)
def test_what_a_host_needs_is_said_before_anything_is_sent(kind: Any, arguments: dict[str, Any], text: str) -> None:
    def call() -> None:
        model = kind(model="openai/gpt-4.1", **arguments)
        model.invoke(LC) if kind is ChatCloudflareAIGateway else model.chat(LI)

    with pytest.raises(GatewayError, match=text):
        call()
