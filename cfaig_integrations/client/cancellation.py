"""Cancellation that does not interrupt the cleanup of connections.

httpcore's pool loses a connection whose cleanup is cancelled: it stays in the pool for ever, and once all are lost,
every call hangs. httpcore shields its cleanup from anyio's scopes only, not from `Task.cancel()`; and a scope around
`asyncio.gather` (LangChain's `ainvoke`; a Starlette response whose client disconnects) cancels the tasks in it in every
cycle of the event loop until they end. So connections are opened, read and closed in `defer_cancellation`.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")

_MAX_DEFERRALS = 100
"""Most cancellations that are deferred; httpcore's cleanup needs about ten."""


@types.coroutine
def defer_cancellation(work: Coroutine[Any, Any, _T]) -> Generator[Any, None, _T]:
    """Awaits `work`; a cancellation reaches it only while it waits for a future, and only once.

    Where it merely yields to other tasks, as httpcore's cleanup does, the cancellation is deferred to its next wait or
    its end. No task is created: the work runs in the caller's task, context and scopes.

    Raises:
        asyncio.CancelledError: The task was cancelled; raised once `work` has ended.
    """
    task = _current_task()
    if task is None:
        return (yield from work.__await__())
    deferral = _Deferral(task)
    resume: Any = work.send
    argument: BaseException | None = None
    while True:
        try:
            future = resume(argument)
        except StopIteration as end:
            deferral.end(None)
            result: _T = end.value
            return result
        except Exception as error:
            deferral.end(error)
            raise
        resume, argument = work.send, None
        try:
            if deferral.active:
                yield from deferral.wait(future)
            else:
                yield future
        except asyncio.CancelledError as error:
            if not deferral.defers(error, future):
                resume, argument = work.throw, error
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:
            resume, argument = work.throw, error


class _Deferral:
    """Decides when the cancellation of a task reaches its work.

    Attributes:
        active: Whether the task was cancelled.
    """

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        self._before = task.cancelling()
        self.active = False
        self._deferred: asyncio.CancelledError | None = None
        self._delivered = False
        self._left = _MAX_DEFERRALS

    def _is_cancelled(self) -> bool:
        """Whether the task is still cancelled: a timeout within the work cancels too, and takes it back."""
        return self._task.cancelling() > self._before

    def defers(self, error: asyncio.CancelledError, future: object) -> bool:
        """Whether the work goes on; otherwise the cancellation is to be raised in it."""
        self.active = True
        self._left -= 1
        if future is not None or self._left < 0:
            self._delivered = True
            return False
        self._deferred = error
        return True

    def wait(self, future: asyncio.Future[Any] | None) -> Generator[Any, None, None]:
        """Waits for the future that the work awaits, or with None for the next cycle of the event loop."""
        if not self._is_cancelled():
            self._deferred, self._delivered = None, False
        if future is not None and self._delivered:
            yield from _uncancelled(future)
            return
        if future is not None and self._deferred is not None and future.cancel(*self._deferred.args):
            self._deferred = None  # the future raises it
        yield future

    def end(self, error: Exception | None) -> None:
        """Raises the deferred cancellation, now that the work has ended."""
        if self._deferred is not None and self._is_cancelled():
            raise self._deferred from error


def _uncancelled(future: asyncio.Future[Any]) -> Generator[Any, None, None]:
    """Waits for a future, which the cancellation of the task does not cancel; the work gets its exception from it."""
    for _ in range(_MAX_DEFERRALS):
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
