"""Automatic entries never stop a call, whatever the tags are and wherever workflows keep their step."""

from __future__ import annotations

import math
import sys
from contextvars import ContextVar
from datetime import UTC, date, datetime
from enum import Enum
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.instrumentation.dispatcher import instrument_tags

from cfaig_integrations.llama_index import CloudflareAIGateway, run_metadata
from cfaig_integrations.simulator import Simulator
from tests.llama_index.call_methods import METHODS, Make
from tests.llama_index.run_metadata.kit import QUESTION, QUESTIONS, Entries, ask, logged, purpose

every_method = pytest.mark.parametrize("method", METHODS)


class Tier(Enum):
    GOLD = "gold"


ID = UUID(int=7)
MANY = {str(number): number for number in range(9)}
NOT_KEPT: Entries = {"cf.a": 1, "cf.b": 1, "cf.c": 1, "none": None, "list": [1], "nested": {"a": 1}, "nan": math.nan}
TAGS: dict[str, tuple[Any, Entries]] = {
    "nothing": ({}, {"op": "chat"}),
    "what the log cannot hold": ({**NOT_KEPT, "user": "ann"}, {"user": "ann", "op": "chat"}),
    "empty": ({"user": "", "": "ann", " ": "ann"}, {"op": "chat"}),
    "zero and false": ({"n": 0, "b": False}, {"n": 0, "b": False, "op": "chat"}),
    "long": ({"user": "u" * 300}, {"user": "u" * 200, "op": "chat"}),
    "beyond ASCII": ({"user": "käthe\r\n\ud800"}, {"user": "käthe\r\n\ufffd", "op": "chat"}),
    "big": ({"n": 2**60}, {"n": str(2**60), "op": "chat"}),
    "many": (MANY, dict(list(MANY.items())[:4])),
    "becomes text": (
        {"user": ID, "tier": Tier.GOLD, "day": date(2026, 11, 20)},
        {"user": str(ID), "tier": "gold", "day": "2026-11-20", "op": "chat"},
    ),
    "keys that are no text": ({1: "a", None: "b", ("c",): "c", "user": "ann"}, {"user": "ann", "op": "chat"}),
    "workflows'": (
        {"llamaindex.step.input_summary": "Hi", "llamaindex.start_event": "Hi", "llamaindex.new": "Hi"},
        {"op": "chat"},
    ),
    "run id of older workflows": ({"run_id": "r1"}, {"run_id": "r1", "op": "chat"}),
    "both run ids": ({"run_id": "old", "llamaindex.run_id": "new"}, {"run_id": "new", "op": "chat"}),
    "a run id that is none": ({"llamaindex.run_id": {"text": "Hi"}, "run_id": ""}, {"op": "chat"}),
    "a run id of another form": ({"llamaindex.run_id": ID}, {"run_id": str(ID), "op": "chat"}),
    "pairs": ([("user", "ann")], {"op": "chat"}),
}


@pytest.mark.parametrize("tags", TAGS)
def test_unusual_tags_are_left_out(llm: CloudflareAIGateway, simulator: Simulator, tags: str) -> None:
    value, expected = TAGS[tags]
    with instrument_tags(value):
        llm.chat(QUESTIONS)
    assert logged(simulator) == [expected]


@every_method
async def test_no_unusual_tag_stops_a_call(make: Make, simulator: Simulator, method: str) -> None:
    custom = {"none": "n", "list": "l", "nested": "d", "nan": "f"}
    with instrument_tags({**NOT_KEPT, 1: "a", "at": datetime(2026, 11, 20, tzinfo=UTC)}):
        await ask(make(gateway_metadata=custom), method)
        await ask(make(gateway_metadata=custom, metadata_keys=[*NOT_KEPT, "op"]), method)
    expected = {**custom, "at": "2026-11-20T00:00:00+00:00"}
    assert logged(simulator) == [expected, {**custom, "op": purpose(method)}]


def moved(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """As if workflows kept their step elsewhere."""
    home = "workflows.runtime.types.results"
    with monkeypatch.context() as elsewhere:
        match way:
            case "module":
                elsewhere.setitem(sys.modules, home, None)
            case "name":
                elsewhere.delattr(f"{home}.StepWorkerStateContextVar")
            case _:
                elsewhere.setattr(f"{home}.StepWorkerStateContextVar", "something else")
        variable = run_metadata._find_step_variable()
    assert variable is None
    monkeypatch.setattr(run_metadata, "_STEP", variable)


@pytest.mark.parametrize("way", ["module", "name", "kind"])
async def test_without_the_workflows_internals_only_the_agents_name_is_missing(
    llm: CloudflareAIGateway, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    moved(monkeypatch, way)
    with instrument_tags({"user": "ann"}):
        handler = FunctionAgent(name="scout", llm=llm).run(user_msg=QUESTION)
    await handler
    assert logged(simulator) == [{"user": "ann", "run_id": handler.run_id, "op": "chat"}]


@pytest.mark.parametrize(
    "step",
    [None, "text", SimpleNamespace(), SimpleNamespace(event=None), SimpleNamespace(event=SimpleNamespace())]
    + [SimpleNamespace(event=SimpleNamespace(current_agent_name=name)) for name in (None, "", 7, ["scout"])],
    ids=str,
)
def test_a_step_of_another_shape_has_no_agent_name(
    llm: CloudflareAIGateway, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, step: Any
) -> None:
    """Such as that of workflows before 2.23, which has no event."""
    variable: ContextVar[Any] = ContextVar("step", default=step)
    monkeypatch.setattr(run_metadata, "_STEP", variable)
    llm.complete(QUESTION)
    assert logged(simulator) == [{"op": "completion"}]


# Which conversation a call belongs to

WORKERS_AI, AUTO = "@cf/zai-org/glm-5.2", "cloudflare/auto"
INSTANCE, ROUTER = "x-session-affinity", "cf-aig-session-id"


@every_method
@pytest.mark.parametrize(("model", "header"), [(WORKERS_AI, INSTANCE), (AUTO, ROUTER)])
@pytest.mark.parametrize("run_metadata", [True, False])
async def test_a_conversation_tag_becomes_the_session_affinity(
    make: Make, simulator: Simulator, method: str, model: str, header: str, run_metadata: bool
) -> None:
    for key in ("thread_id", "session_id", "conversation_id"):
        with instrument_tags({"user": "ann", key: f"{key}-1"}):
            await ask(make(model=model, run_metadata=run_metadata), method)
        headers = simulator.requests[-1].headers
        assert headers[header] == f"{key}-1"
        assert {INSTANCE, ROUTER} & headers.keys() == {header}


async def test_the_calls_of_an_agent_share_their_conversation(make: Make, simulator: Simulator) -> None:
    agent = FunctionAgent(name="scout", llm=make(model=WORKERS_AI))
    for thread in ("t1", "t2"):
        with instrument_tags({"thread_id": thread}):
            handler = agent.run(user_msg=QUESTION)
        await handler
    assert [request.headers[INSTANCE] for request in simulator.requests] == ["t1", "t2"]


def test_without_a_conversation_there_is_no_affinity(make: Make, simulator: Simulator) -> None:
    llm = make(model=WORKERS_AI)
    for tags in ({}, {"user": "ann"}, {"thread_id": ["t"]}, {"thread_id": None}, {"thread_id": ""}):
        with instrument_tags(tags):
            llm.complete(QUESTION)
    with instrument_tags({"thread_id": "t"}):
        make(model="openai/gpt-4.1").complete(QUESTION)
        llm.complete(QUESTION, session_affinity=False)
    assert not any({INSTANCE, ROUTER} & request.headers.keys() for request in simulator.requests)
