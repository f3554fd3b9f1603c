"""Cancellation that does not break what it cancels.

httpcore's pool loses a connection whose cleaning up is cancelled: it stays in the pool for ever, and when all are lost,
every call waits in vain. httpcore shields its cleaning up from anyio's scopes only, not from `Task.cancel()`; and a
scope around `asyncio.gather` (LangChain's `ainvoke`; a Starlette response whose browser goes away) cancels the tasks in
it in every cycle of the event loop until they end. So connections are opened, read and closed by way of `shielded`.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")

_MOST_CANCELLATIONS = 100
"""Most cancellations that are kept from work that cleans up; for httpcore's, about ten are enough."""


@types.coroutine
def shielded(work: Coroutine[Any, Any, _T]) -> Generator[Any, None, _T]:
    """What `work` returns; a cancellation reaches it only where it waits for something to happen, and only once.

    Where it merely lets other tasks run, which is all that httpcore does while it cleans up, the cancellation is kept
    for its next wait or its end. No task is made: the work runs in the caller's task, context and scopes.

    Raises:
        asyncio.CancelledError: The task was cancelled; never before `work` has ended.
    """
    task = _current_task()
    if task is None:
        return (yield from work.__await__())
    shield = _Shield(task)
    go_on: Any = work.send
    given: BaseException | None = None
    while True:
        try:
            waits_for = go_on(given)
        except StopIteration as end:
            shield.end(None)
            result: _T = end.value
            return result
        except Exception as error:
            shield.end(error)
            raise
        go_on, given = work.send, None
        try:
            if shield.touched:
                yield from shield.wait(waits_for)
            else:
                yield waits_for
        except asyncio.CancelledError as error:
            if not shield.keeps(error, waits_for):
                go_on, given = work.throw, error
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:
            go_on, given = work.throw, error


class _Shield:
    """Decides when the cancellation of a task reaches the work that it does."""

    __slots__ = ("_before", "_cancelled", "_kept", "_left", "_task", "touched")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        self._before = task.cancelling()
        self.touched = False
        self._kept: asyncio.CancelledError | None = None
        self._cancelled = False
        self._left = _MOST_CANCELLATIONS

    def _stands(self) -> bool:
        """Whether the cancellation still stands: a timeout inside of the work cancels too, and takes it back."""
        return self._task.cancelling() > self._before

    def keeps(self, error: asyncio.CancelledError, waits_for: object) -> bool:
        """Whether the work goes on; otherwise it is told."""
        self.touched = True
        self._left -= 1
        if waits_for is not None or self._left < 0:
            self._cancelled = True
            return False
        self._kept = error
        return True

    def wait(self, future: asyncio.Future[Any] | None) -> Generator[Any, None, None]:
        """Waits for what the work waits for: a future, or None for the next cycle of the event loop."""
        if not self._stands():
            self._kept, self._cancelled = None, False
        if future is not None and self._cancelled:
            yield from _settled(future)
            return
        if future is not None and self._kept is not None and future.cancel(*self._kept.args):
            self._kept = None  # it comes back from the future
        yield future

    def end(self, error: Exception | None) -> None:
        """The work has ended, perhaps in an error."""
        if self._kept is not None and self._stands():
            raise self._kept from error


def _settled(future: asyncio.Future[Any]) -> Generator[Any, None, None]:
    """Waits for a future that cancelling the task does not cancel; its exception reaches the work from the future."""
    for _ in range(_MOST_CANCELLATIONS):
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
