"""Cancellation that does not break what it cancels.

httpcore's pool loses a connection whose cleaning up is cancelled: it stays in the pool for ever, and when all are lost,
every call waits in vain. httpcore shields its cleaning up from anyio's scopes only, not from `Task.cancel()`, and a scope
around `asyncio.gather` (LangChain's `ainvoke`, a Starlette response whose browser goes away) cancels the tasks in it in
every cycle of the event loop until they end. So connections are opened, read and closed by way of `unbroken`.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")

_PATIENCE = 100
"""Most cancellations that are kept from work that cleans up; for httpcore's, about ten are enough."""


@types.coroutine
def unbroken(work: Coroutine[Any, Any, _T]) -> Generator[Any, None, _T]:
    """What `work` returns; a cancellation reaches it only where it waits for something to happen, and only once.

    Elsewhere, where it only lets other tasks run (all that httpcore's cleaning up does), the cancellation is kept for
    its next wait or its end. No task is made: the work runs in the caller's task, context and scopes.

    Raises:
        asyncio.CancelledError: The task was cancelled; never before `work` has ended.
    """
    task = _current_task()
    if task is None:
        return (yield from work.__await__())
    before = task.cancelling()  # a timeout inside of `work` cancels too, and takes it back itself
    kept: asyncio.CancelledError | None = None
    cancelled = False
    patience = _PATIENCE
    go_on: Any = work.send
    given: Any = None
    while True:
        try:
            waits_for = go_on(given)
        except StopIteration as end:
            if kept is not None and task.cancelling() > before:
                raise kept from None
            result: _T = end.value
            return result
        except Exception as error:
            if kept is not None and task.cancelling() > before:
                raise kept from error
            raise
        go_on, given = work.send, None
        open_requests = task.cancelling() > before
        cancelled = cancelled and open_requests
        try:
            if not isinstance(waits_for, asyncio.Future):
                yield waits_for
            elif cancelled:
                yield from _settled(waits_for)
            else:
                if kept is not None and open_requests and waits_for.cancel(*kept.args):
                    kept = None
                yield waits_for
        except asyncio.CancelledError as error:
            patience -= 1
            if waits_for is None and patience > 0:
                kept = error
            else:
                go_on, given, cancelled = work.throw, error, True
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:
            go_on, given = work.throw, error


def _settled(future: asyncio.Future[Any]) -> Generator[Any, None, None]:
    """Waits for a future that cancelling the task does not cancel; its exception reaches the work from the future."""
    for _ in range(_PATIENCE):
        if future.done():
            return
        with suppress(asyncio.CancelledError, Exception):
            yield from asyncio.shield(future)
    future.cancel()
    yield future


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # another library's event loop
        return None
