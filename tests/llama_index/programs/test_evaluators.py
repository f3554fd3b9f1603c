"""The model as a judge: evaluators and the reranker that asks it."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.evaluation import (
    BatchEvalRunner,
    CorrectnessEvaluator,
    FaithfulnessEvaluator,
    PairwiseComparisonEvaluator,
    RelevancyEvaluator,
)
from llama_index.core.postprocessor import LLMRerank

from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.llama_index.programs.kit import ANSWER, FACTS, QUESTION, asked, both_ways, roles, said, steps


async def judge(evaluator: Any, asynchronous: bool, **words: Any) -> Any:
    words = {"query": QUESTION, "response": ANSWER, **words}
    return await evaluator.aevaluate(**words) if asynchronous else evaluator.evaluate(**words)


@both_ways
@pytest.mark.parametrize("kind", [FaithfulnessEvaluator, RelevancyEvaluator])
@pytest.mark.parametrize(("verdict", "passing"), [("YES", True), ("NO", False)])
async def test_faithfulness_is_evaluated(
    llm: CloudflareAIGateway, simulator: Simulator, kind: Any, verdict: str, passing: bool, asynchronous: bool
) -> None:
    simulator.reply(verdict)
    found = await judge(kind(llm=llm), asynchronous, contexts=[ANSWER, FACTS["sea"]])
    assert (found.passing, found.score, found.feedback) == (passing, float(passing), verdict)
    (request,) = asked(simulator)
    assert FACTS["sea"] in said(request)


@both_ways
async def test_correctness_is_evaluated(llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool) -> None:
    simulator.reply("4.5\nIt is right.")
    found = await judge(CorrectnessEvaluator(llm=llm), asynchronous, reference=ANSWER)
    assert (found.passing, found.score, found.feedback) == (True, 4.5, "It is right.")
    assert roles(asked(simulator)[0]) == ["system", "user"]


@both_ways
@pytest.mark.parametrize(("verdicts", "score"), [(("[[A]]", "[[B]]"), 1.0), (("[[A]]", "[[A]]"), 0.5)])
async def test_a_pairwise_evaluator_compares_in_both_orders(
    llm: CloudflareAIGateway, simulator: Simulator, verdicts: tuple[str, str], score: float, asynchronous: bool
) -> None:
    for verdict in verdicts:
        simulator.reply(verdict)
    found = await judge(PairwiseComparisonEvaluator(llm=llm), asynchronous, second_response="Lyon.", reference=ANSWER)
    assert found.score == score
    texts = [said(request).rpartition("[The Start of Assistant A")[2] for request in asked(simulator)]
    assert [text.index("Lyon.") > text.index(ANSWER) for text in texts] == [True, False]


@pytest.mark.filterwarnings("ignore:asyncio_module:DeprecationWarning")
@both_ways
async def test_many_answers_are_evaluated_concurrently(
    index: VectorStoreIndex, llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool
) -> None:
    questions = [QUESTION, "What is the capital of Italy?", "Where do bananas grow?"]
    judges = {"faithful": FaithfulnessEvaluator(llm=llm), "relevant": RelevancyEvaluator(llm=llm)}
    runner = BatchEvalRunner(judges, workers=2)  # type: ignore[arg-type]
    answered: list[Any] = [index.as_query_engine(llm=llm).query(question) for question in questions]
    simulator.reply("YES", times=6)
    if asynchronous:
        found = await runner.aevaluate_responses(questions, responses=answered)
    else:
        found = runner.evaluate_responses(questions, responses=answered)
    assert {name: [each.passing for each in results] for name, results in found.items()} == {
        "faithful": [True] * 3,
        "relevant": [True] * 3,
    }
    assert steps(simulator) == ["embed", *["embed", "ask"] * 3, *["ask"] * 6]


@both_ways
async def test_an_llm_reranker_reorders_nodes(
    index: VectorStoreIndex, llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool
) -> None:
    found = index.as_retriever(similarity_top_k=4).retrieve("Tell me of France, Italy and the sea.")
    if asynchronous:  # its batches are sent at once, in any order, so there is only one
        replies, size = ["Doc: 2, Relevance: 9\nDoc: 3, Relevance: 6\nDoc: 1, Relevance: 3"], 4
    else:
        replies, size = ["Doc: 2, Relevance: 9\nDoc: 1, Relevance: 3", "Doc: 1, Relevance: 6"], 2
    for text in replies:
        simulator.reply(text)
    ranker = LLMRerank(llm=llm, top_n=3, choice_batch_size=size)
    if asynchronous:
        best = await ranker.apostprocess_nodes(found, query_str=QUESTION)
    else:
        best = ranker.postprocess_nodes(found, query_str=QUESTION)
    assert [each.node_id for each in best] == [found[place].node_id for place in (1, 2, 0)]
    assert [each.score for each in best] == [9.0, 6.0, 3.0]
    for number, request in enumerate(asked(simulator)):
        batch = found[number * size : (number + 1) * size]
        assert all(each.node.get_content() in said(request) for each in batch)
