"""The constructor arguments that the classes of all frameworks share, and the connection that they describe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Self, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_core import PydanticCustomError

from cfaig_integrations.adapters.run_metadata import Mapper
from cfaig_integrations.adapters.secrets import Headers
from cfaig_integrations.client.aio import AsyncClient
from cfaig_integrations.client.sync import Client
from cfaig_integrations.core.chat import Usage
from cfaig_integrations.core.vectors import EmbedReply, Pooling
from cfaig_integrations.errors import ConfigError, GatewayError
from cfaig_integrations.gateway.connection import STREAM_IDLE_TIMEOUT, Connection, Timeout, carries_provider_key
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.gateway.migration import ALIASES, canonical, remedy
from cfaig_integrations.gateway.models.embeddings import EmbedApi
from cfaig_integrations.gateway.models.routes import Api
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.gateway.settings import UNSET, Settings, hidden, refuse_wrong_type, resolve

Token = SecretStr | Callable[[], str] | Callable[[], Awaitable[str]]
OnUsage: TypeAlias = Callable[[Usage | None, GatewayInfo], None]
"""Receives the token counts of one request, None if the server reports none, and how the gateway handled it."""
Count: TypeAlias = Annotated[int | None, Field(ge=1)]
"""A number of things; None is the default of whoever handles it."""
ExtraBody: TypeAlias = Annotated[dict[str, Any] | None, Field(repr=False)]
"""Further body fields; the configuration of an MCP server among them may hold a key."""
McpServers: TypeAlias = Annotated[list[dict[str, Any]] | None, Field(repr=False)]
LogitBias: TypeAlias = Annotated[
    dict[str, Annotated[float, Field(ge=-100, le=100)]] | None,
    BeforeValidator(
        lambda value: {str(key): bias for key, bias in value.items()} if isinstance(value, dict) else value  # pyright: ignore
    ),
]
"""Token id -> bias; the ids may be numbers."""

_TOKEN_NAMES = frozenset({"api_token", *(alias for alias, name in ALIASES.items() if name == "api_token")})


class Clients(NamedTuple):
    """The two ways to call the gateway over one connection, and where it leads."""

    sync: Client
    aio: AsyncClient
    settings: Settings


def _canonical(model_class: type[BaseModel], arguments: dict[str, Any]) -> dict[str, Any]:
    """Constructor arguments under the names of their fields.

    Raises:
        ConfigError: An argument is unknown, which says what to write instead, or is given twice.
    """
    fields = model_class.model_fields
    if isinstance(arguments.get("gateway"), str):
        raise ConfigError(
            "gateway= takes GatewayOptions.", field="gateway", remedy="Write gateway_id='...' for a name."
        )
    if arguments.keys() <= fields.keys():
        return arguments
    by_alias = {field.alias: name for name, field in fields.items() if field.alias}
    names: dict[str, Any] = {}
    for argument, value in arguments.items():
        name = by_alias.get(argument) or canonical(argument, fields)
        if name not in fields:
            raise ConfigError(
                f"{model_class.__name__} has no constructor argument {argument!r}.",
                field=argument,
                remedy=remedy(argument, (*fields, *(alias for alias in ALIASES if ALIASES[alias] in fields))),
            )
        if name in names:
            raise ConfigError(f"{name!r} is given twice, once as {argument!r}.", field=argument, remedy="Give it once.")
        names[name] = value
    return names


def _with_model(model_class: type[BaseModel], positional: Sequence[object], arguments: dict[str, Any]) -> None:
    """Adds the model, the only argument that may be positional, to the others.

    Raises:
        ConfigError: There are further ones, or the model is given twice.
    """
    if len(positional) > 1:
        raise ConfigError(
            f"{model_class.__name__} takes one positional argument, the model.", remedy="Name the other arguments."
        )
    if not {"model", "model_name"}.isdisjoint(arguments):
        raise ConfigError("'model' is given twice, once by position.", field="model", remedy="Give it once.")
    arguments["model"] = positional[0]


def _without_inputs(error: ValidationError) -> ValidationError:
    """The same error without the values, any of which may be a key: tools print and pickle them."""
    lines: list[Any] = [
        {"type": PydanticCustomError(each["type"], each["msg"]), "loc": each["loc"], "input": None}  # pyright: ignore[reportArgumentType]
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return ValidationError.from_exception_data(error.title, lines, hide_input=True)


class GatewayFields(BaseModel):
    """Where the gateway is, how to call it, and the options and metadata of every call.

    Attributes:
        account_id: Cloudflare account, 32 hex digits. None reads `CLOUDFLARE_ACCOUNT_ID`.
        api_token: Token with the permission Account > Workers AI > Read: a string, or a function, async or not, that
            returns one. By default `CLOUDFLARE_API_TOKEN` of the environment. On a custom domain, a Cloudflare Access
            token. None on the legacy host, together with a provider's key in `extra_headers`, is for a gateway without
            authentication. Alias `api_key`.
        gateway_id: Gateway, at most 64 characters. By default `CLOUDFLARE_AI_GATEWAY_ID` of the environment, else
            `default`. With an explicit None, Workers AI models bypass the gateway and its log, cache and limits.
        base_url: Another root than `https://api.cloudflare.com/client/v4`, a gateway's legacy `.../compat` address, or
            a custom domain's `https://host/compat`, which contains neither account nor gateway.
        gateway: Options of the gateway, one per header. Alias `gateway_options`.
        gateway_metadata: At most five entries for the gateway's log, `cf-aig-metadata`.
        run_metadata: Whether data of the run fill the remaining entries: user, thread, agent, run ids.
        metadata_keys: Which data of the run instead of the default ones; any key of the run's metadata is allowed.
        metadata_mapper: Takes a `RunInfo` and returns the entries, in place of the two before.
        extra_headers: Further request headers.
        timeout: Seconds without progress of an answer, or (seconds to connect, seconds without
            progress), or an `httpx.Timeout`. None is (10, 600).
        stream_idle_timeout: Maximum seconds between two pieces of a streamed answer, pings not counted.
        max_retries: Retries per call, 0 to 10. None is 2, or 0 if the gateway itself is to retry (`max_attempts`).
        retry_after_send: Whether a request that the model may have answered, and that may be billed, is sent again:
            after a timeout, a broken connection, a truncated answer, 409, 504 or 524.
        http_client: An `httpx.Client` to use; it is never closed here.
        http_async_client: An `httpx.AsyncClient` to use; it is never closed here.
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
    extra_headers: Headers | None = Field(default=None, repr=False, exclude=True)
    timeout: Timeout | None = None
    stream_idle_timeout: float = STREAM_IDLE_TIMEOUT
    max_retries: int | None = None
    retry_after_send: bool = False
    http_client: Any = Field(default=None, repr=False, exclude=True)
    http_async_client: Any = Field(default=None, repr=False, exclude=True)

    _clients: Clients = PrivateAttr()
    _framework: ClassVar[str] = ""
    """Name of the framework, which the user agent of every request carries."""
    _connection_fields: ClassVar[frozenset[str]] = frozenset()
    """Further fields, of a subclass, that `_connect` reads."""
    _filled_in: ClassVar[frozenset[str]] = frozenset()
    """Fields in which a validator of the framework puts a default, which the caller did not set."""

    if TYPE_CHECKING:  # a subclass has the arguments of `signatures`, or those that pydantic makes of the fields

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            """Hover over the imported name, or call `help`, for the list of arguments."""  # not pydantic's text

    else:

        def __init__(self, *positional: Any, **arguments: Any) -> None:
            tokens = _TOKEN_NAMES & arguments.keys()
            for name in tokens:  # before there is a frame that shows it
                arguments[name] = hidden(arguments[name])
            try:
                if positional:
                    _with_model(type(self), positional, arguments)
                for name in tokens:
                    refuse_wrong_type(arguments[name])
                super().__init__(**_canonical(type(self), arguments))
                self._connect()
            except ConfigError as error:
                arguments.clear()  # this frame is shown, too
                raise self._framework_error(error) from None
            except ValidationError as error:
                arguments.clear()
                raise _without_inputs(error) from None

        def __setattr__(self, name: str, value: Any) -> None:
            private = self.__pydantic_private__
            if private is not None and "_clients" not in private and name in type(self).model_fields:
                # A validator that fills in a value during construction: it is valid.
                self.__dict__[name] = value
                if name not in self._filled_in:
                    self.__pydantic_fields_set__.add(name)
                return
            if name == "api_token":
                value = hidden(value)
            values, fields_set = self.__dict__.copy(), self.__pydantic_fields_set__.copy()
            try:
                if name == "api_token":
                    refuse_wrong_type(value)
                super().__setattr__(name, value)
                if name in CONNECTION_PARAMETERS or name in self._connection_fields:
                    self._connect()
            except Exception as error:
                self.__dict__.clear()
                self.__dict__.update(values)
                object.__setattr__(self, "__pydantic_fields_set__", fields_set)
                if isinstance(error, ConfigError):
                    raise self._framework_error(error) from None
                raise _without_inputs(error) if isinstance(error, ValidationError) else error from None

    def _report(self, info: GatewayInfo) -> None:
        """Tells the framework's log collectors about a call whose result has no place for its log id."""

    @staticmethod
    def _framework_error(error: GatewayError) -> GatewayError:
        """The error as the framework's own class, where it has one."""
        return error

    def _connect(self) -> None:
        """Checks the settings, so that a wrong one raises where it was written, and opens nothing."""
        fields_set = self.__pydantic_fields_set__
        settings = resolve(
            account_id=self.account_id,
            api_token=self.api_token if "api_token" in fields_set else UNSET,
            gateway_id=self.gateway_id if "gateway_id" in fields_set else UNSET,
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
            framework=self._framework,
            retry_after_send=self.retry_after_send,
        )
        # Frameworks rebuild models from every field, where None would mean no gateway, and on the legacy host no token.
        # Written past pydantic, which would count the field as set by the caller.
        object.__setattr__(self, "gateway_id", settings.gateway_id)
        if self.api_token is not None or settings.legacy:
            object.__setattr__(self, "api_token", settings.api_token)  # which no pickle contains
        sync, aio = Client(connection, self.http_client), AsyncClient(connection, self.http_async_client)
        clients = Clients(sync, aio, settings)
        private = self.__pydantic_private__
        if private is None:  # made by `model_construct`
            super().__setattr__("_clients", clients)
        else:
            private["_clients"] = clients  # pydantic's own way takes 1 us of the constructor's 20

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A deep copy that shares the caller's HTTP clients, and whatever else of the caller's cannot be copied."""
        copied = {} if memo is None else memo
        copied.update({id(value): value for value in self._shared_values()})
        return super().__deepcopy__(copied)

    def _shared_values(self) -> list[object]:
        """The values that a deep copy shares with its original."""
        return [self.http_client, self.http_async_client]

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with a connection of its own.

        Raises:
            ConfigError: A field to update is unknown, or its value is invalid.
        """
        copied = super().model_copy(update=None if update is None else _canonical(type(self), dict(update)), deep=deep)
        copied._connect()
        return copied


CONNECTION_PARAMETERS = frozenset(GatewayFields.model_fields)
"""Where the gateway is and how to call it: settled before any call."""


class ChatFields(GatewayFields):
    """The model, its wire format, and the parameters of its answers.

    Attributes:
        model: Model id: `author/model` such as `openai/gpt-5.4`, or a Workers AI model such as `@cf/zai-org/glm-5.2`.
        api: Wire format. `auto` takes Responses for tools and each model's own format otherwise.
        temperature: Randomness, 0 to 2 for most models.
        max_tokens: Maximum number of tokens to generate, reasoning included. Default: the server's, which is 256 for
            many Workers AI models; for Anthropic's, which require one, the model's output limit, or 8192 if unknown.
        top_p: Nucleus sampling, 0 to 1.
        top_k: Sample from the k likeliest tokens.
        stop: Texts at which to stop.
        seed: Seed for sampling.
        frequency_penalty: -2 to 2.
        presence_penalty: -2 to 2.
        n: Number of answers; not in streams.
        logprobs: Whether to return log probabilities.
        top_logprobs: Alternatives per token, 0 to 20.
        reasoning_effort: As the provider names it: `minimal`, `low`, `medium`, `high` ...
        reasoning: The Responses format's `reasoning` object.
        thinking: Anthropic's `thinking` object.
        service_tier: As the provider names it.
        store: Whether the provider keeps the response for `previous_response_id`.
        verbosity: How long the answer is to be: `low`, `medium`, `high`. OpenAI's formats.
        logit_bias: Token id -> -100 to 100. Chat Completions.
        prompt_cache_key: Requests with the same key share a cached prefix. OpenAI's formats.
        prompt_cache_retention: How long OpenAI keeps the prefix: `in_memory`, `24h`.
        prompt_cache_options: OpenAI's object of cache options, such as `{"mode": "explicit"}`.
        include: Further data for the response, such as `web_search_call.action.sources`. Responses.
        truncation: `auto` lets the server drop the beginning of a conversation that is too long. Responses.
        context_management: What the server does with a long context: a list on Responses, an object on Messages.
        output_config: Anthropic's object, such as `{"effort": "low", "task_budget": {...}}`.
        mcp_servers: Anthropic's MCP servers. Serialized unchanged, keys included.
        container: Anthropic's container for code execution: its id, or an object with skills.
        inference_geo: Where Anthropic runs the model: `us`, `global`.
        betas: Anthropic's beta features, beside those that the tools and arguments of a request need.
        extra_body: Further body fields, unchanged.
        stream_usage: Whether streams report token counts.
        session_affinity: Conversation that a call belongs to, with which a Workers AI model finds its prompt cached
            (`x-session-affinity`) and the Auto Router keeps its model (`cf-aig-session-id`). True: the run's thread,
            session or conversation id; a string: that id; False: none.
    """

    model: str
    api: Api = "auto"
    temperature: float | None = None
    max_tokens: Count = None
    top_p: Annotated[float | None, Field(ge=0, le=1)] = None
    top_k: Annotated[int | None, Field(ge=0)] = None
    stop: list[str] | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    n: Count = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int | None, Field(ge=0, le=20)] = None
    reasoning_effort: str | None = None
    reasoning: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    service_tier: str | None = None
    store: bool | None = None
    verbosity: str | None = None
    logit_bias: LogitBias = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    include: list[str] | None = None
    truncation: str | None = None
    context_management: list[dict[str, Any]] | dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    mcp_servers: McpServers = None
    container: str | dict[str, Any] | None = None
    inference_geo: str | None = None
    betas: list[str] | None = None
    extra_body: ExtraBody = None
    stream_usage: bool = True
    session_affinity: bool | Annotated[str, Field(min_length=1)] = True

    @field_validator("stop", mode="before")
    @classmethod
    def _as_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class EmbedFields(GatewayFields):
    """How texts become vectors.

    Attributes:
        api: Endpoint. `run` has every field of a Workers AI model, and distinguishes queries from documents where the
            model does; `embeddings` is OpenAI's form; `auto` takes `run` for Workers AI models, else `embeddings`.
        dimensions: Length of the vectors, for models that support several.
        pooling: `mean` or `cls`, for the English bge models; vectors of the two cannot be compared. `cls` is more
            accurate on long texts; the server's default is `mean`.
        instruction: The task, which is sent with queries to models that take one.
        truncate_inputs: Truncate a text that is too long instead of failing; bge-m3.
        on_usage: Called after each request with its token counts and `GatewayInfo`, in the caller's thread or loop.
        extra_body: Further body fields, unchanged.
    """

    api: EmbedApi = "auto"
    dimensions: Count = None
    pooling: Pooling | None = None
    instruction: str | None = None
    truncate_inputs: bool | None = None
    on_usage: OnUsage | None = Field(default=None, repr=False, exclude=True)
    extra_body: ExtraBody = None

    def _vectors(self, reply: EmbedReply, info: GatewayInfo) -> tuple[list[float], ...]:
        """The vectors of a reply, after its token counts were reported."""
        if self.on_usage is not None:
            self.on_usage(reply.usage, info)
        self._report(info)
        return reply.vectors
