"""Our classes in LangChain's registries: asked for, repeatable, undone."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain.embeddings import init_embeddings
from langchain_core.messages import AIMessage, HumanMessage

from cfaig_integrations.langchain import (
    ChatCloudflareAIGateway,
    CloudflareAIGatewayEmbeddings,
    gateway_info,
    register,
    unregister,
)
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import Make


@pytest.mark.usefixtures("registered")
def test_init_chat_model(simulator: Simulator) -> None:
    model = init_chat_model("cloudflare_ai_gateway:@cf/zai-org/glm-5.2", temperature=0)
    assert isinstance(model, ChatCloudflareAIGateway)
    assert model.model == "@cf/zai-org/glm-5.2"
    assert model.invoke("Hi").text
    assert init_chat_model("openai/gpt-4.1", model_provider="cloudflare_ai_gateway").invoke("Hi").text


@pytest.mark.usefixtures("registered")
def test_init_embeddings() -> None:
    embeddings: Any = init_embeddings("cloudflare_ai_gateway:@cf/baai/bge-m3")
    assert isinstance(embeddings, CloudflareAIGatewayEmbeddings)
    assert len(embeddings.embed_query("Hi")) == 1024
    named: Any = init_embeddings("@cf/baai/bge-m3", provider="cloudflare_ai_gateway", batch_size=2)
    assert named.batch_size == 2


@pytest.mark.usefixtures("registered")
def test_create_agent_with_a_model_name() -> None:
    agent = create_agent("cloudflare_ai_gateway:openai/gpt-5.4")
    assert agent.invoke({"messages": [("user", "Say hello")]})["messages"][-1].text


def test_registration_is_explicit_and_can_be_undone(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in simulator.environment.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        with pytest.raises(ValueError, match="cloudflare_ai_gateway"):
            init_chat_model("openai/gpt-5.4", model_provider="cloudflare_ai_gateway")
        register()
        assert init_chat_model("openai/gpt-5.4", model_provider="cloudflare_ai_gateway")
        unregister()
    unregister()


def test_gateway_info_of_a_message(make: Make, simulator: Simulator) -> None:
    info = gateway_info(make(model="openai/gpt-4.1").invoke("Hi"))
    assert info is not None
    assert (info.log_id, info.requested_model) == (simulator.logs()[0]["id"], "openai/gpt-4.1")
    assert gateway_info(AIMessage("by hand")) is None
    assert gateway_info(HumanMessage("Hi")) is None
