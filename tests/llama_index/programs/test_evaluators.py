"""Evaluators and LLMRerank, which let the model rate answers and nodes."""

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
from tests.llama_index.programs.kit import (
    ANSWER,
    FACTS,
    QUESTION,
    both_methods,
    llm_requests,
    prompt_text,
    roles,
    steps,
)


async def check_events(evaluator: Any, asynchronous: bool, **arguments: Any) -> Any:
    arguments = {"query": QUESTION, "response": ANSWER, **arguments}
    return await evaluator.aevaluate(**arguments) if asynchronous else evaluator.evaluate(**arguments)


@both_methods
@pytest.mark.parametrize("kind", [FaithfulnessEvaluator, RelevancyEvaluator])
@pytest.mark.parametrize(("verdict", "passing"), [("YES", True), ("NO", False)])
async def test_faithfulness_is_evaluated(
    llm: CloudflareAIGateway, simulator: Simulator, kind: Any, verdict: str, passing: bool, asynchronous: bool
) -> None:
    simulator.reply(verdict)
    result = await check_events(kind(llm=llm), asynchronous, contexts=[ANSWER, FACTS["sea"]])
    assert (result.passing, result.score, result.feedback) == (passing, float(passing), verdict)
    (request,) = llm_requests(simulator)
    assert FACTS["sea"] in prompt_text(request)


@both_methods
async def test_correctness_is_evaluated(llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool) -> None:
    simulator.reply("4.5\nIt is right.")
    result = await check_events(CorrectnessEvaluator(llm=llm), asynchronous, reference=ANSWER)
    assert (result.passing, result.score, result.feedback) == (True, 4.5, "It is right.")
    assert roles(llm_requests(simulator)[0]) == ["system", "user"]


@both_methods
@pytest.mark.parametrize(("verdicts", "score"), [(("[[A]]", "[[B]]"), 1.0), (("[[A]]", "[[A]]"), 0.5)])
async def test_a_pairwise_evaluator_compares_in_both_orders(
    llm: CloudflareAIGateway, simulator: Simulator, verdicts: tuple[str, str], score: float, asynchronous: bool
) -> None:
    for verdict in verdicts:
        simulator.reply(verdict)
    result = await check_events(
        PairwiseComparisonEvaluator(llm=llm), asynchronous, second_response="Lyon.", reference=ANSWER
    )
    assert result.score == score
    texts = [prompt_text(request).rpartition("[The Start of Assistant A")[2] for request in llm_requests(simulator)]
    assert [text.index("Lyon.") > text.index(ANSWER) for text in texts] == [True, False]


@pytest.mark.filterwarnings("ignore:asyncio_module:DeprecationWarning")
@both_methods
async def test_many_answers_are_evaluated_concurrently(
    index: VectorStoreIndex, llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool
) -> None:
    questions = [QUESTION, "What is the capital of Italy?", "Where do bananas grow?"]
    judges = {"faithful": FaithfulnessEvaluator(llm=llm), "relevant": RelevancyEvaluator(llm=llm)}
    runner = BatchEvalRunner(judges, workers=2)  # type: ignore[arg-type]
    answered: list[Any] = [index.as_query_engine(llm=llm).query(question) for question in questions]
    simulator.reply("YES", times=6)
    if asynchronous:
        result = await runner.aevaluate_responses(questions, responses=answered)
    else:
        result = runner.evaluate_responses(questions, responses=answered)
    assert {name: [each.passing for each in results] for name, results in result.items()} == {
        "faithful": [True] * 3,
        "relevant": [True] * 3,
    }
    assert steps(simulator) == ["embed", *["embed", "ask"] * 3, *["ask"] * 6]


@both_methods
async def test_an_llm_reranker_reorders_nodes(
    index: VectorStoreIndex, llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool
) -> None:
    result = index.as_retriever(similarity_top_k=4).retrieve("Tell me of France, Italy and the sea.")
    if asynchronous:  # its batches are sent at once, in any order, so there is only one
        replies, size = ["Doc: 2, Relevance: 9\nDoc: 3, Relevance: 6\nDoc: 1, Relevance: 3"], 4
    else:
        replies, size = ["Doc: 2, Relevance: 9\nDoc: 1, Relevance: 3", "Doc: 1, Relevance: 6"], 2
    for text in replies:
        simulator.reply(text)
    ranker = LLMRerank(llm=llm, top_n=3, choice_batch_size=size)
    if asynchronous:
        best = await ranker.apostprocess_nodes(result, query_str=QUESTION)
    else:
        best = ranker.postprocess_nodes(result, query_str=QUESTION)
    assert [each.node_id for each in best] == [result[place].node_id for place in (1, 2, 0)]
    assert [each.score for each in best] == [9.0, 6.0, 3.0]
    for number, request in enumerate(llm_requests(simulator)):
        batch = result[number * size : (number + 1) * size]
        assert all(each.node.get_content() in prompt_text(request) for each in batch)
