"""The gateway's log names user, conversation and run of every completion, embedding and ranking, on every path.

An LLM has runs of its own; embeddings and rerankers have none, and are known by the runnable around them. What is
expected comes from a handler that sees runs begin; what arrived is read from the simulator's log.
"""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Literal, NamedTuple, TypedDict

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.documents import Document
from langchain_core.language_models import BaseLLM
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableParallel, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.graph import END, START, StateGraph

from cfaig_integrations import RunInfo, errors, gateway_context
from cfaig_integrations.langchain import (
    CloudflareAIGatewayEmbeddings,
    CloudflareAIGatewayLLM,
    CloudflareAIGatewayReranker,
)
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import where
from tests.langchain.run_metadata import (
    LEAF,
    SYNC,
    USERS,
    Entries,
    Witness,
    asynchronous,
    broken,
    config_of,
    finish,
    logged,
    nothing_held,
    ordered,
)

Kind = Literal["llm", "streaming llm", "embeddings", "documents", "reranker"]
KINDS: tuple[Kind, ...] = ("llm", "streaming llm", "embeddings", "documents", "reranker")
OPERATIONS = dict(zip(KINDS, ("completion", "completion", "embedding", "embedding", "rerank"), strict=True))


def llm_of(simulator: Simulator, **arguments: Any) -> CloudflareAIGatewayLLM:
    return CloudflareAIGatewayLLM(**{"model": "openai/gpt-4.1", **where(simulator), **arguments})


def embeddings_of(simulator: Simulator, **arguments: Any) -> CloudflareAIGatewayEmbeddings:
    return CloudflareAIGatewayEmbeddings(**{"model": "@cf/baai/bge-m3", **where(simulator), **arguments})


def leaf_of(kind: Kind, simulator: Simulator, **arguments: Any) -> Runnable[Any, Any]:
    """What takes a text and calls the gateway once."""
    match kind:
        case "llm" | "streaming llm":
            return llm_of(simulator, streaming=kind == "streaming llm", **arguments)
        case "embeddings":
            embeddings = embeddings_of(simulator, **arguments)
            return RunnableLambda(embeddings.embed_query, embeddings.aembed_query, name=LEAF)
        case "documents":
            return in_batches(embeddings_of(simulator, batch_size=1, **arguments))
        case "reranker":
            reranker = CloudflareAIGatewayReranker(**where(simulator), **arguments)

            async def arerank(text: str) -> Any:
                return await reranker.arerank(["Paris", "Rome"], text)

            return RunnableLambda(lambda text: reranker.rerank(["Paris", "Rome"], text), arerank, name=LEAF)


def in_batches(embeddings: CloudflareAIGatewayEmbeddings) -> Runnable[Any, Any]:
    """Two requests at a time, in threads and in tasks."""

    async def aembed(text: str) -> Any:
        return await embeddings.aembed_documents([text, "other"])

    return RunnableLambda(lambda text: embeddings.embed_documents([text, "other"]), aembed, name=LEAF)


class State(TypedDict):
    text: str


def graph_of(leaf: Runnable[Any, Any]) -> Runnable[Any, Any]:
    def ask(state: State) -> State:
        leaf.invoke(state["text"])
        return state

    async def aask(state: State, config: RunnableConfig) -> State:
        await leaf.ainvoke(state["text"], config)
        return state

    graph = StateGraph(State)
    graph.add_node("ask", RunnableLambda(ask, aask))
    graph.add_edge(START, "ask")
    graph.add_edge("ask", END)
    return RunnableLambda(lambda text: {"text": text}) | graph.compile()


class Form(NamedTuple):
    """A runnable around a leaf, and how often it calls it."""

    build: Callable[[Runnable[Any, Any]], Runnable[Any, Any]]
    calls: int = 1


FORMS: dict[str, Form] = {
    "alone": Form(lambda leaf: leaf),
    "bound": Form(lambda leaf: leaf.with_config(tags=["t"])),
    "sequence": Form(lambda leaf: RunnablePassthrough() | leaf | RunnableLambda(str)),
    "parallel": Form(lambda leaf: RunnableParallel(a=leaf, b=RunnablePassthrough() | leaf), 2),
    "lambda": Form(lambda leaf: RunnableLambda(leaf.invoke, leaf.ainvoke)),
    "fallback": Form(lambda leaf: RunnableLambda(broken).with_fallbacks([leaf])),
    "with fallback": Form(lambda leaf: leaf.with_fallbacks([RunnableLambda(broken)])),
    "retry": Form(lambda leaf: (RunnablePassthrough() | leaf).with_retry(stop_after_attempt=2)),
    "each": Form(lambda leaf: RunnableLambda(lambda text: [text, "And?"]) | leaf.map(), 2),
    "graph": Form(graph_of),
}

ASYNC = asynchronous("on_llm_end", "on_chain_end")
V1_FORM = "sequence"
"""The one form that the deprecated version 1 of `astream_events` is tested with."""


def cases(forms: Iterable[str], paths: Iterable[str]) -> list[tuple[str, str]]:
    return [(form, path) for form in forms for path in paths if path != "astream_events v1" or form == V1_FORM]


every_kind = pytest.mark.parametrize("kind", KINDS)


def check(simulator: Simulator, witnesses: dict[str, Witness], form: str, kind: Kind) -> None:
    """Each user's calls are all there, and nobody else's."""
    each = 2 if kind == "documents" else 1
    for user, witness in witnesses.items():
        assert len(witness.expected) == FORMS[form].calls
        assert {entries["user_id"] for entries in witness.expected} == {user}
    expected = [entries for witness in witnesses.values() for entries in witness.expected for _ in range(each)]
    assert ordered(logged(simulator)) == ordered(expected)


@every_kind
@pytest.mark.parametrize(("form", "path"), cases(FORMS, SYNC | ASYNC))
def test_every_path(simulator: Simulator, kind: Kind, form: str, path: str) -> None:
    witness = Witness(OPERATIONS[kind])
    finish((SYNC | ASYNC)[path](FORMS[form].build(leaf_of(kind, simulator)), "Hi", config_of("ann", witness)))
    check(simulator, {"ann": witness}, form, kind)


@every_kind
@pytest.mark.parametrize("form", ["alone", "sequence", "parallel", "graph"])
@pytest.mark.parametrize("path", SYNC)
def test_four_users_in_threads(simulator: Simulator, kind: Kind, form: str, path: str) -> None:
    it = FORMS[form].build(leaf_of(kind, simulator))
    witnesses = {user: Witness(OPERATIONS[kind]) for user in USERS}
    with ThreadPoolExecutor(len(USERS)) as pool:
        list(pool.map(lambda user: SYNC[path](it, "Hi", config_of(user, witnesses[user])), USERS))
    check(simulator, witnesses, form, kind)


@every_kind
@pytest.mark.parametrize(("form", "path"), cases(["alone", "sequence", "parallel", "graph"], ASYNC))
async def test_four_users_in_one_loop(simulator: Simulator, kind: Kind, form: str, path: str) -> None:
    it = FORMS[form].build(leaf_of(kind, simulator))
    witnesses = {user: Witness(OPERATIONS[kind]) for user in USERS}
    await asyncio.gather(*(ASYNC[path](it, "Hi", config_of(user, witness)) for user, witness in witnesses.items()))
    check(simulator, witnesses, form, kind)


@every_kind
@pytest.mark.parametrize("form", ["alone", "sequence", "parallel"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_four_users_in_one_batch(simulator: Simulator, kind: Kind, form: str, asynchronous: bool) -> None:
    it = FORMS[form].build(leaf_of(kind, simulator))
    witnesses = {user: Witness(OPERATIONS[kind]) for user in USERS}
    configs = [config_of(user, witness) for user, witness in witnesses.items()]
    if asynchronous:
        asyncio.run(it.abatch(["Hi"] * 4, configs))
    else:
        it.batch(["Hi"] * 4, configs)
    check(simulator, witnesses, form, kind)


# Embeddings and rerankers where no run is theirs


@every_kind
def test_a_bare_thread_has_no_run(simulator: Simulator, kind: Kind) -> None:
    leaf = leaf_of(kind, simulator)

    def work(text: str) -> str:
        thread = threading.Thread(target=leaf.invoke, args=(text,))
        thread.start()
        thread.join()
        return text

    RunnableLambda(work).invoke("Hi", config_of("ann"))
    for entries in logged(simulator):
        assert entries.keys() <= {"run_id", "parent_run_id", "op"}


def test_without_a_run_the_operation_is_reported(simulator: Simulator) -> None:
    embeddings, reranker = embeddings_of(simulator), CloudflareAIGatewayReranker(**where(simulator))
    with gateway_context(metadata={"team": "docs"}):
        embeddings.embed_query("Hi")
    reranker.rerank(["a"], "Hi")
    asyncio.run(embeddings.aembed_documents(["Hi"]))
    assert logged(simulator) == [{"team": "docs", "op": "embedding"}, {"op": "rerank"}, {"op": "embedding"}]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_chain_that_retrieves_ranks_and_answers(simulator: Simulator, asynchronous: bool) -> None:
    store = InMemoryVectorStore(embeddings_of(simulator))
    store.add_texts(["Paris is in France.", "Rome is in Italy."])
    simulator.reset()
    reranker = CloudflareAIGatewayReranker(**where(simulator))
    best = RunnableLambda(lambda found: reranker.compress_documents(found["docs"], found["q"])[0].page_content)
    chain = RunnableParallel(docs=store.as_retriever(), q=RunnablePassthrough()) | best | llm_of(simulator)
    chain |= StrOutputParser()
    with ThreadPoolExecutor(len(USERS)) as pool:
        run = (
            (lambda user: asyncio.run(chain.ainvoke("Rome?", config_of(user))))
            if asynchronous
            else (lambda user: chain.invoke("Rome?", config_of(user)))
        )
        list(pool.map(run, USERS))
    reported = {(entries["user_id"], entries["thread_id"]) for entries in logged(simulator)}
    assert reported == {(user, f"thread of {user}") for user in USERS}
    assert len(logged(simulator)) == 3 * len(USERS)
    assert all("parent_run_id" in entries for entries in logged(simulator))


async def test_ranking_reports_its_run(simulator: Simulator) -> None:
    reranker = CloudflareAIGatewayReranker(**where(simulator))
    documents = [Document("Paris"), Document("Rome")]

    async def arank(text: str) -> Any:
        return await reranker.acompress_documents(documents, text)

    rank = RunnableLambda(lambda text: reranker.compress_documents(documents, text), arank)
    rank.invoke("Rome?", config_of("ann"))
    await rank.ainvoke("Rome?", config_of("bob"))
    assert [entries["user_id"] for entries in logged(simulator)] == ["ann", "bob"]


# An LLM's own runs


def asked_by(simulator: Simulator) -> dict[str, str]:
    """The user that the log has for each prompt."""
    bodies = [json.loads(entry["request"]) for entry in simulator.logs()]
    return {
        body["messages"][0]["content"]: entries["user_id"]
        for body, entries in zip(bodies, logged(simulator), strict=True)
    }


PROMPTS = {user: f"This is {user}." for user in USERS}
TOLD: dict[str, Any] = {
    "metadata": [{"user_id": user} for user in USERS],
    "tags": [[user] for user in USERS],
}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_joint_prompts_have_their_own_runs(simulator: Simulator, asynchronous: bool, streaming: bool) -> None:
    witnesses = [Witness("completion") for _ in USERS]
    llm = llm_of(simulator, streaming=streaming, max_concurrency=2)
    callbacks: Any = [[witness] for witness in witnesses]
    if asynchronous:
        asyncio.run(llm.agenerate([*PROMPTS.values()], callbacks=callbacks, **TOLD))
    else:
        llm.generate([*PROMPTS.values()], callbacks=callbacks, **TOLD)
    assert asked_by(simulator) == {prompt: user for user, prompt in PROMPTS.items()}
    expected = [entries for witness in witnesses for entries in witness.expected]
    assert len({entries["run_id"] for entries in expected}) == len(USERS)
    assert ordered(logged(simulator)) == ordered(expected)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_cached_prompts_do_not_shift_runs(simulator: Simulator, asynchronous: bool) -> None:
    llm = llm_of(simulator, cache=InMemoryCache())
    llm.generate([PROMPTS["ann"], PROMPTS["cid"]])
    simulator.reset()
    callbacks: Any = [None] * len(USERS)
    if asynchronous:
        asyncio.run(llm.agenerate([*PROMPTS.values()], callbacks=callbacks, **TOLD))
    else:
        llm.generate([*PROMPTS.values()], callbacks=callbacks, **TOLD)
    assert asked_by(simulator) == {PROMPTS[user]: user for user in ("bob", "dee")}


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_without_the_overridden_methods_only_the_runs_of_joint_prompts_are_lost(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, asynchronous: bool
) -> None:
    """As if core had renamed `_generate_helper`: nothing of ours is called where prompts are told apart."""
    for name in ("_generate_helper", "_agenerate_helper"):
        monkeypatch.setattr(CloudflareAIGatewayLLM, name, getattr(BaseLLM, name))
    llm = llm_of(simulator)
    configs = [config_of(user) for user in USERS]
    if asynchronous:
        asyncio.run(llm.agenerate([*PROMPTS.values()], callbacks=[None] * len(USERS), **TOLD))
    else:
        llm.generate([*PROMPTS.values()], callbacks=[None] * len(USERS), **TOLD)
    assert logged(simulator) == [{"op": "completion"}] * len(USERS)
    simulator.reset()
    if asynchronous:
        asyncio.run(llm.abatch([*PROMPTS.values()], configs))
    else:
        llm.batch([*PROMPTS.values()], configs)
    assert asked_by(simulator) == {prompt: user for user, prompt in PROMPTS.items()}


def test_interleaved_streams_of_one_thread(simulator: Simulator) -> None:
    llm, witnesses = llm_of(simulator), {user: Witness("completion") for user in USERS}
    pieces = [llm.stream("Hi", config_of(user, witness)) for user, witness in witnesses.items()]
    assert all(next(each) for each in pieces)
    assert all(list(each) for each in reversed(pieces))
    check(simulator, witnesses, "alone", "llm")


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_an_abandoned_stream_leaves_nothing(simulator: Simulator, asynchronous: bool) -> None:
    llm = llm_of(simulator)
    pieces: Any = (llm.astream if asynchronous else llm.stream)("Hi", config_of("ann"))
    assert nothing_held()
    _ = await anext(pieces) if asynchronous else next(pieces)
    assert nothing_held()
    del pieces
    gc.collect()
    _ = await llm.ainvoke("Hi") if asynchronous else llm.invoke("Hi")
    assert logged(simulator)[-1].keys() == {"run_id", "op"}


def test_an_error_leaves_nothing(simulator: Simulator) -> None:
    llm = llm_of(simulator, max_retries=0)
    for call in (llm.invoke, lambda text: list(llm.stream(text)), lambda text: llm.generate([text, text])):
        simulator.fault("gateway_rate_limit", times=2)
        with pytest.raises(errors.RateLimited):
            call("Hi")
        simulator.reset()
        assert nothing_held()


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_a_stream_keeps_the_context_in_which_it_was_created(simulator: Simulator, asynchronous: bool) -> None:
    llm = llm_of(simulator, run_metadata=False)
    with gateway_context(metadata={"team": "asked"}):
        pieces: Any = llm.astream("Hi") if asynchronous else llm.stream("Hi")
    with gateway_context(metadata={"team": "read"}):
        _ = [piece async for piece in pieces] if asynchronous else list(pieces)
    assert logged(simulator) == [{"team": "asked"}]


def test_a_stream_may_be_read_in_another_context(simulator: Simulator) -> None:
    pieces = llm_of(simulator).stream("Hi")
    copy_context().run(next, pieces)
    assert list(pieces)


def test_a_streams_run_has_a_name(simulator: Simulator) -> None:
    list(
        llm_of(simulator, metadata_keys=["run_name", "user_id"]).stream("Hi", {"run_name": "greet"} | config_of("ann"))
    )
    assert logged(simulator) == [{"run_name": "greet", "user_id": "ann"}]


@pytest.mark.parametrize("path", SYNC)
def test_layers_have_precedence(simulator: Simulator, path: str) -> None:
    config = config_of("ann")
    config["metadata"]["cf_aig_metadata"] = {"a": "config", "b": "config", "c": "config"}
    llm = llm_of(simulator, gateway_metadata=dict.fromkeys("abcd", "constructor"), metadata_keys=["user_id"])
    with gateway_context(metadata={"a": "block", "b": "block"}):
        SYNC[path](llm.bind(gateway_metadata={"a": "call"}), "Hi", config)
    assert logged(simulator) == [{"a": "call", "b": "block", "c": "config", "d": "constructor", "user_id": "ann"}]


@every_kind
def test_disabled_run_metadata_sends_nothing(simulator: Simulator, kind: Kind) -> None:
    leaf = leaf_of(kind, simulator, run_metadata=False)
    for path in SYNC.values():
        path(leaf, "Hi", config_of("ann"))
    assert simulator.requests
    assert all("cf-aig-metadata" not in request.headers for request in simulator.requests)


@every_kind
def test_a_mapper_decides_alone(simulator: Simulator, kind: Kind) -> None:
    seen: list[RunInfo] = []

    def mapped(run: RunInfo) -> Entries:
        seen.append(run)
        return {"who": run.metadata["user_id"], "op": run.operation}

    leaf_of(kind, simulator, metadata_mapper=mapped).invoke("Hi", config_of("ann"))
    operation = OPERATIONS[kind]
    assert {json.dumps(entries) for entries in logged(simulator)} == {json.dumps({"who": "ann", "op": operation})}
    assert {(run.framework, run.operation) for run in seen} == {("langchain", operation)}
