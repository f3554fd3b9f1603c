"""Several requests of one call, so many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

from langchain_core.runnables.config import ContextThreadPoolExecutor

_A = TypeVar("_A")
_B = TypeVar("_B")


def run_all(ask: Callable[[_A], _B], asked: Sequence[_A], most: int) -> Iterator[_B]:
    """The answers in their order, in threads that see the caller's context; none is begun after one failed.

    Args:
        ask: Gives one answer.
        asked: What to ask for.
        most: How many at a time.
    """
    if len(asked) < 2 or most == 1:
        yield from map(ask, asked)
        return
    with ContextThreadPoolExecutor(max_workers=min(most, len(asked))) as pool:
        answers = [pool.submit(ask, one) for one in asked]

        def give_up(answer: Future[_B]) -> None:
            if not answer.cancelled() and answer.exception() is not None:
                for other in answers:
                    other.cancel()

        try:
            for answer in answers:
                answer.add_done_callback(give_up)
            for answer in answers:
                yield answer.result()
        finally:
            for answer in answers:
                answer.cancel()


async def arun_all(ask: Callable[[_A], Awaitable[_B]], asked: Sequence[_A], most: int) -> list[_B]:
    """The answers in their order, in tasks; nothing goes on after one failed.

    Args:
        ask: Gives one answer.
        asked: What to ask for.
        most: How many at a time.
    """
    places = asyncio.Semaphore(most)

    async def in_place(one: _A) -> _B:
        async with places:
            return await ask(one)

    tasks = [asyncio.create_task(in_place(one)) for one in asked]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
