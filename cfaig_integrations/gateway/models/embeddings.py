"""Embedding, rerank and decision models: endpoint, fields, texts per request, length of the vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from cfaig_integrations.core.vectors import EmbedRequest
from cfaig_integrations.errors import ConfigError, invalid
from cfaig_integrations.gateway.models import routes
from cfaig_integrations.gateway.models.modalities import require_kind
from cfaig_integrations.gateway.models.tables import IN_PATH, matching
from cfaig_integrations.wire.embeddings import Inputs

EmbedApi: TypeAlias = Literal["auto", "run", "embeddings"]
"""`run`: Workers AI's own form, with every field of the model. `embeddings`: OpenAI's form."""


@dataclass(frozen=True, slots=True)
class EmbedModel:
    """What is known about some embedding models; None if it is not known.

    Attributes:
        inputs: What their body on `/ai/run` takes.
        max_items: Maximum number of texts in one request.
        max_tokens: Maximum number of tokens of one text.
        base64: Whether OpenAI's endpoint honors `encoding_format: base64`.
    """

    models: str
    inputs: Inputs
    evidence: str
    max_items: int | None = None
    max_tokens: int | None = None
    dimensions: int | None = None
    base64: bool = False


_POOLED = Inputs(pooling=True)
_ANY_FIELD = Inputs(pooling=True, instruction=True, truncate=True)
"""For unknown models: what the user sets is sent unchecked."""

TABLE: tuple[EmbedModel, ...] = (
    EmbedModel("@cf/baai/bge-small-en-v1.5", _POOLED, "§6.1: schema, maxItems 100", 100, 512, 384),
    EmbedModel("@cf/baai/bge-base-en-v1.5", _POOLED, "§6.1: schema, maxItems 100", 100, 512, 768),
    EmbedModel("@cf/baai/bge-large-en-v1.5", _POOLED, "§6.1: schema, maxItems 100", 100, 512, 1024),
    EmbedModel(
        "@cf/baai/bge-m3",
        Inputs(truncate=True),
        "§6.1: schema, maxItems 100; always cls; three sources disagree about its tokens",
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
    EmbedModel("openai/*", _ANY_FIELD, "§6.3: OpenAI's reference has encoding_format", base64=True),
    EmbedModel("*", _ANY_FIELD, "§6.3: no third-party model in the REST catalog; on the legacy host with BYOK"),
)

_DEFAULT_BATCH = 32
"""Texts per request where the maximum is not known: the smallest maximum of the other models."""


DEFAULT_DECISION_MODEL = "@cf/cloudflare/clef"
DEFAULT_RERANKER = "@cf/baai/bge-reranker-base"
_BGE_M3 = "@cf/baai/bge-m3"
"""An embedding model that also ranks, without top_k (§6.1); others have the form of bge-reranker-base (§6.4)."""

_RUN = "/ai/run"
_EMBEDDINGS = "/ai/v1/embeddings"
_LEGACY_EMBEDDINGS = "/embeddings"


@dataclass(frozen=True, slots=True)
class EmbedRoute:
    """How texts go to their model.

    Attributes:
        path: After `{base}/accounts/{account_id}`, or after the legacy host's base.
    """

    endpoint: Literal["run", "embeddings"]
    model: str
    path: str
    row: EmbedModel


def model_of(model: str) -> EmbedModel:
    """The row of a model.

    Raises:
        ConfigError: The id cannot be right.
    """
    return next(matching(TABLE, routes.checked_id(model)))


def batch_size(model: str, size: int | None = None, *, argument: str = "batch_size") -> int:
    """How many texts to send in one request.

    Args:
        model: Model id.
        size: The user's choice; None: as many as the model takes, or 32 if that is not known.
        argument: The constructor argument that holds the choice.

    Raises:
        ConfigError: It is more than the model takes.
    """
    maximum = model_of(model).max_items
    if size is None:
        return maximum or _DEFAULT_BATCH
    if maximum is not None and size > maximum:
        raise ConfigError(
            f"{argument}={size} is more than {model} takes in one request.",
            field=argument,
            value=size,
            remedy=f"Use at most {maximum}, or leave it out.",
        )
    return size


def embed_route(request: EmbedRequest, *, api: EmbedApi = "auto", legacy: bool = False) -> EmbedRoute:
    """How a request goes: under `auto` Workers AI models in their own form, all others in OpenAI's (§6.3).

    Raises:
        ConfigError: The model id cannot be right, `dimensions` is not the length of the model's vectors, or the host
            does not serve the model that way.
    """
    row, model = model_of(request.model), routes.checked_id(request.model)
    require_kind(model, "embedding")
    on_workers_ai = model.startswith(IN_PATH)
    if row.dimensions is not None and request.dimensions not in (None, row.dimensions):
        raise ConfigError(
            f"{model} makes vectors of {row.dimensions} numbers, not {request.dimensions}.",
            field="dimensions",
            value=request.dimensions,
            remedy="Leave dimensions out.",
        )
    if legacy:
        if api == "run":
            remedy = "Leave base_url out to use the REST API, or use api='auto'."
            raise invalid("api", api, "does not exist on the legacy host", remedy)
        return EmbedRoute("embeddings", routes.legacy_id(model), _LEGACY_EMBEDDINGS, row)
    if api == "run" and not on_workers_ai:
        remedy = "Use api='auto': /ai/run embeds with Workers AI's models only."
        raise invalid("api", api, f"does not exist for {model}", remedy)
    if api == "embeddings" or not on_workers_ai:
        return EmbedRoute("embeddings", model, _EMBEDDINGS, row)
    return EmbedRoute("run", model, f"{_RUN}/{model}", row)


def rerank_route(model: str, *, legacy: bool = False) -> tuple[str, bool]:
    """The path of a reranking model, after `{base}/accounts/{account_id}`, and whether it has the parameter `top_k`.

    Raises:
        ConfigError: The model id cannot be right, is no Workers AI model's, or the host has no rerank endpoint.
    """
    sent = routes.checked_id(model)
    if sent != _BGE_M3:
        require_kind(sent, "reranking")
    _require_run(sent, model, "rerank", DEFAULT_RERANKER, legacy=legacy)
    return f"{_RUN}/{sent}", sent != _BGE_M3


def decision_route(model: str, *, legacy: bool = False) -> str:
    """The path of a decision model, after `{base}/accounts/{account_id}` (facts §14.7).

    Raises:
        ConfigError: The model id cannot be right, is no decision model's, or the host has no such endpoint.
    """
    sent = routes.checked_id(model)
    require_kind(sent, "decision")
    _require_run(sent, model, "decide", DEFAULT_DECISION_MODEL, legacy=legacy)
    return f"{_RUN}/{sent}"


def _require_run(sent: str, model: str, action: str, default: str, *, legacy: bool) -> None:
    if legacy:
        raise ConfigError(
            f"The legacy host's compat endpoint does not {action}.",
            field="base_url",
            remedy="Leave base_url out to use the REST API.",
        )
    if not sent.startswith(IN_PATH):
        raise ConfigError(
            f"{model} cannot {action} through the gateway.",
            field="model",
            value=model,
            remedy=f"Use a Workers AI model, such as {default}.",
        )
