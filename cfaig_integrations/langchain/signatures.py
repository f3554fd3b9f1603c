"""The constructor arguments of the LangChain classes, as type checkers see them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypedDict

from langchain_core.caches import BaseCache
from langchain_core.callbacks import Callbacks
from langchain_core.language_models import ModelProfile
from langchain_core.rate_limiters import BaseRateLimiter

from cfaig_integrations.adapters.signatures import BodyArguments, ChatArguments, EmbedArguments, GatewayArguments


class _LanguageModelArguments(TypedDict, total=False):
    """Arguments of LangChain's own base class."""

    name: str | None
    cache: BaseCache | bool | None
    verbose: bool
    callbacks: Callbacks
    tags: list[str] | None
    metadata: dict[str, Any] | None
    custom_get_token_ids: Callable[[str], list[int]] | None
    streaming: bool


class ChatModelArguments(ChatArguments, _LanguageModelArguments, total=False):
    """Arguments of `ChatCloudflareAIGateway` besides `model`."""

    rate_limiter: BaseRateLimiter | None
    disable_streaming: bool | Literal["tool_calling"]
    output_version: str | None
    profile: ModelProfile | None
    use_previous_response_id: bool


class LLMArguments(ChatArguments, _LanguageModelArguments, total=False):
    """Arguments of `CloudflareAIGatewayLLM` besides `model`."""

    max_concurrency: int


class EmbeddingsArguments(EmbedArguments, total=False):
    """Arguments of `CloudflareAIGatewayEmbeddings` besides `model`."""

    batch_size: int | None
    max_concurrency: int


class RerankerArguments(GatewayArguments, BodyArguments, total=False):
    """Arguments of `CloudflareAIGatewayReranker` besides `model`."""

    top_n: int | None
