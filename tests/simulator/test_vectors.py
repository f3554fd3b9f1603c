"""Embeddings and reranking, and the bodies they come in."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cfaig_integrations.simulator.dialects import embed
from cfaig_integrations.simulator.fake_model import vectors
from cfaig_integrations.simulator.types import InvalidBody

from . import oracle

SMALL = "@cf/baai/bge-small-en-v1.5"
M3 = "@cf/baai/bge-m3"
QWEN = "@cf/qwen/qwen3-embedding-0.6b"
RERANKER = "@cf/baai/bge-reranker-base"


def near(a: str, b: str, **more: Any) -> float:
    return vectors.cosine(vectors.embed(a, 384, **more), vectors.embed(b, 384, **more))


def test_similar_texts_are_close_and_vectors_are_units() -> None:
    assert near("Cats are cute animals", "a cat is an animal") > 0.4
    assert abs(near("Cats are cute animals", "stock market crash")) < 0.2
    assert math.isclose(near("one text", "one text"), 1.0, abs_tol=1e-5)


def test_the_same_everywhere() -> None:
    assert [round(v, 3) for v in vectors.embed("stable", 4)] == [-0.707, -0.314, -0.314, 0.55]


def test_query_and_document_differ_but_stay_comparable() -> None:
    query = vectors.embed("capital of france", 1024, kind="query")
    assert query != vectors.embed("capital of france", 1024, kind="document")
    right = vectors.embed("Paris is the capital of France", 1024, kind="document")
    wrong = vectors.embed("Bananas are yellow", 1024, kind="document")
    assert vectors.cosine(query, right) > 0.5 > vectors.cosine(query, wrong)


def test_native_body_and_poolings_that_do_not_mix() -> None:
    mean, spent = embed(SMALL, {"text": "alpha beta"}, openai=False)
    cls, _ = embed(SMALL, {"text": ["alpha beta"], "pooling": "cls"}, openai=False)
    assert (mean["shape"], mean["pooling"], cls["pooling"]) == ([1, 384], "mean", "cls")
    assert mean["usage"] == {"prompt_tokens": spent, "total_tokens": spent}
    assert abs(vectors.cosine(mean["data"][0], cls["data"][0])) < 0.3


def test_openai_body_passes_the_official_types() -> None:
    body, _ = embed(M3, {"model": M3, "input": ["a", "b"], "encoding_format": "base64"}, openai=True)
    assert [d["index"] for d in body["data"]] == [0, 1]
    assert len(body["data"][0]["embedding"]) == 1024
    assert oracle.response_errors("embeddings", body) == []


def test_qwen_queries_and_documents() -> None:
    query, _ = embed(QWEN, {"queries": "red fox"}, openai=False)
    document, _ = embed(QWEN, {"documents": ["red fox"]}, openai=False)
    alias, _ = embed(QWEN, {"text": "red fox"}, openai=False)
    assert query["data"] != document["data"] == alias["data"]
    assert "neurons" in query["usage"]


def test_m3_with_a_query_scores_and_without_one_embeds() -> None:
    contexts = [{"text": "Bananas are yellow"}, {"text": "Paris is in France"}]
    scored, _ = embed(M3, {"query": "where is Paris", "contexts": contexts}, openai=False)
    assert [r["id"] for r in scored["response"]] == [1, 0]
    plain, _ = embed(M3, {"contexts": contexts}, openai=False)
    assert (plain["shape"], len(plain["response"][0])) == ([2, 1024], 1024)
    assert embed(M3, {"text": "x"}, openai=False)[0]["response"] is None


@pytest.mark.parametrize("model", [RERANKER, M3])
def test_rerank_sorts_and_cuts(model: str) -> None:
    texts = ["Bananas are yellow.", "Paris is the capital of France.", "France has many rivers."]
    contexts = [{"text": t} for t in texts]
    body, spent = embed(model, {"query": "capital of France", "contexts": contexts, "top_k": 2}, openai=False)
    assert [r["id"] for r in body["response"]] == [1, 2]
    assert 1 >= body["response"][0]["score"] > body["response"][1]["score"] >= 0
    assert spent > 0


@pytest.mark.parametrize(
    ("model", "body", "openai", "code"),
    [
        (SMALL, {"text": ""}, False, 5006),
        (SMALL, {"text": ["a", ""]}, False, 5006),
        (SMALL, {"text": []}, False, 5006),
        (SMALL, {"text": ["a"] * 101}, False, 5006),
        (SMALL, {"text": [1]}, False, 5006),
        (SMALL, {}, False, 5006),
        (SMALL, {"text": "a", "pooling": "max"}, False, 5006),
        (SMALL, {"input": [""]}, True, 5006),
        (QWEN, {"documents": ["a"] * 33}, False, 5006),
        (RERANKER, {"query": "a", "contexts": ["a"]}, False, 5006),
        ("@cf/baai/none", {"text": "a"}, False, 5007),
        ("openai/text-embedding-9", {"input": "a"}, True, 7003),
    ],
)
def test_refusals(model: str, body: dict[str, Any], openai: bool, code: int) -> None:
    with pytest.raises(InvalidBody) as caught:
        embed(model, body, openai=openai)
    assert caught.value.code == code
