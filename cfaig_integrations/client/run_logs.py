"""Collects the log entries of a run, several at a time: in threads, or in tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context

from cfaig_integrations.client.aio import AsyncClient
from cfaig_integrations.client.sync import Client
from cfaig_integrations.gateway.actions import Actions
from cfaig_integrations.gateway.costs import CONCURRENCY, RunCost, RunLogs


def collect(client: Client, run: RunLogs) -> RunCost:
    """What the run cost.

    Raises:
        GatewayError: The API returns an error, or cannot be reached.
    """

    def send(request: Actions[None], context: Context) -> None:
        context.run(client.run, request)

    with ThreadPoolExecutor(CONCURRENCY) as threads:
        waiting = True
        while waiting:
            requests = run.requests()
            list(threads.map(send, requests, [copy_context() for _ in requests]))
            waiting = client.run(run.pause())
    return run.cost()


async def acollect(client: AsyncClient, run: RunLogs) -> RunCost:
    """As `collect`."""

    async def send(requests: Iterator[Actions[None]]) -> None:
        for request in requests:
            await client.run(request)

    waiting = True
    while waiting:
        requests = iter(run.requests())
        await asyncio.gather(*(send(requests) for _ in range(CONCURRENCY)))
        waiting = await client.run(run.pause())
    return run.cost()
