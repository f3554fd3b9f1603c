"""Who wins a key and a place: call, block around it, bound copy, instrument tags, constructor, run."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.instrumentation.dispatcher import instrument_tags
from llama_index.core.schema import NodeWithScore, TextNode

from cfaig_integrations import RunInfo, errors, gateway_context
from cfaig_integrations.llama_index import (
    CloudflareAIGateway,
    CloudflareAIGatewayEmbedding,
    CloudflareAIGatewayRerank,
)
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.llama_index.call_methods import METHODS, Make
from tests.llama_index.run_metadata.kit import ANN, PRIVATE, QUESTION, Entries, ask, logged, purpose

every_method = pytest.mark.parametrize("method", METHODS)


def conflicting(*layers: str) -> tuple[dict[str, Entries], Entries]:
    """The layers of metadata, the highest first; each two neighbors share a key."""
    answer: dict[str, Entries] = {name: {} for name in layers}
    for higher, lower in pairwise(layers):
        answer[higher][f"{higher} or {lower}"] = higher
        answer[lower][f"{higher} or {lower}"] = lower
    return answer, {f"{higher} or {lower}": higher for higher, lower in pairwise(layers)}


@every_method
@pytest.mark.parametrize("run_metadata", [True, False])
async def test_the_higher_layer_wins(make: Make, simulator: Simulator, method: str, run_metadata: bool) -> None:
    answer, won = conflicting("call", "inner", "outer", "bound", "tags", "constructor")
    llm = make(gateway_metadata=answer["constructor"], run_metadata=run_metadata).with_gateway(metadata=answer["bound"])
    with (
        instrument_tags(answer["tags"]),
        gateway_context(metadata=answer["outer"]),
        gateway_context(metadata=answer["inner"]),
    ):
        await ask(llm, method, gateway_metadata=answer["call"])
    if not run_metadata:
        won["tags or constructor"] = "constructor"
    assert logged(simulator) == [won]
    sent = json.loads(simulator.requests[-1].headers["cf-aig-metadata"])
    assert list(sent)[:4] == ["call or inner", "inner or outer", "outer or bound", "bound or tags"]


VECTORS: dict[str, Callable[[Any], Any]] = {
    "embedding": lambda model: model.get_query_embedding(QUESTION),
    "rerank": lambda model: model.postprocess_nodes([NodeWithScore(node=TextNode(text=PRIVATE))], query_str=QUESTION),
}
KINDS: dict[str, Any] = {"embedding": CloudflareAIGatewayEmbedding, "rerank": CloudflareAIGatewayRerank}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("run_metadata", [True, False])
def test_the_higher_layer_wins_for_vectors(simulator: Simulator, kind: str, run_metadata: bool) -> None:
    answer, won = conflicting("inner", "outer", "bound", "tags", "constructor")
    arguments = {**where(simulator), "gateway_metadata": answer["constructor"], "run_metadata": run_metadata}
    model = KINDS[kind](**arguments, **({"model": "@cf/baai/bge-m3"} if kind == "embedding" else {}))
    with (
        instrument_tags(answer["tags"]),
        gateway_context(metadata=answer["outer"]),
        gateway_context(metadata=answer["inner"]),
    ):
        VECTORS[kind](model.with_gateway(metadata=answer["bound"]))
    won |= {"op": kind} if run_metadata else {"tags or constructor": "constructor"}
    assert logged(simulator) == [won]


def test_a_bound_copy_overrides_tags_and_constructor(make: Make, simulator: Simulator) -> None:
    llm = make(gateway_metadata={"user": "constructor", "tenant": "constructor"})
    with instrument_tags(ANN):
        llm.with_gateway(metadata={"user": "bound"}).complete(QUESTION)
    assert logged(simulator) == [{"user": "bound", "tenant": "acme", "op": "completion"}]


def test_inner_tags_replace_outer_ones(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    """As they do for LlamaIndex's observers; blocks of ours merge."""
    with instrument_tags(ANN), gateway_context(metadata={"a": 1}):
        with instrument_tags({"user": "bob"}), gateway_context(metadata={"b": 2}):
            llm.complete(QUESTION)
        llm.complete(QUESTION)
    assert logged(simulator) == [
        {"b": 2, "a": 1, "user": "bob", "op": "completion"},
        {"a": 1, **ANN, "op": "completion"},
    ]


@every_method
async def test_the_run_name_does_not_override_the_constructor(make: Make, simulator: Simulator, method: str) -> None:
    await ask(make(gateway_metadata={"op": "nightly"}), method)
    assert logged(simulator) == [{"op": "nightly"}]


async def test_an_agents_name_and_run_do_not_override_the_constructor(make: Make, simulator: Simulator) -> None:
    llm = make(gateway_metadata={"agent": "mine", "run_id": "mine"})
    await FunctionAgent(name="scout", llm=llm).run(user_msg=QUESTION)
    assert logged(simulator) == [{"agent": "mine", "run_id": "mine", "op": "chat"}]


async def test_tags_override_automatic_entries(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    with instrument_tags({"op": "nightly", "agent": "mine"}):
        handler = FunctionAgent(name="scout", llm=llm).run(user_msg=QUESTION)
    await handler
    assert logged(simulator) == [{"op": "nightly", "agent": "mine", "run_id": handler.run_id}]


def test_explicit_entries_come_first_and_tags_fill_the_rest(make: Make, simulator: Simulator) -> None:
    llm = make(gateway_metadata={"c": 3, "d": 4})
    with instrument_tags({**ANN, "d": "tag"}), gateway_context(metadata={"b": 2}):
        llm.complete(QUESTION, gateway_metadata={"a": 1})
    assert logged(simulator) == [{"a": 1, "b": 2, "d": "tag", "c": 3, "user": "ann"}]


def test_more_than_five_explicit_entries_are_refused_and_tags_are_trimmed(make: Make, simulator: Simulator) -> None:
    llm = make(gateway_metadata={"a": 1, "b": 2, "c": 3})
    with instrument_tags({str(number): number for number in range(9)}):
        with pytest.raises(errors.ConfigError, match="6 entries"):
            llm.complete(QUESTION, gateway_metadata={"d": 4, "e": 5, "f": 6})
        assert not simulator.requests
        llm.complete(QUESTION, gateway_metadata={"d": 4, "e": 5})
    assert logged(simulator) == [{"d": 4, "e": 5, "a": 1, "b": 2, "c": 3}]


# What is sent of a run


@every_method
async def test_metadata_keys_select_entries(make: Make, simulator: Simulator, method: str) -> None:
    tags = {**ANN, "session_id": "s1", "run_id": "r1"}
    with instrument_tags(tags):
        await ask(make(metadata_keys=["tenant", "thread_id", "op", "framework", "run_id", "absent"]), method)
        await ask(make(metadata_keys=[]), method)
        await ask(make(metadata_keys=["op"], gateway_metadata={"user": "mine"}), method)
        await ask(make(metadata_keys=["user"], gateway_metadata={"user": "mine"}), method)
    op = purpose(method)
    chosen = {"tenant": "acme", "thread_id": "s1", "op": op, "framework": "llama_index", "run_id": "r1"}
    assert logged(simulator) == [chosen, None, {"user": "mine", "op": op}, {"user": "ann"}]


@every_method
async def test_a_mapper_replaces_the_keys(make: Make, simulator: Simulator, method: str) -> None:
    seen: list[RunInfo] = []

    def mapper(run: RunInfo) -> Entries:
        seen.append(run)
        return {"who": run.metadata["user"], "tenant": "mapped", "none": None}

    llm = make(metadata_mapper=mapper, metadata_keys=["op", "tenant"], gateway_metadata={"tenant": "mine"})
    with instrument_tags({**ANN, "llamaindex.run_id": "r1", "llamaindex.step.input_summary": PRIVATE}):
        await ask(llm, method)
    assert logged(simulator) == [{"who": "ann", "tenant": "mine"}]
    operation: Any = purpose(method)
    assert seen == [RunInfo(framework="llama_index", operation=operation, run_id="r1", purpose=operation, metadata=ANN)]


@every_method
async def test_a_mapper_that_fails_stops_the_call(make: Make, simulator: Simulator, method: str) -> None:
    with pytest.raises(errors.ConfigError, match="metadata_mapper raised KeyError"):
        await ask(make(metadata_mapper=lambda run: {"user": run.metadata["user"]}), method)
    assert not simulator.requests


async def test_a_mapper_sees_the_agent(make: Make, simulator: Simulator) -> None:
    llm = make(metadata_mapper=lambda run: {"is": f"{run.agent} of {run.run_id}", "op": run.operation})
    handler = FunctionAgent(name="scout", llm=llm).run(user_msg=QUESTION)
    await handler
    assert logged(simulator) == [{"is": f"scout of {handler.run_id}", "op": "chat"}]


@every_method
async def test_run_metadata_can_be_switched_off(make: Make, simulator: Simulator, method: str) -> None:
    with instrument_tags(ANN):
        await ask(make(run_metadata=False, metadata_keys=["user"], metadata_mapper=lambda _: {"a": 1}), method)
    assert "cf-aig-metadata" not in simulator.requests[-1].headers
