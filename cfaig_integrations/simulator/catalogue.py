"""The models and authors that the simulated account can reach, and what a token costs.

The list is a sample: an unknown model of a known author is served (facts §1.7: the catalogue grows, never hard-code
it).
"""

from __future__ import annotations

import fnmatch
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from cfaig_integrations.simulator.json_types import is_record, parse_json

AUTHORS = frozenset((
    "openai", "anthropic", "google", "xai", "groq", "alibaba", "minimax", "moonshotai", "deepseek", "z-ai",
    "fireworks", "black-forest-labs", "bytedance", "elevenlabs", "inworld", "assemblyai", "klingai", "krea",
    "lightricks", "recraft",
))  # fmt: skip
"""Authors of facts §1.3 and §1.7, and of Cloudflare's catalogue."""

LEGACY_PREFIXES = {"google-ai-studio/": "google/", "grok/": "xai/", "workers-ai/@": "@"}
"""Prefixes of the legacy host, and the catalogue's (facts §1.3)."""

AUTO = "cloudflare/auto"
DYNAMIC = "dynamic/"

AUTO_POOL = (
    "anthropic/claude-fable-5", "anthropic/claude-opus-5", "anthropic/claude-sonnet-5", "openai/gpt-5.6-luna",
    "openai/gpt-5.6-sol", "openai/gpt-5.6-terra", "xai/grok-4.5",
)  # fmt: skip
"""Default pool of the Auto Router (facts §1.6)."""

THIRD_PARTY = (
    *AUTO_POOL, "anthropic/claude-haiku-4.5", "anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-5.5",
    "anthropic/claude-opus-5.5", "openai/gpt-4.1", "openai/gpt-4.1-mini", "openai/gpt-5", "openai/gpt-5.4",
    "openai/gpt-6-astra", "google/gemini-3-flash", "xai/grok-4.6", "xai/grok-4.7", "minimax/m3", "moonshotai/kimi-k3",
    "alibaba/qwen3-max", "deepseek/deepseek-v4-pro",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listed:
    """A model of Workers AI."""

    name: str
    properties: Mapping[str, str] = field(default_factory=dict[str, str])
    task: str = "Text Generation"


WORKERS_AI: tuple[Listed, ...] = (
    Listed("@cf/meta/llama-3.1-8b-instruct", {"context_window": "7968"}),
    Listed("@cf/meta/llama-3.3-70b-instruct-fp8-fast", {"context_window": "24000", "function_calling": "true"}),
    Listed("@cf/openai/gpt-oss-120b", {"context_window": "128000", "function_calling": "true", "async_queue": "true"}),
    Listed("@cf/moonshotai/kimi-k2.6", {"context_window": "262144", "function_calling": "true"}),
    Listed("@cf/google/gemma-4-26b-a4b-it", {"context_window": "256000", "function_calling": "true"}),
    Listed("@cf/qwen/qwen3-30b-a3b-fp8", {"context_window": "32768", "function_calling": "true"}),
    Listed("@cf/mistralai/mistral-small-3.1-24b-instruct", {"context_window": "128000"}),
    Listed("@cf/zai-org/glm-4.7-flash", {"context_window": "131072", "function_calling": "true"}),
    Listed("@cf/baai/bge-m3", {"output_dimensions": "1024"}, task="Text Embeddings"),
    Listed("@cf/baai/bge-base-en-v1.5", {"output_dimensions": "768"}, task="Text Embeddings"),
    Listed("@cf/qwen/qwen3-embedding-0.6b", {"output_dimensions": "1024"}, task="Text Embeddings"),
    Listed("@cf/baai/bge-reranker-base", task="Text Classification"),
    Listed("@cf/cloudflare/clef", {"context_window": "65536"}, task="Decision"),
    Listed("@cf/cloudflare/clef-flash", {"context_window": "65536"}, task="Decision"),
    Listed("@cf/black-forest-labs/flux-2-dev", task="Text-to-Image"),
    Listed("@cf/lykon/dreamshaper-8-lcm", task="Text-to-Image"),
    Listed("@cf/deepgram/aura-2-en", {"async_queue": "true"}, task="Text-to-Speech"),
    Listed("@cf/myshell-ai/melotts", task="Text-to-Speech"),
    Listed("@cf/openai/whisper-large-v3-turbo", task="Automatic Speech Recognition"),
    Listed("@cf/deepgram/nova-3", task="Automatic Speech Recognition"),
    Listed("@cf/meta/m2m100-1.2b", task="Translation"),
    Listed("@cf/ai4bharat/indictrans2-en-indic-1B", task="Translation"),
    Listed("@cf/facebook/bart-large-cnn", task="Summarization"),
    Listed("@cf/huggingface/distilbert-sst-2-int8", task="Text Classification"),
    Listed("@cf/microsoft/resnet-50", task="Image Classification"),
    Listed("@cf/facebook/detr-resnet-50", task="Object Detection"),
    Listed("@cf/llava-hf/llava-1.5-7b-hf", task="Image-to-Text"),
    Listed("@cf/pipecat-ai/smart-turn-v2", task="Voice Activity Detection"),
)

_EMBEDDING = re.compile(r"/(bge-|.*embedding|embeddinggemma|plamo-embedding|text-embedding|gemini-embedding)")


def is_workers_ai(model: str) -> bool:
    """Whether Cloudflare runs the model itself."""
    return model.startswith(("@cf/", "@hf/"))


def is_embedding(model: str) -> bool:
    """Whether the id names an embedding or rerank model."""
    return _EMBEDDING.search(model) is not None


def provider(model: str) -> str:
    """The provider's name in logs and response headers."""
    if is_workers_ai(model):
        return "workers-ai"
    return model.partition("/")[0] if "/" in model or not model else "upstream"


def current_model_id(model: str) -> str:
    """The catalogue's form of a model id of the legacy host."""
    for old, new in LEGACY_PREFIXES.items():
        if model.startswith(old):
            return new + model.removeprefix(old)
    return model


def response_model_name(model: str) -> str:
    """The model id in the body of a response.

    Third-party answers carry the vendor's own spelling, without the author and with Anthropic's dashes; `@cf/google/`
    answers carry a suffix (facts §1.3).
    """
    if model.startswith("openai/"):
        return model.removeprefix("openai/")
    if model.startswith("anthropic/"):
        return model.removeprefix("anthropic/").replace(".", "-")
    return f"{model}-external" if model.startswith("@cf/google/") else model


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens."""

    input: float = 0.0
    output: float = 0.0
    cached_input: float | None = None  # tokens read from the provider's prompt cache; None for the price of `input`

    def cost(self, tokens_in: int, tokens_out: int, tokens_cached: int = 0) -> float:
        """Dollars for one call; `tokens_cached` are part of `tokens_in`."""
        cached = min(tokens_cached, tokens_in)
        cached_price = self.input if self.cached_input is None else self.cached_input
        return ((tokens_in - cached) * self.input + cached * cached_price + tokens_out * self.output) / 1e6


FREE = Price()

_FIELDS = tuple(field.name for field in fields(Price))
_DEFAULTS: tuple[tuple[str, Price], ...] = (
    (r"@.*bge-small.*", Price(0.02)), (r"@.*bge-base.*", Price(0.067)), (r"@.*bge-large.*", Price(0.2)),
    (r"@.*bge-m3.*", Price(0.0118)), (r"@.*qwen3-embedding.*", Price(0.012)), (r"@.*plamo-embedding.*", Price(0.0186)),
    (r"@cf/cloudflare/clef.*", Price(0.09)), (r"@(cf|hf)/.*", Price(0.3, 1.0)),
    (r"(ceramic|exa|linkup)/web-search", Price(500.0)), (r".*embedding.*", Price(0.1)),
    (r".*(nano|mini|luna|flash|haiku).*", Price(0.4, 1.6)), (r".*(sol|opus|astra|fable).*", Price(5.0, 25.0)),
    (r".*", Price(2.0, 8.0)),
)  # fmt: skip
"""Embedding prices are those of facts §6.1; those of chat models are made up, so that a log has costs to show."""


class PriceTable:
    """Prices by model; the first row whose pattern matches."""

    def __init__(self, rows: Collection[tuple[str, Price]] = (), *, others: Price | None = None) -> None:
        """Create the table; `rows` precede the defaults, exact ids patterns, and `others` replaces the defaults."""
        self._exact = {pattern: price for pattern, price in rows if "*" not in pattern}
        patterns = [(re.compile(fnmatch.translate(p)), price) for p, price in rows if "*" in p]
        defaults = _DEFAULTS if others is None else ((".*", others),)
        self._patterns = [*patterns, *((re.compile(p), price) for p, price in defaults)]

    def price(self, model: str) -> Price:
        """The price of a model."""
        exact = self._exact.get(model)
        if exact is not None:
            return exact
        return next((price for pattern, price in self._patterns if pattern.fullmatch(model)), FREE)

    def cost(
        self,
        model: str,
        tokens_in: int,
        tokens_out: int,
        tokens_cached: int = 0,
        custom: Mapping[Any, float] | None = None,
    ) -> float:
        """Dollars for one call; `custom` is the content of a `cf-aig-custom-cost` header."""
        if custom is None:
            return self.price(model).cost(tokens_in, tokens_out, tokens_cached)
        if "total_cost" in custom:
            return custom["total_cost"]
        price = custom.get("per_token_in", 0.0)
        cached = tokens_cached * (custom.get("per_cache_read_token", price) - price)
        return tokens_in * price + cached + tokens_out * custom.get("per_token_out", 0.0)


def read_prices(file: str | Path) -> list[tuple[str, Price]]:
    """The rows of a price file.

    The file is a JSON object such as `{"openai/gpt-4.1": {"input": 2, "output": 8, "cached_input": 0.5}, "local/*":
    {}}`: dollars per million tokens.

    Raises:
        ValueError: The file has another form; the message names the entry.
        OSError: The file cannot be read.
    """
    try:
        table = parse_json(Path(file).read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not JSON: {error}") from None
    if not is_record(table):
        raise ValueError(f"{file} must contain a JSON object: model ids and their prices")
    return [(model, _read_price(file, model, price)) for model, price in table.items()]


def _read_price(file: str | Path, model: str, price: Any) -> Price:
    if not is_record(price):
        raise ValueError(f"{file}: the price of {model!r} must be an object with {', '.join(_FIELDS)}")
    unknown = price.keys() - set(_FIELDS)
    if unknown:
        raise ValueError(f"{file}: {model!r} has the unknown field {min(unknown)!r}; use {', '.join(_FIELDS)}")
    for name, value in price.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise ValueError(f"{file}: {name} of {model!r} must be dollars per million tokens, not {value!r:.40}")
    return Price(**{name: float(value) for name, value in price.items()})
