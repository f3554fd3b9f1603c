"""Waiting for what another thread does: a test fails by its assertion, and never because the machine is slow."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds; only a test that fails waits that long."""


def until(done: Callable[[], object]) -> bool:
    """Whether something comes true while the server goes on."""
    end = time.monotonic() + PATIENCE
    while not done() and time.monotonic() < end:
        time.sleep(0.005)
    return bool(done())


async def until_async(done: Callable[[], object]) -> bool:
    """The same, while this event loop goes on too, and garbage is collected."""
    end, turn = time.monotonic() + PATIENCE, 0
    while not done() and time.monotonic() < end:
        if turn % 20 == 0:  # a collection takes longer than everything else here
            gc.collect()
        turn += 1
        await asyncio.sleep(0.005)
    return bool(done())
