"""Rerank bodies (facts §6.4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cfaig_integrations.core.vectors import Ranked, RerankRequest
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.rerank import decode, encode


def scores(*pairs: tuple[Any, Any]) -> list[dict[str, Any]]:
    return [{"id": index, "score": score} for index, score in pairs]


def test_bodies() -> None:
    request = RerankRequest("m", "q", ("a", "b"), 1, {"x": 1})
    plain = {"query": "q", "contexts": [{"text": "a"}, {"text": "b"}], "x": 1}
    assert encode(request) == plain | {"top_k": 1}
    assert encode(request, top_k=False) == plain
    assert encode(RerankRequest("m", "q", ("a", "b"), extra_body={"x": 1})) == plain


@pytest.mark.parametrize("wrapped", [True, False])
def test_the_best_comes_first_whatever_the_order(wrapped: bool) -> None:
    answer = {"response": scores((2, 0.5), (0, -1), (1, 0.9)), "usage": {"prompt_tokens": 4, "total_tokens": 4}}
    reply = decode(json.dumps({"result": answer, "success": True} if wrapped else answer).encode(), count=3)
    assert reply.ranking == (Ranked(1, 0.9), Ranked(2, 0.5), Ranked(0, -1.0))
    assert reply.usage is not None
    assert reply.usage.input == 4


@pytest.mark.parametrize("listed", [[(1, 0.9), (0, 0.5)], [(0, 0.5), (1, 0.9), (2, 0.1)]])
def test_top_limits_the_ranking_if_the_server_does_not(listed: list[tuple[int, float]]) -> None:
    answer = json.dumps({"response": scores(*listed)}).encode()
    assert decode(answer, count=3, top=2).ranking == (Ranked(1, 0.9), Ranked(0, 0.5))


def test_equal_scores_keep_the_order_of_the_passages() -> None:
    answer = json.dumps({"response": scores((2, 0.5), (0, 0.5), (1, 0.5))}).encode()
    assert [each.index for each in decode(answer, count=3).ranking] == [0, 1, 2]


def test_a_top_above_the_number_of_passages_returns_all() -> None:
    assert len(decode(json.dumps({"response": scores((0, 1))}).encode(), count=1, top=5).ranking) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"response": None},
        {"response": "text"},
        {"response": [[0.1, 0.2]]},
        {"response": scores((0, 0.5))},
        {"response": scores((0, 0.5), (0, 0.4))},
        {"response": scores((0, 0.5), (2, 0.4))},
        {"response": scores((0, 0.5), (-1, 0.4))},
        {"response": scores((0, 0.5), ("1", 0.4))},
        {"response": scores((0, 0.5), (True, 0.4))},
        {"response": scores((0, 0.5), (1, None))},
        {"response": scores((0, 0.5), (1, "NaN"))},
        {"response": scores((0, 0.5), (1, 10**400))},
        {"response": [{"id": 0}, {"id": 1}]},
    ],
)
def test_a_ranking_of_other_passages_is_an_error(answer: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        decode(json.dumps(answer).encode(), count=2)


def test_an_error_in_a_2xx_body_is_raised() -> None:
    with pytest.raises(EmbeddedError):
        decode(b'{"success": false, "errors": [{"code": 5006}]}', count=1)
