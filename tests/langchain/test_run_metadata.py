"""The gateway's log names user, conversation and run of every call, on every path by which LangChain reaches a model.

What is expected comes from a handler that sees each run begin; what arrived is read from the simulator's log.
"""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from itertools import pairwise
from typing import Any, TypedDict
from uuid import UUID, uuid4

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler, manager
from langchain_core.callbacks.manager import CallbackManager
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableParallel
from langgraph.graph import END, START, StateGraph
from langsmith.run_helpers import tracing_context
from langsmith.run_trees import RunTree

from cfaig_integrations import GatewayOptions, RunInfo, errors, gateway_context
from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import Make
from tests.langchain.run_metadata import (
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
from tests.waiting import until_async

Model = ChatCloudflareAIGateway


class State(TypedDict):
    text: str


def graph_of(model: Model) -> Any:
    def ask(state: State) -> State:
        return {"text": str(model.invoke(state["text"]).content)}

    async def aask(state: State, config: RunnableConfig) -> State:
        return {"text": str((await model.ainvoke(state["text"], config)).content)}

    def ask_streaming(state: State) -> State:
        return {"text": "".join(str(chunk.content) for chunk in model.stream(state["text"]))}

    graph = StateGraph(State)
    graph.add_node("ask", RunnableLambda(ask, aask))
    graph.add_node("again", RunnableLambda(ask_streaming, aask))
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "again")
    graph.add_edge("again", END)
    return graph.compile()


def agent_of(model: Model) -> Any:
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"Sunny in {city}."

    return create_agent(model, [weather], name="scout")


def chain_of(model: Model) -> Runnable[Any, Any]:
    return ChatPromptTemplate.from_template("{text}") | model | StrOutputParser()


ASK = {"text": "Hi"}
TOOLS_ASK = {"messages": [("user", "What is the weather in Oslo?")]}
RUNNABLES: dict[str, tuple[Callable[[Model], Runnable[Any, Any]], Any]] = {
    "model": (lambda model: model, "Hi"),
    "bound": (lambda model: model.bind(temperature=0), "Hi"),
    "chain": (chain_of, ASK),
    "parallel": (lambda model: RunnableParallel(a=chain_of(model), b=chain_of(model)), ASK),
    "lambda": (lambda model: RunnableLambda(model.invoke), "Hi"),
    "lambda that streams": (lambda model: RunnableLambda(lambda text: list(model.stream(text))[-1]), "Hi"),
    "fallback": (lambda model: RunnableLambda(broken).with_fallbacks([model]), "Hi"),
    "model with fallback": (lambda model: model.with_fallbacks([RunnableLambda(broken)]), "Hi"),
    "retry": (lambda model: model.with_retry(stop_after_attempt=2), "Hi"),
    "graph": (graph_of, ASK),
    "agent": (agent_of, TOOLS_ASK),
}

ASYNC = asynchronous("on_chat_model_end")

every_runnable = pytest.mark.parametrize("runnable", RUNNABLES)


def check(simulator: Simulator, witness: Witness) -> None:
    assert witness.expected
    assert ordered(logged(simulator)) == ordered(witness.expected)


@every_runnable
@pytest.mark.parametrize("path", SYNC | ASYNC)
def test_every_path(make: Make, simulator: Simulator, runnable: str, path: str) -> None:
    build, ask = RUNNABLES[runnable]
    witness = Witness()
    finish((SYNC | ASYNC)[path](build(make()), ask, config_of("ann", witness)))
    check(simulator, witness)
    assert {entry["user_id"] for entry in logged(simulator)} == {"ann"}


MODES = ("values", "updates", "messages", "custom", "debug", ["values", "messages"])


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("runnable", ["graph", "agent"])
async def test_every_stream_mode(make: Make, simulator: Simulator, runnable: str, mode: Any) -> None:
    build, ask = RUNNABLES[runnable]
    it, sync, apart = build(make()), Witness(), Witness()
    list(it.stream(ask, config_of("ann", sync), stream_mode=mode))
    check(simulator, sync)
    simulator.reset()
    _ = [chunk async for chunk in it.astream(ask, config_of("bob", apart), stream_mode=mode)]
    check(simulator, apart)
    nodes = {"graph": {"ask", "again"}, "agent": {"scout:model"}}
    assert {entry["agent"] for entry in logged(simulator)} == nodes[runnable]
    assert {entry["user_id"] for entry in logged(simulator)} == {"bob"}


async def test_event_protocol_version_3(make: Make, simulator: Simulator) -> None:
    if not hasattr(BaseChatModel, "stream_events"):
        pytest.skip("This langchain-core has no stream_events.")
    witness = Witness()
    stream = make().stream_events("Hi", config_of("ann", witness), version="v3")
    assert stream.output.content
    astream = await make().astream_events("Hi", config_of("bob", witness), version="v3")
    assert (await astream.output).content
    check(simulator, witness)


@pytest.mark.parametrize("path", SYNC)
@pytest.mark.parametrize("runnable", ["model", "chain", "graph", "agent"])
def test_four_users_in_threads(make: Make, simulator: Simulator, runnable: str, path: str) -> None:
    build, ask = RUNNABLES[runnable]
    it = build(make())
    witnesses = {user: Witness() for user in USERS}
    with ThreadPoolExecutor(len(USERS)) as pool:
        list(pool.map(lambda user: SYNC[path](it, ask, config_of(user, witnesses[user])), USERS))
    assert ordered(logged(simulator)) == ordered([each for one in witnesses.values() for each in one.expected])
    for user, witness in witnesses.items():
        assert witness.expected
        assert {entry["user_id"] for entry in witness.expected} == {user}


@pytest.mark.parametrize("path", ASYNC)
@pytest.mark.parametrize("runnable", ["model", "chain", "graph", "agent"])
async def test_four_users_in_one_loop(make: Make, simulator: Simulator, runnable: str, path: str) -> None:
    build, ask = RUNNABLES[runnable]
    it = build(make())
    witnesses = {user: Witness() for user in USERS}
    await asyncio.gather(*(ASYNC[path](it, ask, config_of(user, witness)) for user, witness in witnesses.items()))
    assert ordered(logged(simulator)) == ordered([each for one in witnesses.values() for each in one.expected])
    for user, witness in witnesses.items():
        assert witness.expected
        assert {entry["user_id"] for entry in witness.expected} == {user}


def test_interleaved_streams_of_one_thread(make: Make, simulator: Simulator) -> None:
    model, witnesses = make(), {user: Witness() for user in USERS}
    streams = [model.stream("Hi", config_of(user, witness)) for user, witness in witnesses.items()]
    firsts = [next(stream) for stream in streams]
    rests = [list(stream) for stream in reversed(streams)]
    assert all(firsts)
    assert all(rests)
    assert ordered(logged(simulator)) == ordered([each for one in witnesses.values() for each in one.expected])


def test_a_batch_keeps_each_items_metadata(make: Make, simulator: Simulator) -> None:
    make().batch(["Hi"] * 4, [config_of(user) for user in USERS])
    assert sorted(entry["user_id"] for entry in logged(simulator)) == sorted(USERS)


def test_a_bare_thread_has_only_its_own_run(make: Make, simulator: Simulator) -> None:
    model = make()

    def work(text: str) -> str:
        thread = threading.Thread(target=model.invoke, args=(text,))
        thread.start()
        thread.join()
        return text

    RunnableLambda(work).invoke("Hi", config_of("ann"))
    [entries] = logged(simulator)
    assert entries.keys() == {"run_id", "op"}


def test_an_abandoned_stream_leaves_nothing(make: Make, simulator: Simulator) -> None:
    model = make()
    with gateway_context(metadata={"team": "docs"}):
        stream = model.stream("Hi", config_of("ann"))
    assert nothing_held()
    next(stream)
    assert nothing_held()
    del stream
    gc.collect()
    assert nothing_held()
    model.invoke("Hi")
    assert logged(simulator)[-1].keys() == {"run_id", "op"}


async def test_an_abandoned_async_stream_leaves_nothing(make: Make, simulator: Simulator) -> None:
    model = make()
    stream = model.astream("Hi", config_of("ann"))
    await anext(stream)
    assert nothing_held()
    del stream
    gc.collect()
    simulator.fault("slow_first_byte", seconds=30)
    cancelled = asyncio.create_task(anext(model.astream("Hi", config_of("bob"))))  # type: ignore[arg-type]
    assert await until_async(lambda: len(simulator.requests) == 2)
    cancelled.cancel()
    with suppress(asyncio.CancelledError):
        await cancelled
    assert nothing_held()
    simulator.reset()
    answer = await model.ainvoke("Hi")
    own = {entry["id"]: entry["metadata"] for entry in simulator.logs()}
    assert own[answer.response_metadata["gateway"]["log_id"]].keys() == {"run_id", "op"}


def test_an_error_leaves_nothing(make: Make, simulator: Simulator) -> None:
    model = make(max_retries=0)
    for call in (model.invoke, lambda text: list(model.stream(text))):
        simulator.fault("gateway_rate_limit")
        with pytest.raises(errors.RateLimited):
            call("Hi")
        assert nothing_held()


def test_a_stream_keeps_the_context_in_which_it_was_created(make: Make, simulator: Simulator) -> None:
    model = make(run_metadata=False)
    with gateway_context(metadata={"team": "asked"}, options={"skip_cache": True}):
        stream = model.stream("Hi")
    with gateway_context(metadata={"team": "read"}, options={"cache_ttl": 300}):
        list(stream)
    assert logged(simulator) == [{"team": "asked"}]
    headers = simulator.requests[-1].headers
    assert headers["cf-aig-skip-cache"] == "true"
    assert "cf-aig-cache-ttl" not in headers


async def test_an_async_stream_keeps_the_context_in_which_it_was_created(make: Make, simulator: Simulator) -> None:
    model = make(run_metadata=False)
    with gateway_context(metadata={"team": "asked"}):
        stream = model.astream("Hi")
    with gateway_context(metadata={"team": "read"}):
        _ = [chunk async for chunk in stream]
    assert logged(simulator) == [{"team": "asked"}]


@pytest.mark.parametrize("path", SYNC)
@pytest.mark.parametrize("run_metadata", [True, False])
def test_layers_have_precedence(make: Make, simulator: Simulator, path: str, run_metadata: bool) -> None:
    layers = ("call", "inner", "outer", "config", "constructor")
    # Neighbours quarrel about one key each.
    result: dict[str, Entries] = {name: {} for name in layers}
    for higher, lower in pairwise(layers):
        result[higher][f"{higher} or {lower}"] = higher
        result[lower][f"{higher} or {lower}"] = lower
    model = make(gateway_metadata=result["constructor"], run_metadata=run_metadata, metadata_keys=["user_id"])
    config = config_of("ann")
    config["metadata"]["cf_aig_metadata"] = result["config"]
    with gateway_context(metadata=result["outer"]), gateway_context(metadata=result["inner"]):
        SYNC[path](model.bind(gateway_metadata=result["call"]), "Hi", config)
    expected = {f"{higher} or {lower}": higher for higher, lower in pairwise(layers)}
    expected |= {"user_id": "ann"} if run_metadata else {}
    sent = json.loads(simulator.requests[-1].headers["cf-aig-metadata"])
    assert list(sent.items()) == list(expected.items())
    assert logged(simulator) == [expected]


@every_runnable
@pytest.mark.parametrize("run_metadata", [True, False])
def test_the_layer_in_the_config_reaches_every_runnable(
    make: Make, simulator: Simulator, runnable: str, run_metadata: bool
) -> None:
    build, ask = RUNNABLES[runnable]
    it = build(make(run_metadata=run_metadata))
    for path in SYNC.values():
        config = config_of("ann")
        config["metadata"]["cf_aig_metadata"] = {"team": "docs"}
        path(it, ask, config)
    assert all(entry["team"] == "docs" for entry in logged(simulator))
    assert all((entry.get("user_id") == "ann") is run_metadata for entry in logged(simulator))


def test_explicit_entries_take_the_first_places_and_automatic_ones_the_rest(make: Make, simulator: Simulator) -> None:
    model = make(gateway_metadata={"a": 1, "user_id": "explicit"})
    model.invoke("Hi", {**config_of("ann"), "run_id": uuid4()}, gateway_metadata={"b": 2})
    header = json.loads(simulator.requests[-1].headers["cf-aig-metadata"])
    assert list(header) == ["b", "a", "user_id", "thread_id", "run_id"]
    assert header["user_id"] == "explicit"


def test_layers_that_add_up_to_more_than_five_are_refused(make: Make, simulator: Simulator) -> None:
    model = make(gateway_metadata={"a": 1, "b": 2, "c": 3})
    with gateway_context(metadata={"d": 4, "e": 5, "f": 6}), pytest.raises(errors.ConfigError, match="6 entries"):
        model.invoke("Hi")
    assert not simulator.requests


@pytest.mark.parametrize("path", SYNC)
@pytest.mark.parametrize("layer", ["text", ["a"], {"a": None}])
def test_a_wrong_layer_in_the_config_is_refused(make: Make, simulator: Simulator, path: str, layer: Any) -> None:
    with pytest.raises(errors.ConfigError):
        SYNC[path](make(), "Hi", {"metadata": {"cf_aig_metadata": layer}})
    assert not simulator.requests


def test_context_options_are_between_those_of_model_and_call(make: Make, simulator: Simulator) -> None:
    model = make(gateway=GatewayOptions(cache_ttl=60, cache_key="model", skip_cache=False))
    with gateway_context(options={"cache_ttl": 120, "cache_key": "block"}):
        model.invoke("Hi", gateway={"cache_ttl": 180})
    headers = simulator.requests[-1].headers
    assert (headers["cf-aig-cache-ttl"], headers["cf-aig-cache-key"]) == ("180", "block")
    assert headers["cf-aig-skip-cache"] == "false"


@pytest.mark.parametrize("path", SYNC)
def test_a_callers_metadata_have_precedence_over_the_models(make: Make, simulator: Simulator, path: str) -> None:
    model = make(metadata={"user_id": "model", "session_id": "model"})
    SYNC[path](model, "Hi", {"metadata": {"user_id": "caller"}})
    [entries] = logged(simulator)
    assert (entries["user_id"], entries["thread_id"]) == ("caller", "model")


@pytest.mark.parametrize("path", SYNC)
def test_keys_and_mapper(make: Make, simulator: Simulator, path: str) -> None:
    seen: list[RunInfo] = []

    def mapper(run: RunInfo) -> Entries:
        seen.append(run)
        return {"tenant": run.metadata["tenant"], "missing": run.metadata.get("missing")}

    SYNC[path](make(metadata_keys=["tenant", "tags", "nested"], tags=["own"]), "Hi", config_of("ann"))
    SYNC[path](make(metadata_mapper=mapper), "Hi", config_of("ann") | {"tags": ["call"]})
    assert logged(simulator) == [{"tenant": "acme", "tags": "own"}, {"tenant": "acme"}]
    [run] = seen
    assert (run.framework, run.operation, run.tags, run.agent) == ("langchain", "chat", ("call",), None)
    assert UUID(run.run_id)


@pytest.mark.parametrize("path", SYNC)
@pytest.mark.parametrize("callbacks", [None, [], CallbackManager([], tags=["outer"], metadata={"outer": 1})])
@pytest.mark.parametrize("parent", [None, "traced"])
def test_a_mapper_sees_the_run_as_core_makes_it(make: Make, path: str, callbacks: Any, parent: str | None) -> None:
    """With what a config, the model, a manager of callbacks and LangSmith's context say about it."""
    seen: list[RunInfo] = []
    started: list[tuple[Any, ...]] = []

    class Observer(BaseCallbackHandler):
        def on_chat_model_start(self, *_: Any, run_id: UUID, **run: Any) -> None:
            started.append((str(run_id), run["parent_run_id"], set(run["tags"]), run["metadata"]))

    model = make(
        metadata_mapper=seen.append, tags=["own", "call"], metadata={"own": 1, "call": 1}, callbacks=[Observer()]
    )
    tree = RunTree(name=parent) if parent else None
    with tracing_context(enabled=False, tags=["traced"], parent=tree):
        config: RunnableConfig = {"tags": ["call"], "metadata": {"call": 2}, "callbacks": callbacks}
        SYNC[path](model, "Hi", config)
    [run] = seen
    [(run_id, parent_run_id, tags, metadata)] = started
    assert (run.run_id, run.parent_run_id) == (run_id, parent_run_id and str(parent_run_id))
    assert parent_run_id == (tree.id if tree else None)
    assert set(run.tags) == tags >= {"own", "call", "traced"}
    assert {**metadata, "call": 2} == run.metadata


async def test_a_token_that_nobody_observes_calls_no_handler(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    for name in ("handle_event", "ahandle_event"):
        original = getattr(manager, name)

        def handle(handlers: Any, event: str, *args: Any, original: Any = original, **kwargs: Any) -> Any:
            called.append(event)
            return original(handlers, event, *args, **kwargs)

        monkeypatch.setattr(manager, name, handle)
    with tracing_context(enabled=False):
        assert len(list(make().stream("Hi"))) > 2
        assert len([chunk async for chunk in make().astream("Hi")]) > 2
    assert "on_llm_new_token" not in called


def test_a_stream_reports_its_runs_name(make: Make, simulator: Simulator) -> None:
    list(make(metadata_keys=["run_name"]).stream("Hi", {"run_name": "summary"}))
    assert logged(simulator) == [{"run_name": "summary"}]


@pytest.mark.parametrize("path", SYNC)
def test_a_mapper_that_fails_stops_the_call(make: Make, simulator: Simulator, path: str) -> None:
    with pytest.raises(errors.ConfigError, match="metadata_mapper raised ZeroDivisionError"):
        SYNC[path](make(metadata_mapper=lambda _: 1 / 0), "Hi", {})
    assert not simulator.requests


@pytest.mark.parametrize("path", SYNC)
def test_run_metadata_can_be_disabled(make: Make, simulator: Simulator, path: str) -> None:
    model = make(run_metadata=False, metadata_keys=["user_id"], metadata_mapper=lambda _: {"a": 1})
    SYNC[path](model, "Hi", config_of("ann"))
    assert "cf-aig-metadata" not in simulator.requests[-1].headers


def test_callbacks_of_every_form_are_called(make: Make, simulator: Simulator) -> None:
    one, two = Witness(), Witness()
    outer, handlers = CallbackManager([one]), [two]
    list(make().stream("Hi", {"callbacks": outer}))
    list(make().stream("Hi", {"callbacks": handlers}))
    assert ordered(logged(simulator)) == ordered(one.expected + two.expected)
    assert (outer.handlers, handlers) == ([one], [two])


@pytest.mark.parametrize("runnable", ["graph", "agent"])
async def test_without_the_overridden_methods_only_run_ids_are_lost(
    make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, runnable: str
) -> None:
    """As if core had renamed `_generate_with_cache`: nothing of ours is called where an invoke turns into a stream."""
    for name in ("_generate_with_cache", "_agenerate_with_cache"):
        monkeypatch.setattr(ChatCloudflareAIGateway, name, getattr(BaseChatModel, name))
    build, ask = RUNNABLES[runnable]
    it = build(make())
    list(it.stream(ask, config_of("ann"), stream_mode="messages"))
    _ = [chunk async for chunk in it.astream(ask, config_of("ann"), stream_mode="messages")]
    assert {(entry["user_id"], entry["thread_id"]) for entry in logged(simulator)} == {("ann", "thread of ann")}
    assert nothing_held()


def test_a_stream_leaves_its_readers_context_unchanged(make: Make) -> None:
    """A stream read in another context than it was begun in ends without an error."""
    stream = make().stream("Hi")
    copy_context().run(next, stream)
    assert list(stream)
