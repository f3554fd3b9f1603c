"""Several requests of one call, with a limit on how many run at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

import anyio

_A = TypeVar("_A")
_B = TypeVar("_B")

SIGNAL_SECONDS = 0.5
"""The longest wait for futures: a signal that comes just before a wait, or to another thread, does not end it."""


def run_all(send: Callable[[_A], _B], requests: Sequence[_A], limit: int) -> Iterator[_B]:
    """The results in the order of the requests, sent in threads that see the caller's context.

    After a failure none is started, and those that run are waited for; after Ctrl-C they are not. `limit` is the most
    requests at a time.
    """
    if len(requests) < 2 or limit == 1:
        yield from map(send, requests)
        return
    futures: list[Future[_B]] = [Future() for _ in requests]
    waiting = deque(zip(futures, requests, strict=True))
    # Python waits at exit for the threads of an executor, and so for the requests that run, but not for daemons.
    threads = [
        Thread(target=copy_context().run, args=(_work, send, waiting), name="cfaig_request", daemon=True)
        for _ in range(min(limit, len(requests)))
    ]
    try:
        for thread in threads:
            thread.start()
        for future in futures:
            while not future.done():
                wait([future], SIGNAL_SECONDS)
            yield future.result()
    except Exception:
        waiting.clear()
        for thread in filter(Thread.is_alive, threads):
            thread.join()
        raise
    finally:
        waiting.clear()


def _work(send: Callable[[_A], _B], waiting: deque[tuple[Future[_B], _A]]) -> None:
    """Sends the requests that wait, in their order, so that all before one that failed were started."""
    while waiting:
        try:
            future, request = waiting.popleft()
        except IndexError:  # another thread was faster
            return
        try:
            future.set_result(send(request))
        except BaseException as error:
            waiting.clear()
            future.set_exception(error)


async def arun_all(send: Callable[[_A], Awaitable[_B]], requests: Sequence[_A], limit: int) -> list[_B]:
    """The results in the order of the requests, sent in tasks; after a failure the others are cancelled."""
    if len(requests) < 2:
        return [await send(request) for request in requests]
    results: dict[int, _B] = {}
    waiting = deque(enumerate(requests))
    errors: list[Exception] = []

    async def work() -> None:
        while waiting:
            number, request = waiting.popleft()
            try:
                results[number] = await send(request)
            except Exception as error:  # raised below as it is: a task group would raise a group of errors
                errors.append(error)
                tasks.cancel_scope.cancel()
                return

    async with anyio.create_task_group() as tasks:
        for _ in range(min(limit, len(requests))):
            tasks.start_soon(work)
    for error in errors:
        raise error
    return [results[number] for number in range(len(requests))]
