"""The gateway's own API: runs of any model, the logs of calls, and feedback on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, overload

from cfaig_integrations.client.api_base import GatewayApi, GatewayId, Metadata, Options, Token, connect
from cfaig_integrations.client.async_api import AsyncAIGateway
from cfaig_integrations.client.concurrency import run_all
from cfaig_integrations.client.sync import Client
from cfaig_integrations.client.uploads import File, read_files
from cfaig_integrations.errors import GatewayError
from cfaig_integrations.gateway import catalog, costs, logs
from cfaig_integrations.gateway.catalog import Credits, GatewayEntry, ModelEntry, SearchProvider, WebPage, WebSearch
from cfaig_integrations.gateway.connection import Timeout
from cfaig_integrations.gateway.costs import RunCost
from cfaig_integrations.gateway.logs import Feedback, LogEntry, LogFilter, LogQuery, OrderBy
from cfaig_integrations.gateway.pages import Pages
from cfaig_integrations.gateway.run_result import RunFile, RunResult
from cfaig_integrations.gateway.runs import Polling, Progress
from cfaig_integrations.gateway.settings import UNSET, hidden

__all__ = [
    "AIGateway",
    "AsyncAIGateway",
    "Credits",
    "GatewayEntry",
    "LogEntry",
    "LogFilter",
    "ModelEntry",
    "RunCost",
    "RunFile",
    "RunResult",
    "WebPage",
    "WebSearch",
]


class AIGateway(GatewayApi):
    """Cloudflare AI Gateway's own API: runs of any model, logs, feedback, costs and the catalog.

    Args:
        account_id (str, default None): Cloudflare account, 32 hex digits. None reads `CLOUDFLARE_ACCOUNT_ID`.
        api_token (str | function, default None): Token with the permission AI Gateway > Read, for runs Workers AI >
            Read: a str, a SecretStr, or a function that returns one. None reads `CLOUDFLARE_API_TOKEN`.
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
        http_client (object, default None): An `httpx.Client` or one of httpx2 in place of the shared pools.

    Raises:
        ConfigError: A value is missing or not valid.

    Example:
        >>> gateway = AIGateway(account_id="0123", api_token="secret")
        >>> entry = gateway.log(info.log_id)  # doctest: +SKIP
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
        http_client: object = None,
    ) -> None:
        api_token, api_key = hidden(api_token), hidden(api_key)
        connection = connect(
            account_id, api_token, api_key, gateway_id, base_url, (timeout, max_retries, retry_after_send)
        )
        super().__init__(connection, gateway, gateway_metadata)
        self._client = Client(connection, http_client)

    def run(
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
        """Runs a model of any modality: images, speech, transcription, video, music, classification, decisions, text.

        Files of the output are downloaded at once, because their URLs expire. If a download fails, the result is still
        returned: the file has its URL and the error.

        Args:
            model: Model id.
            input: The input, as the model's schema in Cloudflare's catalog says; nothing is added to it. `bytes` are
                the raw body, for `@cf/` models that take one.
            media_type: Media type of a raw body; by default that of its first bytes.
            files: Sends a form instead of JSON, to `@cf/` models that take one: field -> bytes, a `Path`, or (filename,
                bytes, media type). `input` has the other fields; `{}` is a form without files.
            options: Options beside the input: `background`, `webhookUrl`, `webhookFormat`.
            gateway: `GatewayOptions` of this run, or a dict of its fields.
            gateway_metadata: Metadata of this run.
            timeout: Seconds for reading one response, or (connect, read).
            download: Whether files are downloaded.
            progress: Called with the status of a run that has not ended, and the number of polls so far.
            poll_interval: Seconds between two requests for a result that comes later.
            wait: Most seconds to wait for it. With `options["webhookUrl"]` it is not waited for.

        Raises:
            ConfigError: An argument is not valid; nothing was sent.
            TimeoutFault: The result did not come in time; the message has the run's request id.
            GatewayError: The API returns an error or a state other than `Completed`, or cannot be reached.

        Example:
            >>> result = gateway.run("openai/gpt-image-2", {"prompt": "a lighthouse"})  # doctest: +SKIP
            >>> result.save("lighthouse.png")  # doctest: +SKIP
        """
        call = self._call(gateway, gateway_metadata, timeout)
        polling = Polling(poll_interval, wait, progress)
        actions = self._run(
            model,
            input,
            media_type=media_type,
            files=read_files(files),
            options=options,
            call=call,
            polling=polling,
            download=download,
        )
        return self._client.run(actions)

    def run_batch(
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
        """Runs many inputs of a Workers AI model that takes batches (in the catalog, its property `async_queue`).

        Args:
            model: Model id, `@cf/...`.
            inputs: The inputs, as those of `run`; in all less than 10 MB.
            gateway: `GatewayOptions` of this batch, or a dict of its fields.
            gateway_metadata: Metadata of this batch.
            timeout: Seconds for reading one response, or (connect, read).
            download: Whether files are downloaded.
            progress: Called with the status of a batch that has not ended, and the number of polls so far.
            poll_interval: Seconds between two requests for the results.
            wait: Most seconds to wait for them.

        Returns:
            In the order of the inputs: a result, or the error of an input that failed.

        Raises:
            ConfigError: An argument is not valid; nothing was sent.
            TimeoutFault: The results did not come in time; the message has the batch's request id.
            GatewayError: The API refuses the batch, or cannot be reached.
        """
        call = self._call(gateway, gateway_metadata, timeout)
        polling = Polling(poll_interval, wait, progress)
        return self._client.run(self._run_batch(model, inputs, call=call, polling=polling, download=download))

    def log(self, log_id: str, *, gateway_id: str | None = None) -> LogEntry:
        """The log entry of a call: its cost, its tokens, its metadata.

        The entry of a stream may be written half a second after its end; a missing one is requested a second time.

        Args:
            log_id: `GatewayInfo.log_id` of the call.
            gateway_id: Gateway of the call, if it is another one.

        Raises:
            NotFound: There is no such entry.
            GatewayError: The API returns an error, or cannot be reached.
        """
        return self._client.run(logs.entry(self._connection, log_id, gateway_id))

    def feedback(
        self,
        log_id: str,
        value: Literal[1, -1] | None = None,
        *,
        score: float | None = None,
        metadata: Mapping[str, str | int | float | bool] | None = None,
        gateway_id: str | None = None,
    ) -> None:
        """Adds feedback to the log entry of a call; needs a token with the permission AI Gateway > Edit.

        Args:
            log_id: `GatewayInfo.log_id` of the call.
            value: 1 is good, -1 is bad.
            score: 0 to 100.
            metadata: Strings, numbers and booleans that replace the entry's metadata.
            gateway_id: Gateway of the call, if it is another one.

        Raises:
            ConfigError: Nothing is set, or a value is out of range.
            NotFound: There is no such entry.
            GatewayError: The API returns an error, or cannot be reached.
        """
        feedback = Feedback(value, score, metadata)
        self._client.run(logs.feedback(self._connection, log_id, feedback, gateway_id))

    @overload
    def logs(
        self,
        *,
        page: None = None,
        per_page: int = 20,
        order_by: OrderBy = "created_at",
        descending: bool = True,
        search: str = "",
        filters: Sequence[LogFilter] = (),
        gateway_id: str | None = None,
    ) -> Iterator[LogEntry]: ...

    @overload
    def logs(
        self,
        *,
        page: int,
        per_page: int = 20,
        order_by: OrderBy = "created_at",
        descending: bool = True,
        search: str = "",
        filters: Sequence[LogFilter] = (),
        gateway_id: str | None = None,
    ) -> list[LogEntry]: ...

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
    ) -> Iterator[LogEntry] | list[LogEntry]:
        """Log entries, the newest first: all of them, each page requested when it is reached; or one page as a list.

        Args:
            page: Number of the page, from 1; None: an iterator over all pages.
            per_page: Entries per page.
            order_by: Field to sort by.
            descending: Whether the highest value comes first.
            search: Text to search for.
            filters: Conditions that must all hold.
            gateway_id: Gateway, if it is another one.

        Raises:
            ConfigError: The query cannot be encoded; nothing was sent.
            GatewayError: The API returns an error, or cannot be reached.
        """
        query = LogQuery(1 if page is None else page, per_page, order_by, descending, search, filters)
        if page is not None:
            return self._client.run(logs.entries(self._connection, query, gateway_id))
        return self._each(logs.pages(self._connection, query, gateway_id))

    def _each(self, pages: Pages[LogEntry]) -> Iterator[LogEntry]:
        while not pages.done:
            yield from self._client.run(pages.next())

    def request_body(self, log_id: str, *, gateway_id: str | None = None) -> Any:
        """The body of the request of a logged call: JSON, else text, else bytes.

        Args:
            log_id: `GatewayInfo.log_id` of the call.
            gateway_id: Gateway of the call, if it is another one.

        Raises:
            NotFound: There is no such entry.
            GatewayError: The API returns an error, or cannot be reached.
        """
        return self._client.run(logs.body(self._connection, log_id, "request", gateway_id))

    def response_body(self, log_id: str, *, gateway_id: str | None = None) -> Any:
        """The body of the response of a logged call; otherwise as `request_body`."""
        return self._client.run(logs.body(self._connection, log_id, "response", gateway_id))

    def models(
        self, *, search: str | None = None, task: str | None = None, author: str | None = None
    ) -> list[ModelEntry]:
        """The models of Workers AI that a search of the catalog finds; needs Workers AI > Read.

        Args:
            search: Text to search for.
            task: Name of a task, such as `Text Generation`.
            author: Author of the models, such as `meta`.

        Raises:
            GatewayError: The API returns an error, or cannot be reached.
        """
        return self._client.run(catalog.models(self._connection, search=search, task=task, author=author))

    def gateways(self) -> list[GatewayEntry]:
        """The gateways of the account.

        Raises:
            GatewayError: The API returns an error, or cannot be reached.
        """
        return self._client.run(catalog.gateways(self._connection))

    def credits(self) -> Credits:
        """The account's prepaid credits.

        Raises:
            GatewayError: The API returns an error, or cannot be reached.
        """
        return self._client.run(catalog.credits(self._connection))

    def web_search(
        self,
        query: str,
        *,
        provider: SearchProvider | None = None,
        limit: int | None = None,
        gateway: Options = None,
        gateway_metadata: Metadata = None,
        timeout: Timeout | None = None,
    ) -> WebSearch:
        """Searches the web through the gateway; needs Workers AI > Read and AI Gateway > Read.

        Args:
            query: What to search for.
            provider: `ceramic` (the server's default), `exa` or `linkup`.
            limit: Most results.
            gateway: `GatewayOptions` of this search, or a dict of its fields.
            gateway_metadata: Metadata of this search.
            timeout: Seconds for reading the response, or (connect, read).

        Raises:
            ConfigError: An argument is not valid; nothing was sent.
            GatewayError: The API returns an error, or cannot be reached.
        """
        call = self._call(gateway, gateway_metadata, timeout)
        return self._client.run(catalog.web_search(self._connection, query, call, provider=provider, limit=limit))

    def cost(self, source: object, *, gateway_id: str | None = None) -> float | None:
        """What a call cost in US dollars, from its log entry; 0 if the gateway's cache answered.

        Args:
            source: A LangChain message or result, a LlamaIndex response, a `RunResult`, or a log id; or a list of them,
                whose costs are added up.
            gateway_id: Gateway of the call, if it is another one.

        Returns:
            None if the entry has no cost, as of a model without a price.

        Raises:
            ConfigError: There is no log id in `source`.
            NotFound: There is no such entry.
            GatewayError: The API returns an error, or cannot be reached.
        """
        return self._client.run(costs.cost(self._connection, source, gateway_id))

    def run_cost(
        self, source: object, *, by: str = "model", wait: float = 5.0, gateway_id: str | None = None
    ) -> RunCost:
        """What a run of several calls cost, by model and by metadata.

        Args:
            source: A `LogCollector` of the framework, or log ids, messages, responses.
            by: A metadata key, by whose values the costs are added up, too.
            wait: Most seconds to wait for entries that are not written yet.
            gateway_id: Gateway of the calls, if it is another one.

        Returns:
            The costs, and the log ids without an entry.

        Raises:
            ConfigError: An argument is not valid; nothing was sent.
            GatewayError: The API returns an error, or cannot be reached.
        """
        run = costs.RunLogs(self._connection, source, by=by, wait=wait, gateway_id=gateway_id)
        waiting = True
        while waiting:
            list(run_all(self._client.run, run.requests(), costs.CONCURRENCY))
            waiting = self._client.run(run.pause())
        return run.cost()
