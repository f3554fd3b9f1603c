"""The constructor arguments that the classes of both frameworks share, and the connection that they describe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from cfaig_integrations.adapters.run_metadata import Mapper
from cfaig_integrations.client.aio import AsyncClient
from cfaig_integrations.client.sync import Client
from cfaig_integrations.core.chat import Usage
from cfaig_integrations.core.vectors import EmbedReply, Pooling
from cfaig_integrations.errors import ConfigError, GatewayError
from cfaig_integrations.gateway.connection import STREAM_IDLE_TIMEOUT, Api, Connection, Timeout, carries_provider_key
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.gateway.models.embeddings import EmbedApi
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.gateway.settings import UNSET, hidden, refuse_wrong_type, resolve

Token = SecretStr | Callable[[], str] | Callable[[], Awaitable[str]]
OnUsage: TypeAlias = Callable[[Usage | None, GatewayInfo], None]
"""Told of each request's tokens, None if the server does not count them, and of how the gateway handled it."""

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
"""Other names that users know, and the word that they stand for."""
_TOKEN_PARAMETERS = frozenset({"api_token", *(alias for alias, word in ALIASES.items() if word == "api_token")})


class Clients(NamedTuple):
    """The two ways to call the gateway over one connection."""

    sync: Client
    aio: AsyncClient


def _understood(kind: type[BaseModel], words: dict[str, Any]) -> dict[str, Any]:
    """Constructor arguments under our own names; an unknown one is refused with the nearest.

    Raises:
        ConfigError: A word is unknown, or given twice.
    """
    known = kind.model_fields
    if words.keys() <= known.keys():
        return words
    understood: dict[str, Any] = {}
    aliases = {**ALIASES, **{field.alias: name for name, field in known.items() if field.alias}}
    for word, value in words.items():
        ours = word if word in known else aliases.get(word, word)
        if ours not in known:
            near = get_close_matches(word, (*known, *aliases), n=1)
            remedy = f"Did you mean {near[0]!r}?" if near else "Further body fields go in extra_body=."
            raise ConfigError(f"{kind.__name__} has no constructor argument {word!r}.", field=word, remedy=remedy)
        if ours in understood:
            raise ConfigError(f"{ours!r} is given twice, once as {word!r}.", field=word, remedy="Give it once.")
        understood[ours] = value
    return understood


def _without_inputs(error: ValidationError) -> ValidationError:
    """The same error without the values, any of which may be a key: tools print and pickle them."""
    told = error.errors(include_url=False, include_context=False, include_input=False)
    return ValidationError.from_exception_data(
        error.title,
        [{"type": PydanticCustomError(each["type"], each["msg"]), "loc": each["loc"], "input": None} for each in told],  # pyright: ignore
        hide_input=True,
    )


class GatewayFields(BaseModel):
    """Where the gateway is, how to call it, and what to tell it with every call.

    Attributes:
        account_id: Cloudflare account, 32 hex digits; else `CLOUDFLARE_ACCOUNT_ID`.
        api_token: Token with Account > Workers AI > Read (facts §2.1); a string, or a function that gives one,
            asynchronous if it likes; else `CLOUDFLARE_API_TOKEN`. On a custom domain, a Cloudflare Access token. None
            on the legacy host, beside a provider's key in `extra_headers`, is for a gateway without authentication.
            Alias `api_key`.
        gateway_id: Gateway, at most 64 characters; else `CLOUDFLARE_AI_GATEWAY_ID`, else `default`. None must be asked
            for: then Workers AI models bypass the gateway, with its log, cache and limits (facts §2.2).
        base_url: Another root than `https://api.cloudflare.com/client/v4`, a gateway's legacy `.../compat` address, or
            a custom domain's `https://host/compat`, where neither account nor gateway is named.
        gateway: What to tell the gateway, header by header. Alias `gateway_options`.
        gateway_metadata: At most five entries for the gateway's log, `cf-aig-metadata`.
        run_metadata: Whether the run's own data take the places that are left: user, thread, agent, run ids.
        metadata_keys: Which of the run's data, in place of those; also any entry of the run's metadata, by name.
        metadata_mapper: Takes a `RunInfo` and gives the entries, in place of both.
        extra_headers: Further request headers.
        timeout: Seconds to wait for an answer; or seconds to connect and to wait; or an `httpx.Timeout`. Default
            10 and 600.
        stream_idle_timeout: Most seconds between two pieces of a stream's answer, pings not counted. Default 300.
        max_retries: How often to try again, 0 to 10. Default 2, or 0 when the gateway itself is told to retry.
        http_client: Your own `httpx.Client`; never closed by us.
        http_async_client: Your own `httpx.AsyncClient`; never closed by us.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        extra="forbid",
        hide_input_in_errors=True,
        populate_by_name=True,
        validate_assignment=True,
    )

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
    _settled: ClassVar[frozenset[str]] = frozenset()
    """Further words, of a subclass, that `_connect` looks at."""

    if not TYPE_CHECKING:  # a type checker sees the constructor that pydantic makes of the fields

        def __init__(self, **words: Any) -> None:
            for word in _TOKEN_PARAMETERS & words.keys():  # before there is a frame that shows it
                words[word] = hidden(words[word])
            try:
                for word in _TOKEN_PARAMETERS & words.keys():
                    refuse_wrong_type(words[word])
                super().__init__(**_understood(type(self), words))
                self._connect()
            except ConfigError as error:
                words.clear()  # this frame is shown, too
                raise self._of_framework(error) from None
            except ValidationError as error:
                words.clear()
                raise _without_inputs(error) from None

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "api_token":
                value = hidden(value)
            before, known = self.__dict__.copy(), self.__pydantic_fields_set__.copy()
            try:
                if name == "api_token":
                    refuse_wrong_type(value)
                super().__setattr__(name, value)
                if name in CONNECTION_PARAMETERS or name in self._settled:
                    self._connect()  # the one that there is says what the field said before
            except Exception as error:
                self.__dict__.clear()
                self.__dict__.update(before)
                object.__setattr__(self, "__pydantic_fields_set__", known)
                if isinstance(error, ConfigError):
                    raise self._of_framework(error) from None
                raise _without_inputs(error) if isinstance(error, ValidationError) else error from None

    @staticmethod
    def _of_framework(error: GatewayError) -> GatewayError:
        """An error in the framework's own kind, where it has kinds."""
        return error

    def _connect(self) -> None:
        """Checks the settings now, so that a wrong one is told where it was written; opens nothing."""
        settings = resolve(
            account_id=self.account_id,
            api_token=self.api_token if "api_token" in self.model_fields_set else UNSET,
            gateway_id=self.gateway_id if "gateway_id" in self.model_fields_set else UNSET,
            base_url=self.base_url,
            provider_key=carries_provider_key(self.extra_headers or {}),
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
        # Frameworks build models anew from every field, where None would ask for no gateway, and on the legacy host for
        # no token; set past pydantic, which would take it for the caller's word.
        object.__setattr__(self, "gateway_id", settings.gateway_id)
        if self.api_token is not None or settings.legacy:
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
        """A copy, whose connection is that of its own fields.

        Raises:
            ConfigError: A word to update is unknown, or cannot be right.
        """
        known = None if update is None else _understood(type(self), dict(update))
        copied = super().model_copy(update=known, deep=deep)
        copied._connect()
        return copied


CONNECTION_PARAMETERS = frozenset(GatewayFields.model_fields)
"""The words above: where the gateway is and how to call it, which is settled before any call."""


class ChatFields(GatewayFields):
    """Which model answers, over which wire, and what shapes its answers.

    Attributes:
        model: Model id: `author/model` such as `openai/gpt-5.4`, or a Workers AI model such as `@cf/zai-org/glm-5.2`.
        api: Wire format. `auto` takes Responses for tools and each model's own format otherwise.
        temperature: Randomness, 0 to 2 on most models.
        max_tokens: Most tokens to generate, reasoning included.
        top_p: Nucleus sampling, 0 to 1.
        top_k: Sample from the k likeliest tokens.
        stop: Texts at which to stop.
        seed: Seed for sampling.
        frequency_penalty: -2 to 2.
        presence_penalty: -2 to 2.
        n: Number of answers; not in streams.
        logprobs: Ask for log probabilities.
        top_logprobs: How many alternatives each, 0 to 20.
        reasoning_effort: The provider's word: `minimal`, `low`, `medium`, `high` ...
        reasoning: The Responses format's `reasoning` object.
        thinking: Anthropic's `thinking` object.
        service_tier: The provider's word.
        store: Whether the provider keeps the response for `previous_response_id`.
        extra_body: Further body fields, as they are.
        stream_usage: Ask for token counts in streams.
        session_affinity: Tell the host of the model which conversation a call belongs to, so that a Workers AI model
            finds its prompt cached (`x-session-affinity`) and the Auto Router keeps its model (`cf-aig-session-id`).
            True takes the run's thread, session or conversation id; a text is the id itself; False tells nothing.
    """

    model: str
    api: Api = "auto"
    temperature: float | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    stop: list[str] | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    n: int | None = Field(default=None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    reasoning_effort: str | None = None
    reasoning: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    service_tier: str | None = None
    store: bool | None = None
    extra_body: dict[str, Any] | None = Field(default=None, repr=False)  # keys of MCP servers among them
    stream_usage: bool = True
    session_affinity: bool | Annotated[str, Field(min_length=1)] = True

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop_text(cls, given: object) -> object:
        return [given] if isinstance(given, str) else given


class EmbedFields(GatewayFields):
    """How texts become vectors.

    Attributes:
        api: Endpoint. `run` has every field of a Workers AI model, and tells queries from documents where the model
            does; `embeddings` is OpenAI's form; `auto` takes `run` for Workers AI models and `embeddings` otherwise.
        dimensions: Length of the vectors, of models that can choose.
        pooling: `mean` or `cls`, of the English bge models; vectors of the two cannot be compared. `cls` is more
            accurate on long texts, `mean` the server's default (facts §6.1).
        instruction: The task, told to the model with queries; for models that take one.
        truncate_inputs: Cut a text that is too long instead of failing; bge-m3.
        on_usage: Called after each request with its token counts and `GatewayInfo`, in the caller's thread or loop.
        extra_body: Further body fields, as they are.
    """

    api: EmbedApi = "auto"
    dimensions: int | None = Field(default=None, ge=1)
    pooling: Pooling | None = None
    instruction: str | None = None
    truncate_inputs: bool | None = None
    on_usage: OnUsage | None = Field(default=None, repr=False, exclude=True)
    extra_body: dict[str, Any] | None = Field(default=None, repr=False)  # keys of MCP servers among them

    def _told(self, reply: EmbedReply, info: GatewayInfo) -> tuple[list[float], ...]:
        """The vectors, once the user has been told what they took."""
        if self.on_usage is not None:
            self.on_usage(reply.usage, info)
        return reply.vectors
