"""Where texts and passages go, and what the table may not say."""

from __future__ import annotations

from typing import Any

import pytest

from cfaig_integrations.core.vectors import EmbedRequest
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.models.embeddings import (
    DEFAULT_RERANKER,
    TABLE,
    EmbedModel,
    batch_size,
    embed_route,
    model_of,
    rerank_route,
)

BGE = "@cf/baai/bge-small-en-v1.5"
QWEN = "@cf/qwen/qwen3-embedding-0.6b"
OPENAI = "openai/text-embedding-3-small"
ROWS = [row for row in TABLE if "*" not in row.models]


def embed_request(model: str, dimensions: int | None = None) -> EmbedRequest:
    return EmbedRequest(model=model, texts=("a",), dimensions=dimensions)


@pytest.mark.parametrize(
    ("model", "options", "expected"),
    [
        (BGE, {}, ("run", BGE, f"/ai/run/{BGE}")),
        (BGE, {"api": "run"}, ("run", BGE, f"/ai/run/{BGE}")),
        (BGE, {"api": "embeddings"}, ("embeddings", BGE, "/ai/v1/embeddings")),
        (f"workers-ai/{BGE}", {}, ("run", BGE, f"/ai/run/{BGE}")),
        ("@cf/new/model", {}, ("run", "@cf/new/model", "/ai/run/@cf/new/model")),
        (OPENAI, {}, ("embeddings", OPENAI, "/ai/v1/embeddings")),
        ("dynamic/embed", {}, ("embeddings", "dynamic/embed", "/ai/v1/embeddings")),
        (OPENAI, {"legacy": True}, ("embeddings", OPENAI, "/embeddings")),
        (BGE, {"legacy": True}, ("embeddings", f"workers-ai/{BGE}", "/embeddings")),
        (f"workers-ai/{BGE}", {"legacy": True}, ("embeddings", f"workers-ai/{BGE}", "/embeddings")),
    ],
)
def test_routes(model: str, options: dict[str, Any], expected: tuple[str, str, str]) -> None:
    route = embed_route(embed_request(model), **options)
    assert (route.endpoint, route.model, route.path) == expected


@pytest.mark.parametrize(
    ("model", "options", "field"),
    [
        (OPENAI, {"api": "run"}, "api"),
        (BGE, {"api": "run", "legacy": True}, "api"),
        ("", {}, "model"),
        ("@cf/../x", {}, "model"),
        ("a b", {}, "model"),
    ],
)
def test_refused_routes(model: str, options: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        embed_route(embed_request(model), **options)
    assert caught.value.field == field


def test_dimensions_must_be_those_of_the_model() -> None:
    assert embed_route(embed_request(BGE, 384)).row.dimensions == 384
    assert embed_route(embed_request(OPENAI, 5)).row.dimensions is None
    with pytest.raises(ConfigError, match="384"):
        embed_route(embed_request(BGE, 256))


@pytest.mark.parametrize(
    ("model", "requested", "size"),
    [
        (BGE, None, 100),
        (BGE, 7, 7),
        (BGE, 100, 100),
        (QWEN, None, 32),
        (f"workers-ai/{QWEN}", None, 32),
        ("@cf/google/embeddinggemma-300m", None, 32),
        ("@cf/google/embeddinggemma-300m", 500, 500),
        (OPENAI, None, 32),
        (OPENAI, 2048, 2048),
    ],
)
def test_batches(model: str, requested: int | None, size: int) -> None:
    assert batch_size(model, requested) == size


@pytest.mark.parametrize(("model", "maximum"), [(BGE, 100), (QWEN, 32)])
def test_a_batch_above_the_maximum_is_refused(model: str, maximum: int) -> None:
    with pytest.raises(ConfigError, match=f"at most {maximum}") as caught:
        batch_size(model, maximum + 1)
    assert caught.value.field == "batch_size"


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.models)
def test_each_row_is_reachable_and_has_evidence(row: EmbedModel) -> None:
    assert model_of("some/model" if row.models == "*" else row.models) is row
    assert row.evidence.startswith("§6.")
    assert row.inputs.documents
    assert row.inputs.queries


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.models)
def test_the_simulators_table_agrees(row: EmbedModel) -> None:
    """It was written from the same facts by another hand."""
    from cfaig_integrations.simulator.dialects import tasks

    simulated = tasks._MODELS[row.models]
    assert row.dimensions == simulated.dims
    if row.max_items is not None:
        assert row.max_items == simulated.most_items
    fields = {row.inputs.documents, row.inputs.queries}
    fields |= {"pooling"} if row.inputs.pooling else set()
    fields |= {"instruction"} if row.inputs.instruction else set()
    fields |= {"truncate_inputs"} if row.inputs.truncate else set()
    if "not documented" not in row.evidence:
        assert fields <= set(simulated.fields)


def test_the_simulator_has_the_same_models() -> None:
    from cfaig_integrations.simulator.dialects import tasks

    on_rest = {model for model, row in tasks._MODELS.items() if model.startswith("@cf/") and row.dims}
    assert {row.models for row in ROWS} == on_rest


def test_rerankers() -> None:
    assert rerank_route(DEFAULT_RERANKER) == (f"/ai/run/{DEFAULT_RERANKER}", True)
    assert rerank_route("@cf/baai/bge-m3") == ("/ai/run/@cf/baai/bge-m3", False)
    assert TABLE[-1].models == "*"
    assert rerank_route("@cf/new/reranker") == ("/ai/run/@cf/new/reranker", True)
    with pytest.raises(ConfigError, match="Workers AI"):
        rerank_route("cohere/rerank")
    with pytest.raises(ConfigError, match="legacy"):
        rerank_route(DEFAULT_RERANKER, legacy=True)
