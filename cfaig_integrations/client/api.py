"""The gateway's own API: the logs of calls, and feedback on them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from pydantic import SecretStr

from cfaig_integrations.client.aio import AsyncClient
from cfaig_integrations.client.sync import Client
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway import logs
from cfaig_integrations.gateway.connection import Connection, Timeout
from cfaig_integrations.gateway.logs import Feedback, LogEntry, LogFilter, LogQuery, OrderBy
from cfaig_integrations.gateway.settings import UNSET, Unset, hidden, resolve

__all__ = ["AIGateway", "AsyncAIGateway", "LogEntry", "LogFilter"]

_Token: TypeAlias = str | SecretStr | Callable[[], str] | Callable[[], Awaitable[str]] | None
_Gateway: TypeAlias = str | Literal[Unset.UNSET] | None


def _connection(
    account_id: str | None,
    api_token: _Token,
    api_key: _Token,
    gateway_id: _Gateway,
    base_url: str | None,
    *,
    timeout: Timeout | None,
    max_retries: int | None,
) -> Connection:
    if api_token is not None and api_key is not None:
        raise ConfigError(
            "api_token and api_key are both set.", field="api_key", remedy="They are two names of one value: set one."
        )
    token = api_key if api_token is None else api_token
    settings = resolve(account_id=account_id, api_token=token, gateway_id=gateway_id, base_url=base_url)
    return Connection(settings=settings, timeout=timeout, max_retries=max_retries)


class AIGateway:
    """The logs API of Cloudflare AI Gateway. Arguments that are left out come from the environment.

    Args:
        account_id: Cloudflare account.
        api_token: Token with the permission AI Gateway > Read: a str, a SecretStr, or a function that returns one.
        api_key: Another name for it.
        gateway_id: Gateway.
        base_url: Base URL of the REST API.
        timeout: Seconds for reading, or (connect, read).
        max_retries: Most retries, 0 to 10.
        http_client: An `httpx.Client` or one of httpx2 in place of the shared pools.

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
        api_token: _Token = None,
        api_key: _Token = None,
        gateway_id: _Gateway = UNSET,
        base_url: str | None = None,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        http_client: object = None,
    ) -> None:
        api_token, api_key = hidden(api_token), hidden(api_key)
        self._connection = _connection(
            account_id, api_token, api_key, gateway_id, base_url, timeout=timeout, max_retries=max_retries
        )
        self._client = Client(self._connection, http_client)

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

    def logs(
        self,
        *,
        page: int = 1,
        per_page: int = 20,
        order_by: OrderBy = "created_at",
        descending: bool = True,
        search: str = "",
        filters: Sequence[LogFilter] = (),
        gateway_id: str | None = None,
    ) -> list[LogEntry]:
        """Log entries, the newest first.

        Args:
            page: Number of the page, from 1.
            per_page: Entries per page.
            order_by: Field to sort by.
            descending: Whether the highest value comes first.
            search: Text to search for.
            filters: Conditions that must all hold.
            gateway_id: Gateway, if it is another one.

        Raises:
            GatewayError: The API returns an error, or cannot be reached.
        """
        query = LogQuery(page, per_page, order_by, descending, search, filters)
        return self._client.run(logs.entries(self._connection, query, gateway_id))


class AsyncAIGateway:
    """The logs API of Cloudflare AI Gateway, asynchronous; otherwise as `AIGateway`.

    Args:
        account_id: Cloudflare account.
        api_token: Token with the permission AI Gateway > Read: a str, a SecretStr, or a function, async or not.
        api_key: Another name for it.
        gateway_id: Gateway.
        base_url: Base URL of the REST API.
        timeout: Seconds for reading, or (connect, read).
        max_retries: Most retries, 0 to 10.
        http_async_client: An `httpx.AsyncClient` or one of httpx2 in place of the shared pools.

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
        api_token: _Token = None,
        api_key: _Token = None,
        gateway_id: _Gateway = UNSET,
        base_url: str | None = None,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        http_async_client: object = None,
    ) -> None:
        api_token, api_key = hidden(api_token), hidden(api_key)
        self._connection = _connection(
            account_id, api_token, api_key, gateway_id, base_url, timeout=timeout, max_retries=max_retries
        )
        self._client = AsyncClient(self._connection, http_async_client)

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

    async def logs(
        self,
        *,
        page: int = 1,
        per_page: int = 20,
        order_by: OrderBy = "created_at",
        descending: bool = True,
        search: str = "",
        filters: Sequence[LogFilter] = (),
        gateway_id: str | None = None,
    ) -> list[LogEntry]:
        """Log entries, the newest first; see `AIGateway.logs`."""
        query = LogQuery(page, per_page, order_by, descending, search, filters)
        return await self._client.run(logs.entries(self._connection, query, gateway_id))
