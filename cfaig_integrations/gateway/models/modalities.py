"""What kind of model an id names, where it is not a chat model.

An id that no row matches may be that of a chat model: the catalog grows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from cfaig_integrations.errors import invalid
from cfaig_integrations.gateway.models.tables import matching

Kind: TypeAlias = Literal["chat", "embedding", "reranking", "decision", "other"]


@dataclass(frozen=True, slots=True)
class Row:
    """What some models are for.

    Attributes:
        task: What they are for, with its article.
        kind: The kind of class that this package has for them, if any.
    """

    models: str
    task: str
    evidence: str
    kind: Kind = "other"


def _named(*words: str) -> str:
    """Patterns of ids whose name contains one of some words between hyphens, perhaps with a version after it."""
    return " ".join(f"*/{word} */{word}[-.0-9]* */*-{word} */*-{word}[-.0-9]*" for word in words)


TABLE: tuple[Row, ...] = (
    Row("dynamic/* cloudflare/auto", "a route", "§1.6: the gateway chooses the model", "chat"),
    Row("@[ch]f/*/*rerank*", "a reranking model", "§6.4, catalog", "reranking"),
    Row(
        "@[ch]f/*/bge-* @[ch]f/*/*embedding* [!@]*/text-embedding* [!@]*/gemini-embedding* [!@]*/embed-*",
        "an embedding model",
        "§6.1, §6.3, catalog",
        "embedding",
    ),
    Row("@cf/cloudflare/clef*", "a decision model", "§14.7: its task in the catalog misleads", "decision"),
    Row(
        _named("tts", "eleven", "speech", "realtime-tts", "aura", "melotts") + " elevenlabs/eleven* inworld/*",
        "a text-to-speech model",
        "§1.3, §9.8, catalog",
    ),
    Row(
        _named("transcribe", "whisper", "stt", "scribe") + " assemblyai/* deepgram/* @cf/deepgram/*",
        "a speech recognition model",
        "§1.3, §9.8, catalog",
    ),
    Row(_named("music", "lyria"), "a music generation model", "§1.3, catalog"),
    Row(
        _named("video", "i2v", "t2v", "veo", "sora", "hailuo", "seedance", "kling", "ltx")
        + " klingai/* lightricks/* runwayml/* vidu/* pixverse/* alibaba/wan* google/gemini-omni*",
        "a video generation model",
        "§1.3, catalog",
    ),
    Row(
        _named("image", "imagen", "imagine", "dall-e", "banana", "seedream", "stable-diffusion")
        + " black-forest-labs/* bria/* krea/* leonardo/* lykon/* recraft/* stabilityai/* @[ch]f/*/flux-*"
        " @cf/leonardo/* @cf/lykon/* @cf/stabilityai/* @cf/runwayml/* @cf/black-forest-labs/*",
        "an image generation model",
        "§1.3, §9.8, catalog",
    ),
    Row("@[ch]f/*/m2m100* @[ch]f/*/indictrans*", "a translation model", "§9.8, catalog"),
    Row("@[ch]f/*/bart-large-cnn*", "a summarization model", "§9.8, catalog"),
    Row("@[ch]f/*/distilbert* @[ch]f/*/resnet*", "a classification model", "§9.8, catalog"),
    Row("@[ch]f/*/detr-*", "an object detection model", "catalog"),
    Row("@[ch]f/*/llava* @[ch]f/*/uform*", "an image captioning model", "catalog: it takes one image and one prompt"),
    Row("@[ch]f/*/smart-turn*", "a voice activity detection model", "catalog"),
)

_NAMES = {
    "chat": "a chat model",
    "embedding": "an embedding model",
    "reranking": "a reranking model",
    "decision": "a decision model",
}
_CLASSES = {
    "chat": "Use ChatCloudflareAIGateway (LangChain) or CloudflareAIGateway (LlamaIndex).",
    "embedding": "Use CloudflareAIGatewayEmbeddings (LangChain) or CloudflareAIGatewayEmbedding (LlamaIndex).",
    "reranking": "Use CloudflareAIGatewayReranker (LangChain) or CloudflareAIGatewayRerank (LlamaIndex).",
    "decision": "Use CloudflareAIGatewayDecisionModel (LangChain).",
    "other": "It is called with POST /ai/run, which this class does not send.",
}


@lru_cache(maxsize=1024)
def kind_of(model: str) -> Row | None:
    """The row of a model id, in the spelling of the REST API; None if it may be that of a chat model."""
    row = next(matching(TABLE, model.lower()), None)
    return None if row is not None and row.kind == "chat" else row


def require_kind(model: str, kind: Kind) -> None:
    """Accepts a model of this kind, and one of unknown kind.

    Raises:
        ConfigError: The model is of another kind.
    """
    row = kind_of(model)
    if row is not None and row.kind != kind:
        raise invalid("model", model, f"is {row.task}, not {_NAMES[kind]}", _CLASSES[row.kind])
