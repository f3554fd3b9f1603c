"""Ingestion pipelines, here and in worker processes, and what they embed."""

from __future__ import annotations

import logging
import pickle
from typing import Any

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.extractors import KeywordExtractor, QuestionsAnsweredExtractor, SummaryExtractor, TitleExtractor
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SemanticSplitterNodeParser, SentenceSplitter
from llama_index.core.storage.kvstore import SimpleKVStore

from cfaig_integrations.llama_index import CloudflareAIGateway, CloudflareAIGatewayEmbedding
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.llama_index.call_methods import MODELS
from tests.llama_index.programs.kit import ANSWER, FACTS, M3, QUESTION, QWEN, both_methods, embedded, nodes, steps


@both_methods
async def test_a_pipeline_extracts_metadata_and_embeds(
    embed_model: CloudflareAIGatewayEmbedding, llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool
) -> None:
    quiet: dict[str, Any] = {"llm": llm, "show_progress": False}
    pipeline = IngestionPipeline(
        transformations=[
            SentenceSplitter(chunk_size=30, chunk_overlap=0),
            TitleExtractor(nodes=2, **quiet),
            SummaryExtractor(**quiet),
            KeywordExtractor(keywords=2, **quiet),
            QuestionsAnsweredExtractor(questions=1, **quiet),
            embed_model,
        ]
    )
    for text, times in (("Part", 2), ("Facts of the world", 1), ("Facts.", 3), ("fact, world", 3), ("What is it?", 3)):
        simulator.reply(text, times=times)
    documents = [Document(text=" ".join(FACTS.values()))]
    result = await pipeline.arun(documents=documents) if asynchronous else pipeline.run(documents=documents)
    assert [node.metadata for node in result] == [
        {
            "document_title": "Facts of the world",
            "section_summary": "Facts.",
            "excerpt_keywords": "fact, world",
            "questions_this_excerpt_can_answer": "What is it?",
        }
    ] * 3
    assert all(node.embedding for node in result)
    assert steps(simulator) == [*["ask"] * 12, "embed"]
    (texts,) = embedded(simulator)
    assert all(text.count("Facts of the world") == 1 for text in texts)


WORKERS = {"run": "spawned", "arun": "forked"}


@pytest.mark.parametrize("method", WORKERS, ids=WORKERS.values())
async def test_worker_processes_embed(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    for name, value in simulator.environment.items():
        monkeypatch.setenv(name, value)
    embed_model = CloudflareAIGatewayEmbedding(**where(simulator), model=M3)
    llm = CloudflareAIGateway(**where(simulator), model=MODELS["messages"])
    embed_model.get_text_embedding(ANSWER)
    llm.complete(QUESTION)
    custom = {request.connection for request in simulator.requests}
    pipeline = IngestionPipeline(transformations=[KeywordExtractor(llm=llm, show_progress=False), embed_model])
    four = nodes(["bananas", "paris", "rome", "sea"])
    with caplog.at_level(logging.WARNING):
        if method == "arun":
            result = await pipeline.arun(nodes=four, num_workers=2)
        else:
            result = pipeline.run(nodes=four, num_workers=2)
    assert not caplog.records
    assert [node.node_id for node in result] == [node.node_id for node in four]
    assert all(len(node.embedding or []) == 1024 for node in result)
    assert all(node.metadata["excerpt_keywords"] for node in result)
    assert [entry["status_code"] for entry in simulator.logs()] == [200] * 8
    assert sorted(len(texts) for texts in embedded(simulator)) == [1, 2, 2]
    assert not custom & {request.connection for request in simulator.requests[2:]}
    assert simulator.api_token.encode() not in pickle.dumps((embed_model, llm))


@both_methods
@pytest.mark.parametrize("model", [M3, QWEN])
async def test_a_semantic_splitter_splits_where_the_topic_changes(
    embed_model: CloudflareAIGatewayEmbedding, simulator: Simulator, model: str, asynchronous: bool
) -> None:
    splitter = SemanticSplitterNodeParser(
        embed_model=embed_model.model_copy(update={"model_name": model}), breakpoint_percentile_threshold=60
    )
    document = Document(text="Paris is the capital of France. Paris is in France. The sea is deep. The sea is salty.")
    if asynchronous:
        result = await splitter.aget_nodes_from_documents([document])
    else:
        result = splitter.get_nodes_from_documents([document])
    assert [node.get_content().strip() for node in result] == [
        "Paris is the capital of France. Paris is in France.",
        "The sea is deep. The sea is salty.",
    ]
    assert [len(texts) for texts in embedded(simulator)] == [4]


@both_methods
async def test_a_cached_vector_is_not_requested_again(simulator: Simulator, asynchronous: bool) -> None:
    cache = SimpleKVStore()
    embed_model = CloudflareAIGatewayEmbedding(**where(simulator), model=M3, embeddings_cache=cache)
    texts = list(FACTS.values())

    async def embed(original: list[str]) -> list[list[float]]:
        if asynchronous:
            return await embed_model.aget_text_embedding_batch(original)
        return embed_model.get_text_embedding_batch(original)

    first = await embed(texts[:3])
    assert await embed(texts) == [*first, *(await embed(texts[3:]))]
    assert [sorted(batch) for batch in embedded(simulator)] == [sorted(texts[:3]), sorted(texts[3:])]
    assert embed_model.get_text_embedding(texts[0]) == first[0]
    assert len(simulator.requests) == 2


@pytest.mark.parametrize("workers", [1, 3, None])
async def test_vectors_keep_the_order_of_their_texts(simulator: Simulator, workers: int | None) -> None:
    embed_model = CloudflareAIGatewayEmbedding(**where(simulator), model=M3, embed_batch_size=10, num_workers=workers)
    texts = [f"Fact {number} is about the number {number}." for number in range(95)]
    at_once = await embed_model.aget_text_embedding_batch(texts)
    assert sorted(len(batch) for batch in embedded(simulator)) == [5, *[10] * 9]
    assert at_once == embed_model.get_text_embedding_batch(texts)
    assert at_once[7] == await embed_model.aget_text_embedding(texts[7])


@both_methods
async def test_queries_and_documents_are_embedded_differently(simulator: Simulator, asynchronous: bool) -> None:
    embed_model = CloudflareAIGatewayEmbedding(**where(simulator), model=QWEN)
    index = VectorStoreIndex(nodes(), embed_model=embed_model, use_async=asynchronous)
    retriever = index.as_retriever(similarity_top_k=1)
    (best,) = await retriever.aretrieve(QUESTION) if asynchronous else retriever.retrieve(QUESTION)
    assert best.node.metadata["name"] == "paris"
    built, query = (request.body for request in simulator.requests)
    assert len(built["documents"]) == len(FACTS)
    assert query["queries"] in (QUESTION, [QUESTION])
    assert built.keys().isdisjoint({"queries", "text"})
    assert embed_model.get_query_embedding(ANSWER) != embed_model.get_text_embedding(ANSWER)
    six = [
        embed_model.get_text_embedding(ANSWER),
        await embed_model.aget_text_embedding(ANSWER),
        *embed_model.get_text_embedding_batch([ANSWER]),
        *(await embed_model.aget_text_embedding_batch([ANSWER])),
    ]
    assert all(vector == six[0] for vector in six)
    assert embed_model.get_query_embedding(ANSWER) == await embed_model.aget_query_embedding(ANSWER)
