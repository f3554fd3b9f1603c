"""The LangChain embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack, overload

from langchain_core.embeddings import Embeddings
from pydantic import Field

from cfaig_integrations.adapters.arguments import embed_requests, run_options
from cfaig_integrations.adapters.fields import Count, EmbedFields
from cfaig_integrations.client.concurrency import arun_all, run_all
from cfaig_integrations.core.vectors import EmbedRequest, Side
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.models.embeddings import batch_size
from cfaig_integrations.langchain.base import LangChainFields
from cfaig_integrations.langchain.errors import langchain_errors
from cfaig_integrations.langchain.run_tracking import run_entries
from cfaig_integrations.langchain.signatures import EmbeddingsArguments


class CloudflareAIGatewayEmbeddings(EmbedFields, LangChainFields, Embeddings):
    """Embeddings from every embedding model behind Cloudflare AI Gateway.

    Long lists are sent in batches, several at a time. Vectors are returned in the order of the texts; a response with
    too few or too short ones raises. Arguments that are None are omitted from the request, or have the default that
    their description states.

    Args:
        model (str): Model id, such as `@cf/baai/bge-m3` or `@cf/qwen/qwen3-embedding-0.6b`.
        api (auto | run | embeddings, default "auto"): Endpoint. `run` has every field of a Workers AI model, and
            distinguishes queries from documents where the model does; `embeddings` is OpenAI's form; `auto` takes `run`
            for Workers AI models, else `embeddings`.
        dimensions (int, default None): Length of the vectors, for models that support several.
        pooling (mean | cls, default None): `mean` or `cls`, for the English bge models; vectors of the two cannot be
            compared. `cls` is more accurate on long texts; the server's default is `mean`.
        instruction (str, default None): The task, which is sent with queries to models that take one.
        truncate_inputs (bool, default None): Truncate a text that is too long instead of failing; bge-m3.
        on_usage (function, default None): Called after each request with its token counts and `GatewayInfo`, in the
            caller's thread or loop.
        extra_body (dict, default None): Further body fields, unchanged.
        batch_size (int, default None): Texts in one request, at least 1. Default: the model's maximum, or 32 if it is
            not known.
        max_concurrency (int, default 4): Most requests at a time of one `embed_documents`, in threads or tasks; at
            least 1.
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
    batch_size: Count = None
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
