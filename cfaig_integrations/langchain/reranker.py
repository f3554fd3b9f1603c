"""The LangChain reranker, a document compressor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias, Unpack

from langchain_core.callbacks import BaseCallbackManager, Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables import ensure_config

from cfaig_integrations.adapters.arguments import run_options
from cfaig_integrations.adapters.fields import Count, ExtraBody
from cfaig_integrations.core.vectors import RerankRequest, ranking_of
from cfaig_integrations.errors import ConfigError, invalid
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.models.embeddings import DEFAULT_RERANKER, rerank_route
from cfaig_integrations.langchain.base import LangChainFields
from cfaig_integrations.langchain.costs import report
from cfaig_integrations.langchain.errors import langchain_errors
from cfaig_integrations.langchain.run_tracking import StreamRun, run_entries
from cfaig_integrations.langchain.signatures import RerankerArguments

SCORE = "relevance_score"
"""Key of a document's metadata under which LangChain's compressors put the score."""

Ranking: TypeAlias = list[tuple[int, float | None]]
"""Indexes of documents with their scores, best first; empty documents are last and have no score."""


class CloudflareAIGatewayReranker(LangChainFields, BaseDocumentCompressor):
    """Sorts documents by how well they answer a query.

    Args:
        model (str, default "@cf/baai/bge-reranker-base"): Rerank model of Workers AI.
        top_n (int, default None): How many documents to keep, at least 1; None: all.
        extra_body (dict, default None): Further body fields, sent unchanged.
        account_id (str, default None): Cloudflare account, 32 hex digits. None reads `CLOUDFLARE_ACCOUNT_ID`.
        api_token (str | function, default None): Token with the permission Account > Workers AI > Read: a string, or a
            function, async or not, that returns one. By default `CLOUDFLARE_API_TOKEN` of the environment. On a custom
            domain, a Cloudflare Access token. None on the legacy host, together with a provider's key in
            `extra_headers`, is for a gateway without authentication. Alias `api_key`.
        gateway_id (str, default None): Gateway, at most 64 characters. By default `CLOUDFLARE_AI_GATEWAY_ID` of the
            environment, else `default`. With an explicit None, Workers AI models bypass the gateway and its log, cache
            and limits.
        base_url (str, default None): Another root than `https://api.cloudflare.com/client/v4`, a gateway's legacy
            `.../compat` address, or a custom domain's `https://host/compat`, which contains neither account nor
            gateway.
        gateway (GatewayOptions, default None): Options of the gateway, one per header. Alias `gateway_options`.
        gateway_metadata (dict, default None): At most five entries for the gateway's log, `cf-aig-metadata`.
        run_metadata (bool, default True): Whether data of the run fill the remaining entries: user, thread, agent, run
            ids.
        metadata_keys (list of str, default None): Which data of the run instead of the default ones; any key of the
            run's metadata is allowed.
        metadata_mapper (function, default None): Takes a `RunInfo` and returns the entries, in place of the two before.
        extra_headers (dict, default None): Further request headers.
        timeout (float | tuple of float | httpx.Timeout, default None): Seconds without progress of an answer, or
            (seconds to connect, seconds without progress), or an `httpx.Timeout`. None is (10, 600).
        stream_idle_timeout (float, default 300.0): Maximum seconds between two pieces of a streamed answer, pings not
            counted.
        max_retries (int, default None): Retries per call, 0 to 10. None is 2, or 0 if the gateway itself is to retry
            (`max_attempts`).
        retry_after_send (bool, default False): Whether a request that the model may have answered, and that may be
            billed, is sent again: after a timeout, a broken connection, a truncated answer, 409, 504 or 524.
        http_client (object, default None): An `httpx.Client` to use; it is never closed here.
        http_async_client (object, default None): An `httpx.AsyncClient` to use; it is never closed here.

    Raises:
        ConfigError: A constructor argument does not exist, or the model cannot rerank.
        pydantic.ValidationError: A value has the wrong type or is out of range.

    Example:
        >>> reranker = CloudflareAIGatewayReranker(top_n=3)  # doctest: +SKIP
        >>> best = reranker.compress_documents(documents, "What is Cloudflare?")  # doctest: +SKIP
        >>> best[0].metadata["relevance_score"]  # doctest: +SKIP
        0.98
    """

    if TYPE_CHECKING:

        def __init__(self, model: str = ..., **arguments: Unpack[RerankerArguments]) -> None: ...

    model: str = DEFAULT_RERANKER
    top_n: Count = None
    extra_body: ExtraBody = None

    def _connect(self) -> None:
        super()._connect()
        rerank_route(self.model)

    def rerank(self, documents: Sequence[str | Document], query: str, *, top_n: int | None = None) -> Ranking:
        """Ranks documents.

        Args:
            documents: Texts or documents; may be empty.
            query: The query.
            top_n: How many to keep, at least 1; None: the constructor's value.

        Returns:
            Indexes with scores, best first. Empty documents, which no model ranks, are last, with the score None.

        Raises:
            ConfigError: The query is empty, or `top_n` is less than 1.
            GatewayError: The request failed.
        """
        return self._rank(documents, query, top_n, None)

    async def arerank(self, documents: Sequence[str | Document], query: str, *, top_n: int | None = None) -> Ranking:
        """The asynchronous form of `rerank`."""
        return await self._arank(documents, query, top_n, None)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Sorts documents and keeps the best `top_n`.

        Args:
            documents: What was retrieved.
            query: The query.
            callbacks: Those of the run that it is part of, with its metadata.

        Returns:
            Copies, best first, with the score in `metadata["relevance_score"]`. Empty documents are last, without one.

        Raises:
            ConfigError: The query is empty.
            GatewayError: The request failed.
        """
        return _with_scores(documents, self._rank(documents, query, None, callbacks))

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """The asynchronous form of `compress_documents`."""
        return _with_scores(documents, await self._arank(documents, query, None, callbacks))

    def _rank(
        self, documents: Sequence[str | Document], query: str, top_n: int | None, callbacks: Callbacks
    ) -> Ranking:
        with langchain_errors(callbacks):
            request = self._request(documents, query, top_n)
            reply, info = self._clients.sync.rank(request, self._call_options(callbacks))
            report(info, callbacks)
            return ranking_of(request, reply)

    async def _arank(
        self, documents: Sequence[str | Document], query: str, top_n: int | None, callbacks: Callbacks
    ) -> Ranking:
        with langchain_errors(callbacks):
            request = self._request(documents, query, top_n)
            reply, info = await self._clients.aio.rank(request, self._call_options(callbacks))
            report(info, callbacks)
            return ranking_of(request, reply)

    def _request(self, documents: Sequence[str | Document], query: str, top_n: int | None) -> RerankRequest:
        if not query:
            raise ConfigError("query is empty.", field="query", value=query, remedy="Give the question.")
        if top_n is not None and top_n < 1:
            raise invalid("top_n", top_n, "keeps nothing", "Give 1 or more.")
        passages = tuple([each if isinstance(each, str) else each.page_content for each in documents])
        return RerankRequest(self.model, query, passages, top_n or self.top_n, self.extra_body or {})

    def _call_options(self, callbacks: Callbacks) -> CallOptions:
        run = None
        if isinstance(callbacks, BaseCallbackManager):
            config = ensure_config()
            metadata = {**(config.get("metadata") or {}), **callbacks.metadata}
            run = StreamRun({**config, "callbacks": callbacks, "metadata": metadata, "tags": callbacks.tags})
        return run_options(run_entries(self, run, "rerank"))


def _with_scores(documents: Sequence[Document], ranking: Ranking) -> list[Document]:
    scored: list[Document] = []
    for index, score in ranking:
        metadata = {**documents[index].metadata, SCORE: score}
        if score is None:
            del metadata[SCORE]
        scored.append(documents[index].model_copy(update={"metadata": metadata}))
    return scored
