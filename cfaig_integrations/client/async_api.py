"""The gateway's own API, asynchronous; `api` is the same without `await`, and has the documentation."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from typing import Any, Literal

import anyio.to_thread

from cfaig_integrations.client.aio import AsyncClient
from cfaig_integrations.client.api_base import GatewayApi, GatewayId, Metadata, Options, Token, connect
from cfaig_integrations.client.concurrency import arun_all
from cfaig_integrations.client.uploads import File, read_files
from cfaig_integrations.errors import GatewayError
from cfaig_integrations.gateway import catalog, costs, logs
from cfaig_integrations.gateway.catalog import Credits, GatewayEntry, ModelEntry, SearchProvider, WebSearch
from cfaig_integrations.gateway.connection import Connection, Timeout
from cfaig_integrations.gateway.costs import RunCost
from cfaig_integrations.gateway.logs import Feedback, LogEntry, LogFilter, LogQuery, OrderBy
from cfaig_integrations.gateway.run_result import RunResult
from cfaig_integrations.gateway.runs import Polling, Progress
from cfaig_integrations.gateway.settings import UNSET, hidden


class AsyncAIGateway(GatewayApi):
    """Cloudflare AI Gateway's own API, asynchronous; otherwise as `AIGateway`.

    Args:
        account_id (str, default None): Cloudflare account, 32 hex digits. None reads `CLOUDFLARE_ACCOUNT_ID`.
        api_token (str | function, default None): Token with the permission AI Gateway > Read, for runs Workers AI >
            Read: a str, a SecretStr, or a function, async or not. None reads `CLOUDFLARE_API_TOKEN`.
        api_key (str | function, default None): Another name for it.
        gateway_id (str, default None): Gateway. By default `CLOUDFLARE_AI_GATEWAY_ID` of the environment, else
            `default`.
        base_url (str, default None): Base URL of the REST API. None reads `CLOUDFLARE_API_BASE_URL`, else it is
            Cloudflare's.
        gateway (GatewayOptions | mapping, default None): Gateway options of every run.
        gateway_metadata (mapping, default None): Metadata of every run.
        timeout (float | tuple of float | httpx.Timeout, default None): Seconds for reading, or (connect, read). None is
            10 and 600.
        max_retries (int, default None): Most retries, 0 to 10. None is 2.
        retry_after_send (bool, default False): Whether a run that may have been billed is sent again, for example after
            a timeout.
        http_async_client (object, default None): An `httpx.AsyncClient` or one of httpx2 in place of the shared pools.

    Raises:
        ConfigError: A value is missing or not valid.

    Example:
        >>> gateway = AsyncAIGateway(account_id="0123", api_token="secret")
        >>> entry = await gateway.log(info.log_id)  # doctest: +SKIP
        >>> entry.cost  # doctest: +SKIP
        0.00123
    """

    def __init__(
        self,
        *,
        account_id: str | None = None,
        api_token: Token = None,
        api_key: Token = None,
        gateway_id: GatewayId = UNSET,
        base_url: str | None = None,
        gateway: Options = None,
        gateway_metadata: Metadata = None,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        retry_after_send: bool = False,
        http_async_client: object = None,
    ) -> None:
        api_token, api_key = hidden(api_token), hidden(api_key)
        connection = connect(
            account_id, api_token, api_key, gateway_id, base_url, (timeout, max_retries, retry_after_send)
        )
        super().__init__(connection, gateway, gateway_metadata)
        self._client = AsyncClient(connection, http_async_client)

    async def run(
        self,
        model: str,
        input: Mapping[str, Any] | bytes,
        *,
        media_type: str | None = None,
        files: Mapping[str, File] | None = None,
        options: Mapping[str, Any] | None = None,
        gateway: Options = None,
        gateway_metadata: Metadata = None,
        timeout: Timeout | None = None,
        download: bool = True,
        progress: Progress | None = None,
        poll_interval: float = 2.0,
        wait: float = 600.0,
    ) -> RunResult:
        """Runs a model of any modality; see `AIGateway.run`. `progress` is not awaited."""
        call = self._call(gateway, gateway_metadata, timeout)
        polling = Polling(poll_interval, wait, progress)
        actions = self._run(
            model,
            input,
            media_type=media_type,
            files=None if files is None else await anyio.to_thread.run_sync(read_files, files),
            options=options,
            call=call,
            polling=polling,
            download=download,
        )
        return await self._client.run(actions)

    async def run_batch(
        self,
        model: str,
        inputs: Sequence[Mapping[str, Any]],
        *,
        gateway: Options = None,
        gateway_metadata: Metadata = None,
        timeout: Timeout | None = None,
        download: bool = True,
        progress: Progress | None = None,
        poll_interval: float = 2.0,
        wait: float = 600.0,
    ) -> list[RunResult | GatewayError]:
        """Runs many inputs of a Workers AI model that takes batches; see `AIGateway.run_batch`."""
        call = self._call(gateway, gateway_metadata, timeout)
        polling = Polling(poll_interval, wait, progress)
        return await self._client.run(self._run_batch(model, inputs, call=call, polling=polling, download=download))

    async def log(self, log_id: str, *, gateway_id: str | None = None) -> LogEntry:
        """The log entry of a call; see `AIGateway.log`."""
        return await self._client.run(logs.entry(self._connection, log_id, gateway_id))

    async def feedback(
        self,
        log_id: str,
        value: Literal[1, -1] | None = None,
        *,
        score: float | None = None,
        metadata: Mapping[str, str | int | float | bool] | None = None,
        gateway_id: str | None = None,
    ) -> None:
        """Adds feedback to the log entry of a call; see `AIGateway.feedback`."""
        feedback = Feedback(value, score, metadata)
        await self._client.run(logs.feedback(self._connection, log_id, feedback, gateway_id))

    def logs(
        self,
        *,
        page: int | None = None,
        per_page: int = 20,
        order_by: OrderBy = "created_at",
        descending: bool = True,
        search: str = "",
        filters: Sequence[LogFilter] = (),
        gateway_id: str | None = None,
    ) -> AsyncLogs:
        """Log entries, the newest first; see `AIGateway.logs`.

        `async for` iterates over all pages, or over the one with the number `page`; `await` returns the list of one
        page, the first by default.
        """
        query = LogQuery(1 if page is None else page, per_page, order_by, descending, search, filters)
        return AsyncLogs(self._client, self._connection, query, gateway_id, all_pages=page is None)

    async def request_body(self, log_id: str, *, gateway_id: str | None = None) -> Any:
        """The body of the request of a logged call; see `AIGateway.request_body`."""
        return await self._client.run(logs.body(self._connection, log_id, "request", gateway_id))

    async def response_body(self, log_id: str, *, gateway_id: str | None = None) -> Any:
        """The body of the response of a logged call; see `AIGateway.response_body`."""
        return await self._client.run(logs.body(self._connection, log_id, "response", gateway_id))

    async def models(
        self, *, search: str | None = None, task: str | None = None, author: str | None = None
    ) -> list[ModelEntry]:
        """The models of Workers AI that a search of the catalog finds; see `AIGateway.models`."""
        return await self._client.run(catalog.models(self._connection, search=search, task=task, author=author))

    async def gateways(self) -> list[GatewayEntry]:
        """The gateways of the account; see `AIGateway.gateways`."""
        return await self._client.run(catalog.gateways(self._connection))

    async def credits(self) -> Credits:
        """The account's prepaid credits; see `AIGateway.credits`."""
        return await self._client.run(catalog.credits(self._connection))

    async def web_search(
        self,
        query: str,
        *,
        provider: SearchProvider | None = None,
        limit: int | None = None,
        gateway: Options = None,
        gateway_metadata: Metadata = None,
        timeout: Timeout | None = None,
    ) -> WebSearch:
        """Searches the web through the gateway; see `AIGateway.web_search`."""
        call = self._call(gateway, gateway_metadata, timeout)
        return await self._client.run(catalog.web_search(self._connection, query, call, provider=provider, limit=limit))

    async def cost(self, source: object, *, gateway_id: str | None = None) -> float | None:
        """What a call cost in US dollars; see `AIGateway.cost`."""
        return await self._client.run(costs.cost(self._connection, source, gateway_id))

    async def run_cost(
        self, source: object, *, by: str = "model", wait: float = 5.0, gateway_id: str | None = None
    ) -> RunCost:
        """What a run of several calls cost; see `AIGateway.run_cost`."""
        run = costs.RunLogs(self._connection, source, by=by, wait=wait, gateway_id=gateway_id)
        waiting = True
        while waiting:
            await arun_all(self._client.run, run.requests(), costs.CONCURRENCY)
            waiting = await self._client.run(run.pause())
        return run.cost()


class AsyncLogs:
    """Log entries: an asynchronous iterator over all pages, and awaitable for one page as a list."""

    def __init__(
        self, client: AsyncClient, connection: Connection, query: LogQuery, gateway_id: str | None, *, all_pages: bool
    ) -> None:
        logs.pages(connection, query, gateway_id)  # refuses a query that cannot be sent, before it is iterated
        self._client, self._connection = client, connection
        self._query, self._gateway_id = query, gateway_id
        self._all_pages = all_pages

    def __await__(self) -> Generator[Any, None, list[LogEntry]]:
        return self._client.run(logs.entries(self._connection, self._query, self._gateway_id)).__await__()

    async def __aiter__(self) -> AsyncGenerator[LogEntry]:
        if not self._all_pages:
            for entry in await self:
                yield entry
            return
        pages = logs.pages(self._connection, self._query, self._gateway_id)
        while not pages.done:
            for entry in await self._client.run(pages.next()):
                yield entry
