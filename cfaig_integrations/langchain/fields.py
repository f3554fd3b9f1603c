"""The constructor words that every LangChain class of this package shares, and the connection that they describe.

Knows pydantic and the gateway's settings; knows no message and no wire.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
)

from cfaig_integrations.client.aio import AsyncClient
from cfaig_integrations.client.sync import Client
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.connection import STREAM_IDLE_TIMEOUT, Connection, Timeout
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.gateway.runs import Mapper
from cfaig_integrations.gateway.settings import UNSET, resolve
from cfaig_integrations.langchain.errors import langchain_errors, to_langchain

Token = SecretStr | Callable[[], str] | Callable[[], Awaitable[str]]

ALIASES: Mapping[str, str] = {
    "api_key": "api_token",
    "cloudflare_api_token": "api_token",
    "gateway_options": "gateway",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "model_name": "model",
    "request_timeout": "timeout",
    "stop_sequences": "stop",
}
"""Other names that LangChain users know, and the word that they stand for."""


class Clients(NamedTuple):
    """The two ways to call the gateway over one connection."""

    sync: Client
    aio: AsyncClient


def _understood(kind: type[BaseModel], words: dict[str, Any]) -> dict[str, Any]:
    """Constructor words under our own names; an unknown one is refused with the nearest.

    Raises:
        ConfigError: A word is unknown, or given twice.
    """
    known = kind.model_fields
    if words.keys() <= known.keys():
        return words
    understood: dict[str, Any] = {}
    for word, value in words.items():
        ours = ALIASES.get(word, word)
        if ours not in known:
            near = get_close_matches(word, (*known, *ALIASES), n=1)
            remedy = f"Did you mean {near[0]!r}?" if near else "Further body fields go in extra_body=."
            raise ConfigError(f"{kind.__name__} has no constructor word {word!r}.", field=word, remedy=remedy)
        if ours in understood:
            raise ConfigError(f"{ours!r} is given twice, once as {word!r}.", field=word, remedy="Give it once.")
        understood[ours] = value
    return understood


class GatewayFields(BaseModel):
    """Where the gateway is, how to call it, and what to tell it with every call.

    Attributes:
        account_id: Cloudflare account, 32 hex digits; else `CLOUDFLARE_ACCOUNT_ID`.
        api_token: Token with Account > Workers AI > Read (wire-facts §2.1); a string, or a function that gives one,
            asynchronous if it likes; else `CLOUDFLARE_API_TOKEN`. Alias `api_key`.
        gateway_id: Gateway, at most 64 characters; else `CLOUDFLARE_AI_GATEWAY_ID`, else `default`. None must be asked
            for: then Workers AI models bypass the gateway, with its log, cache and limits (wire-facts §2.2).
        base_url: Another root than `https://api.cloudflare.com/client/v4`, or a gateway's legacy `.../compat` address.
        gateway: What to tell the gateway, header by header. Alias `gateway_options`.
        gateway_metadata: At most five entries for the gateway's log, `cf-aig-metadata`.
        run_metadata: Whether the run's own data take the places that are left: user, thread, agent, run ids.
        metadata_keys: Which of the run's data, in place of those; also any entry of the run's metadata, by name.
        metadata_mapper: Takes a `RunInfo` and gives the entries, in place of both.
        extra_headers: Further request headers.
        timeout: Seconds to wait for an answer; or seconds to connect and to wait; or an `httpx.Timeout`. Default
            10 and 600.
        stream_idle_timeout: Most seconds between two pieces of a stream. Default 300.
        max_retries: How often to try again, 0 to 10. Default 2, or 0 when the gateway itself is told to retry.
        http_client: Your own `httpx.Client`; never closed by us.
        http_async_client: Your own `httpx.AsyncClient`; never closed by us.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", populate_by_name=True)

    account_id: str | None = None
    api_token: Token | None = Field(default=None, repr=False)
    gateway_id: str | None = None
    base_url: str | None = None
    gateway: GatewayOptions | None = None
    gateway_metadata: dict[str, Any] | None = None
    run_metadata: bool = True
    metadata_keys: list[str] | None = None
    metadata_mapper: Mapper | None = Field(default=None, repr=False, exclude=True)
    extra_headers: dict[str, str] | None = Field(default=None, repr=False, exclude=True)
    timeout: Timeout | None = None
    stream_idle_timeout: float = STREAM_IDLE_TIMEOUT
    max_retries: int | None = None
    http_client: Any = Field(default=None, repr=False, exclude=True)
    http_async_client: Any = Field(default=None, repr=False, exclude=True)

    _clients: Clients = PrivateAttr()

    if not TYPE_CHECKING:  # a type checker sees the constructor that pydantic makes of the fields

        def __init__(self, **words: Any) -> None:
            try:
                super().__init__(**_understood(type(self), words))
                self._connect()
            except ConfigError as error:
                raise to_langchain(error) from None

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name in CONNECTION_WORDS:
                with langchain_errors():
                    self._connect()  # the one that there is says what the field said before

    def _connect(self) -> None:
        """Checks the settings now, so that a wrong one is told where it was written; opens nothing."""
        settings = resolve(
            account_id=self.account_id,
            api_token=self.api_token,
            gateway_id=self.gateway_id if "gateway_id" in self.model_fields_set else UNSET,
            base_url=self.base_url,
        )
        connection = Connection(
            settings=settings,
            options=self.gateway,
            metadata=self.gateway_metadata,
            extra_headers=self.extra_headers or {},
            timeout=self.timeout,
            stream_idle_timeout=self.stream_idle_timeout,
            max_retries=self.max_retries,
        )
        # LangChain's configurable models are built anew from every field, where None would ask for no gateway; set past
        # pydantic, which would take it for the caller's word.
        object.__setattr__(self, "gateway_id", settings.gateway_id)
        if self.api_token is not None:
            object.__setattr__(self, "api_token", settings.api_token)  # which no pickle shows
        clients = Clients(Client(connection, self.http_client), AsyncClient(connection, self.http_async_client))
        private = self.__pydantic_private__
        if private is None:  # a copy by hand, without its private half
            super().__setattr__("_clients", clients)
        else:
            private["_clients"] = clients  # a model object costs 20 us, and pydantic's own way 1 of them

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A deep copy; your own HTTP clients, which cannot be copied, are shared."""
        seen = {} if memo is None else memo
        seen.update({id(own): own for own in (self.http_client, self.http_async_client)})
        return super().__deepcopy__(seen)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, whose connection is that of its own fields."""
        copied = super().model_copy(update=update, deep=deep)
        copied._connect()
        return copied


CONNECTION_WORDS = frozenset(GatewayFields.model_fields)
"""The words above: where the gateway is and how to call it, which is settled before any call."""
