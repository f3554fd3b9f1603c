"""What kind of model an id names, where it is not a chat model: a table with its evidence beside each row.

An id that no row speaks of may be a chat model: the catalogue grows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from cfaig_integrations.errors import ConfigError

__all__ = ["TABLE", "Kind", "Row", "kind_of", "require_kind"]

Kind: TypeAlias = Literal["chat", "embedding", "reranking", "decision", "other"]


@dataclass(frozen=True, slots=True)
class Row:
    """What some models are for.

    Attributes:
        pattern: Regular expression for the whole id, in lower case.
        task: What they are for, as messages say it, with its article.
        evidence: Where this is known from. "Catalogue" is Cloudflare's file of the model.
        kind: The kind of class that this package has for them, if any.
    """

    pattern: str
    task: str
    evidence: str
    kind: Kind = "other"


_OWN = r"@(?:cf|hf)/[^/]+/"

TABLE: tuple[Row, ...] = (
    Row(r"dynamic/.*|cloudflare/auto", "a route", "§1.6: the gateway chooses the model", "chat"),
    Row(rf"{_OWN}.*rerank.*", "a reranking model", "§6.4, catalogue", "reranking"),
    Row(
        rf"{_OWN}(?:bge-|.*embedding).*|(?!@).*/(?:text-embedding|gemini-embedding|embed-).*",
        "an embedding model",
        "§6.1, §6.3, catalogue",
        "embedding",
    ),
    Row(r"@cf/cloudflare/clef.*", "a decision model", "§14.7: its task in the catalogue misleads", "decision"),
    Row(
        r".*/(?:.*-)?(?:tts|eleven|speech|realtime-tts|aura|melotts)(?:[-.\d].*)?|elevenlabs/eleven.*|inworld/.*"
        r"|cloudflare/tts",
        "a text-to-speech model",
        "§1.3, §9.8, catalogue",
    ),
    Row(
        r".*/(?:.*-)?(?:transcribe|whisper|stt|scribe)(?:[-.\d].*)?|assemblyai/.*|(?:@cf/)?deepgram/.*",
        "a speech recognition model",
        "§1.3, §9.8, catalogue",
    ),
    Row(r".*/(?:.*-)?(?:music|lyria)(?:[-.\d].*)?", "a music generation model", "§1.3, catalogue"),
    Row(
        r".*/(?:.*-)?(?:video|i2v|t2v|veo|sora|hailuo|seedance|kling|ltx)(?:[-.\d].*)?"
        r"|(?:klingai|lightricks|runwayml|vidu|pixverse)/.*|alibaba/wan.*|google/gemini-omni.*",
        "a video generation model",
        "§1.3, catalogue",
    ),
    Row(
        r".*/(?:.*-)?(?:image|imagen|imagine|dall-e|banana|seedream|stable-diffusion)"
        r"(?:[-.\d].*)?|(?:black-forest-labs|bria|krea|leonardo|lykon|recraft|stabilityai)/.*"
        rf"|{_OWN}flux-.*|@cf/(?:leonardo|lykon|stabilityai|runwayml|black-forest-labs)/.*",
        "an image generation model",
        "§1.3, §9.8, catalogue",
    ),
    Row(rf"{_OWN}(?:m2m100|indictrans).*", "a translation model", "§9.8, catalogue"),
    Row(rf"{_OWN}bart-large-cnn.*", "a summarization model", "§9.8, catalogue"),
    Row(rf"{_OWN}(?:distilbert|resnet).*", "a classification model", "§9.8, catalogue"),
    Row(rf"{_OWN}detr-.*", "an object detection model", "catalogue"),
    Row(rf"{_OWN}(?:llava|uform).*", "an image captioning model", "catalogue: it takes one image and one prompt"),
    Row(rf"{_OWN}smart-turn.*", "a voice activity detection model", "catalogue"),
)
"""First match wins."""

_NAMES = {"chat": "a chat model", "embedding": "an embedding model", "reranking": "a reranking model"}
_CLASSES = {
    "chat": "Use ChatCloudflareAIGateway (LangChain) or CloudflareAIGateway (LlamaIndex).",
    "embedding": "Use CloudflareAIGatewayEmbeddings (LangChain) or CloudflareAIGatewayEmbedding (LlamaIndex).",
    "reranking": "Use CloudflareAIGatewayReranker (LangChain) or CloudflareAIGatewayRerank (LlamaIndex).",
    "decision": "It takes a state and questions on POST /ai/run, which this class does not send.",
    "other": "It is called with POST /ai/run, which this class does not send.",
}
_COMPILED = tuple((re.compile(row.pattern), row) for row in TABLE)


@lru_cache(maxsize=1024)
def kind_of(model: str) -> Row | None:
    """What is known of the kind of a model, in the spelling of the REST API; None if it may be a chat model."""
    name = model.lower()
    row = next((row for pattern, row in _COMPILED if pattern.fullmatch(name)), None)
    return None if row is not None and row.kind == "chat" else row


def require_kind(model: str, kind: Kind) -> None:
    """Passes a model of this kind, and one that is not known.

    Raises:
        ConfigError: The model is known to be of another kind.
    """
    row = kind_of(model)
    if row is None or row.kind == kind:
        return
    raise ConfigError(
        f"model={model!r} is {row.task}, not {_NAMES[kind]}.",
        field="model",
        value=model,
        remedy=_CLASSES[row.kind],
    )
