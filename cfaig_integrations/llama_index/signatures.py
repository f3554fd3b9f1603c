"""The constructor arguments of the LlamaIndex classes as type checkers see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.types import BaseOutputParser, PydanticProgramMode

from cfaig_integrations.adapters.signatures import BodyArguments, ChatArguments, EmbedArguments, GatewayArguments


class _LlamaArguments(TypedDict, total=False):
    """Arguments of all LlamaIndex classes."""

    callback_manager: CallbackManager
    bound_metadata: dict[str, Any] | None


class LLMArguments(ChatArguments, _LlamaArguments, total=False):
    """Arguments of `CloudflareAIGateway` besides `model`."""

    rate_limiter: Any
    system_prompt: str | None
    messages_to_prompt: Callable[[Sequence[ChatMessage]], str] | None
    completion_to_prompt: Callable[[str], str] | None
    output_parser: BaseOutputParser | None
    pydantic_program_mode: PydanticProgramMode
    query_wrapper_prompt: BasePromptTemplate | None
    structured_output: Literal["auto", "json_schema", "function_calling", "prompt"]
    strict: bool | None
    context_window: int | None
    num_output: int | None
    is_function_calling_model: bool | None


class EmbeddingArguments(EmbedArguments, _LlamaArguments, total=False):
    """Arguments of `CloudflareAIGatewayEmbedding` besides `model`."""

    embed_batch_size: int
    num_workers: int | None
    embeddings_cache: Any
    rate_limiter: Any


class RerankArguments(GatewayArguments, BodyArguments, _LlamaArguments, total=False):
    """Arguments of `CloudflareAIGatewayRerank` besides `model`."""

    top_n: int | None
