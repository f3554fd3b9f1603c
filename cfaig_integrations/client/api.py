"""The gateway itself, apart from chatting: what it wrote down about calls.

Chat goes through the frameworks' classes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal

from pydantic import SecretStr

from cfaig_integrations.client.aio import AsyncClient
from cfaig_integrations.client.sync import Client
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway import logs
from cfaig_integrations.gateway.connection import Connection, Timeout
from cfaig_integrations.gateway.logs import Feedback, LogEntry, LogFilter, LogQuery, OrderBy
from cfaig_integrations.gateway.settings import UNSET, Unset, hidden, resolve

__all__ = ["AIGateway", "AsyncAIGateway", "LogEntry", "LogFilter"]

_Token = str | SecretStr | Callable[[], str] | Callable[[], Awaitable[str]] | None


def _connection(  # the constructor's words, one by one
    *,
    account_id: str | None,
    api_token: _Token,
    api_key: _Token,
    gateway_id: str | Literal[Unset.UNSET] | None,
    base_url: str | None,
    timeout: Timeout | None,
    max_retries: int | None,
) -> Connection:
    if api_token is not None and api_key is not None:
        raise ConfigError(
            "api_token and api_key are both given.",
            field="api_key",
            remedy="They are two names of one thing: give one.",
        )
    settings = resolve(
        account_id=account_id,
        api_token=api_key if api_token is None else api_token,
        gateway_id=gateway_id,
        base_url=base_url,
    )
    return Connection(settings=settings, timeout=timeout, max_retries=max_retries)


class AIGateway:
    """Cloudflare AI Gateway's own API.

    Args:
        account_id: Else from the environment, as all that is left out; see `gateway.settings.resolve`.
        api_token: Token with AI Gateway > Read (facts §2.1); a str, a SecretStr or a callable.
        api_key: Another name for it.
        gateway_id: Gateway.
        base_url: Of the REST API.
        timeout: Seconds for reading, or (connect, read).
        max_retries: Most further tries, 0 to 10.
        http_client: An `httpx.Client` or one of httpx2 instead of the shared pools.

    Raises:
        ConfigError: A value is missing or cannot be right.

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
        gateway_id: str | Literal[Unset.UNSET] | None = UNSET,
        base_url: str | None = None,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        http_client: object = None,
    ) -> None:
        api_token, api_key = hidden(api_token), hidden(api_key)
        self._connection = _connection(
            account_id=account_id,
            api_token=api_token,
            api_key=api_key,
            gateway_id=gateway_id,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
        )
        self._client = Client(self._connection, http_client)

    def log(self, log_id: str, *, gateway_id: str | None = None) -> LogEntry:
        """What the gateway wrote down about one call: its cost, its tokens, its metadata.

        The log of a stream may come half a second after the stream's end, and is waited for once.

        Args:
            log_id: `GatewayInfo.log_id` of the call.
            gateway_id: Gateway that the call went through, if another.

        Raises:
            NotFound: There is no such log.
            GatewayError: The API refuses, or cannot be reached.
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
        """Adds to a call's log what people think of the answer; a log that is late is waited for once.

        Needs a token with AI Gateway > Edit (facts §2.1).

        Args:
            log_id: `GatewayInfo.log_id` of the call.
            value: 1 is good, -1 is bad.
            score: 0 to 100.
            metadata: Texts, numbers and booleans in place of the entry's own metadata.
            gateway_id: Gateway that the call went through, if another.

        Raises:
            ConfigError: It says nothing, or something that the API does not know.
            NotFound: There is no such log.
            GatewayError: The API refuses, or cannot be reached.
        """
        given = Feedback(value, score, metadata)
        self._client.run(logs.feedback(self._connection, log_id, given, gateway_id))

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
        """What the gateway wrote down about many calls, the newest first.

        Args:
            page: From 1.
            per_page: How many.
            order_by: Which field.
            descending: Whether the highest comes first.
            search: Text to look for.
            filters: All of them must hold.
            gateway_id: Gateway, if another.

        Raises:
            GatewayError: The API refuses, or cannot be reached.
        """
        query = LogQuery(page, per_page, order_by, descending, search, filters)
        return self._client.run(logs.entries(self._connection, query, gateway_id))


class AsyncAIGateway:
    """Cloudflare AI Gateway's own API, awaited.

    Args:
        account_id: Else from the environment, as all that is left out; see `gateway.settings.resolve`.
        api_token: Token with AI Gateway > Read (facts §2.1); a str, a SecretStr or a callable, async or not.
        api_key: Another name for it.
        gateway_id: Gateway.
        base_url: Of the REST API.
        timeout: Seconds for reading, or (connect, read).
        max_retries: Most further tries, 0 to 10.
        http_async_client: An `httpx.AsyncClient` or one of httpx2 instead of the shared pools.

    Raises:
        ConfigError: A value is missing or cannot be right.

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
        gateway_id: str | Literal[Unset.UNSET] | None = UNSET,
        base_url: str | None = None,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        http_async_client: object = None,
    ) -> None:
        api_token, api_key = hidden(api_token), hidden(api_key)
        self._connection = _connection(
            account_id=account_id,
            api_token=api_token,
            api_key=api_key,
            gateway_id=gateway_id,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
        )
        self._client = AsyncClient(self._connection, http_async_client)

    async def log(self, log_id: str, *, gateway_id: str | None = None) -> LogEntry:
        """What the gateway wrote down about one call: its cost, its tokens, its metadata.

        The log of a stream may come half a second after the stream's end, and is waited for once.

        Args:
            log_id: `GatewayInfo.log_id` of the call.
            gateway_id: Gateway that the call went through, if another.

        Raises:
            NotFound: There is no such log.
            GatewayError: The API refuses, or cannot be reached.
        """
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
        """Adds to a call's log what people think of the answer; as `AIGateway.feedback`."""
        given = Feedback(value, score, metadata)
        await self._client.run(logs.feedback(self._connection, log_id, given, gateway_id))

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
        """What the gateway wrote down about many calls, the newest first.

        Args:
            page: From 1.
            per_page: How many.
            order_by: Which field.
            descending: Whether the highest comes first.
            search: Text to look for.
            filters: All of them must hold.
            gateway_id: Gateway, if another.

        Raises:
            GatewayError: The API refuses, or cannot be reached.
        """
        query = LogQuery(page, per_page, order_by, descending, search, filters)
        return await self._client.run(logs.entries(self._connection, query, gateway_id))
