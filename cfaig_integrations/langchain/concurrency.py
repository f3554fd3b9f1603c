"""Several requests of one call, with a limit on how many run at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

from langchain_core.runnables.config import ContextThreadPoolExecutor

_A = TypeVar("_A")
_B = TypeVar("_B")


def run_all(send: Callable[[_A], _B], requests: Sequence[_A], limit: int) -> Iterator[_B]:
    """The results in the order of the requests, sent in threads that see the caller's context.

    After a failure none is started. `limit` is the most requests at a time.
    """
    if len(requests) < 2 or limit == 1:
        yield from map(send, requests)
        return
    with ContextThreadPoolExecutor(max_workers=min(limit, len(requests))) as pool:
        futures = [pool.submit(send, request) for request in requests]

        def cancel_rest(future: Future[_B]) -> None:
            if not future.cancelled() and future.exception() is not None:
                for other in futures:
                    other.cancel()

        try:
            for future in futures:
                future.add_done_callback(cancel_rest)
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


async def arun_all(send: Callable[[_A], Awaitable[_B]], requests: Sequence[_A], limit: int) -> list[_B]:
    """The results in the order of the requests, sent in tasks; after a failure the others are cancelled."""
    slots = asyncio.Semaphore(limit)

    async def in_slot(request: _A) -> _B:
        async with slots:
            return await send(request)

    tasks = [asyncio.create_task(in_slot(request)) for request in requests]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
