"""The reranker against the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from uuid import uuid4

import pytest
from langchain_core import exceptions as lc
from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore

from cfaig_integrations import errors
from cfaig_integrations.errors import ApiError
from cfaig_integrations.langchain import CloudflareAIGatewayEmbeddings, CloudflareAIGatewayReranker, LogCollector
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import where

MODEL = "@cf/baai/bge-reranker-base"
M3 = "@cf/baai/bge-m3"
QUESTION = "What is the capital of France?"
TEXTS = ["Bananas are yellow.", "Paris is the capital of France.", "France has many rivers."]
DOCUMENTS = [Document(page_content=text, id=str(n), metadata={"source": n}) for n, text in enumerate(TEXTS)]
Make = Callable[..., CloudflareAIGatewayReranker]


@pytest.fixture
def make(simulator: Simulator) -> Make:
    """Makes a reranker that talks to the simulator."""

    def made(**arguments: Any) -> CloudflareAIGatewayReranker:
        return CloudflareAIGatewayReranker(**where(simulator) | arguments)

    return made


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


def compress(
    reranker: CloudflareAIGatewayReranker, documents: list[Document], query: str, asynchronous: bool
) -> list[Document]:
    if asynchronous:
        return list(asyncio.run(reranker.acompress_documents(documents, query)))
    return list(reranker.compress_documents(documents, query))


@both
def test_documents_come_back_in_order_with_their_scores(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    best = compress(make(), DOCUMENTS, QUESTION, asynchronous)
    assert [each.id for each in best] == ["1", "2", "0"]
    scores = [each.metadata["relevance_score"] for each in best]
    assert scores == sorted(scores, reverse=True)
    assert [each.metadata["source"] for each in best] == [1, 2, 0]
    assert all("relevance_score" not in each.metadata for each in DOCUMENTS)
    [request] = simulator.requests
    assert request.path.endswith(f"/ai/run/{MODEL}")
    assert request.body == {"query": QUESTION, "contexts": [{"text": text} for text in TEXTS]}
    assert request.headers["cf-aig-gateway-id"] == "default"


@both
@pytest.mark.parametrize(("model", "top_k"), [(MODEL, 2), (M3, None)])
def test_top_n_keeps_the_best(
    make: Make, simulator: Simulator, model: str, top_k: int | None, asynchronous: bool
) -> None:
    best = compress(make(model=model, top_n=2), DOCUMENTS, QUESTION, asynchronous)
    assert [each.id for each in best] == ["1", "2"]
    assert simulator.requests[0].body.get("top_k") == top_k


@pytest.mark.parametrize("top_n", [1, 3, 7])
async def test_texts_are_ranked_by_index_and_score(make: Make, top_n: int) -> None:
    ranking = make(top_n=2).rerank(TEXTS, QUESTION, top_n=top_n)
    assert [index for index, _ in ranking] == [1, 2, 0][:top_n]
    assert ranking == await make().arerank(DOCUMENTS, QUESTION, top_n=top_n)
    assert all(isinstance(score, float) for _, score in ranking)


@both
def test_an_empty_list_of_documents_sends_no_request(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    assert compress(make(), [], QUESTION, asynchronous) == []
    assert not simulator.requests


@both
def test_an_empty_query_raises(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    with pytest.raises(errors.ConfigError, match="query is empty") as caught:
        compress(make(), DOCUMENTS, "", asynchronous)
    assert isinstance(caught.value, lc.ModelInvalidRequestError)
    with pytest.raises(errors.ConfigError):
        make().rerank(TEXTS, QUESTION, top_n=0)
    assert not simulator.requests


@pytest.mark.parametrize("arguments", [{"model": "cohere/rerank"}, {"top": 3}])
def test_the_constructor_rejects_invalid_arguments(make: Make, arguments: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigError):
        make(**arguments)


@both
def test_errors_are_gateway_and_langchain_errors(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    simulator.fault("gateway_rate_limit")
    with pytest.raises(errors.RateLimited) as caught:
        compress(make(max_retries=0), DOCUMENTS, QUESTION, asynchronous)
    assert isinstance(caught.value, lc.ModelRateLimitError)


@both
def test_transient_failures_are_retried(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    simulator.fault("close_before_response")
    assert compress(make(retry_after_send=True), DOCUMENTS, QUESTION, asynchronous)[0].id == "1"
    assert len(simulator.requests) == 2


@both
def test_a_ranking_of_other_passages_is_an_error(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    simulator.reply_raw(body=b'{"result": {"response": [{"id": 9, "score": 1}]}, "success": true}')
    with pytest.raises(errors.ProtocolError):
        compress(make(), DOCUMENTS, QUESTION, asynchronous)


@both
def test_metadata_reaches_the_log(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    compress(make(gateway_metadata={"team": "docs"}), DOCUMENTS, QUESTION, asynchronous)
    [entry] = simulator.logs()
    assert entry["metadata"]["team"] == "docs"


def test_retrieve_then_rerank(make: Make, simulator: Simulator) -> None:
    store = InMemoryVectorStore(CloudflareAIGatewayEmbeddings(model=M3, **where(simulator)))
    store.add_documents(DOCUMENTS)
    reranker = make(top_n=1)
    chain = RunnableLambda(
        lambda question: reranker.compress_documents(store.as_retriever().invoke(question), question)
    )
    assert [each.page_content for each in chain.invoke(QUESTION)] == [TEXTS[1]]


@both
@pytest.mark.parametrize(("top", "expected"), [(None, ["2", "0", "1", "3"]), (3, ["2", "0", "1"]), (1, ["2"])])
def test_empty_documents_come_last_and_are_not_sent(
    make: Make, simulator: Simulator, asynchronous: bool, top: int | None, expected: list[str]
) -> None:
    old = {"relevance_score": 0.9}  # of another compressor, before
    texts = [TEXTS[0], "", TEXTS[1], ""]
    documents = [Document(page_content=text, id=str(n), metadata=old) for n, text in enumerate(texts)]
    best = compress(make(top_n=top), documents, QUESTION, asynchronous)
    assert [each.id for each in best] == expected
    assert ["relevance_score" in each.metadata for each in best] == [each in "02" for each in expected]
    assert simulator.requests[0].body["contexts"] == [{"text": TEXTS[0]}, {"text": TEXTS[1]}]


@both
def test_only_empty_documents_send_no_request(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    reranker = make()
    ranking = asyncio.run(reranker.arerank(["", ""], QUESTION)) if asynchronous else reranker.rerank(["", ""], QUESTION)
    assert ranking == [(0, None), (1, None)]
    assert not simulator.requests


class Compressing(BaseRetriever):
    """Calls the reranker as LangChain's `ContextualCompressionRetriever` does."""

    reranker: Any

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return list(self.reranker.compress_documents([Document("a")], query, callbacks=run_manager.get_child()))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        callbacks = run_manager.get_child()
        return list(await self.reranker.acompress_documents([Document("a")], query, callbacks=callbacks))


@both
@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
def test_the_run_of_a_retriever_is_that_of_its_ranking(
    make: Make, simulator: Simulator, asynchronous: bool, fails: bool
) -> None:
    retriever, collector, run_id = Compressing(reranker=make()), LogCollector(), uuid4()
    config: Any = {
        "callbacks": [collector],
        "metadata": {"user_id": "ann", "thread_id": "t1", "cf_aig_metadata": {"tier": "gold"}},
    }
    if fails:
        simulator.fault("user_input_error", times=None)
    with pytest.raises(ApiError) if fails else nullcontext():
        if asynchronous:
            asyncio.run(retriever.ainvoke("Why?", config, run_id=run_id))
        else:
            retriever.invoke("Why?", config, run_id=run_id)
    (entry,) = simulator.logs()
    assert entry["metadata"] == {
        "tier": "gold",
        "user_id": "ann",
        "thread_id": "t1",
        "parent_run_id": str(run_id),
        "op": "rerank",
    }
    assert collector.log_ids == (entry["id"],)
