"""What the tests of run metadata share: a handler that sees runs begin, ways to make a call, and the gateway's log."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig

from cfaig_integrations.gateway.context import Context, current
from cfaig_integrations.langchain.run_tracking import CURRENT_RUN
from cfaig_integrations.simulator import Simulator

Entries = dict[str, Any]
USERS = ("ann", "bob", "cid", "dee")
NOISE = {"prompt": "private", "lc_versions": {"a": "1"}, "tenant": "acme", "nested": [1]}
"""What a run's metadata also hold, and no log may."""
LEAF = "leaf"
"""Name of the runnable around a call that has no run of its own."""


class Witness(BaseCallbackHandler):
    """Writes down which calls began, and what the log should say of them."""

    def __init__(self, operation: str = "chat") -> None:
        self.operation = operation
        self.expected: list[Entries] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **reported: Any) -> None:
        self._expect(reported["metadata"], run_id, reported["parent_run_id"])

    def on_llm_start(self, serialized: Any, prompts: Any, *, run_id: UUID, **reported: Any) -> None:
        self._expect(reported["metadata"], run_id, reported["parent_run_id"])

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, **reported: Any) -> None:
        if reported.get("name") == LEAF:
            self._expect(reported["metadata"], None, run_id)

    def _expect(self, known: Entries, run_id: UUID | None, parent_run_id: UUID | None) -> None:
        agent = ":".join(known[key] for key in ("lc_agent_name", "langgraph_node") if known.get(key))
        entries = {
            "user_id": known.get("user_id"),
            "thread_id": known.get("thread_id"),
            "agent": agent or None,
            "run_id": str(run_id) if run_id else None,
            "parent_run_id": str(parent_run_id) if parent_run_id else None,
            "op": self.operation,
        }
        there = [(key, value) for key, value in entries.items() if value is not None]
        self.expected.append(dict(there[:5]))


def config_of(user: str, witness: Witness | None = None) -> RunnableConfig:
    return {
        "metadata": {"user_id": user, "thread_id": f"thread of {user}", **NOISE},
        "configurable": {"thread_id": f"thread of {user}"},
        "callbacks": [witness] if witness else None,
    }


def logged(simulator: Simulator) -> list[Entries]:
    return [entry["metadata"] for entry in simulator.logs()]


def ordered(entries: list[Entries]) -> list[str]:
    return sorted(json.dumps(each, sort_keys=True) for each in entries)


def nothing_held() -> bool:
    return CURRENT_RUN.get() is None and current() == Context()


def broken(_: Any) -> Any:
    raise ValueError


Way = Callable[[Any, Any, Any], Any]
AsyncWay = Callable[[Any, Any, Any], Awaitable[Any]]
SYNC: dict[str, Way] = {
    "invoke": lambda it, ask, config: it.invoke(ask, config),
    "batch": lambda it, ask, config: it.batch([ask], [config]),
    "stream": lambda it, ask, config: list(it.stream(ask, config)),
}


def asynchronous(*ends: str) -> dict[str, AsyncWay]:
    """The asynchronous ways, where `astream_events` has one of these events."""

    async def astream(it: Any, ask: Any, config: Any) -> None:
        assert [chunk async for chunk in it.astream(ask, config)]

    async def events(it: Any, ask: Any, config: Any, version: str) -> None:
        names = [event["event"] async for event in it.astream_events(ask, config, version=version)]
        assert not set(ends).isdisjoint(names)

    return {
        "ainvoke": lambda it, ask, config: it.ainvoke(ask, config),
        "abatch": lambda it, ask, config: it.abatch([ask], [config]),
        "astream": astream,
        "astream_events v1": lambda it, ask, config: events(it, ask, config, "v1"),
        "astream_events v2": lambda it, ask, config: events(it, ask, config, "v2"),
    }


def finish(call: Any) -> None:
    """Waits for an asynchronous call in an event loop of its own."""
    if inspect.iscoroutine(call):
        asyncio.run(call)
