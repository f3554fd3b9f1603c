"""Embedding and rerank models: endpoint, most texts per request, fields, length of the vectors; with the evidence.

Sections are those of facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from cfaig_integrations.core.vectors import EmbedRequest
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.models import routes
from cfaig_integrations.gateway.models.modalities import require_kind
from cfaig_integrations.wire.embeddings import Inputs

__all__ = [
    "DEFAULT_RERANKER",
    "RERANKERS",
    "TABLE",
    "EmbedApi",
    "EmbedModel",
    "EmbedRoute",
    "RerankModel",
    "RerankRoute",
    "batch_size",
    "embed_route",
    "model_of",
    "rerank_route",
]

EmbedApi: TypeAlias = Literal["auto", "run", "embeddings"]
"""`run`: Workers AI's own form, with every field of the model. `embeddings`: OpenAI's form."""


@dataclass(frozen=True, slots=True)
class EmbedModel:
    """What is known about some embedding models. None is what is not.

    Attributes:
        pattern: A model id, or how one begins if it ends in `*`.
        inputs: What its body on `/ai/run` takes.
        evidence: Where all that is known from.
        most_items: Most texts in one request.
        most_tokens: Most tokens of one text.
        dimensions: Length of its vectors.
    """

    pattern: str
    inputs: Inputs
    evidence: str
    most_items: int | None = None
    most_tokens: int | None = None
    dimensions: int | None = None


_POOLED = Inputs(pooling=True)
_ANY_FIELD = Inputs(pooling=True, instruction=True, truncate=True)
"""Of a model that is not known: what the user sets is sent, and the server judges."""

TABLE: tuple[EmbedModel, ...] = (
    EmbedModel("@cf/baai/bge-small-en-v1.5", _POOLED, "§6.1: schema, maxItems 100", 100, 512, 384),
    EmbedModel("@cf/baai/bge-base-en-v1.5", _POOLED, "§6.1: schema, maxItems 100", 100, 512, 768),
    EmbedModel("@cf/baai/bge-large-en-v1.5", _POOLED, "§6.1: schema, maxItems 100", 100, 512, 1024),
    EmbedModel(
        "@cf/baai/bge-m3",
        Inputs(truncate=True),
        "§6.1: schema, maxItems 100; always cls; its most tokens are told three ways",
        100,
        None,
        1024,
    ),
    EmbedModel(
        "@cf/qwen/qwen3-embedding-0.6b",
        Inputs(documents="documents", queries="queries", instruction=True),
        "§6.1: schema, maxItems 32; queries and documents are embedded differently",
        32,
        8192,
        1024,
    ),
    EmbedModel(
        "@cf/google/embeddinggemma-300m", Inputs(), "§6.1: batch not stated; 512 tokens by AI Search", None, 512, 768
    ),
    EmbedModel("@cf/pfnet/plamo-embedding-1b", Inputs(), "§6.1: length by the model card", None, None, 2048),
    EmbedModel("@cf/qwen/qwen3-vl-embedding-2b", _ANY_FIELD, "§6.1: fields not documented", None, 32768, 1024),
    EmbedModel("*", _ANY_FIELD, "§6.3: no third-party model in the REST catalogue; on the legacy host with BYOK"),
)
"""First match wins."""

_CAUTIOUS_BATCH = 32
"""Texts per request where the most is not known: the least of those that are."""


@dataclass(frozen=True, slots=True)
class RerankModel:
    """What is known about a rerank model.

    Attributes:
        id: Model id.
        top_k: Whether it can be told how many to return.
        evidence: Where that is known from.
    """

    id: str
    top_k: bool
    evidence: str


DEFAULT_RERANKER = "@cf/baai/bge-reranker-base"
RERANKERS: tuple[RerankModel, ...] = (
    RerankModel(DEFAULT_RERANKER, True, "§6.4"),
    RerankModel("@cf/baai/bge-m3", False, "§6.1: query and contexts give scores; no top_k"),
)

_IN_PATH = ("@cf/", "@hf/")
_RUN = "/ai/run"
_EMBEDDINGS = "/ai/v1/embeddings"
_LEGACY_EMBEDDINGS = "/embeddings"


@dataclass(frozen=True, slots=True)
class EmbedRoute:
    """How texts go to their model.

    Attributes:
        endpoint: Which form the body has.
        model: Model id as it is sent.
        path: After `{base}/accounts/{account_id}`, or after the legacy host's base.
        known: The model's row.
    """

    endpoint: Literal["run", "embeddings"]
    model: str
    path: str
    known: EmbedModel


@dataclass(frozen=True, slots=True)
class RerankRoute:
    """How passages go to their model.

    Attributes:
        path: After `{base}/accounts/{account_id}`.
        top_k: Whether the model can be told how many to return.
    """

    path: str
    top_k: bool


def model_of(model: str) -> EmbedModel:
    """What the table knows about a model.

    Raises:
        ConfigError: The id cannot be right.
    """
    sent = _checked(model)
    return next(row for row in TABLE if _fits(row.pattern, sent))


def batch_size(model: str, wanted: int | None = None, *, word: str = "batch_size") -> int:
    """How many texts to send in one request.

    Args:
        model: Model id.
        wanted: What the user said; None: as many as the model takes, or 32 if that is not known.
        word: The constructor argument that it was said with.

    Raises:
        ConfigError: It is more than the model takes.
    """
    most = model_of(model).most_items
    if wanted is None:
        return most or _CAUTIOUS_BATCH
    if most is not None and wanted > most:
        raise ConfigError(
            f"{word}={wanted} is more than {model} takes in one request.",
            field=word,
            value=wanted,
            remedy=f"Use {most} at most, or leave it out.",
        )
    return wanted


def embed_route(request: EmbedRequest, *, api: EmbedApi = "auto", legacy: bool = False) -> EmbedRoute:
    """How a request goes: under `auto` Workers AI models in their own form, all others in OpenAI's (§6.3).

    Args:
        request: Its model and dimensions count.
        api: The user's choice.
        legacy: Whether it goes to the legacy host, which has OpenAI's form only.

    Raises:
        ConfigError: The model id cannot be right, `dimensions` is not the length of the model's vectors, or the host
            does not serve the model that way.
    """
    known = model_of(request.model)
    model = _checked(request.model)
    require_kind(model, "embedding")
    ours = model.startswith(_IN_PATH)
    if known.dimensions is not None and request.dimensions not in (None, known.dimensions):
        raise ConfigError(
            f"{model} makes vectors of {known.dimensions} numbers, not {request.dimensions}.",
            field="dimensions",
            value=request.dimensions,
            remedy="Leave dimensions out.",
        )
    if legacy:
        if api == "run":
            raise _not_there("run", "on the legacy host", "Leave base_url out to use the REST API, or use api='auto'.")
        return EmbedRoute("embeddings", routes.legacy_id(model), _LEGACY_EMBEDDINGS, known)
    if api == "run" and not ours:
        raise _not_there(api, f"for {model}", "Use api='auto': /ai/run embeds with Workers AI's models only (§6.3).")
    if api == "embeddings" or not ours:
        return EmbedRoute("embeddings", model, _EMBEDDINGS, known)
    return EmbedRoute("run", model, f"{_RUN}/{model}", known)


def rerank_route(model: str, *, legacy: bool = False) -> RerankRoute:
    """How passages go to their model.

    Raises:
        ConfigError: The model id cannot be right, is no Workers AI model's, or the host has no rerank endpoint.
    """
    sent = _checked(model)
    known = next((row for row in RERANKERS if row.id == sent), None)
    if known is None:
        require_kind(sent, "reranking")
    if legacy:
        raise ConfigError(
            "The legacy host's compat endpoint does not rerank.",
            field="base_url",
            remedy="Leave base_url out to use the REST API.",
        )
    if not sent.startswith(_IN_PATH):
        raise ConfigError(
            f"{model} cannot rerank through the gateway.",
            field="model",
            value=model,
            remedy=f"Use a Workers AI model, such as {DEFAULT_RERANKER} (facts §6.4).",
        )
    return RerankRoute(f"{_RUN}/{sent}", known is None or known.top_k)


def _checked(model: str) -> str:
    routes.row_of(model)
    return routes.rest_id(model)


def _fits(pattern: str, model: str) -> bool:
    return model.startswith(pattern[:-1]) if pattern.endswith("*") else model == pattern


def _not_there(api: str, where: str, remedy: str) -> ConfigError:
    return ConfigError(f"api={api!r} does not exist {where}.", field="api", value=api, remedy=remedy)
