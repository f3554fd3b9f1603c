"""Many texts against a rate limit."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from cfaig_integrations import GatewayOptions, ProtocolError, RateLimited
from cfaig_integrations.llama_index import CloudflareAIGatewayEmbedding
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.llama_index.call_methods import EMBEDDER, value_for
from tests.waiting import PATIENCE

BATCHES = pytest.mark.parametrize("method", ["get_text_embedding_batch", "aget_text_embedding_batch"])


def created(simulator: Simulator, **arguments: Any) -> CloudflareAIGatewayEmbedding:
    return CloudflareAIGatewayEmbedding(**{**where(simulator), "model": EMBEDDER, **arguments})


@BATCHES
async def test_rate_limited_batches_are_retried(simulator: Simulator, method: str) -> None:
    """run-llama#15649, #8881, #17941, #14725, #17967."""
    model = created(simulator, embed_batch_size=2)
    simulator.fault("gateway_rate_limit_after", times=1, after=1)
    vectors = await value_for(getattr(model, method), [f"text {n}" for n in range(6)])
    assert len(vectors) == 6
    assert len({tuple(vector) for vector in vectors}) == 6
    assert len(simulator.requests) == 4


@BATCHES
async def test_retries_of_batches_are_bounded(simulator: Simulator, method: str) -> None:
    simulator.fault("gateway_rate_limit", times=None, after=2)
    model = created(simulator, embed_batch_size=2, max_retries=1, num_workers=1)
    with pytest.raises(RateLimited) as caught:
        await value_for(getattr(model, method), [f"text {n}" for n in range(20)])
    assert len(simulator.requests) == 2 + 2
    assert caught.value.requests_sent == 2
    assert "4 of 20" in "".join(caught.value.__notes__)


@BATCHES
async def test_batches_are_not_retried_where_the_gateway_retries(simulator: Simulator, method: str) -> None:
    simulator.fault("gateway_rate_limit", times=None)
    model = created(simulator, gateway=GatewayOptions(max_attempts=3), num_workers=1)
    with pytest.raises(RateLimited):
        await value_for(getattr(model, method), ["a"])
    assert len(simulator.requests) == 1


async def test_embedding_concurrency_is_bounded(simulator: Simulator) -> None:
    active, most, four = 0, 0, asyncio.Event()

    async def embed(request: httpx.Request) -> httpx.Response:
        nonlocal active, most
        active += 1
        most = max(most, active)
        if active == 4:
            four.set()
        await asyncio.wait_for(four.wait(), PATIENCE)
        active -= 1
        data = [{"object": "embedding", "index": n, "embedding": [0.5] * 384} for n in range(10)]
        return httpx.Response(200, json={"object": "list", "model": EMBEDDER, "data": data})

    async with httpx.AsyncClient(transport=httpx.MockTransport(embed)) as client:
        model = created(simulator, api="embeddings", embed_batch_size=10, http_async_client=client)
        assert len(await model.aget_text_embedding_batch([f"text {n}" for n in range(400)])) == 400
    assert most == 4


@BATCHES
async def test_texts_are_sent_unchanged(simulator: Simulator, method: str) -> None:
    """Another package put spaces in place of line breaks."""
    texts = ["a\nb", " two  spaces ", "ä\u2028🌧", "\ttab"]
    await value_for(getattr(created(simulator, api="embeddings"), method), texts)
    assert simulator.requests[-1].body["input"] == texts


@BATCHES
async def test_vectors_are_ordered_by_index(simulator: Simulator, method: str) -> None:
    """Another package trusted the order of the answer."""
    model = created(simulator, model="openai/text-embedding-3-small")
    data = [{"object": "embedding", "index": n, "embedding": [float(n)]} for n in (2, 0, 1)]
    simulator.reply_raw(body=json.dumps({"object": "list", "model": model.model, "data": data}))
    vectors = await value_for(getattr(model, method), ["a", "b", "c"])
    assert vectors == [[0.0], [1.0], [2.0]]


@BATCHES
async def test_a_missing_vector_raises(simulator: Simulator, method: str) -> None:
    data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
    simulator.reply_raw(body=json.dumps({"object": "list", "model": EMBEDDER, "data": data}), times=3)
    with pytest.raises(ProtocolError):
        await value_for(getattr(created(simulator, api="embeddings"), method), ["a", "b"])
