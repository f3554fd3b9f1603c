"""Objects instead of text: from the LLM, from its structured twin, and from query engines."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.response_synthesizers import ResponseMode
from pydantic import BaseModel

from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.llama_index.programs.conftest import Make
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

Way = Literal["json_schema", "function_calling", "prompt"]
PROGRAM_METHODS: list[Way] = ["json_schema", "function_calling", "prompt"]


class Cited(BaseModel):
    """An answer, and the fact that supports it."""

    answer: str
    source: str


CITED = Cited(answer=ANSWER, source="paris")
PROMPT = ChatPromptTemplate(
    message_templates=[
        ChatMessage(role=MessageRole.SYSTEM, content="Cite your source."),
        ChatMessage(role=MessageRole.USER, content="{question}"),
    ]
)


def answer(simulator: Simulator, way: Way, times: int = 1) -> None:
    if way == "function_calling":
        simulator.reply(calls=[{"name": "Cited", "arguments": CITED.model_dump()}], times=times)
    else:
        simulator.reply(CITED.model_dump_json(), times=times)


@pytest.mark.parametrize("way", PROGRAM_METHODS)
@pytest.mark.parametrize("method", ["structured_predict", "astructured_predict"])
async def test_an_object_is_predicted(make: Make, simulator: Simulator, way: Way, method: str) -> None:
    answer(simulator, way)
    result: Any = getattr(make(structured_output=way), method)(Cited, PROMPT, question=QUESTION)
    assert (await result if method.startswith("a") else result) == CITED
    (request,) = llm_requests(simulator)
    assert roles(request) == ["system", "user"]
    assert ("tools" in request.body) is (way == "function_calling")


@pytest.mark.parametrize("way", PROGRAM_METHODS)
@pytest.mark.parametrize("method", ["stream_structured_predict", "astream_structured_predict"])
async def test_a_structured_stream_yields_partial_objects(
    make: Make, simulator: Simulator, way: Way, method: str
) -> None:
    answer(simulator, way)
    result: Any = getattr(make(structured_output=way), method)(Cited, PROMPT, question=QUESTION)
    grown = [each async for each in await result] if method.startswith("a") else list(result)
    assert grown[-1] == CITED
    assert len(grown) > 2
    texts = [each.answer or "" for each in grown]
    assert all(ANSWER.startswith(text) for text in texts)
    assert texts == sorted(texts, key=len)
    (request,) = llm_requests(simulator)
    assert request.body["stream"] is True


@pytest.mark.parametrize("way", PROGRAM_METHODS)
@pytest.mark.parametrize("method", ["chat", "achat", "complete", "acomplete", "stream_chat", "astream_chat"])
async def test_a_structured_llm_returns_objects(make: Make, simulator: Simulator, way: Way, method: str) -> None:
    answer(simulator, way)
    twin = make(structured_output=way, system_prompt="Cite your source.").as_structured_llm(Cited)
    value: Any = QUESTION if "complete" in method else [ChatMessage(role=MessageRole.USER, content=QUESTION)]
    result: Any = getattr(twin, method)(value)
    result = await result if method.startswith("a") else result
    if "stream" in method:
        result = ([each async for each in result] if method.startswith("a") else list(result))[-1]
    assert result.raw == CITED
    text = result.text if "complete" in method else result.message.content
    assert json.loads(text) == CITED.model_dump()
    (request,) = llm_requests(simulator)
    assert roles(request) == ["system", "user"]
    assert QUESTION in prompt_text(request)


def test_braces_in_a_prompt_are_unchanged(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    answer(simulator, "json_schema")
    question = 'What does {"a": {}} mean?'
    assert llm.structured_predict(Cited, PromptTemplate("{question}"), question=question) == CITED
    assert prompt_text(llm_requests(simulator)[0]) == question


@both_methods
@pytest.mark.parametrize("mode", [ResponseMode.COMPACT, ResponseMode.TREE_SUMMARIZE])
@pytest.mark.parametrize("twin", [False, True], ids=["output_cls", "structured_llm"])
async def test_a_query_engine_returns_objects(
    index: VectorStoreIndex,
    llm: CloudflareAIGateway,
    simulator: Simulator,
    mode: ResponseMode,
    twin: bool,
    asynchronous: bool,
) -> None:
    answer(simulator, "json_schema")
    arguments: dict[str, Any] = {"llm": llm.as_structured_llm(Cited)} if twin else {"llm": llm, "output_cls": Cited}
    engine = index.as_query_engine(response_mode=mode, similarity_top_k=2, **arguments)
    result: Any = await engine.aquery(QUESTION) if asynchronous else engine.query(QUESTION)
    assert result.response == CITED
    assert steps(simulator) == ["embed", "embed", "ask"]
    (request,) = llm_requests(simulator)
    assert roles(request) == ["system", "user"]
    assert ANSWER in prompt_text(request)
    assert FACTS["sea"] not in prompt_text(request)
