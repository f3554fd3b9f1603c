"""Embedding and rerank bodies, on `/ai/v1/embeddings` and inside `result` of `/ai/run` (facts §6)."""

from __future__ import annotations

import base64
import math
import struct
from dataclasses import dataclass
from typing import Any, NoReturn

from cfaig_integrations.simulator import tokens
from cfaig_integrations.simulator.dialects.validation import JsonPath, Record, Validator, WorkersAIValidator
from cfaig_integrations.simulator.fake_model import vectors
from cfaig_integrations.simulator.fake_model.vectors import Kind
from cfaig_integrations.simulator.json_types import is_list
from cfaig_integrations.simulator.types import InvalidBody

_NO_MODEL = 5007
_NOT_FOUND, _NOT_FOUND_STATUS = 7003, 404
_CONTEXT, _CONTEXT_STATUS = 5021, 413
_NEURONS = 1 / 1000


@dataclass(frozen=True, slots=True)
class Model:
    """One row of facts §6.1."""

    dims: int
    most_items: int = 100
    most_tokens: int = 512
    pooling: str = ""
    """Default pooling, where the response contains it."""
    poolable: bool = False
    fields: tuple[str, ...] = ("text",)
    usage: bool = True
    neurons: bool = False
    openai: bool = False
    """A model of the legacy host, which honors `encoding_format` and `dimensions` (facts §6.3)."""


_MODELS: dict[str, Model] = {
    "@cf/baai/bge-small-en-v1.5": Model(384, pooling="mean", poolable=True, fields=("text", "pooling")),
    "@cf/baai/bge-base-en-v1.5": Model(768, pooling="mean", poolable=True, fields=("text", "pooling")),
    "@cf/baai/bge-large-en-v1.5": Model(1024, pooling="mean", poolable=True, fields=("text", "pooling")),
    "@cf/baai/bge-m3": Model(
        1024, most_tokens=60000, pooling="cls", fields=("text", "truncate_inputs", "query", "contexts"), usage=False
    ),
    "@cf/qwen/qwen3-embedding-0.6b": Model(
        1024, most_items=32, most_tokens=8192, fields=("text", "documents", "queries", "instruction"), neurons=True
    ),
    "@cf/google/embeddinggemma-300m": Model(768, most_tokens=2048, usage=False),
    "@cf/pfnet/plamo-embedding-1b": Model(2048, most_tokens=4096, usage=False),
    "@cf/qwen/qwen3-vl-embedding-2b": Model(1024, most_tokens=32768),
    "openai/text-embedding-3-small": Model(1536, most_items=2048, most_tokens=8192, openai=True),
    "openai/text-embedding-3-large": Model(3072, most_items=2048, most_tokens=8192, openai=True),
    "google/gemini-embedding-001": Model(3072, most_items=2048, most_tokens=2048, openai=True),
}
_RERANKERS = ("@cf/baai/bge-reranker-base",)


def embed(model: str, body: Record, *, openai: bool) -> tuple[Record, int]:
    """Embed or rerank.

    Returns:
        The body (the content of `result` for `/ai/run`), and the tokens it took.
    """
    validator = WorkersAIValidator()
    validator.no_tracing_fields(body)
    if model in _RERANKERS and not openai:
        return _rerank(validator, body)
    spec = _MODELS.get(model)
    if spec is None:
        _unknown_model(model)
    if openai:
        return _openai(validator, model, spec, body)
    if "contexts" in body and "contexts" in spec.fields:
        return _contexts(validator, model, spec, body)
    return _native(validator, model, spec, body)


def _unknown_model(model: str) -> NoReturn:
    if model.startswith(("@cf/", "@hf/")):
        raise InvalidBody(f"AiError: No such model {model} or task", param="model", code=_NO_MODEL)
    raise InvalidBody(f"Model not found: {model}", param="model", code=_NOT_FOUND, status=_NOT_FOUND_STATUS)


def _texts(validator: Validator, value: Any, key: str, most: int) -> list[str]:
    """One string or a list of them, none of them empty (`minLength` 1)."""
    listed = value if is_list(value) else [value]
    if not listed or len(listed) > most:
        validator.fail(f"'/{key}' must have between 1 and {most} items, got {len(listed)}", (key,))
    for i, text in enumerate(listed):
        path: JsonPath = (key, i) if is_list(value) else (key,)
        if not validator.text(text, path):
            validator.fail(f"Length of '{validator.format_path(path)}' must be >= 1 not met", path)
    return listed


def _vectors(texts: list[str], model: str, spec: Model, pooling: str, kind: Kind | None) -> list[list[float]]:
    space = f"{model}/{pooling}"
    return [vectors.embed(tokens.cut(t, spec.most_tokens), spec.dims, space=space, kind=kind) for t in texts]


def _openai(validator: Validator, model: str, spec: Model, body: Record) -> tuple[Record, int]:
    """`encoding_format` is ignored by Workers AI: its response always has floats (facts §6.2)."""
    texts = _texts(validator, validator.required(body, "input"), "input", spec.most_items)
    kind: Kind | None = "document" if "documents" in spec.fields else None
    embeddings: list[list[float] | str] = [*_vectors(texts, model, spec, spec.pooling, kind)]
    if spec.openai:
        embeddings = [_encoded(validator, body, vector) for vector in embeddings if isinstance(vector, list)]
    token_count = sum(tokens.count(t) for t in texts)
    data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(embeddings)]
    usage = {"prompt_tokens": token_count, "total_tokens": token_count}
    return {"object": "list", "model": model, "data": data, "usage": usage}, token_count


def _encoded(validator: Validator, body: Record, vector: list[float]) -> list[float] | str:
    dimensions = validator.integer(body, "dimensions", most=len(vector))
    if dimensions is not None:
        length = math.hypot(*vector[:dimensions]) or 1.0
        vector = [value / length for value in vector[:dimensions]]
    if validator.one_of(body.get("encoding_format", "float"), ("encoding_format",), ("float", "base64")) == "float":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _native(validator: Validator, model: str, spec: Model, body: Record) -> tuple[Record, int]:
    key = next((k for k in ("text", "documents", "queries") if k in spec.fields and body.get(k) is not None), "")
    if not key:
        validator.missing_field(("text",))
    texts = _texts(validator, body[key], key, spec.most_items)
    token_count = sum(tokens.count(t) for t in texts)
    pooling = spec.pooling
    if spec.poolable and body.get("pooling") is not None:
        pooling = validator.one_of(body["pooling"], ("pooling",), ("mean", "cls"))
    if "truncate_inputs" in spec.fields and not body.get("truncate_inputs"):
        _check_length(texts, spec)
    kind: Kind | None = None
    if "queries" in spec.fields:
        kind = "query" if key == "queries" else "document"
    embeddings = _vectors(texts, model, spec, pooling, kind)
    result: Record = {"shape": [len(embeddings), spec.dims], "data": embeddings}
    if pooling:
        result["pooling"] = pooling
    return {**result, **_usage(spec, token_count)}, token_count


def _check_length(texts: list[str], spec: Model) -> None:
    longest = max(tokens.count(t) for t in texts)
    if longest > spec.most_tokens:
        limit = f"exceeded this model context window limit ({spec.most_tokens})"
        message = f"AiError: Ai: The estimated number of input and maximum output tokens ({longest}) {limit}."
        raise InvalidBody(message, code=_CONTEXT, status=_CONTEXT_STATUS)


def _usage(spec: Model, token_count: int) -> Record:
    usage: Record = {"prompt_tokens": token_count, "total_tokens": token_count}
    if spec.neurons:
        usage["neurons"] = token_count * _NEURONS
    if spec.usage:
        return {"usage": usage}
    if spec.pooling:
        meta = {
            "cost_metric_name_1": "input_tokens",
            "cost_metric_value_1": token_count,
            "neurons": token_count * _NEURONS,
        }
        return {"response": None, "meta": meta}
    return {}


def _context_texts(validator: Validator, body: Record, most: int) -> list[str]:
    listed = validator.array(validator.required(body, "contexts"), ("contexts",))
    if not listed or len(listed) > most:
        validator.fail(f"'/contexts' must have between 1 and {most} items, got {len(listed)}", ("contexts",))
    return [_context_text(validator, entry, ("contexts", i)) for i, entry in enumerate(listed)]


def _context_text(validator: Validator, entry: Any, path: JsonPath) -> str:
    text = validator.text(validator.required(validator.record(entry, path), "text", path), (*path, "text"))
    if not text:
        place = validator.format_path((*path, "text"))
        validator.fail(f"Length of '{place}' must be >= 1 not met", (*path, "text"))  # facts §14.3
    return text


def _scores(query: str, texts: list[str]) -> list[Record]:
    scored: list[Record] = [{"id": i, "score": round(vectors.relevance(query, t), 8)} for i, t in enumerate(texts)]
    return sorted(scored, key=_by_score)


def _by_score(entry: Record) -> tuple[float, int]:
    return -float(entry["score"]), int(entry["id"])


def _rerank(validator: Validator, body: Record) -> tuple[Record, int]:
    query = validator.required_text(body, "query")
    texts = _context_texts(validator, body, 1000)
    top = validator.integer(body, "top_k")
    token_count = sum(tokens.count(query) + tokens.count(t) for t in texts)
    return {
        "response": _scores(query, texts)[:top],
        "usage": {"prompt_tokens": token_count, "total_tokens": token_count},
    }, token_count


def _contexts(validator: Validator, model: str, spec: Model, body: Record) -> tuple[Record, int]:
    """bge-m3 with contexts: scores against a query, or vectors under another name (facts §6.1)."""
    texts = _context_texts(validator, body, spec.most_items)
    query: str | None = validator.optional(body, "query", str)
    token_count = sum(tokens.count(t) for t in texts) + tokens.count(query or "")
    meta = {k: v for k, v in _usage(spec, token_count).items() if k == "meta"}
    if query:
        return {"response": _scores(query, texts), **meta}, token_count
    embeddings = _vectors(texts, model, spec, spec.pooling, None)
    return {"response": embeddings, "shape": [len(embeddings), spec.dims], "pooling": spec.pooling, **meta}, token_count
