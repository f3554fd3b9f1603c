"""The constructor arguments as type checkers see them: with every accepted type, and with the aliases.

Fields have the types that they are read with; pydantic converts others. `tests/typing` compares names with the fields.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypedDict

from pydantic import SecretStr

from cfaig_integrations.adapters.fields import OnUsage
from cfaig_integrations.adapters.run_metadata import Mapper
from cfaig_integrations.core.vectors import Pooling
from cfaig_integrations.gateway.connection import Timeout
from cfaig_integrations.gateway.models.embeddings import EmbedApi
from cfaig_integrations.gateway.models.routes import Api
from cfaig_integrations.gateway.options import GatewayOptions

_Token: TypeAlias = str | SecretStr | Callable[[], str] | Callable[[], Awaitable[str]] | None
_Options: TypeAlias = GatewayOptions | Mapping[str, Any] | None
_Headers: TypeAlias = Mapping[str, str] | None
_Json: TypeAlias = Mapping[str, Any] | None


class GatewayArguments(TypedDict, total=False):
    """Arguments of every class; `GatewayFields` describes them."""

    account_id: str | None
    cloudflare_account_id: str | None
    api_token: _Token
    api_key: _Token
    cloudflare_api_token: _Token
    gateway_id: str | None
    ai_gateway: str | None
    cloudflare_ai_gateway: str | None
    base_url: str | None
    api_base: str | None
    api_base_url: str | None
    openai_api_base: str | None
    anthropic_api_url: str | None
    cloudflare_api_base: str | None
    gateway: _Options
    gateway_options: _Options
    gateway_metadata: _Json
    aig_metadata: _Json
    run_metadata: bool
    metadata_keys: Sequence[str] | None
    metadata_mapper: Mapper | None
    extra_headers: _Headers
    default_headers: _Headers
    headers: _Headers
    timeout: Timeout | None
    request_timeout: Timeout | None
    default_request_timeout: Timeout | None
    stream_idle_timeout: float
    stream_chunk_timeout: float
    max_retries: int | None
    retry_after_send: bool
    http_client: Any
    http_async_client: Any
    async_http_client: Any


class BodyArguments(TypedDict, total=False):
    """Further body fields, under their three names."""

    extra_body: _Json
    model_kwargs: _Json
    additional_kwargs: _Json


class ChatArguments(GatewayArguments, BodyArguments, total=False):
    """Arguments of the language models besides `model`; `ChatFields` describes them."""

    api: Api
    temperature: float | None
    max_tokens: int | None
    max_completion_tokens: int | None
    max_output_tokens: int | None
    max_tokens_to_sample: int | None
    top_p: float | None
    top_k: int | None
    stop: str | Sequence[str] | None
    stop_sequences: str | Sequence[str] | None
    seed: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    n: int | None
    logprobs: bool | None
    top_logprobs: int | None
    reasoning_effort: str | None
    effort: str | None
    reasoning: _Json
    reasoning_options: _Json
    thinking: _Json
    thinking_dict: _Json
    service_tier: str | None
    store: bool | None
    verbosity: str | None
    logit_bias: Mapping[str, float] | Mapping[int, float] | None
    prompt_cache_key: str | None
    prompt_cache_retention: str | None
    prompt_cache_options: _Json
    include: Sequence[str] | None
    truncation: str | None
    context_management: Sequence[Mapping[str, Any]] | _Json
    output_config: _Json
    mcp_servers: Sequence[Mapping[str, Any]] | None
    container: str | _Json
    inference_geo: str | None
    betas: Sequence[str] | None
    stream_usage: bool
    session_affinity: bool | str


class EmbedArguments(GatewayArguments, BodyArguments, total=False):
    """Arguments of the embedding classes besides `model`; `EmbedFields` describes them."""

    api: EmbedApi
    dimensions: int | None
    pooling: Pooling | None
    instruction: str | None
    truncate_inputs: bool | None
    on_usage: OnUsage | None
