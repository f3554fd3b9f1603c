"""What a run is must be known to the gateway on every path."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore

from cfaig_integrations import gateway_context
from cfaig_integrations.core.chat import Usage
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.langchain import CloudflareAIGatewayEmbeddings
from cfaig_integrations.simulator import Simulator
from tests.langchain.call_methods import CALL_METHODS, EMBEDDER, every_way, every_wire, weather
from tests.langchain.conftest import Make, where


def config_of(run_id: UUID | None = None) -> RunnableConfig:
    config: RunnableConfig = {"metadata": {"user_id": "ann", "session_id": "s1", "private": "no"}}
    return config if run_id is None else {**config, "run_id": run_id}


@every_wire
@pytest.mark.parametrize("call_method", ["stream", "astream"])
async def test_a_stream_reports_its_run(make: Make, simulator: Simulator, api: str, call_method: str) -> None:
    """langchain#21327, PR #23500."""
    one = uuid4()
    await CALL_METHODS[call_method](make(api=api), "Hi", config_of(one))
    [entry] = simulator.logs()
    assert entry["metadata"] == {"user_id": "ann", "thread_id": "s1", "run_id": str(one), "op": "chat"}


@every_wire
async def test_every_call_method_sends_the_same_metadata(make: Make, simulator: Simulator, api: str) -> None:
    """langsmith-sdk#839."""
    model = make(api=api, gateway_metadata={"team": "docs"})
    for call_method in CALL_METHODS.values():
        await call_method(model, "Hi", config_of())
    reported: list[dict[str, Any]] = [entry["metadata"] for entry in simulator.logs()]
    assert len({entry.pop("run_id") for entry in reported}) == len(CALL_METHODS) == len(reported)
    assert reported == [{"team": "docs", "user_id": "ann", "thread_id": "s1", "op": "chat"}] * len(CALL_METHODS)


class _Retriever(BaseRetriever):
    store: Any

    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        result: list[Document] = self.store.similarity_search(query, k=1)
        return result


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_embeddings_report_usage_and_run(simulator: Simulator, asynchronous: bool) -> None:
    """langchain#945, #8564, #11093, #15253, #20799."""
    used: list[tuple[Usage | None, GatewayInfo]] = []
    embeddings = CloudflareAIGatewayEmbeddings(
        model=EMBEDDER, on_usage=lambda usage, info: used.append((usage, info)), **where(simulator)
    )
    store = InMemoryVectorStore(embeddings)
    with gateway_context(metadata={"user_id": "bob"}):
        store.add_texts(["one", "two"])
    # A retriever tells nobody of its run, but a runnable around it does.
    chain = RunnableLambda(_Retriever(store=store).invoke)
    if asynchronous:
        asyncio.run(chain.ainvoke("one", config_of()))
    else:
        chain.invoke("one", config_of())
    assert [entry["metadata"]["user_id"] for entry in simulator.logs()] == ["bob", "ann"]
    assert [usage is not None and usage.input > 0 for usage, _ in used] == [True, True]
    assert [info.log_id for _, info in used] == [entry["id"] for entry in simulator.logs()]


class _Runs(BaseCallbackHandler):
    def __init__(self) -> None:
        self.ids: list[str] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **_: Any) -> None:
        self.ids.append(str(run_id))


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_an_invoke_that_streams_for_an_observer_keeps_its_run(
    make: Make, simulator: Simulator, asynchronous: bool
) -> None:
    """langchainjs PR #10098."""
    runs, agent = _Runs(), create_agent(make(), [weather], name="scout")
    config: RunnableConfig = {**config_of(), "callbacks": [runs], "configurable": {"thread_id": "t1"}}
    ask: Any = {"messages": [("user", "What is the weather in Oslo?")]}
    if asynchronous:
        seen = [each async for each in agent.astream(ask, config, stream_mode="messages")]
    else:
        seen = list(agent.stream(ask, config, stream_mode="messages"))
    assert len(seen) > 2
    assert all(request.body["stream"] is True for request in simulator.requests)  # so it did stream
    reported = [entry["metadata"] for entry in simulator.logs()]
    assert [entry["run_id"] for entry in reported] == runs.ids
    assert len(runs.ids) == 2
    assert {(entry["user_id"], entry["agent"]) for entry in reported} == {("ann", "scout:model")}


@every_way
async def test_a_model_that_always_streams_keeps_its_run(make: Make, simulator: Simulator, call_method: str) -> None:
    one = uuid4()
    await CALL_METHODS[call_method](make(streaming=True), "Hi", config_of(one))
    assert simulator.requests[-1].body["stream"] is True
    assert simulator.logs()[0]["metadata"]["run_id"] == str(one)
