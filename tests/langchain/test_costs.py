"""What a run costs: the collected log ids are those of the gateway's log, and their sum is its cost."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from math import fsum
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool

from cfaig_integrations.errors import ApiError
from cfaig_integrations.langchain import (
    ChatCloudflareAIGateway,
    CloudflareAIGatewayEmbeddings,
    CloudflareAIGatewayLLM,
    CloudflareAIGatewayReranker,
    LogCollector,
)
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.langchain.conftest import MODELS, Make
from tests.langchain.programs import asked, every_wire, population, run
from tests.late_logs import LATE, late_logs


def logged(simulator: Simulator) -> list[str]:
    return [entry["id"] for entry in simulator.logs()]


@every_wire
@pytest.mark.parametrize("path", ["invoke", "ainvoke", "stream", "astream"])
async def test_the_cost_of_an_agent_is_the_sum_of_its_logs(
    make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, api: str, path: str
) -> None:
    helper = make(api="chat_completions", streaming=path == "stream")

    @tool
    async def weather(city: str) -> str:
        """The weather of a city."""
        return (await helper.ainvoke(f"Say that it rains in {city}.")).text

    @tool("weather")
    def blocking_weather(city: str) -> str:
        """The weather of a city."""
        return helper.invoke(f"Say that it rains in {city}.").text

    tools: list[Any] = [weather if path.startswith("a") else blocking_weather, population]
    agent = create_agent(make(api=api, streaming=path.startswith("a")), tools)
    collector = LogCollector()
    await run(agent, path, asked("What is the weather in Oslo and the population of Oslo?"), {"callbacks": [collector]})
    entries = simulator.logs()
    assert sorted(collector.log_ids) == sorted(entry["id"] for entry in entries)
    assert len(entries) == 3
    never = collector.log_ids[1]
    with late_logs(entries, never, monkeypatch) as (gateway, pauses):
        cost = gateway.run_cost(collector)
    found = [entry for entry in entries if entry["id"] != never]
    assert cost.total == pytest.approx(fsum(entry["cost"] for entry in found))
    assert cost.total > 0
    assert set(cost.by_model) == {entry["model"] for entry in found}
    assert (cost.calls, cost.missing) == (2, (never,))
    assert sum(pauses) == 5.0
    assert sum(pauses[:LATE]) == 2.0


def test_the_cost_by_metadata(make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = LogCollector()
    for team in ("a", "b", "a"):
        config: Any = {"callbacks": [collector], "metadata": {"cf_aig_metadata": {"team": team}}}
        make(api="responses").invoke("Hello", config)
    entries = simulator.logs()
    with late_logs(entries, "", monkeypatch) as (gateway, _):
        cost = gateway.run_cost(collector, by="team")
    assert cost.by_metadata == {
        team: pytest.approx(fsum(entry["cost"] for entry in entries if entry["metadata"]["team"] == team))
        for team in ("a", "b")
    }
    assert cost.missing == ()


def test_embeddings_and_rerankers_of_a_chain(make: Make, simulator: Simulator) -> None:
    embeddings = CloudflareAIGatewayEmbeddings(model="@cf/baai/bge-m3", batch_size=1, **where(simulator))
    reranker = CloudflareAIGatewayReranker(**where(simulator))

    def answer(question: str) -> str:
        embeddings.embed_documents(["a", "b"])
        embeddings.embed_query(question)
        reranker.compress_documents([Document("a")], question)
        return make(api="responses").invoke(question).text

    collector = LogCollector()
    RunnableLambda(answer).invoke("Why?", {"callbacks": [collector]})
    assert (len(collector.log_ids), set(collector.log_ids)) == (5, set(logged(simulator)))
    embeddings.embed_query("outside")
    assert len(collector.log_ids) == 5


async def test_embeddings_of_an_asynchronous_chain(simulator: Simulator) -> None:
    embeddings = CloudflareAIGatewayEmbeddings(model="@cf/baai/bge-m3", batch_size=1, **where(simulator))
    reranker = CloudflareAIGatewayReranker(**where(simulator))

    async def answer(question: str) -> str:
        await embeddings.aembed_documents(["a", "b"])
        await reranker.acompress_documents([Document("a")], question)
        return question

    collector = LogCollector()
    await RunnableLambda(answer).ainvoke("Why?", {"callbacks": [collector]})
    assert sorted(collector.log_ids) == sorted(logged(simulator))
    assert len(collector.log_ids) == 3


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_llm(simulator: Simulator, stream: bool) -> None:
    llm = CloudflareAIGatewayLLM(model=MODELS["responses"], **where(simulator))
    collector = LogCollector()
    config: Any = {"callbacks": [collector]}
    assert list(llm.stream("Hello", config)) if stream else llm.batch(["Hello", "World"], config)
    assert sorted(collector.log_ids) == sorted(logged(simulator))


def test_an_answer_of_langchains_cache_is_no_call(make: Make, simulator: Simulator) -> None:
    model: ChatCloudflareAIGateway = make(api="responses", cache=InMemoryCache())
    first, second = LogCollector(), LogCollector()
    model.invoke("Hello", {"callbacks": [first]})
    model.invoke("Hello", {"callbacks": [second]})
    assert (first.log_ids, second.log_ids) == (tuple(logged(simulator)), ())


def test_a_failed_call_counts_if_it_was_logged(make: Make, simulator: Simulator) -> None:
    simulator.fault("user_input_error", times=None)
    collector = LogCollector()
    with pytest.raises(ApiError) as caught:
        make(api="chat_completions").invoke("Hello", {"callbacks": [collector]})
    assert collector.log_ids == (caught.value.log_id,) == tuple(logged(simulator))


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_failed_embeddings_and_rankings_count(simulator: Simulator, asynchronous: bool) -> None:
    embeddings = CloudflareAIGatewayEmbeddings(model="@cf/baai/bge-m3", **where(simulator))
    reranker = CloudflareAIGatewayReranker(**where(simulator))
    simulator.fault("user_input_error", times=None)
    collector = LogCollector()
    config: Any = {"callbacks": [collector]}
    steps: list[Any] = [
        RunnableLambda(embeddings.embed_query, embeddings.aembed_query),
        RunnableLambda(lambda text: reranker.rerank([text], text), lambda text: reranker.arerank([text], text)),
    ]
    for step in steps:
        with pytest.raises(ApiError):
            await step.ainvoke("Hello", config) if asynchronous else step.invoke("Hello", config)
    assert sorted(collector.log_ids) == sorted(logged(simulator))
    assert len(collector.log_ids) == 2


def test_many_threads(make: Make, simulator: Simulator) -> None:
    model, shared = make(api="chat_completions"), LogCollector()
    collectors = [LogCollector() for _ in range(8)]

    def ask(number: int) -> None:
        model.invoke(f"Question {number}", {"callbacks": [shared, collectors[number]]})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert sorted(shared.log_ids) == sorted(logged(simulator))
    assert all(len(each.log_ids) == 1 for each in collectors)
    shared.clear()
    assert shared.log_ids == ()


def test_the_cost_of_messages(make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    message = make(api="responses").invoke([HumanMessage("Hello")])
    result = make(api="messages").generate([[HumanMessage("Hello")]])
    chunks = list(make(api="chat_completions").stream("Hello"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    entries = simulator.logs()
    costs = {entry["id"]: entry["cost"] for entry in entries}
    with late_logs(entries, "", monkeypatch) as (gateway, _):
        cost = gateway.run_cost([message, result, {"messages": [whole]}])
        assert gateway.cost(message) == costs[message.response_metadata["gateway"]["log_id"]]
    assert cost.calls == 3
    assert cost.total == pytest.approx(fsum(costs.values()))


def test_a_deep_copy_collects_by_itself() -> None:
    collector = LogCollector()
    collector.add("first")
    copied = copy.deepcopy(collector)
    copied.add("second")
    assert (collector.log_ids, copied.log_ids) == (("first",), ("first", "second"))
