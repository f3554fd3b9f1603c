"""The LangChain embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack, overload

from langchain_core.embeddings import Embeddings
from pydantic import Field

from cfaig_integrations.adapters.arguments import embed_requests, run_options
from cfaig_integrations.adapters.fields import EmbedFields
from cfaig_integrations.core.vectors import EmbedRequest, Side
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.models.embeddings import batch_size
from cfaig_integrations.langchain.base import LangChainFields
from cfaig_integrations.langchain.concurrency import arun_all, run_all
from cfaig_integrations.langchain.errors import langchain_errors
from cfaig_integrations.langchain.run_tracking import run_entries
from cfaig_integrations.langchain.signatures import EmbeddingsArguments


class CloudflareAIGatewayEmbeddings(EmbedFields, LangChainFields, Embeddings):
    """Embeddings from every embedding model behind Cloudflare AI Gateway.

    Long lists are sent in batches, several at a time. Vectors are returned in the order of the texts; a response with
    too few or too short ones raises. Unset arguments are omitted from the request. Further constructor arguments are
    those of `EmbedFields` (endpoint, dimensions, pooling ...) and of `GatewayFields` (account, token, gateway ...).

    Attributes:
        model: Model id, such as `@cf/baai/bge-m3` or `@cf/qwen/qwen3-embedding-0.6b`.
        batch_size: Texts in one request, at least 1. Default: the model's maximum, or 32 if it is not known.
        max_concurrency: Most requests at a time of one `embed_documents`, in threads or tasks; at least 1.

    Raises:
        ConfigError: A constructor argument does not exist, or `batch_size` exceeds the model's maximum.
        pydantic.ValidationError: A value has the wrong type or is out of range.

    Example:
        >>> embeddings = CloudflareAIGatewayEmbeddings(model="@cf/baai/bge-m3")  # doctest: +SKIP
        >>> len(embeddings.embed_query("What is Cloudflare?"))  # doctest: +SKIP
        1024
    """

    if TYPE_CHECKING:

        @overload
        def __init__(self, model: str, **arguments: Unpack[EmbeddingsArguments]) -> None: ...
        @overload
        def __init__(self, *, model_name: str, **arguments: Unpack[EmbeddingsArguments]) -> None: ...
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    model: str
    batch_size: int | None = Field(default=None, ge=1)
    max_concurrency: int = Field(default=4, ge=1)

    def _connect(self) -> None:
        super()._connect()
        batch_size(self.model, self.batch_size)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embeds texts that queries are to find.

        Args:
            texts: The texts; none may be empty.

        Returns:
            One vector for each text, in their order.

        Raises:
            ConfigError: A text is empty; the message has its index.
            GatewayError: The request failed.
        """
        with langchain_errors():
            return self._embed(texts, "document")

    def embed_query(self, text: str) -> list[float]:
        """Embeds a query.

        Args:
            text: The query; not empty.

        Raises:
            ConfigError: The text is empty.
            GatewayError: The request failed.
        """
        with langchain_errors():
            return self._embed([text], "query")[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """The asynchronous form of `embed_documents`."""
        with langchain_errors():
            return await self._aembed(texts, "document")

    async def aembed_query(self, text: str) -> list[float]:
        """The asynchronous form of `embed_query`."""
        with langchain_errors():
            return (await self._aembed([text], "query"))[0]

    def _embed(self, texts: Sequence[str], side: Side) -> list[list[float]]:
        send = partial(self._clients.sync.embed, call=self._call_options(), api=self.api)
        replies = run_all(send, self._requests(texts, side), self.max_concurrency)
        return [vector for reply in replies for vector in self._vectors(*reply)]

    async def _aembed(self, texts: Sequence[str], side: Side) -> list[list[float]]:
        options = self._call_options()

        async def send(request: EmbedRequest) -> tuple[list[float], ...]:
            return self._vectors(*await self._clients.aio.embed(request, options, api=self.api))

        replies = await arun_all(send, self._requests(texts, side), self.max_concurrency)
        return [vector for vectors in replies for vector in vectors]

    def _requests(self, texts: Sequence[str], side: Side) -> list[EmbedRequest]:
        return embed_requests(self, texts, side, model=self.model, size=batch_size(self.model, self.batch_size))

    def _call_options(self) -> CallOptions:
        return run_options(run_entries(self, None, "embedding"))
