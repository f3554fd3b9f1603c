"""Several requests of one call: how many at a time, in which order, and what happens to the rest when one fails."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextvars import ContextVar

import pytest

from cfaig_integrations.client.concurrency import arun_all, run_all
from tests.waiting import PATIENCE, until

NAME: ContextVar[str] = ContextVar("name", default="nobody")


class Broken(Exception):
    pass


@pytest.mark.parametrize("most", [1, 2, 9])
async def test_results_are_in_the_order_of_requests(most: int) -> None:
    async def slowly(n: int) -> int:
        await asyncio.sleep(0)
        return n * 2

    assert [*run_all(lambda n: n * 2, range(7), most)] == await arun_all(slowly, range(7), most) == [*range(0, 14, 2)]
    assert [*run_all(str, [], most)] == await arun_all(slowly, [], most) == []


def test_threads_see_the_callers_context() -> None:
    NAME.set("ann")
    assert {*run_all(lambda _: NAME.get(), range(5), 3)} == {"ann"}


def test_after_a_failure_no_request_is_started() -> None:
    begun: list[int] = []
    failed = threading.Event()

    def ask(n: int) -> int:
        begun.append(n)
        if n == 1:
            failed.set()
            raise Broken
        assert failed.wait(10)
        threading.Event().wait(0.05)  # time in which the other thread would begin the rest
        return n

    with pytest.raises(Broken):
        list(run_all(ask, range(100), 2))
    assert begun == [0, 1]


def test_results_before_a_failure_are_yielded() -> None:
    def ask(n: int) -> int:
        if n == 2:
            raise Broken
        return n

    reported: list[int] = []
    with pytest.raises(Broken):
        reported.extend(run_all(ask, range(9), 1))
    assert reported == [0, 1]


async def test_tasks_are_cancelled_after_a_failure() -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def ask(n: int) -> None:
        begun.append(n)
        if n == 1:
            raise Broken
        try:
            for _ in range(50):  # one that is not cancelled comes to its end, and others begin
                await asyncio.sleep(0)
        finally:
            ended.append(n)

    with pytest.raises(Broken):
        await arun_all(ask, range(100), 3)
    assert len(begun) < 6
    assert {*ended} == {*begun} - {1}
    assert len(asyncio.all_tasks()) == 1


def test_an_interrupt_does_not_wait_for_requests_that_run() -> None:
    begun: list[int] = []
    answer = threading.Event()

    def ask(n: int) -> None:
        begun.append(n)
        assert answer.wait(PATIENCE)

    def interrupt() -> None:
        assert until(lambda: len(begun) == 2)
        signal.raise_signal(signal.SIGINT)  # in a thread: it does not end what the main thread waits for

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        list(run_all(ask, range(9), 2))
    running = [thread for thread in threading.enumerate() if thread.name == "cfaig_request"]
    answer.set()
    for thread in running:
        thread.join()
    assert (begun, len(running)) == ([0, 1], 2)
