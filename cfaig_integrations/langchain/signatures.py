"""The constructor arguments of the LangChain classes, and the chat model's methods, as type checkers see them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from langchain_core.caches import BaseCache
from langchain_core.callbacks import Callbacks
from langchain_core.language_models import LanguageModelInput, ModelProfile
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import RunnableConfig

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


if TYPE_CHECKING:

    class ChatModelMethods(BaseChatModel):
        """LangChain's chat model, where one stop text need not be a list."""

        def invoke(  # noqa: D102
            self,
            input: LanguageModelInput,
            config: RunnableConfig | None = None,
            *,
            stop: str | list[str] | None = None,
            **kwargs: Any,
        ) -> AIMessage: ...
        async def ainvoke(  # noqa: D102
            self,
            input: LanguageModelInput,
            config: RunnableConfig | None = None,
            *,
            stop: str | list[str] | None = None,
            **kwargs: Any,
        ) -> AIMessage: ...
        def stream(  # noqa: D102
            self,
            input: LanguageModelInput,
            config: RunnableConfig | None = None,
            *,
            stop: str | list[str] | None = None,
            **kwargs: Any,
        ) -> Iterator[AIMessageChunk]: ...
        def astream(  # noqa: D102
            self,
            input: LanguageModelInput,
            config: RunnableConfig | None = None,
            *,
            stop: str | list[str] | None = None,
            **kwargs: Any,
        ) -> AsyncIterator[AIMessageChunk]: ...
else:
    ChatModelMethods = BaseChatModel
