"""Retrieval as people write it: our embeddings, a vector store, our reranker, and an answer on every wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from pydantic import BaseModel

from cfaig_integrations.langchain import CloudflareAIGatewayEmbeddings, CloudflareAIGatewayReranker
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import MODELS, Make, where
from tests.langchain.programs import asked, every_wire, models_seen, results, sent

M3 = "@cf/baai/bge-m3"
RANKER = "@cf/baai/bge-reranker-base"
FACTS = {
    "bananas": "Bananas are yellow and grow in Ecuador.",
    "paris": "Paris is the capital of France.",
    "rivers": "France has many rivers, and the Loire is the longest of them.",
    "rome": "Rome is the capital of Italy.",
    "sea": "The sea is deep and salty.",
}
QUESTION = "What is the capital of France?"
ANSWER = FACTS["paris"]
PROMPT = ChatPromptTemplate.from_template("Answer from these facts.\n{facts}\nQuestion: {question}")


@pytest.fixture
def store(simulator: Simulator) -> VectorStore:
    embeddings = CloudflareAIGatewayEmbeddings(**where(simulator), model=M3)
    documents = [Document(page_content=text, id=name, metadata={"name": name}) for name, text in FACTS.items()]
    result = InMemoryVectorStore(embeddings)
    result.add_documents(documents)
    return result


@pytest.fixture
def ranker(simulator: Simulator) -> CloudflareAIGatewayReranker:
    return CloudflareAIGatewayReranker(**where(simulator), top_n=2)


class CompressingRetriever(BaseRetriever):
    """Retrieves and then keeps the best, as LangChain's ContextualCompressionRetriever does."""

    base_retriever: BaseRetriever
    base_compressor: BaseDocumentCompressor

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        result = self.base_retriever.invoke(query, {"callbacks": run_manager.get_child()})
        return list(self.base_compressor.compress_documents(result, query, callbacks=run_manager.get_child()))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        result = await self.base_retriever.ainvoke(query, {"callbacks": run_manager.get_child()})
        best = await self.base_compressor.acompress_documents(result, query, callbacks=run_manager.get_child())
        return list(best)


@pytest.fixture
def retriever(store: VectorStore, ranker: CloudflareAIGatewayReranker) -> BaseRetriever:
    return CompressingRetriever(base_retriever=store.as_retriever(search_kwargs={"k": 4}), base_compressor=ranker)


def joined(documents: Sequence[Document]) -> str:
    return "\n".join(document.page_content for document in documents)


def chain_of(retriever: BaseRetriever, model: Any) -> Runnable[str, str]:
    facts = {"facts": retriever | joined, "question": RunnablePassthrough()}
    return cast("Runnable[str, str]", facts | PROMPT | model | StrOutputParser())


PATHS = ("invoke", "ainvoke", "stream", "astream", "batch", "abatch")


ANN: RunnableConfig = {"metadata": {"user_id": "ann"}}


async def run(chain: Runnable[str, str], path: str, question: str) -> str:
    match path:
        case "invoke":
            return chain.invoke(question, ANN)
        case "ainvoke":
            return await chain.ainvoke(question, ANN)
        case "stream":
            pieces = list(chain.stream(question, ANN))
        case "astream":
            pieces = [piece async for piece in chain.astream(question, ANN)]
        case "batch":
            return chain.batch([question], ANN)[0]
        case _:
            return (await chain.abatch([question], ANN))[0]
    assert len(pieces) > 2
    return "".join(pieces)


@every_wire
@pytest.mark.parametrize("path", PATHS)
async def test_a_chain_answers_from_retrieved_documents(
    make: Make, simulator: Simulator, retriever: BaseRetriever, api: str, path: str
) -> None:
    assert await run(chain_of(retriever, make(api=api)), path, QUESTION) == ANSWER
    assert models_seen(simulator) == [M3, M3, RANKER, MODELS[api]]
    asked_with = sent(simulator)
    assert ANSWER in asked_with
    assert sum(fact in asked_with for fact in FACTS.values()) == 2
    users = [(entry["metadata"]["op"], entry["metadata"].get("user_id")) for entry in simulator.logs()]
    assert users == [("embedding", None), ("embedding", "ann"), ("rerank", "ann"), ("chat", "ann")]


@every_wire
def test_a_batch_of_questions_keeps_its_order(
    make: Make, simulator: Simulator, retriever: BaseRetriever, api: str
) -> None:
    questions = ["What is the capital of France?", "What is the capital of Italy?", "Where do bananas grow?"] * 3
    answers = chain_of(retriever, make(api=api)).batch(questions, {"max_concurrency": 3})
    assert answers == [FACTS["paris"], FACTS["rome"], FACTS["bananas"]] * 3
    seen = models_seen(simulator)
    assert [seen.count(model) for model in (M3, RANKER, MODELS[api])] == [10, 9, 9]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_the_compressed_retriever_gives_the_best_first(retriever: BaseRetriever, asynchronous: bool) -> None:
    best = await retriever.ainvoke(QUESTION) if asynchronous else retriever.invoke(QUESTION)
    assert best[0].metadata["name"] == "paris"
    scores = [document.metadata["relevance_score"] for document in best]
    assert scores == sorted(scores, reverse=True)
    assert len(best) == 2


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_the_reranker_is_a_step_of_a_chain(
    store: VectorStore, ranker: CloudflareAIGatewayReranker, simulator: Simulator, asynchronous: bool
) -> None:
    result = {"documents": store.as_retriever(search_kwargs={"k": 4}), "query": RunnablePassthrough()}

    async def arank(it: dict[str, Any]) -> Sequence[Document]:
        return await ranker.acompress_documents(it["documents"], it["query"])

    rank = RunnableLambda(lambda it: ranker.compress_documents(it["documents"], it["query"]), arank)
    chain: Runnable[str, Any] = result | rank
    best = await chain.ainvoke(QUESTION) if asynchronous else chain.invoke(QUESTION)
    assert best[0].page_content == ANSWER
    assert models_seen(simulator)[-1] == RANKER


class Cited(BaseModel):
    """An answer and the name of the fact that says so."""

    answer: str
    source: str


@every_wire
def test_an_answer_names_its_source(make: Make, simulator: Simulator, retriever: BaseRetriever, api: str) -> None:
    structured = make(api=api).with_structured_output(Cited)
    simulator.reply(Cited(answer=ANSWER, source="paris").model_dump_json())
    chain = {"facts": retriever | joined, "question": RunnablePassthrough()} | PROMPT | structured
    assert chain.invoke(QUESTION) == Cited(answer=ANSWER, source="paris")
    assert ANSWER in sent(simulator)


@every_wire
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_an_agent_uses_a_retriever_tool(
    make: Make, simulator: Simulator, retriever: BaseRetriever, api: str, asynchronous: bool
) -> None:
    look_up = create_retriever_tool(retriever, "search_facts", "Search facts about countries and fruit.")
    agent: Any = create_agent(make(api=api), [look_up])
    ask = asked("Search the facts: what is the capital of Italy?")
    messages = (await agent.ainvoke(ask) if asynchronous else agent.invoke(ask))["messages"]
    assert FACTS["rome"] in results(messages)[0]
    assert FACTS["rome"] in messages[-1].text
    assert models_seen(simulator) == [M3, MODELS[api], M3, RANKER, MODELS[api]]


def test_a_follow_up_question_is_rephrased_for_retrieval(
    make: Make, simulator: Simulator, retriever: BaseRetriever
) -> None:
    rephrase = ChatPromptTemplate.from_messages(
        [("system", "Rephrase the last question."), ("placeholder", "{messages}")]
    )
    small = make(model="@cf/zai-org/glm-5.2")
    chain = rephrase | small | StrOutputParser() | chain_of(retriever, make(model="anthropic/claude-haiku-4.5"))
    history = [HumanMessage(QUESTION), make().invoke(QUESTION), HumanMessage("And of Italy?")]
    simulator.reply("What is the capital of Italy?")
    assert chain.invoke({"messages": history}) == FACTS["rome"]
    assert models_seen(simulator)[2:] == ["@cf/zai-org/glm-5.2", M3, RANKER, "anthropic/claude-haiku-4.5"]


@pytest.mark.parametrize("kind", ["similarity", "mmr"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_similarity_and_mmr_search(store: VectorStore, kind: str, asynchronous: bool) -> None:
    search = store.as_retriever(search_type=kind, search_kwargs={"k": 2})
    result = await search.ainvoke(QUESTION) if asynchronous else search.invoke(QUESTION)
    assert result[0].page_content == ANSWER
    assert len(result) == 2
