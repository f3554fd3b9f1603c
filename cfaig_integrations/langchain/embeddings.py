"""Embeddings: LangChain's contract on one side, the client on the other, and batches between them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from langchain_core.embeddings import Embeddings
from pydantic import Field

from cfaig_integrations.adapters.arguments import embed_requests, run_options
from cfaig_integrations.adapters.fields import EmbedFields
from cfaig_integrations.core.vectors import EmbedRequest, Side
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.models.embeddings import batch_size
from cfaig_integrations.langchain.concurrency import arun_all, run_all
from cfaig_integrations.langchain.errors import langchain_errors
from cfaig_integrations.langchain.fields import LangChainFields
from cfaig_integrations.langchain.run_metadata import run_entries


class CloudflareAIGatewayEmbeddings(EmbedFields, LangChainFields, Embeddings):
    """Any embedding model behind Cloudflare AI Gateway.

    Long lists go in batches, several at a time; vectors come back in the order of the texts, and an answer with too few
    or too short ones is an error. Nothing that is not set is sent.

    Attributes:
        model: Model id, such as `@cf/baai/bge-m3` or `@cf/qwen/qwen3-embedding-0.6b`.
        api: Endpoint. `run` has every field of a Workers AI model, and tells queries from documents where the model
            does; `embeddings` is OpenAI's form; `auto` takes `run` for Workers AI models and `embeddings` otherwise.
        dimensions: Length of the vectors, of models that can choose.
        pooling: `mean` or `cls`, of the English bge models; vectors of the two cannot be compared. `cls` is more
            accurate on long texts, `mean` the server's default (facts §6.1).
        instruction: The task, told to the model with queries; for models that take one.
        truncate_inputs: Cut a text that is too long instead of failing; bge-m3.
        batch_size: Texts in one request. Default: as many as the model takes, or 32 if that is not known.
        max_concurrency: Most requests at a time of one `embed_documents`, threads or tasks. Default 4.
        on_usage: Called after each request with its token counts and `GatewayInfo`, in the caller's thread or loop.
        extra_body: Further body fields, as they are.

    Raises:
        ConfigError: A constructor argument is unknown, or `batch_size` is more than the model takes.
        pydantic.ValidationError: A value is of the wrong type or out of range.

    Example:
        >>> embeddings = CloudflareAIGatewayEmbeddings(model="@cf/baai/bge-m3")  # doctest: +SKIP
        >>> len(embeddings.embed_query("What is Cloudflare?"))  # doctest: +SKIP
        1024
    """

    model: str
    batch_size: int | None = Field(default=None, ge=1)
    max_concurrency: int = Field(default=4, ge=1)

    def _connect(self) -> None:
        super()._connect()
        batch_size(self.model, self.batch_size)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of texts that are to be found.

        Raises:
            ConfigError: A text is empty; its index is named.
            GatewayError: The gateway or the model refuses, or cannot be reached.
        """
        with langchain_errors():
            return self._embed(texts, "document")

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question.

        Raises:
            ConfigError: The text is empty.
            GatewayError: The gateway or the model refuses, or cannot be reached.
        """
        with langchain_errors():
            return self._embed([text], "query")[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of texts that are to be found; as `embed_documents`."""
        with langchain_errors():
            return await self._aembed(texts, "document")

    async def aembed_query(self, text: str) -> list[float]:
        """The vector of a question; as `embed_query`."""
        with langchain_errors():
            return (await self._aembed([text], "query"))[0]

    def _embed(self, texts: Sequence[str], side: Side) -> list[list[float]]:
        requests = self._requests(texts, side)
        ask = partial(self._clients.sync.embed, call=self._call_options(), api=self.api)
        answers = run_all(ask, requests, self.max_concurrency)
        return [vector for answer in answers for vector in self._vectors(*answer)]

    async def _aembed(self, texts: Sequence[str], side: Side) -> list[list[float]]:
        requests = self._requests(texts, side)
        options = self._call_options()

        async def ask(request: EmbedRequest) -> tuple[list[float], ...]:
            return self._vectors(*await self._clients.aio.embed(request, options, api=self.api))

        return [vector for vectors in await arun_all(ask, requests, self.max_concurrency) for vector in vectors]

    def _requests(self, texts: Sequence[str], side: Side) -> list[EmbedRequest]:
        return embed_requests(self, texts, side, model=self.model, size=batch_size(self.model, self.batch_size))

    def _call_options(self) -> CallOptions:
        """What the requests of one call tell the gateway beyond the constructor."""
        return run_options(run_entries(self, None, "embedding"))
