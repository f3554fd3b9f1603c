"""Reranking as a node postprocessor."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle, TextNode
from llama_index_instrumentation import get_dispatcher

from cfaig_integrations.adapters.arguments import run_options
from cfaig_integrations.adapters.fields import Count, ExtraBody
from cfaig_integrations.core.vectors import RerankReply, RerankRequest, ranking_of
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.models.embeddings import DEFAULT_RERANKER, rerank_route
from cfaig_integrations.llama_index.costs import reported_errors
from cfaig_integrations.llama_index.fields import LlamaFields
from cfaig_integrations.llama_index.run_metadata import run_entries
from cfaig_integrations.llama_index.signatures import RerankArguments

_dispatcher = get_dispatcher(__name__)


class CloudflareAIGatewayRerank(LlamaFields, BaseNodePostprocessor):
    """Orders nodes by how well they answer a question, and replaces the retriever's scores.

    The model reads what an embedding model would: a node's text and the metadata that is not excluded from embedding.
    A node for which that is empty is not ranked: it comes last, without a score. The input nodes are not changed.
    LlamaIndex's own argument is `callback_manager`.

    Args:
        model (str, default "@cf/baai/bge-reranker-base"): Rerank model of Workers AI.
        bound_metadata (dict, default None): Metadata of `with_gateway`; over `gateway_metadata` and LlamaIndex's
            instrument tags.
        top_n (int, default None): How many of the best to keep; None: all.
        extra_body (dict, default None): Further body fields, unchanged.
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
        ConfigError: A constructor argument is unknown, or the model is not a reranker.
        pydantic.ValidationError: A value is of the wrong type or out of range.

    Example:
        >>> rerank = CloudflareAIGatewayRerank(top_n=3)  # doctest: +SKIP
        >>> engine = index.as_query_engine(similarity_top_k=20, node_postprocessors=[rerank])  # doctest: +SKIP
    """

    if TYPE_CHECKING:

        def __init__(self, model: str = ..., **arguments: Unpack[RerankArguments]) -> None: ...

    model: str = DEFAULT_RERANKER
    top_n: Count = None
    extra_body: ExtraBody = None

    _connection_fields: ClassVar[frozenset[str]] = frozenset({"model"})

    @classmethod
    def class_name(cls) -> str:
        """The name of this class in LlamaIndex's serialized form."""
        return "CloudflareAIGatewayRerank"

    def _connect(self) -> None:
        super()._connect()
        rerank_route(self.model)

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        request = self._request(nodes, query_bundle)
        if not nodes:
            return []
        with self._observed(nodes, query_bundle, request) as best:
            reply, info = self._clients.sync.rank(request, run_options(run_entries(self, "rerank")))
            self._report(info)
            best.extend(_scored(nodes, request, reply))
        return best

    @_dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        request = self._request(nodes, query_bundle)
        if not nodes:
            return []
        with self._observed(nodes, query_bundle, request) as best:
            reply, info = await self._clients.aio.rank(request, run_options(run_entries(self, "rerank")))
            self._report(info)
            best.extend(_scored(nodes, request, reply))
        return best

    def _request(self, nodes: Sequence[NodeWithScore], query: QueryBundle | None) -> RerankRequest:
        if query is None or not query.query_str:
            raise ConfigError(
                "There is no question to rank by.",
                field="query_bundle",
                value=query,
                remedy="Give postprocess_nodes query_str=... or query_bundle=QueryBundle(...).",
            )
        passages = tuple([_text(each.node) for each in nodes])
        return RerankRequest(self.model, query.query_str, passages, self.top_n, self.extra_body or {})

    @contextmanager
    def _observed(
        self, nodes: list[NodeWithScore], query: QueryBundle | None, request: RerankRequest
    ) -> Generator[list[NodeWithScore]]:
        """Reports one reranking to LlamaIndex's observers; the caller adds the best nodes to the list."""
        best: list[NodeWithScore] = []
        top = self.top_n or len(nodes)
        _dispatcher.event(ReRankStartEvent(query=query, nodes=nodes, top_n=top, model_name=self.model))
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: self.model,
            EventPayload.QUERY_STR: request.query,
            EventPayload.TOP_K: top,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            with reported_errors():
                yield best
            event.on_end(payload={EventPayload.NODES: best})
        _dispatcher.event(ReRankEndEvent(nodes=best))


def _text(node: BaseNode) -> str:
    """A node's text with its metadata; where it has none, the text itself, which LlamaIndex takes longer to find."""
    if type(node) is TextNode and not node.metadata:
        return node.text
    return node.get_content(metadata_mode=MetadataMode.EMBED)


def _scored(nodes: Sequence[NodeWithScore], request: RerankRequest, reply: RerankReply) -> list[NodeWithScore]:
    return [NodeWithScore(node=nodes[index].node, score=score) for index, score in ranking_of(request, reply)]
