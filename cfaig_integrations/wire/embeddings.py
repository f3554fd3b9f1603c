"""Embedding bodies: Workers AI's own on `/ai/run/{model}`, and OpenAI's on `/ai/v1/embeddings` (facts §6)."""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode
from dataclasses import dataclass
from math import isfinite
from typing import Any, cast

from cfaig_integrations.core.vectors import EmbedReply, EmbedRequest
from cfaig_integrations.errors import ProtocolError, UnsupportedContent
from cfaig_integrations.wire.answers import opened, tokens_of
from cfaig_integrations.wire.fields import count_of
from cfaig_integrations.wire.jsonio import excerpt

_HUGE = 1e9


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a model's body on `/ai/run` takes.

    Attributes:
        documents: Field of the texts.
        queries: Field of texts that are questions.
        pooling: Whether `pooling` may be chosen.
        instruction: Whether there is an `instruction`.
        truncate: Whether there is `truncate_inputs`.
    """

    documents: str = "text"
    queries: str = "text"
    pooling: bool = False
    instruction: bool = False
    truncate: bool = False


def encode_run(request: EmbedRequest, inputs: Inputs) -> dict[str, Any]:
    """The body of `/ai/run/{model}`.

    Raises:
        UnsupportedContent: The model has no field for something that was set.
    """
    asks = request.side == "query"
    body: dict[str, Any] = {inputs.queries if asks else inputs.documents: list(request.texts)}
    fields = (
        ("pooling", "pooling", request.pooling, inputs.pooling),
        ("instruction", "instruction", request.instruction, inputs.instruction),
        ("truncate_inputs", "truncate_inputs", request.truncate, inputs.truncate),
        ("dimensions", "dimensions", request.dimensions, False),
    )
    for word, key, value, taken in fields:
        if value is None:
            continue
        if not taken:
            raise _no_place(word, value, f"{request.model} has no such field on /ai/run")
        if word != "instruction" or asks:
            body[key] = value
    return {**body, **request.extra_body}


def encode_openai(request: EmbedRequest) -> dict[str, Any]:
    """The body of `/ai/v1/embeddings`.

    `encoding_format` is not sent: servers that ignore it made clients read floats as base64 (facts §6.2).

    Raises:
        UnsupportedContent: Something was set that this endpoint has no field for.
    """
    fields = (
        ("pooling", request.pooling),
        ("instruction", request.instruction),
        ("truncate_inputs", request.truncate),
    )
    for word, value in fields:
        if value is not None:
            raise _no_place(word, value, "/ai/v1/embeddings has no field for it")
    body: dict[str, Any] = {"model": request.model, "input": list(request.texts)}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return {**body, **request.extra_body}


def _no_place(word: str, value: object, why: str) -> UnsupportedContent:
    return UnsupportedContent(
        f"{word}={value!r} cannot be sent: {why}.",
        field=word,
        value=value,
        remedy="Leave it out; api='run' has more fields for Workers AI models, and extra_body= sends any field.",
    )


def decode(body: bytes, *, count: int, dimensions: int | None = None) -> EmbedReply:
    """The reply of a whole 2xx body of either endpoint, in Cloudflare's envelope or without it.

    Args:
        body: As it came.
        count: How many texts were sent.
        dimensions: Length that the vectors must have, if it is known.

    Raises:
        ProtocolError: It is no embedding answer, or not one vector of that length for each text.
        EmbeddedError: The body is an error.
    """
    answer = opened(body)
    listed: object = answer.get("data")
    if listed is None:
        listed = answer.get("response")  # bge-m3 with contexts (facts §6.1)
    if not isinstance(listed, list):
        raise ProtocolError(f"The answer holds no vectors: it has the keys {sorted(answer)[:20]}.", body=excerpt(body))
    items: list[Any] = listed  # pyright: ignore[reportUnknownVariableType]  # JSON
    if len(items) != count:
        raise ProtocolError(f"{count} texts were sent, and {len(items)} vectors came back.", body=excerpt(body))
    try:
        vectors = tuple(_numbers(item) for item in _in_order(items))
    except (TypeError, ValueError, OverflowError) as error:
        raise ProtocolError(f"A vector of the answer is malformed: {error}.", body=excerpt(body)) from error
    _require_length(vectors, dimensions, body)
    return EmbedReply(vectors, tokens_of(answer))


def _in_order(items: list[Any]) -> list[Any]:
    """The vectors by the index that stands beside each; as they came where there is none."""
    if not all(isinstance(item, dict) for item in items):
        return items
    found = cast("list[dict[str, Any]]", items)
    vectors = [item.get("embedding") for item in found]
    if all(item.get("index") is None for item in found):
        return vectors
    indexes = [count_of(item.get("index")) for item in found]
    placed = dict(zip(indexes, vectors, strict=True))
    if placed.keys() != set(range(len(items))):
        raise ValueError("the indexes do not number the texts")
    return [placed[index] for index in range(len(items))]


def _numbers(vector: Any) -> list[float]:
    if isinstance(vector, str):
        return _from_base64(vector)
    if not isinstance(vector, list):
        raise TypeError(f"it is a {type(vector).__name__}")
    numbers = cast("list[float]", vector)
    kinds = set(map(type, numbers))
    if not kinds <= {float, int}:
        raise TypeError("it holds something that is no number")
    if not all(map(isfinite, numbers)):
        raise ValueError("it holds a number that is not finite")
    return numbers if kinds == {float} else list(map(float, numbers))


def _from_base64(text: str) -> list[float]:
    """Little-endian 32-bit floats, as OpenAI writes them for `encoding_format: base64`."""
    numbers = array("f")
    try:
        numbers.frombytes(b64decode(text, validate=True))
    except ValueError as error:
        raise ValueError(f"it is neither a list nor base64 of floats ({error})") from None
    if sys.byteorder == "big":
        numbers.byteswap()
    # Perplexity's base64 holds signed bytes, which look like huge floats (recorded embeddings 25 and 26).
    if not all(-_HUGE < number < _HUGE for number in numbers):
        raise ValueError("it is base64 of something else than 32-bit floats")
    return numbers.tolist()


def _require_length(vectors: tuple[list[float], ...], dimensions: int | None, body: bytes) -> None:
    lengths = {len(vector) for vector in vectors}
    wanted = lengths if dimensions is None else {dimensions}
    if len(lengths) > 1 or 0 in lengths or not lengths <= wanted:
        expected = "one and the same" if dimensions is None else str(dimensions)
        raise ProtocolError(
            f"The vectors have lengths {sorted(lengths)}, where {expected} was expected.", body=excerpt(body)
        )
