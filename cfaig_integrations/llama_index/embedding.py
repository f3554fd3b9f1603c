"""Embeddings: events, cache, rate limiter and batches are LlamaIndex's, the requests are ours."""

from __future__ import annotations

import inspect
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Unpack, overload

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import BaseNode, MetadataMode
from pydantic import Field

from cfaig_integrations.adapters.arguments import embed_requests, run_options
from cfaig_integrations.adapters.fields import Count, EmbedFields
from cfaig_integrations.core.vectors import EmbedRequest, Side, checked_texts
from cfaig_integrations.errors import GatewayError
from cfaig_integrations.gateway.models.embeddings import batch_size
from cfaig_integrations.llama_index.costs import reported_errors
from cfaig_integrations.llama_index.fields import LlamaFields
from cfaig_integrations.llama_index.run_metadata import run_entries
from cfaig_integrations.llama_index.signatures import EmbeddingArguments


class CloudflareAIGatewayEmbedding(LlamaFields, EmbedFields, BaseEmbedding):
    """Any embedding model behind Cloudflare AI Gateway.

    Vectors are in the order of the texts; an answer with missing or short vectors is an error. Arguments that are None
    are omitted from the request, or have the default that their description states. LlamaIndex's own arguments are
    `callback_manager`, `rate_limiter`, `embed_batch_size` (texts in one request, 1 to 2048; by default the model's
    maximum, or 32 if that is unknown) and `embeddings_cache`, whose key is the text alone: use one for each model, and
    none for a model that embeds queries and documents differently.

    Args:
        model_name (str): Model id, such as `@cf/baai/bge-m3` or `@cf/qwen/qwen3-embedding-0.6b`; the constructor's
            argument is `model`.
        api (auto | run | embeddings, default "auto"): Endpoint. `run` has every field of a Workers AI model, and
            distinguishes queries from documents where the model does; `embeddings` is OpenAI's form; `auto` takes `run`
            for Workers AI models, else `embeddings`.
        num_workers (int, default 4): Maximum number of concurrent requests of one `aget_text_embedding_batch`. None: no
            limit. The synchronous form sends one after the other.
        dimensions (int, default None): Length of the vectors, for models that support several.
        pooling (mean | cls, default None): `mean` or `cls`, for the English bge models; vectors of the two cannot be
            compared. `cls` is more accurate on long texts; the server's default is `mean`.
        instruction (str, default None): The task, which is sent with queries to models that take one.
        truncate_inputs (bool, default None): Truncate a text that is too long instead of failing; bge-m3.
        on_usage (function, default None): Called after each request with its token counts and `GatewayInfo`, in the
            caller's thread or loop.
        extra_body (dict, default None): Further body fields, unchanged.
        bound_metadata (dict, default None): Metadata of `with_gateway`; over `gateway_metadata` and LlamaIndex's
            instrument tags.
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
        ConfigError: A constructor argument is unknown, or `embed_batch_size` exceeds the model's maximum.
        pydantic.ValidationError: A value is of the wrong type or out of range.

    Example:
        >>> embed_model = CloudflareAIGatewayEmbedding(model="@cf/baai/bge-m3")  # doctest: +SKIP
        >>> len(embed_model.get_query_embedding("What is Cloudflare?"))  # doctest: +SKIP
        1024
    """

    if TYPE_CHECKING:

        @overload
        def __init__(self, model: str, **arguments: Unpack[EmbeddingArguments]) -> None: ...
        @overload
        def __init__(self, *, model_name: str, **arguments: Unpack[EmbeddingArguments]) -> None: ...
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    model_name: str = Field(alias="model")
    num_workers: Count = 4

    _connection_fields: ClassVar[frozenset[str]] = frozenset({"model_name", "embed_batch_size"})

    @classmethod
    def class_name(cls) -> str:
        """The name of this class in LlamaIndex's serialized form."""
        return "CloudflareAIGatewayEmbedding"

    @property
    def model(self) -> str:
        """Model id."""
        return self.model_name

    @model.setter
    def model(self, model: str) -> None:
        self.model_name = model

    def to_payload(self) -> dict[str, Any]:
        """What observers see of this object; without secrets."""
        return {**super().to_payload(), "model": self.model_name}

    def _connect(self) -> None:
        super()._connect()
        explicit = self.embed_batch_size if "embed_batch_size" in self.model_fields_set else None
        # Written past pydantic, which would count the field as set by the caller.
        size = batch_size(self.model_name, explicit, argument="embed_batch_size")
        object.__setattr__(self, "embed_batch_size", size)

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Adds vectors to nodes, as a step of an ingestion pipeline.

        Nodes without text, such as those of images, get none, and vector stores skip them.

        Args:
            nodes: The nodes.
            **kwargs: As of `get_text_embedding_batch`.

        Raises:
            GatewayError: As of `get_text_embedding_batch`.
        """
        super().__call__(_with_text(nodes), **kwargs)
        return nodes

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Adds vectors to nodes; as `__call__`."""
        await super().acall(_with_text(nodes), **kwargs)
        return nodes

    def get_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[list[float]]:
        """The vectors of documents, batch after batch.

        Args:
            texts: The texts.
            show_progress: Whether to show a progress bar.
            **kwargs: Not used.

        Raises:
            ConfigError: A text is empty; the message contains its index, and nothing was sent.
            GatewayError: The gateway or the model refuses, or cannot be reached; a note says how many were embedded.
        """
        with _all_batches(texts) as checked:
            vectors: list[list[float]] = _GET_BATCH(self, checked, show_progress, **kwargs)
            return vectors

    async def aget_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[list[float]]:
        """The vectors of documents, `num_workers` batches at a time; as `get_text_embedding_batch`."""
        with _all_batches(texts) as checked:
            # LlamaIndex understands one worker as no limit.
            step = self.embed_batch_size if self.num_workers == 1 else max(len(checked), 1)
            vectors: list[list[float]] = []
            for start in range(0, len(checked), step):
                vectors += await _AGET_BATCH(self, checked[start : start + step], show_progress, **kwargs)
            return vectors

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._embed([query], "query")[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return (await self._aembed([query], "query"))[0]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._embed([text], "document")[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aembed([text], "document"))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._embed(texts, "document")

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await self._aembed(texts, "document")

    def _embed(self, texts: Sequence[str], side: Side) -> list[list[float]]:
        options = run_options(run_entries(self, "embedding"))
        vectors: list[list[float]] = []
        for request in self._requests(texts, side):
            with _one_batch(request):
                vectors += self._vectors(*self._clients.sync.embed(request, options, api=self.api))
        return vectors

    async def _aembed(self, texts: Sequence[str], side: Side) -> list[list[float]]:
        options = run_options(run_entries(self, "embedding"))
        vectors: list[list[float]] = []
        for request in self._requests(texts, side):
            with _one_batch(request):
                vectors += self._vectors(*await self._clients.aio.embed(request, options, api=self.api))
        return vectors

    def _requests(self, texts: Sequence[str], side: Side) -> list[EmbedRequest]:
        return embed_requests(self, texts, side, model=self.model_name, size=self.embed_batch_size)


def _with_text(nodes: Sequence[BaseNode]) -> list[BaseNode]:
    return [node for node in nodes if node.get_content(metadata_mode=MetadataMode.EMBED)]


# LlamaIndex opens a span around an override, too: with the decorated methods there would be two of the same name.
_GET_BATCH: Any = inspect.unwrap(BaseEmbedding.get_text_embedding_batch)
_AGET_BATCH: Any = inspect.unwrap(BaseEmbedding.aget_text_embedding_batch)


@dataclass(slots=True)
class _Progress:
    """How many texts of one call are embedded, and the first failure."""

    embedded: int = 0
    failure: BaseException | None = None


_PROGRESS: ContextVar[_Progress | None] = ContextVar("cfaig_embedding_progress", default=None)


@contextmanager
def _all_batches(texts: Sequence[str]) -> Generator[list[str]]:
    """One call with valid texts; a failure gets a note of how many were embedded.

    Raises:
        ConfigError: A text is empty, or not a string.
    """
    checked = list(checked_texts(texts))
    progress = _Progress()
    token = _PROGRESS.set(progress)
    try:
        yield checked
    except GatewayError as error:
        error.add_note(f"{progress.embedded} of {len(checked)} texts were embedded before this failure.")
        raise
    finally:
        _PROGRESS.reset(token)


@contextmanager
def _one_batch(request: EmbedRequest) -> Generator[None]:
    """One batch of a call; not sent after another has failed.

    Raises:
        GatewayError: Another has failed. No caller sees it: LlamaIndex raises the first error and stops no other batch.
    """
    progress = _PROGRESS.get() or _Progress()
    if progress.failure is not None:
        raise GatewayError("Not sent: another batch of this call has failed.") from progress.failure
    try:
        with reported_errors():
            yield
    except BaseException as error:
        progress.failure = error
        raise
    progress.embedded += len(request.texts)
