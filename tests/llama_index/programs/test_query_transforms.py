"""Engines that choose, split, rewrite and multiply a question before it is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core import SummaryIndex, VectorStoreIndex, get_response_synthesizer
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.indices.query.query_transform import HyDEQueryTransform, StepDecomposeQueryTransform
from llama_index.core.query_engine import (
    MultiStepQueryEngine,
    RouterQueryEngine,
    SubQuestionQueryEngine,
    TransformQueryEngine,
)
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.retrievers.fusion_retriever import FUSION_MODES
from llama_index.core.selectors import (
    LLMMultiSelector,
    LLMSingleSelector,
    PydanticMultiSelector,
    PydanticSingleSelector,
)
from llama_index.core.tools import QueryEngineTool

from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.llama_index.programs.kit import (
    ANSWER,
    FACTS,
    QUESTION,
    both_methods,
    embedded,
    llm_requests,
    must_call,
    nodes,
    prompt_text,
    roles,
    steps,
)

at_once = pytest.mark.parametrize("use_async", [False, True], ids=["in-turn", "at-once"])


@pytest.fixture
def facts(index: VectorStoreIndex, llm: CloudflareAIGateway) -> BaseQueryEngine:
    return index.as_query_engine(llm=llm, similarity_top_k=1)


@pytest.fixture
def tools(facts: BaseQueryEngine, llm: CloudflareAIGateway) -> list[QueryEngineTool]:
    everything = SummaryIndex(nodes()).as_query_engine(llm=llm)
    return [
        QueryEngineTool.from_defaults(facts, name="facts", description="Single facts about countries."),
        QueryEngineTool.from_defaults(everything, name="summary", description="A summary of everything."),
    ]


async def ask(engine: BaseQueryEngine, question: str, asynchronous: bool) -> Any:
    return await engine.aquery(question) if asynchronous else engine.query(question)


def choices(simulator: Simulator, *numbers: int, called: str = "") -> None:
    """The model chooses; in the call of a function if that has a name."""
    if not called:
        simulator.reply(json.dumps([{"choice": number, "reason": "It fits."} for number in numbers]))
        return
    picked = [{"index": number, "reason": "It fits."} for number in numbers]
    simulator.reply(calls=[{"name": called, "arguments": picked[0] if len(picked) == 1 else {"selections": picked}}])


@both_methods
@pytest.mark.parametrize(
    ("kind", "called", "numbers"),
    [
        (LLMSingleSelector, "", (1,)),
        (PydanticSingleSelector, "SingleSelection", (1,)),
        (LLMMultiSelector, "", (1, 2)),
        (PydanticMultiSelector, "MultiSelection", (1, 2)),
    ],
)
async def test_a_router_selects_engines(
    tools: list[QueryEngineTool],
    llm: CloudflareAIGateway,
    simulator: Simulator,
    kind: Any,
    called: str,
    numbers: tuple[int, ...],
    asynchronous: bool,
) -> None:
    choices(simulator, *numbers, called=called)
    router = RouterQueryEngine(selector=kind.from_defaults(llm=llm), query_engine_tools=tools, llm=llm)
    response = await ask(router, QUESTION, asynchronous)
    assert str(response) == ANSWER
    assert response.metadata["selector_result"].inds == [number - 1 for number in numbers]
    assert steps(simulator)[:3] == ["embed", "ask", "embed"]
    assert sorted(steps(simulator)) == ["ask"] * 2 * len(numbers) + ["embed"] * 2
    choose = llm_requests(simulator)[0]
    assert must_call(choose) is bool(called)
    assert "(1) Single facts about countries." in prompt_text(choose)


@both_methods
@at_once
async def test_a_question_is_split_into_sub_questions(
    tools: list[QueryEngineTool],
    llm: CloudflareAIGateway,
    simulator: Simulator,
    use_async: bool,
    asynchronous: bool,
) -> None:
    parts = ["What is the capital of France?", "What is the capital of Italy?"]
    items = [{"sub_question": part, "tool_name": "facts"} for part in parts]
    simulator.reply(f"```json\n{json.dumps({'items': items})}\n```")
    engine = SubQuestionQueryEngine.from_defaults(
        query_engine_tools=tools,
        llm=llm,
        question_gen=LLMQuestionGenerator.from_defaults(llm=llm),
        response_synthesizer=get_response_synthesizer(llm=llm),
        use_async=use_async,
        verbose=False,
    )
    response = await ask(engine, "What are the capitals of France and Italy?", asynchronous)
    assert all(FACTS[name] in str(response) for name in ("paris", "rome"))
    assert sorted(embedded(simulator)[1:]) == [[part] for part in parts]
    split, *answered, last = llm_requests(simulator)
    assert len(answered) == 2
    assert roles(split) == ["user"]
    assert '"facts": "Single facts about countries."' in prompt_text(split)
    assert all(FACTS[name] in prompt_text(last) for name in ("paris", "rome"))


@both_methods
async def test_a_hypothetical_document_is_used_for_retrieval(
    facts: BaseQueryEngine, llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool
) -> None:
    made_up = "The capital of France, a large city, is Paris."
    simulator.reply(made_up)
    engine = TransformQueryEngine(facts, HyDEQueryTransform(llm=llm, include_original=True))
    assert str(await ask(engine, QUESTION, asynchronous)) == ANSWER
    assert steps(simulator) == ["embed", "ask", "embed", "embed", "ask"]
    assert sorted(embedded(simulator)[1:]) == sorted([[made_up], [QUESTION]])
    assert made_up not in prompt_text(llm_requests(simulator)[-1])


@both_methods
async def test_a_multi_step_engine_answers_in_steps(
    facts: BaseQueryEngine, llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool
) -> None:
    for text in ("What is the capital of Italy?", FACTS["rome"], QUESTION, ANSWER, "None"):
        simulator.reply(text)
    engine = MultiStepQueryEngine(
        facts,
        StepDecomposeQueryTransform(llm=llm),
        index_summary="Facts about countries.",
        response_synthesizer=get_response_synthesizer(llm=llm),
    )
    response = await ask(engine, "Which capitals do Italy and France have?", asynchronous)
    assert [question for question, _ in response.metadata["sub_qa"]] == ["What is the capital of Italy?", QUESTION]
    assert steps(simulator) == ["embed", *["ask", "embed", "ask"] * 2, "ask", "ask"]
    assert FACTS["rome"] in prompt_text(llm_requests(simulator)[2])
    assert all(FACTS[name] in prompt_text(llm_requests(simulator)[-1]) for name in ("paris", "rome"))


@both_methods
@at_once
async def test_query_fusion_generates_several_queries(
    index: VectorStoreIndex,
    llm: CloudflareAIGateway,
    simulator: Simulator,
    use_async: bool,
    asynchronous: bool,
) -> None:
    simulator.reply("capital of France\nsalty sea\nlongest river")
    retriever = QueryFusionRetriever(
        [index.as_retriever(similarity_top_k=1)],
        llm=llm,
        num_queries=4,
        similarity_top_k=3,
        use_async=use_async,
        mode=FUSION_MODES.RECIPROCAL_RANK,
    )
    result = await retriever.aretrieve(QUESTION) if asynchronous else retriever.retrieve(QUESTION)
    assert {each.node.metadata["name"] for each in result} == {"paris", "sea", "rivers"}
    assert steps(simulator) == ["embed", "ask", *["embed"] * 4]
    asked_for = [[QUESTION], ["capital of France"], ["salty sea"], ["longest river"]]
    assert sorted(embedded(simulator)[1:]) == sorted(asked_for)
    assert roles(llm_requests(simulator)[0]) == ["user"]
