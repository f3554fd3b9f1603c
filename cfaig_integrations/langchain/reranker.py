"""Reranking: LangChain's document compressor on one side, the client on the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import Field

from cfaig_integrations.adapters.arguments import run_options
from cfaig_integrations.core.vectors import RerankRequest, ranking_of
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.models.embeddings import DEFAULT_RERANKER, rerank_route
from cfaig_integrations.langchain.errors import langchain_errors
from cfaig_integrations.langchain.fields import LangChainFields
from cfaig_integrations.langchain.run_metadata import run_entries

SCORE = "relevance_score"
"""Key of a document's metadata under which LangChain's compressors tell the score."""

Ranking: TypeAlias = list[tuple[int, float | None]]
"""Index of each document and its score, the best first; at the end those that are empty, which have no score."""


class CloudflareAIGatewayReranker(LangChainFields, BaseDocumentCompressor):
    """Puts documents in the order in which they answer a question.

    Attributes:
        model: Rerank model of Workers AI.
        top_n: How many of the best to keep; None: all.
        extra_body: Further body fields, as they are.

    Raises:
        ConfigError: A constructor argument is unknown, or the model cannot rerank.
        pydantic.ValidationError: A value is of the wrong type or out of range.

    Example:
        >>> reranker = CloudflareAIGatewayReranker(top_n=3)  # doctest: +SKIP
        >>> best = reranker.compress_documents(documents, "What is Cloudflare?")  # doctest: +SKIP
        >>> best[0].metadata["relevance_score"]  # doctest: +SKIP
        0.98
    """

    model: str = DEFAULT_RERANKER
    top_n: int | None = Field(default=None, ge=1)
    extra_body: dict[str, Any] | None = Field(default=None, repr=False)

    def _connect(self) -> None:
        super()._connect()
        rerank_route(self.model)

    def rerank(self, documents: Sequence[str | Document], query: str, *, top_n: int | None = None) -> Ranking:
        """The documents' indexes and scores, the best first; empty documents come last, without a score.

        Args:
            documents: Texts or documents; none gives none.
            query: The question.
            top_n: How many of the best; None: the constructor's word.

        Raises:
            ConfigError: The question is empty, or `top_n` below 1.
            GatewayError: The gateway or the model refuses, or cannot be reached.
        """
        with langchain_errors():
            request = self._request(documents, query, top_n)
            return ranking_of(request, self._clients.sync.rank(request, self._call_options())[0])

    async def arerank(self, documents: Sequence[str | Document], query: str, *, top_n: int | None = None) -> Ranking:
        """The documents' indexes and scores, the best first; as `rerank`."""
        with langchain_errors():
            request = self._request(documents, query, top_n)
            return ranking_of(request, (await self._clients.aio.rank(request, self._call_options()))[0])

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Copies of the best documents, the best first, each with its score in `metadata["relevance_score"]`.

        Empty documents, which no model ranks, come last and have no score.

        Args:
            documents: What was retrieved.
            query: The question.
            callbacks: Not used: a compressor has no run of its own.

        Raises:
            ConfigError: The question is empty.
            GatewayError: The gateway or the model refuses, or cannot be reached.
        """
        return _scored(documents, self.rerank(documents, query))

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Copies of the best documents, the best first; as `compress_documents`."""
        return _scored(documents, await self.arerank(documents, query))

    def _request(self, documents: Sequence[str | Document], query: str, top_n: int | None) -> RerankRequest:
        if not query:
            raise ConfigError("query is empty.", field="query", value=query, remedy="Give the question.")
        if top_n is not None and top_n < 1:
            raise ConfigError(f"top_n={top_n} keeps nothing.", field="top_n", value=top_n, remedy="Give 1 or more.")
        passages = tuple([each if isinstance(each, str) else each.page_content for each in documents])
        top = self.top_n if top_n is None else top_n
        return RerankRequest(self.model, query, passages, top, self.extra_body or {})

    def _call_options(self) -> CallOptions:
        """What one call tells the gateway beyond the constructor."""
        return run_options(run_entries(self, None, "rerank"))


def _scored(documents: Sequence[Document], ranking: Ranking) -> list[Document]:
    return [_with_score(documents[index], score) for index, score in ranking]


def _with_score(document: Document, score: float | None) -> Document:
    kept = {key: value for key, value in document.metadata.items() if key != SCORE}
    return document.model_copy(update={"metadata": kept if score is None else {**kept, SCORE: score}})
