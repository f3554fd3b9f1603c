"""Embedding bodies of both endpoints, against OpenAI's types and every recorded answer (facts §6)."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from cfaig_integrations.core.vectors import EmbedRequest, checked_texts
from cfaig_integrations.errors import ConfigError, ProtocolError, UnsupportedContent
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.embeddings import Inputs, decode, encode_openai, encode_run
from tests.wire.harness import assert_number, needs_complete_recordings, needs_recordings, recordings, validate_request

QWEN = Inputs(documents="documents", queries="queries", instruction=True)
BGE = Inputs(pooling=True)
M3 = Inputs(truncate=True)
SIGNED_BYTES = {"a493571e6af8", "fe4597b6881c"}
"""Recordings whose base64 holds a byte for each number, which only its vendor's clients can know."""


def embed_request(**arguments: Any) -> EmbedRequest:
    return EmbedRequest(**{"model": "m", "texts": ("alpha", "beta")} | arguments)


@pytest.mark.parametrize(
    ("arguments", "inputs", "body"),
    [
        ({}, Inputs(), {"text": ["alpha", "beta"]}),
        ({"side": "query"}, BGE, {"text": ["alpha", "beta"]}),
        ({"pooling": "cls"}, BGE, {"text": ["alpha", "beta"], "pooling": "cls"}),
        ({"truncate": False}, M3, {"text": ["alpha", "beta"], "truncate_inputs": False}),
        ({"instruction": "find"}, QWEN, {"documents": ["alpha", "beta"]}),
        (
            {"instruction": "find", "side": "query"},
            QWEN,
            {"queries": ["alpha", "beta"], "instruction": "find"},
        ),
        ({"extra_body": {"x": 1}}, Inputs(), {"text": ["alpha", "beta"], "x": 1}),
    ],
)
def test_a_run_body_has_the_fields_of_its_model(
    arguments: dict[str, Any], inputs: Inputs, body: dict[str, Any]
) -> None:
    assert encode_run(embed_request(**arguments), inputs) == body


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"pooling": "cls"}, "pooling"),
        ({"instruction": "find"}, "instruction"),
        ({"truncate": True}, "truncate_inputs"),
        ({"dimensions": 3}, "dimensions"),
    ],
)
def test_an_unsupported_argument_is_refused(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(UnsupportedContent) as caught:
        encode_run(embed_request(**arguments), Inputs())
    assert caught.value.field == field
    if field != "dimensions":
        with pytest.raises(UnsupportedContent) as caught:
            encode_openai(embed_request(**arguments))
        assert caught.value.field == field


def test_openai_bodies_are_valid_and_have_no_encoding_format_unless_it_is_wanted() -> None:
    bodies = [encode_openai(embed_request()), encode_openai(embed_request(dimensions=128, extra_body={"user": "u"}))]
    assert bodies == [
        {"model": "m", "input": ["alpha", "beta"]},
        {"model": "m", "input": ["alpha", "beta"], "dimensions": 128, "user": "u"},
    ]
    bodies.append(encode_openai(embed_request(), base64=True))
    assert bodies[-1] == {"model": "m", "input": ["alpha", "beta"], "encoding_format": "base64"}
    assert [validate_request("embeddings", body) for body in bodies] == [[], [], []]


@needs_recordings
def test_every_recorded_answer_decodes() -> None:
    records = [record for record in recordings("embeddings") if record["id"] not in SIGNED_BYTES]
    assert_number(len(records), 25)
    for record in records:
        answer = json.loads(record["response_body"])
        request = record["request_body"] or {"input": ["one", "two"]}
        count = 1 if isinstance(request["input"], str) else len(request["input"])
        reply = decode(record["response_body"].encode(), count=count, dimensions=request.get("dimensions"))
        assert len(reply.vectors) == count
        for item, vector in zip(answer["data"], reply.vectors, strict=True):
            sent = item["embedding"]
            plain = sent if isinstance(sent, list) else list(struct.unpack(f"<{len(vector)}f", base64.b64decode(sent)))
            assert vector == plain
            assert all(type(number) is float for number in vector)
        assert reply.usage is not None
        assert reply.usage.total == answer["usage"]["total_tokens"] == reply.usage.input


@needs_complete_recordings
def test_signed_bytes_are_not_read_as_floats() -> None:
    records = [record for record in recordings("embeddings") if record["id"] in SIGNED_BYTES]
    assert len(records) == 2
    for record in records:
        with pytest.raises(ProtocolError, match="base64"):
            decode(record["response_body"].encode(), count=len(json.loads(record["response_body"])["data"]))


@needs_recordings
def test_every_recorded_error_is_raised() -> None:
    for record in recordings("embeddings", ok=False):
        if "error" in json.loads(record["response_body"]):
            with pytest.raises(EmbeddedError):
                decode(record["response_body"].encode(), count=1)


def body(**answer: Any) -> bytes:
    return json.dumps(answer).encode()


def enveloped(**answer: Any) -> bytes:
    return body(result=answer, success=True, errors=[], messages=[])


def items(*pairs: tuple[int | None, Any]) -> list[dict[str, Any]]:
    return [{"embedding": vector} | ({} if index is None else {"index": index}) for index, vector in pairs]


@pytest.mark.parametrize(
    "data",
    [
        body(shape=[2, 2], data=[[1, 2], [3.5, 4]]),
        enveloped(shape=[2, 2], data=[[1, 2], [3.5, 4]], pooling="cls"),
        enveloped(response=[[1, 2], [3.5, 4]], shape=[2, 2], pooling="cls"),
        body(object="list", data=items((1, [3.5, 4]), (0, [1, 2]))),
        enveloped(data=items((1, [3.5, 4]), (0, [1, 2]))),
        body(data=items((None, [1, 2]), (None, [3.5, 4]))),
        body(data=items((0, "AACAPwAAAEA="), (1, [3.5, 4]))),
    ],
)
def test_every_form_of_a_reply(data: bytes) -> None:
    vectors = decode(data, count=2).vectors
    assert vectors == ([1.0, 2.0], [3.5, 4.0])
    assert {type(number) for vector in vectors for number in vector} == {float}


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"not json",
        body(request_id="r"),
        body(data=None, response=None),
        body(data=[[1.0]]),
        body(data=[[1.0], [2.0], [3.0]]),
        body(data=[[1.0], [2.0, 3.0]]),
        body(data=[[], []]),
        body(data=[[1.0], "not base64!"]),
        body(data=[[1.0], "AAA="]),
        body(data=[[1.0], "AADAfw=="]),
        body(data=[[1.0], "AAAATw=="]),
        body(data=[[1.0], "AACA/w=="]),
        body(data=[[1.0], ["1.0"]]),
        body(data=[[1.0], [True]]),
        body(data=[[1.0], [None]]),
        body(data=[[1.0], None]),
        body(data=[[1.0], {"index": 1, "embedding": [1.0]}]),
        b'{"data": [[1.0], [NaN]]}',
        b'{"data": [[1.0], [1' + b"0" * 400 + b"]]}",
        body(data=items((0, [1.0]), (0, [2.0]))),
        body(data=items((1, [1.0]), (2, [2.0]))),
        body(data=items((0, [1.0]), (None, [2.0]))),
        body(data=[{"index": [], "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}]),
    ],
)
def test_anything_but_one_vector_for_each_text_is_an_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(data, count=2)


LONG = [[number / 8, 1, -2, 75e-2] * 20 for number in (1, 2)]
"""Vectors that are read by themselves."""


@pytest.mark.parametrize(
    "data",
    [
        body(shape=[2, 80], data=LONG),
        enveloped(response=LONG, shape=[2, 80]),
        enveloped(data=items((1, LONG[1]), (0, LONG[0]))),
        body(data=items((None, LONG[0]), (None, LONG[1]))),
        json.dumps({"data": LONG}, separators=(",", ":")).encode(),
        json.dumps({"data": LONG}, indent=1).encode(),
        body(data=LONG, texts=[LONG[0], "["]),
        body(data=LONG, text=f"] {LONG[1]}"),
        body(text=f"{LONG} [", data=LONG),
        body(data=items((1, LONG[1]), (0, base64.b64encode(struct.pack("<80f", *LONG[0])).decode()))),
    ],
)
def test_long_vectors_are_read_in_every_form(data: bytes) -> None:
    vectors = decode(data, count=2).vectors
    assert [*vectors] == LONG
    assert {type(number) for vector in vectors for number in vector} == {float}


@pytest.mark.parametrize("number", ["NaN", "true", "null", "1e999", '"1"', "[1]", "01", "1,"])
def test_a_long_vector_with_anything_but_finite_numbers_is_an_error(number: str) -> None:
    data = json.dumps({"data": LONG}).encode().replace(b"0.75]", f"{number}]".encode(), 1)
    assert number.encode() in data
    with pytest.raises(ProtocolError):
        decode(data, count=2)


def test_token_counts_with_a_long_list_are_kept_as_they_are() -> None:
    usage = {"prompt_tokens": 1, "total_tokens": 1, "details": [*range(100)]}
    reply = decode(body(data=LONG, usage=usage), count=2)
    assert reply.usage is not None
    assert reply.usage.raw == usage


def test_vectors_of_another_length_than_requested_are_an_error() -> None:
    data = body(data=[[1.0, 2.0]])
    assert decode(data, count=1, dimensions=2).vectors == ([1.0, 2.0],)
    with pytest.raises(ProtocolError, match="3 was expected"):
        decode(data, count=1, dimensions=3)


@pytest.mark.parametrize(
    "data",
    [
        body(success=False, errors=[{"code": 5006, "message": "no"}], result=None),
        body(error={"message": "no"}),
        enveloped(error="no"),
        body(internalCode=5017, message="no"),
    ],
)
def test_an_error_in_a_2xx_body_is_raised(data: bytes) -> None:
    with pytest.raises(EmbeddedError):
        decode(data, count=1)


@pytest.mark.parametrize(
    ("more", "tokens"),
    [
        ({}, None),
        ({"usage": None}, None),
        ({"usage": {"prompt_tokens": 6, "total_tokens": 6, "neurons": 0.1}}, 6),
        ({"usage": {"total_tokens": 3}}, 3),
        ({"usage": {"prompt_tokens": None, "total_tokens": None}}, 0),
        ({"meta": {"cost_metric_name_1": "input_tokens", "cost_metric_value_1": 20}}, 20),
        ({"meta": {"cost_metric_name_1": "pictures", "cost_metric_value_1": 20}}, None),
    ],
)
def test_token_counts_in_every_place(more: dict[str, Any], tokens: int | None) -> None:
    usage = decode(enveloped(data=[[1.0]], **more), count=1).usage
    assert (usage and usage.input) == tokens
    if usage is not None:
        assert usage.raw == (more.get("usage") or more.get("meta"))


@pytest.mark.parametrize(
    ("texts", "field"),
    [(["a", "", "b"], "texts[1]"), (["a", 3], "texts[1]"), ([[1, 2]], "texts[0]"), ("abc", "texts"), (b"abc", "texts")],
)
def test_a_text_that_cannot_be_embedded_is_named(texts: Any, field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked_texts(texts)
    assert caught.value.field == field


def test_spaces_are_a_valid_text() -> None:
    assert checked_texts([" ", "a"]) == (" ", "a")


def test_large_and_small_numbers_in_base64_are_read() -> None:
    numbers = [0.0, -0.0, 2.0**30, -(2.0**30), 1e-40, -1.5]
    packed = base64.b64encode(struct.pack("<6f", *numbers)).decode()
    [vector] = decode(body(data=[packed]), count=1).vectors
    assert vector == list(struct.unpack("<6f", struct.pack("<6f", *numbers)))
