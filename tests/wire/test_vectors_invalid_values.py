"""Embedding answers and rankings with a wrong value somewhere: an error of the package or well-typed numbers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import isfinite
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfaig_integrations.errors import GatewayError, ProtocolError
from cfaig_integrations.wire import embeddings, rerank
from cfaig_integrations.wire.codec import EmbeddedError
from tests.wire.mutations import DEEP, JUNK, as_json, paths, with_value

USAGE = {"prompt_tokens": 3, "total_tokens": 3}
NATIVE: dict[str, Any] = {"shape": [2, 2], "data": [[1.5, 2.5], [3, 4]], "pooling": "cls", "usage": USAGE}
META: dict[str, Any] = {
    **NATIVE,
    "meta": {"cost_metric_name_1": "input_tokens", "cost_metric_value_1": 3},
    "usage": None,
}
OPENAI: dict[str, Any] = {
    "object": "list",
    "data": [{"index": 1, "embedding": [1.5, 2]}, {"index": 0, "embedding": "AACAPwAAAEA="}],
    "usage": USAGE,
}
RANKING: dict[str, Any] = {"response": [{"id": 1, "score": 0.5}, {"id": 0, "score": 1}], "usage": USAGE}


def read_vectors(data: bytes) -> None:
    reply = embeddings.decode(data, count=2)
    assert all(type(number) is float and isfinite(number) for vector in reply.vectors for number in vector)
    assert len({len(vector) for vector in reply.vectors}) == 1
    assert reply.usage is None or 0 <= reply.usage.input <= 2**53


def read_ranking(data: bytes) -> None:
    reply = rerank.decode(data, count=2)
    assert {each.index for each in reply.ranking} == {0, 1}
    assert all(type(each.score) is float and isfinite(each.score) for each in reply.ranking)
    assert reply.usage is None or 0 <= reply.usage.input <= 2**53


CASES: list[Any] = [
    pytest.param(read_vectors, NATIVE, id="native"),
    pytest.param(read_vectors, META, id="meta"),
    pytest.param(read_vectors, OPENAI, id="openai"),
    pytest.param(read_ranking, RANKING, id="ranking"),
]


def enveloped(raw: Any) -> list[Any]:
    state = {"state": "Completed", "result": raw, "gatewayMetadata": {}}
    return [raw, state, {"result": raw, "success": True}, {"result": state, "success": True}]


@pytest.mark.parametrize(("read", "raw"), CASES)
def test_every_envelope_is_opened(read: Callable[[bytes], None], raw: Any) -> None:
    for wrapped in enveloped(raw):
        read(as_json(wrapped))
    with pytest.raises(ProtocolError, match="Failed"):
        read(as_json({"state": "Failed", "result": raw}))
    with pytest.raises(EmbeddedError):
        read(as_json([{"error": {"code": 400, "message": "no"}}]))


@pytest.mark.parametrize(("read", "raw"), CASES)
@settings(max_examples=200)
@given(data=st.data())
def test_an_invalid_value_anywhere(read: Callable[[bytes], None], raw: Any, data: st.DataObject) -> None:
    wrapped = data.draw(st.sampled_from(enveloped(raw)))
    path = data.draw(st.sampled_from(list(paths(wrapped))))
    with suppress(GatewayError, EmbeddedError):
        read(as_json(with_value(wrapped, path, data.draw(JUNK))))


@pytest.mark.parametrize(("read", "raw"), CASES)
def test_a_deeply_nested_value(read: Callable[[bytes], None], raw: Any) -> None:
    for path in paths(raw):
        with pytest.raises(ProtocolError):
            read(as_json(with_value(raw, path, "HERE")).replace(b'"HERE"', DEEP))


@pytest.mark.parametrize("wrong", [True, 1.5, -1, "0", None, [], 10**400])
def test_the_error_names_the_invalid_field(wrong: Any) -> None:
    with pytest.raises(ProtocolError, match=r"response\[\].id"):
        read_ranking(as_json({"response": [{"id": wrong, "score": 1}]}))
    if wrong not in (1.5, -1):
        with pytest.raises(ProtocolError, match=r"response\[\].score"):
            read_ranking(as_json({"response": [{"id": 0, "score": wrong}]}))
