"""What a block of code tells the gateway holds inside the block, and nowhere else."""

from __future__ import annotations

import asyncio
import threading
from contextvars import copy_context
from typing import Any

import pytest

from cfaig_integrations import GatewayOptions, gateway_context
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.context import Context, current, within


def test_outside_of_every_block_there_is_nothing() -> None:
    assert current() == Context((), None)


def test_blocks_merge_the_inner_one_first() -> None:
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


def test_an_error_ends_the_block_too() -> None:
    with pytest.raises(RuntimeError), gateway_context(metadata={"a": 1}):
        raise RuntimeError
    assert current() == Context()


def test_a_block_can_be_kept_and_entered_again() -> None:
    block = gateway_context(metadata={"a": 1})
    for _ in range(2):
        with block, block:
            assert current().metadata == ({"a": 1}, {"a": 1})
        assert current() == Context()


def test_what_is_changed_later_changes_nothing() -> None:
    given = {"a": 1}
    with gateway_context(metadata=given) as context:
        given["a"] = 2
        assert context.metadata == ({"a": 1},)


@pytest.mark.parametrize(
    "words",
    [
        {"metadata": {"a": None}},
        {"metadata": {"cf.a": 1}},
        {"metadata": {str(n): n for n in range(6)}},
        {"metadata": "text"},
        {"options": {"no_such_option": 1}},
        {"options": "text"},
    ],
)
def test_what_can_never_be_sent_is_told_where_it_is_written(words: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        gateway_context(**words)


async def test_tasks_see_their_own_block_only() -> None:
    async def task(user: str) -> object:
        with gateway_context(metadata={"user_id": user}):
            await asyncio.sleep(0)
            return current().metadata[0]["user_id"]

    assert await asyncio.gather(*map(task, "abcd")) == list("abcd")
    assert current() == Context()


@pytest.mark.parametrize(("copied", "seen"), [(False, 0), (True, 1)])
def test_a_thread_sees_the_block_if_the_context_is_handed_over(copied: bool, seen: int) -> None:
    found: list[int] = []

    def work() -> None:
        found.append(len(current().metadata))

    with gateway_context(metadata={"a": 1}):
        context = copy_context()
        thread = threading.Thread(target=context.run if copied else work, args=(work,) if copied else ())
        thread.start()
        thread.join()
    assert found == [seen]


async def test_a_coroutine_that_is_given_up_in_another_context_ends_quietly() -> None:
    """As the garbage collector does with a task that never ended."""

    async def wait() -> None:
        with within(Context(({"a": 1},))):
            await asyncio.Event().wait()

    coroutine = wait()
    copy_context().run(coroutine.send, None)
    coroutine.close()
    assert current() == Context()
