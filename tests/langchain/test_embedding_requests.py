"""Embedding models are sent text and asked for plain numbers."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from typing import Any

import pytest

from cfaig_integrations.langchain import CloudflareAIGatewayEmbeddings
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import where

MODELS = {
    "@cf/baai/bge-small-en-v1.5": ("run", "embeddings"),
    "@cf/baai/bge-m3": ("run", "embeddings"),
    "@cf/qwen/qwen3-embedding-0.6b": ("run", "embeddings"),
    "openai/text-embedding-3-small": ("embeddings",),
}
TEXTS = ["Paris is in France.", "東京は日本にある。", "a" * 2000]


@pytest.mark.parametrize(("model", "api"), [(model, api) for model, apis in MODELS.items() for api in apis])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_embeddings_send_text_and_return_floats(simulator: Simulator, model: str, api: Any, asynchronous: bool) -> None:
    """langchain#35204 (#34328), PR #35252, rag_api#115."""
    embeddings = CloudflareAIGatewayEmbeddings(model=model, api=api, **where(simulator))
    if model.startswith("openai/"):
        data = [{"object": "embedding", "index": n, "embedding": [0.5, n]} for n in range(len(TEXTS))]
        simulator.reply_raw(body=json.dumps({"object": "list", "model": model, "data": data}))
    vectors = asyncio.run(embeddings.aembed_documents(TEXTS)) if asynchronous else embeddings.embed_documents(TEXTS)
    body = simulator.requests[-1].body
    [sent] = [value for value in body.values() if isinstance(value, list)]
    assert sent == TEXTS
    assert body.get("encoding_format", "float") == ("base64" if model.startswith("openai/") else "float")
    assert len(vectors) == len(TEXTS)
    assert {type(number) for vector in vectors for number in vector} == {float}


def test_unrequested_base64_vectors_are_read(simulator: Simulator) -> None:
    packed = base64.b64encode(struct.pack("<3f", 0.5, -1.0, 2.0)).decode()
    data = [{"object": "embedding", "index": 0, "embedding": packed}]
    simulator.reply_raw(body=json.dumps({"object": "list", "model": "m", "data": data}))
    model = CloudflareAIGatewayEmbeddings(model="openai/text-embedding-3-small", **where(simulator))
    assert model.embed_query("Hi") == [0.5, -1.0, 2.0]


@pytest.mark.parametrize("model", ["openai/text-embedding-3-small", "google/gemini-embedding-001"])
def test_base64_is_requested_where_it_is_honored(simulator: Simulator, model: str) -> None:
    there = where(simulator) | {"base_url": simulator.legacy_url}
    vectors = [
        CloudflareAIGatewayEmbeddings(model=model, extra_body=extra, **there).embed_query("Paris")
        for extra in (None, {"encoding_format": "float"})
    ]
    formats = [request.body.get("encoding_format") for request in simulator.requests]
    assert formats == ["base64" if model.startswith("openai/") else None, "float"]
    assert vectors[0] == pytest.approx(vectors[1])
