"""`gateway_context` applies inside its block, and nowhere else."""

from __future__ import annotations

import asyncio
import threading
from contextvars import copy_context
from typing import Any

import pytest

from cfaig_integrations import GatewayOptions, gateway_context
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.context import Context, current, within


def test_the_context_is_empty_outside_of_blocks() -> None:
    assert current() == Context((), None)


def test_nested_blocks_merge_and_the_inner_one_wins() -> None:
    with gateway_context(metadata={"user_id": "outer", "team": "docs"}, options={"cache_ttl": 60, "skip_cache": True}):
        outer = current()
        with gateway_context(metadata={"user_id": "inner"}, options=GatewayOptions(cache_ttl=300)) as inner:
            assert current() is inner
            assert inner.metadata == ({"user_id": "inner"}, {"user_id": "outer", "team": "docs"})
            assert inner.options == GatewayOptions(cache_ttl=300, skip_cache=True)
        assert current() is outer
        with gateway_context(metadata={"more": 1}):
            assert current().options is outer.options
    assert current() == Context()


def test_an_exception_ends_the_block() -> None:
    with pytest.raises(RuntimeError), gateway_context(metadata={"a": 1}):
        raise RuntimeError
    assert current() == Context()


def test_a_block_can_be_entered_again() -> None:
    block = gateway_context(metadata={"a": 1})
    for _ in range(2):
        with block, block:
            assert current().metadata == ({"a": 1}, {"a": 1})
        assert current() == Context()


def test_later_changes_of_the_arguments_have_no_effect() -> None:
    given = {"a": 1}
    with gateway_context(metadata=given) as context:
        given["a"] = 2
        assert context.metadata == ({"a": 1},)


@pytest.mark.parametrize(
    "arguments",
    [
        {"metadata": {"a": None}},
        {"metadata": {"cf.a": 1}},
        {"metadata": {str(n): n for n in range(6)}},
        {"metadata": "text"},
        {"options": {"no_such_option": 1}},
        {"options": "text"},
    ],
)
def test_invalid_values_are_rejected_by_the_constructor(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        gateway_context(**arguments)


async def test_each_task_has_its_own_context() -> None:
    async def task(user: str) -> object:
        with gateway_context(metadata={"user_id": user}):
            await asyncio.sleep(0)
            return current().metadata[0]["user_id"]

    assert await asyncio.gather(*map(task, "abcd")) == list("abcd")
    assert current() == Context()


@pytest.mark.parametrize(("copied", "seen"), [(False, 0), (True, 1)])
def test_a_thread_inherits_the_block_only_with_a_copied_context(copied: bool, seen: int) -> None:
    found: list[int] = []

    def work() -> None:
        found.append(len(current().metadata))

    with gateway_context(metadata={"a": 1}):
        context = copy_context()
        thread = threading.Thread(target=context.run if copied else work, args=(work,) if copied else ())
        thread.start()
        thread.join()
    assert found == [seen]


async def test_a_coroutine_closed_in_another_context_raises_nothing() -> None:
    """As the garbage collector does with a task that never ended."""

    async def wait() -> None:
        with within(Context(({"a": 1},))):
            await asyncio.Event().wait()

    coroutine = wait()
    copy_context().run(coroutine.send, None)
    coroutine.close()
    assert current() == Context()
