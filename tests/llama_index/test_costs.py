"""What a run costs: the collected log ids are those of the gateway's log, and their sum is its cost."""

from __future__ import annotations

import asyncio
import copy
from concurrent.futures import ThreadPoolExecutor
from math import fsum
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.schema import NodeWithScore
from llama_index_instrumentation import get_dispatcher

from cfaig_integrations.errors import GatewayError
from cfaig_integrations.llama_index import (
    CloudflareAIGatewayEmbedding,
    CloudflareAIGatewayRerank,
    LogCollector,
)
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.late_logs import LATE, late_logs
from tests.llama_index.call_methods import MODELS, Make
from tests.llama_index.programs.kit import M3, QUESTION, nodes

every_wire = pytest.mark.parametrize("api", MODELS)


def logged(simulator: Simulator) -> list[str]:
    return [entry["id"] for entry in simulator.logs()]


@every_wire
@pytest.mark.parametrize("path", ["query", "stream", "aquery", "astream"])
def test_the_cost_of_a_query_engine_is_the_sum_of_its_logs(
    make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, api: str, path: str
) -> None:
    index = VectorStoreIndex(nodes(), embed_model=CloudflareAIGatewayEmbedding(**where(simulator), model=M3))
    rerank = CloudflareAIGatewayRerank(**where(simulator), top_n=2)
    engine = index.as_query_engine(
        llm=make(api=api, model=MODELS[api]), node_postprocessors=[rerank], streaming=path.endswith("stream")
    )
    before = set(logged(simulator))

    async def ask() -> None:
        response: Any = await engine.aquery(QUESTION)
        if path == "astream":
            assert [text async for text in response.async_response_gen()]

    with LogCollector() as collector:
        if path.startswith("a"):
            asyncio.run(ask())
        else:
            response: Any = engine.query(QUESTION)
            if path == "stream":
                assert list(response.response_gen)
    entries = [entry for entry in simulator.logs() if entry["id"] not in before]
    assert sorted(collector.log_ids) == sorted(entry["id"] for entry in entries)
    assert len(entries) == 3  # the question's vector, the ranking, the answer
    never = collector.log_ids[0]
    with late_logs(entries, never, monkeypatch) as (gateway, pauses):
        cost = gateway.run_cost(collector)
    found = [entry for entry in entries if entry["id"] != never]
    assert cost.total == pytest.approx(fsum(entry["cost"] for entry in found))
    assert cost.total > 0
    assert (cost.calls, cost.missing) == (2, (never,))
    assert sum(pauses) == 5.0
    assert sum(pauses[:LATE]) == 2.0


async def test_an_agent(make: Make, simulator: Simulator) -> None:
    def weather(city: str) -> str:
        """The weather of a city."""
        return make().complete(f"Say that it rains in {city}.").text

    agent = FunctionAgent(tools=[weather], llm=make(api="responses"), streaming=True)
    with LogCollector() as collector:
        await agent.run("What is the weather in Paris?")
    assert sorted(collector.log_ids) == sorted(logged(simulator))
    assert len(collector.log_ids) == 3


def test_blocks_and_threads_do_not_mix(make: Make, simulator: Simulator) -> None:
    llm = make()

    def ask(number: int) -> tuple[str, ...]:
        with LogCollector() as collector:
            llm.complete(f"Question {number}")
        return collector.log_ids

    with LogCollector() as outer, ThreadPoolExecutor(4) as pool:
        llm.complete("Hello")
        with LogCollector() as inner:
            llm.complete("World")
        threads = [*pool.map(ask, range(8))]
    llm.complete("Outside")
    assert [len(ids) for ids in threads] == [1] * 8
    assert len({*outer.log_ids, *(each for ids in threads for each in ids)}) == 10
    assert len(outer.log_ids) == 2
    assert inner.log_ids == outer.log_ids[1:]


def test_a_collector_of_the_whole_process(make: Make, simulator: Simulator) -> None:
    collector = LogCollector()
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(collector)
    try:
        make().complete("Hello")
        CloudflareAIGatewayEmbedding(**where(simulator), model=M3).get_query_embedding("Hello")
    finally:
        dispatcher.event_handlers = [each for each in dispatcher.event_handlers if each is not collector]
    assert sorted(collector.log_ids) == sorted(logged(simulator))
    collector.clear()
    assert collector.log_ids == ()


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        *((method, "user_input_error") for method in ("complete", "acomplete", "stream_complete", "astream_complete")),
        *((method, "error_event") for method in ("stream_complete", "astream_complete")),
    ],
)
def test_a_failed_call_counts_if_it_was_logged(make: Make, simulator: Simulator, method: str, fault: str) -> None:
    simulator.fault(fault, times=None)

    async def ask() -> None:
        answer: Any = getattr(make(), method)("Hello")
        if method.startswith("a"):
            answer = await answer
        if method == "stream_complete":
            list(answer)
        elif method == "astream_complete":
            assert [each async for each in answer]

    with LogCollector() as collector, pytest.raises(GatewayError) as caught:
        asyncio.run(ask())
    assert collector.log_ids == caught.value.log_ids == tuple(logged(simulator))
    assert collector.log_ids


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_failed_embeddings_and_rankings_count(simulator: Simulator, asynchronous: bool) -> None:
    embedding = CloudflareAIGatewayEmbedding(**where(simulator), model=M3)
    rerank: Any = CloudflareAIGatewayRerank(**where(simulator))
    found = [NodeWithScore(node=node) for node in nodes()]
    simulator.fault("user_input_error", times=None)

    async def embed() -> None:
        await embedding.aget_query_embedding("Hello") if asynchronous else embedding.get_query_embedding("Hello")

    async def rank() -> None:
        await rerank.apostprocess_nodes(found, None, QUESTION) if asynchronous else rerank.postprocess_nodes(
            found, None, QUESTION
        )

    with LogCollector() as collector:
        for call in (embed, rank):
            with pytest.raises(GatewayError):
                asyncio.run(call())
    assert sorted(collector.log_ids) == sorted(logged(simulator))
    assert len(collector.log_ids) == 2


def test_the_cost_of_responses(make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = make()
    whole, last = llm.complete("Hello"), [*llm.stream_complete("World")][-1]
    entries = simulator.logs()
    costs = {entry["id"]: entry["cost"] for entry in entries}
    with late_logs(entries, "", monkeypatch) as (gateway, _):
        cost = gateway.run_cost([whole, last])
        assert gateway.cost(whole) == costs[whole.additional_kwargs["cf_aig"]["log_id"]]
    assert cost.calls == 2
    assert cost.total == pytest.approx(fsum(costs.values()))


def test_a_deep_copy_collects_by_itself() -> None:
    collector = LogCollector()
    collector.add("first")
    copied = copy.deepcopy(collector)
    copied.add("second")
    assert (collector.log_ids, copied.log_ids) == (("first",), ("first", "second"))
