"""Models that do not chat: embeddings and ranking (facts §6), decisions (§14.7), and the web search (§8.9)."""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from dataclasses import dataclass
from typing import Any

from cfaig_integrations.simulator import tokens
from cfaig_integrations.simulator.catalogue import is_workers_ai
from cfaig_integrations.simulator.dialects import shapes
from cfaig_integrations.simulator.dialects.shapes import anything
from cfaig_integrations.simulator.dialects.validation import JsonPath, Validator, WorkersAIValidator
from cfaig_integrations.simulator.fake_model import vectors
from cfaig_integrations.simulator.fake_model.vectors import Kind
from cfaig_integrations.simulator.json_types import Record, is_list, is_record
from cfaig_integrations.simulator.types import InvalidBody

_NEURONS = 1 / 1000


@dataclass(frozen=True, slots=True)
class Model:
    """One row of facts §6.1."""

    dims: int  # of its vectors; 0 for a model that only ranks
    most_items: int = 100
    most_tokens: int = 512
    pooling: str = ""  # default pooling, where the response contains it
    fields: tuple[str, ...] = ("text",)
    usage: bool = True
    neurons: bool = False


_MODELS: dict[str, Model] = {
    "@cf/baai/bge-small-en-v1.5": Model(384, pooling="mean", fields=("text", "pooling")),
    "@cf/baai/bge-base-en-v1.5": Model(768, pooling="mean", fields=("text", "pooling")),
    "@cf/baai/bge-large-en-v1.5": Model(1024, pooling="mean", fields=("text", "pooling")),
    "@cf/baai/bge-m3": Model(
        1024, most_tokens=60000, pooling="cls", fields=("text", "truncate_inputs", "query", "contexts"), usage=False
    ),
    "@cf/qwen/qwen3-embedding-0.6b": Model(
        1024, most_items=32, most_tokens=8192, fields=("text", "documents", "queries", "instruction"), neurons=True
    ),
    "@cf/google/embeddinggemma-300m": Model(768, most_tokens=2048, usage=False),
    "@cf/pfnet/plamo-embedding-1b": Model(2048, most_tokens=4096, usage=False),
    "@cf/qwen/qwen3-vl-embedding-2b": Model(1024, most_tokens=32768),
    "openai/text-embedding-3-small": Model(1536, most_items=2048, most_tokens=8192),
    "openai/text-embedding-3-large": Model(3072, most_items=2048, most_tokens=8192),
    "google/gemini-embedding-001": Model(3072, most_items=2048, most_tokens=2048),
    "@cf/baai/bge-reranker-base": Model(0, most_items=1000, fields=("query", "contexts", "top_k")),
}


def embed(model: str, body: Record, *, openai: bool) -> tuple[Record, int]:
    """The body (the content of `result` for `/ai/run`), and the tokens it took."""
    validator = WorkersAIValidator()
    validator.no_tracing_fields(body)
    spec = _MODELS.get(model)
    if spec is None or (openai and not spec.dims):
        if is_workers_ai(model):
            raise InvalidBody(f"AiError: No such model {model} or task", param="model", code=5007)
        raise InvalidBody(f"Model not found: {model}", param="model", code=7003, status=404)
    if openai:
        return _openai(validator, model, spec, body)
    if not spec.dims or ("contexts" in body and "contexts" in spec.fields):
        return _contexts(validator, model, spec, body)
    return _native(validator, model, spec, body)


def _texts(validator: Validator, value: Any, key: str, most: int, *inner: str) -> list[str]:
    """One string or a list of them, none of them empty (`minLength` 1); `inner` is where a text is in its item."""
    listed = value if is_list(value) else [value]
    if not listed or len(listed) > most:
        validator.fail(f"'/{key}' must have between 1 and {most} items, got {len(listed)}", (key,))
    for i, text in enumerate(listed):
        path: JsonPath = (key, i, *inner) if is_list(value) else (key,)
        if not validator.text(text, path):
            validator.fail(f"Length of '{validator.format_path(path)}' must be >= 1 not met", path)
    return listed


def _vectors(texts: list[str], model: str, spec: Model, pooling: str, kind: Kind | None) -> list[list[float]]:
    space = f"{model}/{pooling}"
    return [vectors.embed(tokens.cut(t, spec.most_tokens), spec.dims, space=space, kind=kind) for t in texts]


def _openai(validator: Validator, model: str, spec: Model, body: Record) -> tuple[Record, int]:
    """OpenAI's format; `encoding_format` and `dimensions` are ignored by Workers AI (facts §6.2, §6.3)."""
    texts = _texts(validator, validator.required(body, "input"), "input", spec.most_items)
    kind: Kind | None = "document" if "documents" in spec.fields else None
    embeddings: list[list[float] | str] = [*_vectors(texts, model, spec, spec.pooling, kind)]
    if not is_workers_ai(model):
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
    if "pooling" in spec.fields and body.get("pooling") is not None:
        pooling = validator.one_of(body["pooling"], ("pooling",), ("mean", "cls"))
    if "truncate_inputs" in spec.fields and not body.get("truncate_inputs"):
        longest = max(tokens.count(t) for t in texts)
        if longest > spec.most_tokens:
            limit = f"exceeded this model context window limit ({spec.most_tokens})"
            message = f"AiError: Ai: The estimated number of input and maximum output tokens ({longest}) {limit}."
            raise InvalidBody(message, code=5021, status=413)
    kind: Kind | None = None
    if "queries" in spec.fields:
        kind = "query" if key == "queries" else "document"
    embeddings = _vectors(texts, model, spec, pooling, kind)
    result: Record = {"shape": [len(embeddings), spec.dims], "data": embeddings}
    if pooling:
        result["pooling"] = pooling
    return {**result, **_usage(spec, token_count)}, token_count


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
    shapes.list_of(shapes.fields({"text!": shapes.text}, closed=False))(validator, listed, ("contexts",))
    return _texts(validator, [entry["text"] for entry in listed], "contexts", most, "text")  # facts §14.3


def _scores(query: str, texts: list[str]) -> list[Record]:
    scored: list[Record] = [{"id": i, "score": round(vectors.relevance(query, t), 8)} for i, t in enumerate(texts)]
    return sorted(scored, key=lambda entry: (-entry["score"], entry["id"]))


def _contexts(validator: Validator, model: str, spec: Model, body: Record) -> tuple[Record, int]:
    """Scores against a query; of bge-m3 without one, vectors under another name (facts §6.1, §6.4)."""
    query = validator.text(body.get("query") or "", ("query",)) if spec.dims else validator.required_text(body, "query")
    texts = _context_texts(validator, body, spec.most_items)
    token_count = sum(tokens.count(t) for t in texts) + tokens.count(query)
    usage = {k: v for k, v in _usage(spec, token_count).items() if k != "response"}
    if query:
        return {"response": _scores(query, texts)[: validator.integer(body, "top_k")], **usage}, token_count
    embeddings = _vectors(texts, model, spec, spec.pooling, None)
    result = {"response": embeddings, "shape": [len(embeddings), spec.dims], "pooling": spec.pooling}
    return {**result, **usage}, token_count


_DECISION_MODEL = re.compile(r"@cf/cloudflare/(clef(?:-[a-z]+)?)")
_MOST_QUESTIONS = 64
_MOST_IMAGES = 4
_READ_LENGTH = 20_000
_SHARPNESS = 6.0  # how strongly a better fit raises the probability of a criterion
_DECISION = shapes.fields({"model": anything, "state": anything, "questions": shapes.of_type(dict), "images": anything})
_QUESTION = shapes.tagged(
    {
        "noul": {"instructions!": shapes.filled, "criteria": anything},
        "choice": {"instructions!": shapes.filled, "criteria!": anything},
        "score": {"instructions!": shapes.filled, "criteria!": shapes.list_of(shapes.text)},
    }
)


def is_decision_model(model: str) -> bool:
    """Whether a model answers questions about a state."""
    return _DECISION_MODEL.fullmatch(model) is not None


def decide(model: str, body: Record) -> tuple[Record, int]:
    """The content of `result` with all answers, and the tokens it took."""
    validator = WorkersAIValidator()
    if not {"model", "state", "questions"} <= body.keys():
        validator.fail("required properties at '/' are 'model,state,questions'")
    name = model.rpartition("/")[2]
    questions = body["questions"]
    _DECISION(validator, {**body, "images": None}, ())
    validator.one_of(body["model"], ("model",), (name,))
    if not 1 <= len(questions) <= _MOST_QUESTIONS:
        validator.fail(f"'/questions' must have between 1 and {_MOST_QUESTIONS} entries, got {len(questions)}")
    for key, question in questions.items():
        _QUESTION(validator, question, ("questions", key))
    _check_images(validator, body.get("images"))
    state = body["state"] if isinstance(body["state"], str) else json.dumps(body["state"], ensure_ascii=False)
    answers = {key: _answer(validator, state, entry, ("questions", key)) for key, entry in questions.items()}
    count = tokens.count(state) + tokens.count(json.dumps(questions, ensure_ascii=False))
    return {"model": name, "answers": answers, "usage": {"input_tokens": count, "output_tokens": 0}}, count


def _check_images(validator: Validator, images: Any) -> None:
    if images is None:
        return
    listed = validator.array(images, ("images",))
    valid = [
        (isinstance(image, str) and image.startswith("data:image/"))
        or (is_record(image) and {"content_type", "base64"} <= image.keys())
        for image in listed
    ]
    if len(listed) > _MOST_IMAGES or not all(valid):
        problems: Record = {"formErrors": [], "fieldErrors": {"images": ["image payload is invalid"]}}
        error: Record = {"type": "invalid_request", "message": "Request body failed validation", "details": problems}
        text = json.dumps({"error": error}, separators=(",", ":"))
        raise InvalidBody(f"AiError: AiError: {text}", code=5012, status=422)


def _answer(validator: Validator, state: str, question: Record, path: JsonPath) -> Record:
    kind, instructions = question["type"], question["instructions"]
    if kind == "noul":
        return {"type": kind, "noul": round(_fit(state, instructions), 4)}
    options = _options(validator, question["criteria"], kind, (*path, "criteria"))
    weights = [math.exp(_SHARPNESS * _fit(state, f"{instructions} {text}")) for text in options.values()]
    chances = {name: round(w / sum(weights), 4) for name, w in zip(options, weights, strict=True)}
    best = max(chances, key=lambda name: chances[name])
    if kind == "choice":
        return {"type": kind, "choice": best, "probabilities": chances, "confidence": chances[best]}
    score = round(sum(int(level) * chance for level, chance in chances.items()), 4)
    legend = {"legend": options, "probabilities": chances, "confidence": chances[best]}
    return {"type": kind, "score": score, **legend}


def _options(validator: Validator, criteria: Any, kind: str, path: JsonPath) -> dict[str, str]:
    """The texts of the options by name; of a score, by level from 0."""
    if kind == "score":
        options = {str(level): str(text) for level, text in enumerate(criteria)}
    elif is_list(criteria):
        options = {validator.text(name, (*path, i)): "" for i, name in enumerate(criteria)}
    else:
        options = {name: f"{name} {text or ''}" for name, text in validator.record(criteria, path).items()}
    if len(options) < 2:
        validator.fail(f"'{validator.format_path(path)}' must have at least 2 entries", path)
    return options


def _fit(state: str, text: str) -> float:
    """How well a text fits the state, from 0 to 1."""
    return min(1.0, max(0.0, vectors.relevance(text, state[:_READ_LENGTH])))


PROVIDERS = ("ceramic", "exa", "linkup")
_SEARCH_FIELDS = ("query", "provider", "limit", "options", "byokAlias")
_MOST, _DEFAULT = 10, 5
_PAGES = (
    ("https://example.com/{slug}", "{query}: an overview", "What is known about {query}, with sources."),
    ("https://example.org/wiki/{slug}", "{query} - encyclopedia", "An article about {query} and its history."),
    ("https://example.net/news/{slug}", "News about {query}", "What has changed about {query} this year."),
)


def search(body: Record) -> tuple[Record, int]:
    """The results of a search, and the tokens of its query."""
    validator = WorkersAIValidator()
    validator.only_fields(body, _SEARCH_FIELDS)
    query = validator.required_text(body, "query").strip()
    if not query:
        validator.missing_field(("query",))
    provider = validator.one_of(body.get("provider", PROVIDERS[0]), ("provider",), PROVIDERS)
    limit = validator.integer(body, "limit", most=_MOST) or _DEFAULT
    slug = "-".join("".join(c if c.isalnum() else " " for c in query.lower()).split()) or "search"
    words = {"query": query, "slug": slug}
    items = [
        {name: text.format(**words) for name, text in zip(("url", "title", "description"), page, strict=True)}
        for page in _PAGES[:limit]
    ]
    return {"items": items, "metadata": {"provider": provider, "count": len(items)}}, tokens.count(query)
