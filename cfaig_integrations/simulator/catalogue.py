"""The models and authors that the simulated account can reach, and what a token costs.

The list is a sample: an unknown model of a known author is served (facts §1.7: the catalogue grows, never
hard-code it). Prices of chat models are made up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

AUTHORS = frozenset(
    [
        "openai",
        "anthropic",
        "google",
        "xai",
        "groq",
        "alibaba",
        "minimax",
        "moonshotai",
        "deepseek",
        "z-ai",
        "fireworks",
        "black-forest-labs",
        "bytedance",
        "elevenlabs",
        "inworld",
        "assemblyai",
        "klingai",
        "krea",
        "lightricks",
        "recraft",
    ]
)
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
    """A chat model of Workers AI."""

    name: str
    properties: Mapping[str, str] = field(default_factory=dict[str, str])


WORKERS_AI: tuple[Listed, ...] = (
    Listed("@cf/meta/llama-3.1-8b-instruct", properties={"context_window": "7968"}),
    Listed(
        "@cf/meta/llama-3.3-70b-instruct-fp8-fast", properties={"context_window": "24000", "function_calling": "true"}
    ),
    Listed("@cf/openai/gpt-oss-120b", properties={"context_window": "128000", "function_calling": "true"}),
    Listed("@cf/moonshotai/kimi-k2.6", properties={"context_window": "262144", "function_calling": "true"}),
    Listed("@cf/google/gemma-4-26b-a4b-it", properties={"context_window": "256000", "function_calling": "true"}),
    Listed("@cf/qwen/qwen3-30b-a3b-fp8", properties={"context_window": "32768", "function_calling": "true"}),
    Listed("@cf/mistralai/mistral-small-3.1-24b-instruct", properties={"context_window": "128000"}),
    Listed("@cf/zai-org/glm-4.7-flash", properties={"context_window": "131072", "function_calling": "true"}),
)

_EMBEDDING = re.compile(r"/(bge-|.*embedding|embeddinggemma|plamo-embedding|text-embedding|gemini-embedding)")
_PRICES = (
    (r"bge-small", 0.02, 0.0),
    (r"bge-base", 0.067, 0.0),
    (r"bge-large", 0.2, 0.0),
    (r"bge-m3", 0.0118, 0.0),
    (r"qwen3-embedding", 0.012, 0.0),
    (r"plamo-embedding", 0.0186, 0.0),
    (r"^@(cf|hf)/", 0.3, 1.0),
    (r"nano|mini|luna|flash|haiku", 0.4, 1.6),
    (r"sol|opus|astra|fable", 5.0, 25.0),
    (r"", 2.0, 8.0),
)
"""Dollars per million tokens, in and out; embedding prices are those of facts §6.1."""


def is_workers_ai(model: str) -> bool:
    """Whether Cloudflare runs the model itself."""
    return model.startswith(("@cf/", "@hf/"))


def is_embedding(model: str) -> bool:
    """Whether the id names an embedding or rerank model."""
    return _EMBEDDING.search(model) is not None


def provider(model: str) -> str:
    """The provider's name in logs and response headers."""
    return "workers-ai" if is_workers_ai(model) else model.partition("/")[0]


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


def price(model: str) -> tuple[float, float]:
    """Dollars for one token in and one token out."""
    into, out = next((into, out) for pattern, into, out in _PRICES if re.search(pattern, model))
    return into / 1e6, out / 1e6


def cost(model: str, tokens_in: int, tokens_out: int, custom: Mapping[str, float] | None = None) -> float:
    """Dollars for one call; `custom` is the content of a `cf-aig-custom-cost` header."""
    if custom is not None and "total_cost" in custom:
        return custom["total_cost"]
    into, out = price(model)
    if custom is not None:
        into, out = custom.get("per_token_in", 0.0), custom.get("per_token_out", 0.0)
    return tokens_in * into + tokens_out * out
