"""Engines, indexes and pipelines: what LlamaIndex asks in a program's name."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core import SummaryIndex, VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.chat_engine.types import ChatMode
from llama_index.core.extractors import KeywordExtractor, TitleExtractor
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.instrumentation.dispatcher import instrument_tags
from llama_index.core.schema import TextNode

from cfaig_integrations import RunInfo, gateway_context
from cfaig_integrations.llama_index import (
    CloudflareAIGateway,
    CloudflareAIGatewayEmbedding,
    CloudflareAIGatewayRerank,
)
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.llama_index.run_metadata.kit import (
    ANN,
    DOCUMENTS,
    PRIVATE,
    QUESTION,
    USERS,
    Entries,
    index_of,
    logged,
    ordered,
    split,
)

NODES = [TextNode(text=f"{PRIVATE} opens door {number}.") for number in range(2)]
REQUESTED = {**ANN, "op": "query"}
both_methods = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@pytest.fixture
def index(embed_model: CloudflareAIGatewayEmbedding, simulator: Simulator) -> VectorStoreIndex:
    return index_of(embed_model, simulator)


# Query engines


async def answered(engine: Any, asynchronous: bool) -> None:
    """Asks a query engine, and reads what it streams."""
    await read(await queried(engine, asynchronous))


async def queried(engine: Any, asynchronous: bool) -> Any:
    return await engine.aquery(QUESTION) if asynchronous else engine.query(QUESTION)


async def read(response: Any) -> None:
    if hasattr(response, "async_response_gen"):
        assert [piece async for piece in response.async_response_gen()]
    elif hasattr(response, "response_gen"):
        assert list(response.response_gen)


@both_methods
@pytest.mark.parametrize("mode", ["compact", "refine", "tree_summarize", "simple_summarize", "accumulate"])
@pytest.mark.parametrize("use_async", [False, True], ids=["in-turn", "at-once"])
async def test_a_query_engine_reports_its_purpose(
    llm: CloudflareAIGateway,
    index: VectorStoreIndex,
    simulator: Simulator,
    asynchronous: bool,
    mode: Any,
    use_async: bool,
) -> None:
    engine = index.as_query_engine(llm=llm, response_mode=mode, use_async=use_async)
    with instrument_tags(ANN):
        await answered(engine, asynchronous)
    embeds, asks = split(simulator)
    assert embeds == [REQUESTED]
    assert asks == [REQUESTED] * (2 if mode in ("refine", "accumulate") else 1)


def test_a_query_engine_without_an_event_loop(
    llm: CloudflareAIGateway, index: VectorStoreIndex, simulator: Simulator
) -> None:
    with instrument_tags(ANN):
        index.as_query_engine(llm=llm, response_mode="accumulate", use_async=True).query(QUESTION)
    assert logged(simulator) == [REQUESTED] * 3


@both_methods
async def test_a_summary_in_many_questions(llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool) -> None:
    engine = SummaryIndex(NODES).as_query_engine(llm=llm, response_mode="accumulate", use_async=True)
    with instrument_tags(ANN):
        await answered(engine, asynchronous)
    assert logged(simulator) == [REQUESTED] * len(NODES)


@both_methods
async def test_a_query_engine_that_reranks(
    llm: CloudflareAIGateway, index: VectorStoreIndex, simulator: Simulator, asynchronous: bool
) -> None:
    engine = index.as_query_engine(llm=llm, node_postprocessors=[CloudflareAIGatewayRerank(**where(simulator))])
    with instrument_tags(ANN):
        await answered(engine, asynchronous)
    assert logged(simulator) == [REQUESTED] * 3


@both_methods
async def test_a_stream_read_inside_the_context_keeps_its_tags(
    llm: CloudflareAIGateway, index: VectorStoreIndex, simulator: Simulator, asynchronous: bool
) -> None:
    with instrument_tags(ANN):
        await answered(index.as_query_engine(llm=llm, streaming=True), asynchronous)
    assert logged(simulator) == [REQUESTED, {**ANN, "op": "chat"}]


@both_methods
async def test_a_stream_read_after_the_context_has_lost_its_tags(
    llm: CloudflareAIGateway, index: VectorStoreIndex, simulator: Simulator, asynchronous: bool
) -> None:
    """LlamaIndex asks the LLM when the answer is first read."""
    engine = index.as_query_engine(llm=llm, streaming=True)
    with instrument_tags(ANN), gateway_context(metadata={"team": "docs"}):
        response = await queried(engine, asynchronous)
    await read(response)
    assert logged(simulator) == [{"team": "docs", **REQUESTED}, {"op": "chat"}]


@both_methods
async def test_a_stream_of_a_bound_copy_keeps_its_metadata(
    llm: CloudflareAIGateway, index: VectorStoreIndex, simulator: Simulator, asynchronous: bool
) -> None:
    engine = index.as_query_engine(llm=llm.with_gateway(metadata=ANN), streaming=True)
    response = await queried(engine, asynchronous)
    await read(response)
    assert logged(simulator) == [{"op": "query"}, {**ANN, "op": "chat"}]


def test_four_users_in_threads(llm: CloudflareAIGateway, index: VectorStoreIndex, simulator: Simulator) -> None:
    engine, together = index.as_query_engine(llm=llm), threading.Barrier(len(USERS))

    def work(user: str) -> None:
        with instrument_tags({"user": user}):
            for _ in range(2):
                together.wait()
                engine.query(f"{user} {QUESTION}")

    with ThreadPoolExecutor(len(USERS)) as pool:
        list(pool.map(work, USERS))
    not_swapped(simulator, "query")


async def test_four_users_in_one_loop(llm: CloudflareAIGateway, index: VectorStoreIndex, simulator: Simulator) -> None:
    engine = index.as_query_engine(llm=llm)

    async def work(user: str) -> None:
        with instrument_tags({"user": user}):
            for _ in range(2):
                await engine.aquery(f"{user} {QUESTION}")

    await asyncio.gather(*map(work, USERS))
    not_swapped(simulator, "query")


def not_swapped(simulator: Simulator, purpose: str) -> None:
    """Each call holds the question of the user that its metadata name."""
    entries = simulator.logs()
    assert len(entries) == len(USERS) * 4
    assert all(f"{entry['metadata']['user']} {QUESTION}" in entry["request"] for entry in entries)
    assert {entry["metadata"]["op"] for entry in entries} == {purpose}


# Chat engines

HISTORY = [ChatMessage(role=MessageRole.USER, content="Hi"), ChatMessage(role=MessageRole.ASSISTANT, content="Hi!")]
CHAT_MODES = {
    "simple": (0, 1),
    "context": (1, 1),
    "condense_question": (1, 2),
    "condense_plus_context": (1, 2),
    "best": (1, 2),
}
"""How often a turn embeds, and how often it asks."""


async def chatted(engine: Any, form: str) -> None:
    match form:
        case "chat":
            engine.chat(QUESTION, chat_history=HISTORY)
        case "achat":
            await engine.achat(QUESTION, chat_history=HISTORY)
        case "stream_chat":
            assert list(engine.stream_chat(QUESTION, chat_history=HISTORY).response_gen)
        case _:
            streamed = await engine.astream_chat(QUESTION, chat_history=HISTORY)
            assert [piece async for piece in streamed.async_response_gen()]


@pytest.mark.parametrize("form", ["chat", "achat", "stream_chat", "astream_chat"])
@pytest.mark.parametrize("mode", CHAT_MODES)
async def test_a_chat_engine(
    llm: CloudflareAIGateway, index: VectorStoreIndex, simulator: Simulator, mode: str, form: str
) -> None:
    engine = index.as_chat_engine(ChatMode(mode), llm=llm)
    with instrument_tags(ANN):
        await chatted(engine, form)
    embeds, asks = split(simulator)
    entries: Entries = {**ANN, "op": "chat"}
    assert (embeds, asks) == tuple([entries] * number for number in CHAT_MODES[mode])


@pytest.mark.parametrize("form", ["stream_chat", "astream_chat"])
@pytest.mark.parametrize("mode", CHAT_MODES)
async def test_a_chat_engine_read_after_the_context(
    llm: CloudflareAIGateway, index: VectorStoreIndex, simulator: Simulator, mode: str, form: str
) -> None:
    engine = index.as_chat_engine(ChatMode(mode), llm=llm)
    with instrument_tags(ANN):
        if form == "stream_chat":
            streamed: Any = engine.stream_chat(QUESTION, chat_history=HISTORY)
        else:
            streamed = await engine.astream_chat(QUESTION, chat_history=HISTORY)
    if form == "stream_chat":
        assert list(streamed.response_gen)
    else:
        assert [piece async for piece in streamed.async_response_gen()]
    assert logged(simulator) == [{**ANN, "op": "chat"}] * sum(CHAT_MODES[mode])


# Indexes and pipelines


@both_methods
async def test_building_an_index_reports_its_purpose(
    embed_model: CloudflareAIGatewayEmbedding, simulator: Simulator, asynchronous: bool
) -> None:
    with instrument_tags(ANN):
        index = VectorStoreIndex.from_documents(DOCUMENTS, embed_model=embed_model, use_async=asynchronous)
        index.insert(DOCUMENTS[0])
        index.as_retriever().retrieve(QUESTION)
        await index.as_retriever().aretrieve(QUESTION)
    purposes = ["index_construction", "insert", "query", "query"]
    assert logged(simulator) == [{**ANN, "op": purpose} for purpose in purposes]


@both_methods
async def test_a_pipeline(
    llm: CloudflareAIGateway,
    embed_model: CloudflareAIGatewayEmbedding,
    simulator: Simulator,
    asynchronous: bool,
) -> None:
    pipeline = IngestionPipeline(
        transformations=[TitleExtractor(llm=llm), KeywordExtractor(llm=llm), embed_model], disable_cache=True
    )
    with instrument_tags(ANN):
        if asynchronous:
            await pipeline.arun(nodes=NODES)
        else:
            pipeline.run(nodes=NODES)
    embeds, asks = split(simulator)
    assert embeds == [{**ANN, "op": "embedding"}]
    assert len(asks) == 5
    assert asks == [{**ANN, "op": "chat"}] * 5


def two_places(run: RunInfo) -> Entries:
    return {"framework": run.framework, "kind": run.operation}


def test_a_pipeline_of_processes_keeps_bound_metadata(
    llm: CloudflareAIGateway,
    embed_model: CloudflareAIGatewayEmbedding,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tags stay in their process; constructor arguments, with a mapper that can be pickled, do not."""
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", simulator.api_token)
    bound = embed_model.with_gateway(metadata={"job": "j1"})
    mapped = llm.model_copy(update={"metadata_mapper": two_places, "gateway_metadata": {"team": "docs"}})
    pipeline = IngestionPipeline(transformations=[KeywordExtractor(llm=mapped), bound, embed_model], disable_cache=True)
    with instrument_tags(ANN):
        pipeline.run(nodes=NODES, num_workers=2)
    expected: list[Entries] = [{"job": "j1", "op": "embedding"}, {"op": "embedding"}]
    expected += [{"team": "docs", "framework": "llama_index", "kind": "chat"}]
    assert ordered(logged(simulator)) == ordered(expected * 2)
