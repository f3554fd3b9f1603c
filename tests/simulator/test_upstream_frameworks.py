"""A LangGraph agent and a LlamaIndex query engine on a local gateway that forwards to a second server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cfaig_integrations.simulator import Simulator, Upstream

GPT = "openai/gpt-4.1"


@pytest.fixture(scope="module")
def second() -> Iterator[Simulator]:
    with Simulator() as server:
        yield server


@pytest.fixture
def forwarding(second: Simulator) -> Iterator[Simulator]:
    url = f"{second.base_url}/accounts/{second.account_id}/ai/v1"
    with Simulator(upstream=Upstream(url, key=second.api_token, model=GPT)) as gateway:
        yield gateway


@pytest.mark.parametrize("api", ["auto", "chat_completions", "messages"])
def test_a_langgraph_agent(forwarding: Simulator, second: Simulator, api: str) -> None:
    agents = pytest.importorskip("langchain.agents", reason="LangChain is not installed")
    from cfaig_integrations.langchain import ChatCloudflareAIGateway

    def forecast(city: str) -> str:
        """Weather in a city."""
        return f"Rain in {city} today."

    model = ChatCloudflareAIGateway(
        model="anthropic/claude-haiku-4.5" if api == "messages" else GPT,
        api=api,
        max_tokens=200,
        base_url=forwarding.base_url,
        account_id=forwarding.account_id,
        api_token=forwarding.api_token,
        gateway_metadata={"team": "docs"},
    )
    before = len(second.requests)
    agent = agents.create_agent(model, [forecast])
    result = agent.invoke({"messages": [("user", "What is the forecast in Paris?")]})
    assert "Rain in Paris" in result["messages"][-1].text
    assert len(second.requests) > before, "the second server answers"
    entries = forwarding.logs(metadata={"team": "docs"})
    assert len(entries) == 2
    assert all(entry["tokens_in"] and entry["tokens_out"] and entry["success"] for entry in entries)


def test_a_llama_index_query_engine(second: Simulator) -> None:
    core = pytest.importorskip("llama_index.core", reason="LlamaIndex is not installed")
    from cfaig_integrations.llama_index import CloudflareAIGateway, CloudflareAIGatewayEmbedding

    url = f"{second.base_url}/accounts/{second.account_id}/ai/v1"
    model = "@cf/baai/bge-m3"
    with (
        Simulator(upstream=Upstream(url, key=second.api_token, model=model)) as embedder,
        Simulator(upstream=Upstream(url, key=second.api_token, model=GPT)) as gateway,
    ):

        def credentials(server: Simulator) -> dict[str, str]:
            return {
                "base_url": server.base_url,
                "account_id": server.account_id,
                "api_token": server.api_token,
            }

        documents = [core.Document(text=text) for text in ("The sea is deep.", "The tower in Pisa leans.")]
        index = core.VectorStoreIndex.from_documents(
            documents, embed_model=CloudflareAIGatewayEmbedding(model=model, **credentials(embedder))
        )
        llm = CloudflareAIGateway(model=GPT, **credentials(gateway))
        streamed = index.as_query_engine(llm=llm, streaming=True, similarity_top_k=1).query("Which tower leans?")
        assert "Pisa" in str(streamed)
        assert [entry["streamed"] for entry in gateway.logs()] == [True]
        assert gateway.logs()[0]["tokens_in"] > 0
        assert all(entry["success"] for entry in embedder.logs())
        assert embedder.logs()
