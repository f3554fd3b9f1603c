"""Embedding bodies: Workers AI's own on `/ai/run/{model}`, and OpenAI's on `/ai/v1/embeddings` (facts §6)."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic_core import SchemaValidator, core_schema

from cfaig_integrations.core.chat import Usage
from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.core.vectors import EmbedReply, EmbedRequest
from cfaig_integrations.errors import ProtocolError, UnsupportedContent
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.jsonio import count_of, excerpt, load_reply

_FINITE_NUMBERS = SchemaValidator(
    core_schema.list_schema(core_schema.float_schema(strict=True, allow_inf_nan=False), strict=True)
)
_BASE64 = SchemaValidator(core_schema.bytes_schema(), {"val_json_bytes": "base64"})
"""Decodes in half the time of the standard library."""
_LEAST_LENGTH = 64
"""A list of numbers with more bytes is read by itself."""
_LAST_BYTES = bytes(byte for byte in range(256) if byte & 0x7F <= 0x4E)
"""Last bytes of little-endian 32-bit floats between -2**31 and 2**31."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The fields of a model's body on `/ai/run`.

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


def encode_run(request: EmbedRequest, inputs: Inputs) -> JsonObject:
    """The body of `/ai/run/{model}`.

    Raises:
        UnsupportedContent: The model has no field for a value that was set.
    """
    is_query = request.side == "query"
    body: JsonObject = {inputs.queries if is_query else inputs.documents: [*request.texts]}
    fields = (
        ("pooling", request.pooling, inputs.pooling),
        ("instruction", request.instruction, inputs.instruction),
        ("truncate_inputs", request.truncate, inputs.truncate),
        ("dimensions", request.dimensions, False),
    )
    for name, value, supported in fields:
        if value is None:
            continue
        if not supported:
            raise _unsupported(name, value, f"{request.model} has no such field on /ai/run")
        if name != "instruction" or is_query:
            body[name] = value
    return {**body, **request.extra_body}


def encode_openai(request: EmbedRequest, *, base64: bool = False) -> JsonObject:
    """The body of `/ai/v1/embeddings`.

    Args:
        request: The request.
        base64: Whether to request the vectors in base64, which is read in half the time of floats. A server that
            ignores it sends floats (facts §6.2).

    Raises:
        UnsupportedContent: This endpoint has no field for a value that was set.
    """
    fields = (("pooling", request.pooling), ("instruction", request.instruction), ("truncate_inputs", request.truncate))
    for name, value in fields:
        if value is not None:
            raise _unsupported(name, value, "/ai/v1/embeddings has no field for it")
    body: JsonObject = {"model": request.model, "input": [*request.texts]}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if base64:
        body["encoding_format"] = "base64"
    return {**body, **request.extra_body}


def _unsupported(name: str, value: object, reason: str) -> UnsupportedContent:
    return UnsupportedContent(
        f"{name}={value!r} cannot be sent: {reason}.",
        field=name,
        value=value,
        remedy="Leave it out; api='run' has more fields for Workers AI models, and extra_body= sends any field.",
    )


def decode(body: bytes, *, count: int, dimensions: int | None = None) -> EmbedReply:
    """The reply of a whole 2xx body of either endpoint, in Cloudflare's envelope or without it.

    Args:
        body: The body.
        count: How many texts were sent.
        dimensions: Length that the vectors must have, if it is known.

    Raises:
        ProtocolError: It is not an embedding reply, or not one vector of that length for each text.
        EmbeddedError: The body is an error.
    """
    answer, lists = _without_lists(body, count)
    items = answer.get("data")
    if items is None:
        items = answer.get("response")  # bge-m3 with contexts (facts §6.1)
    if not isinstance(items, list):
        raise ProtocolError(f"The answer holds no vectors: it has the keys {sorted(answer)[:20]}.", body=excerpt(body))
    if len(items) != count:
        raise ProtocolError(f"{count} texts were sent, and {len(items)} vectors came back.", body=excerpt(body))
    vectors: list[list[float]] = []
    try:
        unread = _in_order(items)
        while unread:  # each is dropped once it is read: the copies of a large reply would take as much memory again
            vectors.append(_numbers(unread.pop(), lists))
    except (TypeError, ValueError, OverflowError) as error:
        raise ProtocolError(f"A vector of the answer is malformed: {error}.", body=excerpt(body)) from error
    lengths = {len(vector) for vector in vectors}
    if len(lengths) > 1 or 0 in lengths or (dimensions is not None and not lengths <= {dimensions}):
        expected = "one and the same" if dimensions is None else str(dimensions)
        raise ProtocolError(
            f"The vectors have lengths {sorted(lengths)}, where {expected} was expected.", body=excerpt(body)
        )
    return EmbedReply(tuple(reversed(vectors)), usage_of(answer))


def _without_lists(body: bytes, count: int) -> tuple[JsonObject, dict[str, list[float]]]:
    """A reply with a placeholder in place of each long list of numbers, and these lists by placeholder.

    Each is read and checked in one pass, which takes a fifth less than reading the reply and then checking its lists. A
    reply that does not hold one such list for each text is returned as it is.
    """
    lists: dict[str, list[float]] = {}
    rest: list[bytes] = []
    end = 0
    try:
        while stop := body.find(b"]", end) + 1:
            start = body.rfind(b"[", end, stop)
            if start >= 0 and stop - start > _LEAST_LENGTH and body[start + 1] in b"-0123456789":
                place = f"[{len(lists)}]"  # which no base64 contains
                lists[place] = _FINITE_NUMBERS.validate_json(body[start:stop])
                rest += body[end:start], b'"%s"' % place.encode()
            else:
                rest.append(body[end:stop])
            end = stop
        if len(lists) == count:
            return load_reply(b"".join([*rest, body[end:]])), lists
    except (ValueError, ProtocolError, EmbeddedError):
        pass  # the body is read again, so that an error shows it as it is
    return load_reply(body), {}


def usage_of(answer: JsonObject) -> Usage | None:
    """Token counts, under `usage`, or under `meta` as in bge-m3's replies (facts §6.1); None if there are none."""
    usage, meta = answer.get("usage"), answer.get("meta")
    if isinstance(usage, dict):
        prompt, total = count_of(usage.get("prompt_tokens")) or 0, count_of(usage.get("total_tokens")) or 0
        return Usage(input=prompt or total, total=total or prompt, raw=usage)
    if isinstance(meta, dict) and meta.get("cost_metric_name_1") == "input_tokens":
        prompt = count_of(meta.get("cost_metric_value_1")) or 0
        return Usage(input=prompt, total=prompt, raw=meta)
    return None


def _in_order(items: list[JsonValue]) -> list[JsonValue]:
    """The vectors in the order of their indexes, or as they came where there are no indexes."""
    objects = [item for item in items if isinstance(item, dict)]
    if len(objects) < len(items):
        return items
    vectors = [item.pop("embedding", None) for item in objects]
    if all(item.get("index") is None for item in objects):
        return vectors
    by_index = {count_of(item.get("index")): vector for item, vector in zip(objects, vectors, strict=True)}
    if by_index.keys() != set(range(len(items))):
        raise ValueError("the indexes do not number the texts")
    return [by_index[index] for index in range(len(items))]


def _numbers(vector: JsonValue, lists: Mapping[str, list[float]]) -> list[float]:
    if isinstance(vector, str):
        return lists[vector] if vector in lists else _from_base64(vector)
    try:
        numbers: list[float] = _FINITE_NUMBERS.validate_python(vector)
    except ValueError:
        raise ValueError("it is neither base64 nor a list of finite numbers") from None
    return numbers


def _from_base64(text: str) -> list[float]:
    """Little-endian 32-bit floats, as OpenAI writes them for `encoding_format: base64`."""
    numbers = array("f")
    try:
        data: bytes = _BASE64.validate_python(text)
        numbers.frombytes(data)
    except ValueError:
        raise ValueError("it is neither a list nor base64 of floats") from None
    # Perplexity's base64 holds signed bytes, which look like huge floats (recorded embeddings 25 and 26). Neither those
    # nor what is not finite has such a last byte, the one of a number's sign and exponent.
    if data[3::4].translate(None, _LAST_BYTES):
        raise ValueError("it is base64 of something other than 32-bit floats")
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
