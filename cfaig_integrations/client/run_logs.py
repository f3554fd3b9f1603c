"""Collects the log entries of a run, several at a time: in threads, or in tasks."""

from __future__ import annotations

from cfaig_integrations.client.aio import AsyncClient
from cfaig_integrations.client.concurrency import arun_all, run_all
from cfaig_integrations.client.sync import Client
from cfaig_integrations.gateway.costs import CONCURRENCY, RunCost, RunLogs


def collect(client: Client, run: RunLogs) -> RunCost:
    """What the run cost.

    Raises:
        GatewayError: The API returns an error, or cannot be reached.
    """
    waiting = True
    while waiting:
        list(run_all(client.run, run.requests(), CONCURRENCY))
        waiting = client.run(run.pause())
    return run.cost()


async def acollect(client: AsyncClient, run: RunLogs) -> RunCost:
    """As `collect`."""
    waiting = True
    while waiting:
        await arun_all(client.run, run.requests(), CONCURRENCY)
        waiting = await client.run(run.pause())
    return run.cost()
