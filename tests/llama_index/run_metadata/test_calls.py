"""Calls that a program makes itself: all methods of the LLM, the embedding model and the reranker."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any

import pytest
from llama_index.core.instrumentation.dispatcher import instrument_tags
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from cfaig_integrations import errors
from cfaig_integrations.llama_index import (
    CloudflareAIGateway,
    CloudflareAIGatewayEmbedding,
    CloudflareAIGatewayRerank,
)
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.llama_index.call_methods import METHODS, Make, begun, read
from tests.llama_index.run_metadata.kit import (
    ANN,
    PRIVATE,
    QUESTION,
    QUESTIONS,
    USERS,
    ask,
    context_is_clean,
    logged,
    ordered,
    purpose,
)
from tests.waiting import until_async

STREAMS = [method for method in METHODS if "stream" in method]
every_method = pytest.mark.parametrize("method", METHODS)
every_stream = pytest.mark.parametrize("method", STREAMS)


@every_method
async def test_a_call_reports_its_tags_and_purpose(llm: CloudflareAIGateway, simulator: Simulator, method: str) -> None:
    with instrument_tags(ANN):
        await ask(llm, method)
    await ask(llm, method)
    assert logged(simulator) == [{**ANN, "op": purpose(method)}, {"op": purpose(method)}]


@every_stream
async def test_a_stream_has_the_tags_of_its_request(
    llm: CloudflareAIGateway, simulator: Simulator, method: str
) -> None:
    with instrument_tags(ANN):
        stream = await begun(llm, method, QUESTION)
    with instrument_tags({"user": "reader"}):
        assert await read(stream)
    assert logged(simulator) == [{**ANN, "op": purpose(method)}]


class EntryPoint(BaseModel):
    """A door."""

    name: str


async def structured(llm: CloudflareAIGateway, method: str) -> None:
    actual: Any = getattr(llm, method)(EntryPoint, PromptTemplate("Name the door: {text}"), text=PRIVATE)
    if method.startswith("a"):
        actual = await actual
    assert await read(actual)


@pytest.mark.parametrize("way", ["json_schema", "function_calling", "prompt"])
@pytest.mark.parametrize("form", ["", "a", "stream_", "astream_"])
async def test_structured_answers_report_their_run(make: Make, simulator: Simulator, form: str, way: Any) -> None:
    with instrument_tags(ANN):
        await structured(make(structured_output=way), f"{form}structured_predict")
    assert logged(simulator) == [{**ANN, "op": "chat"}]


async def test_a_structured_llm_reports_its_run(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    doors = llm.as_structured_llm(EntryPoint)
    with instrument_tags(ANN):
        doors.chat(QUESTIONS)
        await doors.achat(QUESTIONS)
        list(doors.stream_chat(QUESTIONS))
        _ = [each async for each in await doors.astream_chat(QUESTIONS)]
    assert logged(simulator) == [{**ANN, "op": "chat"}] * 4


async def test_calls_with_tools_report_their_run(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"Sunny in {city}."

    tools, sent = [FunctionTool.from_defaults(weather)], "What is the weather in Oslo?"
    with instrument_tags(ANN):
        llm.chat_with_tools(tools, sent)
        await llm.achat_with_tools(tools, sent)
        list(llm.stream_chat_with_tools(tools, sent))
        _ = [each async for each in await llm.astream_chat_with_tools(tools, sent)]
        llm.predict_and_call(tools, sent)
        await llm.apredict_and_call(tools, sent)
    assert logged(simulator) == [{**ANN, "op": "chat"}] * 6


async def test_prompts_report_their_run(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    prompt = PromptTemplate("What is {text}?")
    with instrument_tags(ANN):
        llm.predict(prompt, text=PRIVATE)
        await llm.apredict(prompt, text=PRIVATE)
        list(llm.stream(prompt, text=PRIVATE))
        _ = [each async for each in await llm.astream(prompt, text=PRIVATE)]
    assert logged(simulator) == [{**ANN, "op": "chat"}] * 4


async def test_embeddings_report_their_run(embed_model: CloudflareAIGatewayEmbedding, simulator: Simulator) -> None:
    embed_model.embed_batch_size = 2
    texts = [f"{PRIVATE} {number}" for number in range(6)]
    with instrument_tags(ANN):
        embed_model.get_query_embedding(QUESTION)
        embed_model.get_text_embedding(QUESTION)
        embed_model.get_text_embedding_batch(texts)
        await embed_model.aget_query_embedding(QUESTION)
        await embed_model.aget_text_embedding(QUESTION)
        await embed_model.aget_text_embedding_batch(texts)
        embed_model.get_agg_embedding_from_queries(texts[:1])
    embed_model.get_query_embedding(QUESTION)
    assert logged(simulator) == [{**ANN, "op": "embedding"}] * 11 + [{"op": "embedding"}]


async def test_reranking_reports_its_run(simulator: Simulator) -> None:
    rerank = CloudflareAIGatewayRerank(**where(simulator))
    nodes = [NodeWithScore(node=TextNode(text=PRIVATE)), NodeWithScore(node=TextNode(text="The sea."))]
    with instrument_tags(ANN):
        rerank.postprocess_nodes(nodes, query_str=QUESTION)
        await rerank.apostprocess_nodes(nodes, query_str=QUESTION)
    rerank.postprocess_nodes(nodes, query_str=QUESTION)
    assert logged(simulator) == [{**ANN, "op": "rerank"}] * 2 + [{"op": "rerank"}]


# Several at once


def expected(method: str) -> list[str]:
    return ordered([{"twin": user, "user": user, "op": purpose(method)} for user in USERS for _ in range(3)])


@pytest.mark.parametrize("method", [method for method in METHODS if not method.startswith("a")])
def test_four_users_in_threads(llm: CloudflareAIGateway, simulator: Simulator, method: str) -> None:
    together = threading.Barrier(len(USERS))

    def work(user: str) -> None:
        with instrument_tags({"user": user}):
            for _ in range(3):
                together.wait()
                asyncio.run(ask(llm, method, gateway_metadata={"twin": user}))

    with ThreadPoolExecutor(len(USERS)) as pool:
        list(pool.map(work, USERS))
    assert ordered(logged(simulator)) == expected(method)


@pytest.mark.parametrize("method", [method for method in METHODS if method.startswith("a")])
async def test_four_users_in_one_loop(llm: CloudflareAIGateway, simulator: Simulator, method: str) -> None:
    async def work(user: str) -> None:
        with instrument_tags({"user": user}):
            for _ in range(3):
                await asyncio.sleep(0)
                await ask(llm, method, gateway_metadata={"twin": user})

    await asyncio.gather(*map(work, USERS))
    assert ordered(logged(simulator)) == expected(method)


def test_interleaved_streams_keep_their_tags(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    streams = []
    for user in USERS:
        with instrument_tags({"user": user}):
            streams.append(llm.stream_chat(QUESTIONS))
    firsts = [next(stream) for stream in streams]
    assert all(firsts)
    assert all(list(stream) for stream in reversed(streams))
    assert logged(simulator) == [{"user": user, "op": "chat"} for user in USERS]


async def test_embeddings_of_four_users_in_one_loop(
    embed_model: CloudflareAIGatewayEmbedding, simulator: Simulator
) -> None:
    embed_model.embed_batch_size = 1

    async def work(user: str) -> None:
        with instrument_tags({"user": user}):
            await embed_model.aget_text_embedding_batch([f"{user} {number}" for number in range(3)])

    await asyncio.gather(*map(work, USERS))
    entries = simulator.logs()
    assert len(entries) == 12
    for entry in entries:
        assert entry["metadata"]["user"] in entry["request"]


# Threads


def in_a_thread(work: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def test_a_thread_without_context_has_no_tags(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    with instrument_tags(ANN):
        in_a_thread(lambda: llm.chat(QUESTIONS))
    assert logged(simulator) == [{"op": "chat"}]


def test_a_thread_with_a_copied_context_has_the_tags(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    with instrument_tags(ANN):
        context = copy_context()
    in_a_thread(lambda: context.run(llm.chat, QUESTIONS))
    assert logged(simulator) == [{**ANN, "op": "chat"}]


async def test_a_thread_of_the_event_loop_has_the_tags(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    with instrument_tags(ANN):
        await asyncio.to_thread(llm.chat, QUESTIONS)
    assert logged(simulator) == [{**ANN, "op": "chat"}]


def test_a_bound_copy_keeps_its_metadata_in_every_thread(
    llm: CloudflareAIGateway, embed_model: CloudflareAIGatewayEmbedding, simulator: Simulator
) -> None:
    bound, embeds = llm.with_gateway(metadata=ANN), embed_model.with_gateway(metadata=ANN)
    in_a_thread(lambda: (bound.chat(QUESTIONS), embeds.get_query_embedding(QUESTION)))
    assert logged(simulator) == [{**ANN, "op": "chat"}, {**ANN, "op": "embedding"}]


# What is left behind


@every_stream
async def test_an_abandoned_stream_leaves_no_context(
    llm: CloudflareAIGateway, simulator: Simulator, method: str
) -> None:
    with instrument_tags(ANN):
        stream = await begun(llm, method, QUESTION)
    assert context_is_clean()
    assert await anext(stream) if method.startswith("a") else next(stream)
    assert context_is_clean()
    del stream
    gc.collect()
    await asyncio.sleep(0)
    assert context_is_clean()
    await ask(llm, method)
    assert logged(simulator)[-1] == {"op": purpose(method)}


async def test_a_cancelled_call_leaves_no_context(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    simulator.fault("slow_first_byte", seconds=30)

    async def work() -> None:
        with instrument_tags(ANN):
            await llm.astream_chat(QUESTIONS)

    task = asyncio.create_task(work())
    assert await until_async(lambda: bool(simulator.requests))
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert context_is_clean()
    answer = await llm.achat(QUESTIONS)
    entries = {entry["id"]: entry["metadata"] for entry in simulator.logs()}
    assert entries[answer.additional_kwargs["cf_aig"]["log_id"]] == {"op": "chat"}


@every_method
async def test_an_error_leaves_no_context(make: Make, simulator: Simulator, method: str) -> None:
    llm = make(max_retries=0)
    simulator.fault("gateway_rate_limit")
    with instrument_tags(ANN), pytest.raises(errors.RateLimited):
        await ask(llm, method)
    assert context_is_clean()
    await ask(llm, method)
    assert logged(simulator)[-1] == {"op": purpose(method)}


@every_method
@pytest.mark.parametrize("key", ["user_id", "thread_id", "session_id", "conversation_id"])
async def test_the_tag_of_a_user_or_a_conversation_comes_first(
    make: Make, simulator: Simulator, method: str, key: str
) -> None:
    with instrument_tags({**ANN, "one": 1, "two": 2, key: "c1"}):
        await ask(make(), method)
    (entry,) = logged(simulator)
    assert entry == {key: "c1", **ANN, "one": 1}
