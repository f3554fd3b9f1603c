"""Many calls and streams at once: each gets its own answer, and nothing stays open."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import httpx
import pytest

from cfaig_integrations.simulator import Simulator
from tests.waiting import until_async

CALLS, STREAMS = 120, 40


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open descriptors are counted in /proc")
async def test_calls_and_streams_are_not_mixed_up(tmp_path: Path) -> None:
    async with Simulator(database=tmp_path / "log.sqlite") as sim:
        url = f"{sim.base_url}/accounts/{sim.account_id}/ai/v1/chat/completions"
        headers = {"authorization": f"Bearer {sim.api_token}"}
        before = descriptors()

        async def ask(client: httpx.AsyncClient, number: int, *, stream: bool) -> None:
            messages = [{"role": "user", "content": f"Say exactly: marker {number} ends"}]
            body = {"model": "openai/gpt-4.1", "messages": messages, "stream": stream}
            answer = await client.post(url, json=body, headers=headers)
            text = answer.text
            if stream:
                events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
                text = "".join(event["choices"][0]["delta"].get("content") or "" for event in events)
            assert f"marker {number} ends" in text

        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=200), timeout=120) as client:
            calls = [ask(client, number, stream=number % 4 == 0) for number in range(CALLS + STREAMS)]
            await asyncio.gather(*calls)
        assert await until_async(lambda: sim.connections == 0 and sim.in_flight == 0)
        assert await until_async(lambda: descriptors() <= before + 2)
        entries = sim.logs()
        assert len(entries) == CALLS + STREAMS
        assert all(entry["success"] for entry in entries)
        assert len({entry["id"] for entry in entries}) == CALLS + STREAMS
