"""Indexes and the query engines on them: what is retrieved, what is sent, and what is returned."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core import (
    Document,
    DocumentSummaryIndex,
    KnowledgeGraphIndex,
    SQLDatabase,
    SummaryIndex,
    VectorStoreIndex,
    get_response_synthesizer,
)
from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.query_engine import CitationQueryEngine, NLSQLTableQueryEngine, RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.schema import TextNode
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

from cfaig_integrations.llama_index import CloudflareAIGateway, CloudflareAIGatewayEmbedding
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.llama_index.call_methods import MODELS
from tests.llama_index.programs.conftest import Make
from tests.llama_index.programs.kit import (
    ANSWER,
    FACTS,
    M3,
    QUESTION,
    QWEN,
    both_methods,
    embedded,
    llm_requests,
    must_call,
    nodes,
    prompt_text,
    roles,
    steps,
)
from tests.waiting import until_async


def test_an_index_is_built_and_answers(index: VectorStoreIndex, llm: CloudflareAIGateway, simulator: Simulator) -> None:
    response = index.as_query_engine(llm=llm, similarity_top_k=2).query(QUESTION)
    assert str(response) == ANSWER
    assert response.source_nodes[0].node.metadata["name"] == "paris"
    assert steps(simulator) == ["embed", "embed", "ask"]
    built, query = embedded(simulator)
    assert len(built) == len(FACTS)
    assert query == [QUESTION]
    (request,) = llm_requests(simulator)
    assert roles(request) == ["system", "user"]
    assert ANSWER in prompt_text(request)
    assert FACTS["bananas"] not in prompt_text(request)


@pytest.mark.parametrize(("model", "batches"), [(M3, [100, 20]), (QWEN, [32, 32, 32, 24])])
@both_methods
def test_an_index_is_embedded_in_the_models_batches(
    simulator: Simulator, model: str, batches: list[int], asynchronous: bool
) -> None:
    embed_model = CloudflareAIGatewayEmbedding(**where(simulator), model=model)
    many = [TextNode(text=f"Fact {number} is about the number {number}.") for number in range(120)]
    index = VectorStoreIndex(many, embed_model=embed_model, use_async=asynchronous)
    assert sorted((len(texts) for texts in embedded(simulator)), reverse=True) == batches
    assert sorted(text for texts in embedded(simulator) for text in texts) == sorted(node.text for node in many)
    (best,) = index.as_retriever(similarity_top_k=1).retrieve("Fact 77 is about the number 77.")
    assert best.node.get_content() == "Fact 77 is about the number 77."


async def test_an_index_is_built_and_asked_asynchronously(
    embed_model: CloudflareAIGatewayEmbedding, llm: CloudflareAIGateway, simulator: Simulator
) -> None:
    index = VectorStoreIndex(nodes(), embed_model=embed_model, use_async=True)
    response = await index.as_query_engine(llm=llm, use_async=True).aquery(QUESTION)
    assert str(response) == ANSWER
    assert steps(simulator) == ["embed", "embed", "ask"]
    assert roles(llm_requests(simulator)[0]) == ["system", "user"]


@both_methods
async def test_a_query_engine_streams(
    index: VectorStoreIndex, llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool
) -> None:
    engine = index.as_query_engine(llm=llm, streaming=True)
    if asynchronous:
        response: Any = await engine.aquery(QUESTION)
        assert isinstance(response, AsyncStreamingResponse)
        pieces = [piece async for piece in response.async_response_gen()]
    else:
        response = engine.query(QUESTION)
        assert isinstance(response, StreamingResponse)
        pieces = list(response.response_gen)
    assert "".join(pieces) == ANSWER
    assert len(pieces) > 2
    assert response.source_nodes[0].node.metadata["name"] == "paris"
    assert steps(simulator) == ["embed", "embed", "ask"]
    assert llm_requests(simulator)[0].body["stream"] is True


@both_methods
@pytest.mark.parametrize("use_async", [False, True], ids=["in-turn", "at-once"])
async def test_a_tree_of_summaries(make: Make, simulator: Simulator, asynchronous: bool, use_async: bool) -> None:
    llm = make(context_window=270, num_output=100)  # room for three facts
    synthesizer = get_response_synthesizer(llm=llm, response_mode=ResponseMode.TREE_SUMMARIZE, use_async=use_async)
    engine = SummaryIndex(nodes()).as_query_engine(llm=llm, response_synthesizer=synthesizer)
    response = await engine.aquery(QUESTION) if asynchronous else engine.query(QUESTION)
    assert str(response) == ANSWER
    *leaves, root = [prompt_text(request) for request in llm_requests(simulator)]
    assert len(leaves) == 2
    assert all(any(fact in leaf for leaf in leaves) for fact in FACTS.values())
    assert ANSWER in root
    assert FACTS["sea"] not in root


def test_one_llm_serves_many_event_loops_and_threads(
    embed_model: CloudflareAIGatewayEmbedding, llm: CloudflareAIGateway, simulator: Simulator
) -> None:
    engine = VectorStoreIndex(nodes(), embed_model=embed_model).as_query_engine(llm=llm)

    def ask(_: int) -> str:
        return str(asyncio.run(engine.aquery(QUESTION)))

    with ThreadPoolExecutor(3) as threads:
        answers = [*map(ask, range(3)), *threads.map(ask, range(6)), str(engine.query(QUESTION))]
    assert answers == [ANSWER] * 10
    assert len(llm_requests(simulator)) == 10


@both_methods
async def test_an_answer_is_refined_node_by_node(
    index: VectorStoreIndex, llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool
) -> None:
    engine = index.as_query_engine(llm=llm, response_mode=ResponseMode.REFINE, similarity_top_k=3)
    for answer in ("It is Lyon.", "It is Marseille.", ANSWER):
        simulator.reply(answer)
    response = await engine.aquery(QUESTION) if asynchronous else engine.query(QUESTION)
    assert str(response) == ANSWER
    first, second, third = llm_requests(simulator)
    assert [roles(request) for request in (first, second, third)] == [["system", "user"], ["user"], ["user"]]
    assert "Original Answer: It is Lyon." in prompt_text(second)
    assert "Original Answer: It is Marseille." in prompt_text(third)
    for request, result in zip((first, second, third), response.source_nodes, strict=True):
        assert result.node.get_content() in prompt_text(request)


def check_events(simulator: Simulator, *judgements: tuple[bool, str]) -> None:
    for satisfied, answer in judgements:
        message = {"query_satisfied": satisfied, "answer": answer}
        simulator.reply(calls=[{"name": "StructuredRefineResponse", "arguments": message}])


@both_methods
async def test_nodes_without_an_answer_are_skipped(
    index: VectorStoreIndex, llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool
) -> None:
    synthesizer = get_response_synthesizer(llm=llm, response_mode=ResponseMode.REFINE, structured_answer_filtering=True)
    engine = index.as_query_engine(llm=llm, response_synthesizer=synthesizer, similarity_top_k=3)
    check_events(simulator, (False, ""), (True, ANSWER), (False, "I cannot tell."))
    response = await engine.aquery(QUESTION) if asynchronous else engine.query(QUESTION)
    assert str(response) == ANSWER
    assert [must_call(request) for request in llm_requests(simulator)] == [True] * 3
    assert ["Original Answer" in prompt_text(request) for request in llm_requests(simulator)] == [False, False, True]


@both_methods
async def test_a_stream_without_an_answer_is_abandoned(simulator: Simulator, api: Any, asynchronous: bool) -> None:
    llm = CloudflareAIGateway(**where(simulator), model=MODELS[api], api=api)
    synthesizer = get_response_synthesizer(
        llm=llm, response_mode=ResponseMode.REFINE, structured_answer_filtering=True, streaming=True
    )
    engine = SummaryIndex(nodes(["sea", "paris", "rome"])).as_query_engine(llm=llm, response_synthesizer=synthesizer)
    check_events(simulator, (False, "no " * 500), (True, ANSWER), (False, "no " * 500))
    response = await engine.aquery(QUESTION) if asynchronous else engine.query(QUESTION)
    assert str(response) == ANSWER
    assert [request.body["stream"] for request in simulator.requests] == [True] * 3
    assert await until_async(lambda: simulator.in_flight == 0)


@both_methods
@pytest.mark.parametrize("by", ["embedding", "llm"])
async def test_documents_are_found_by_their_summaries(
    embed_model: CloudflareAIGatewayEmbedding,
    llm: CloudflareAIGateway,
    simulator: Simulator,
    by: str,
    asynchronous: bool,
) -> None:
    for summary in ("It is about capitals of countries.", "It is about water."):
        simulator.reply(summary)
    capitals, water = (Document(text=FACTS[name], id_=name) for name in ("paris", "sea"))
    index = DocumentSummaryIndex.from_documents(
        [capitals, water],
        llm=llm,
        embed_model=embed_model,
        response_synthesizer=get_response_synthesizer(llm=llm, response_mode=ResponseMode.TREE_SUMMARIZE),
    )
    assert index.get_document_summary("sea") == "It is about water."
    assert steps(simulator) == ["ask", "ask", "embed"]
    if by == "llm":
        simulator.reply("Doc: 1, Relevance: 9")
        retriever: Any = index.as_retriever("llm")
    else:
        retriever = index.as_retriever("embedding", similarity_top_k=1)
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm)
    response = await engine.aquery(QUESTION) if asynchronous else engine.query(QUESTION)
    assert str(response) == ANSWER
    assert [result.node.ref_doc_id for result in response.source_nodes] == ["paris"]
    assert steps(simulator)[3:] == ["ask" if by == "llm" else "embed", "ask"]


@pytest.mark.filterwarnings("ignore:Call to deprecated class")
def test_a_knowledge_graph_is_built_and_queried(
    embed_model: CloudflareAIGatewayEmbedding, llm: CloudflareAIGateway, simulator: Simulator
) -> None:
    for triplet in ("(Paris, is capital of, France)", "(Rome, is capital of, Italy)"):
        simulator.reply(triplet)
    index = KnowledgeGraphIndex(nodes(["paris", "rome"]), llm=llm, embed_model=embed_model, include_embeddings=True)
    assert ("Paris", "France") in index.get_networkx_graph().edges
    assert steps(simulator) == ["ask", "embed", "ask", "embed"]
    simulator.reply("KEYWORDS: Paris, France")
    response = index.as_query_engine(llm=llm, include_text=True).query(QUESTION)
    assert ANSWER in str(response)
    assert [roles(request) for request in llm_requests(simulator)[2:]] == [["user"], ["system", "user"]]
    assert ANSWER in prompt_text(llm_requests(simulator)[-1])
    assert "['Paris', 'Is capital of', 'France']" in prompt_text(llm_requests(simulator)[-1])


@both_methods
async def test_an_answer_cites_its_sources(
    index: VectorStoreIndex, llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool
) -> None:
    engine = CitationQueryEngine.from_args(index, llm=llm, similarity_top_k=2, citation_chunk_size=64)
    simulator.reply("Paris is the capital [1].")
    response = await engine.aquery(QUESTION) if asynchronous else engine.query(QUESTION)
    assert str(response) == "Paris is the capital [1]."
    assert response.source_nodes[0].node.get_content() == f"Source 1:\n{ANSWER}\n"
    (request,) = llm_requests(simulator)
    assert roles(request) == ["user"]
    assert f"Source 1:\n{ANSWER}" in prompt_text(request)
    assert steps(simulator) == ["embed", "embed", "ask"]


@both_methods
async def test_a_sql_database_is_queried_in_natural_language(
    embed_model: CloudflareAIGatewayEmbedding, llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool
) -> None:
    memory = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    with memory.begin() as connection:
        connection.execute(text("create table cities (name text, people integer)"))
        connection.execute(text("insert into cities values ('Oslo', 709000), ('Rome', 2800000)"))
    engine = NLSQLTableQueryEngine(SQLDatabase(memory), tables=["cities"], llm=llm, embed_model=embed_model)
    query = "SELECT people FROM cities WHERE name = 'Oslo'"
    simulator.reply(f"```sql\n{query}\n```")
    simulator.reply("Oslo has 709000 people.")
    response = (
        await engine.aquery("How many people live in Oslo?")
        if asynchronous
        else engine.query("How many people live in Oslo?")
    )
    assert str(response) == "Oslo has 709000 people."
    assert response.metadata is not None
    assert response.metadata["sql_query"] == query
    assert response.metadata["result"] == [(709000,)]
    write, tell = llm_requests(simulator)
    assert "Table 'cities' has columns: name (TEXT), people (INTEGER)" in prompt_text(write)
    assert "[(709000,)]" in prompt_text(tell)
    memory.dispose()
