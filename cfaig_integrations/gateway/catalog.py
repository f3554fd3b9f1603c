"""The models of the catalog, the gateways and the credits of an account, and the web search (facts §8.6 to §8.9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

from cfaig_integrations.errors import ProtocolError, invalid
from cfaig_integrations.gateway.actions import Actions, HttpResponse
from cfaig_integrations.gateway.attempts import SimpleRequest, result_of
from cfaig_integrations.gateway.connection import CallOptions, Connection
from cfaig_integrations.gateway.failures.redaction import redacted
from cfaig_integrations.gateway.pages import Page, Pages, get_page, query, rest_path
from cfaig_integrations.gateway.settings import DEFAULT_GATEWAY
from cfaig_integrations.wire import jsonio
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.jsonio import excerpt, is_error

SearchProvider: TypeAlias = Literal["ceramic", "exa", "linkup"]

_PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model of Workers AI in the catalog. Third-party models are on Cloudflare's website alone.

    Attributes:
        name: Model id, such as `@cf/meta/llama-3.1-8b-instruct`.
        description: What it is.
        task: Name of its task, such as `Text Generation`.
        tags: Its tags.
        properties: Its properties by their ids, such as `context_window`, `price`, `function_calling`, `async_queue`.
        raw: The entry as it came.
    """

    name: str
    description: str = ""
    task: str = ""
    tags: tuple[str, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict[str, Any])
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    @property
    def context_window(self) -> int | None:
        """Tokens of input and output together, or of the input; None if the catalog does not say."""
        for name in ("context_window", "max_input_tokens"):
            value = str(self.properties.get(name, ""))
            if value.isascii() and value.isdigit() and len(value) < 12:
                return int(value)
        return None


@dataclass(frozen=True, slots=True)
class GatewayEntry:
    """A gateway of the account. A field that the response does not have is None.

    Attributes:
        id: Gateway id.
        authentication: Whether requests need a token.
        collect_logs: Whether calls are logged.
        cache_ttl: Seconds that responses stay cached; 0 is no cache.
        rate_limiting_limit: Requests within the interval; 0 is no limit.
        rate_limiting_interval: Seconds.
        raw: The entry as it came.
    """

    id: str
    authentication: bool | None = None
    collect_logs: bool | None = None
    cache_ttl: int | None = None
    rate_limiting_limit: int | None = None
    rate_limiting_interval: int | None = None
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass(frozen=True, slots=True)
class Credits:
    """The prepaid credits of an account.

    Attributes:
        balance: As the server writes it. Its unit is not documented; public programs read it as US cents.
        has_default_payment_method: Whether credits can be bought automatically.
        raw: The result as it came.
    """

    balance: float
    has_default_payment_method: bool | None = None
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass(frozen=True, slots=True)
class WebPage:
    """A result of a web search.

    Attributes:
        url: Address.
        title: Title.
        description: Text of the page, or about it.
        raw: The result as it came.
    """

    url: str
    title: str = ""
    description: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass(frozen=True, slots=True)
class WebSearch:
    """The results of a web search.

    Attributes:
        pages: The best first.
        metadata: What the provider says of the search.
        log_id: Id of its log entry, which has the cost.
    """

    pages: tuple[WebPage, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    log_id: str | None = None


def models(
    connection: Connection, *, search: str | None = None, task: str | None = None, author: str | None = None
) -> Actions[list[ModelEntry]]:
    """Searches the catalog."""
    path = rest_path(connection, "/ai/models")

    def fetch(page: int) -> Actions[Page[ModelEntry]]:
        parameters = query({"search": search, "task": task, "author": author, "page": page, "per_page": _PER_PAGE})
        return get_page(connection, f"{path}/search?{parameters}", _model)

    return Pages(fetch, lambda entry: entry.name).all()


def _model(raw: object) -> ModelEntry:
    entry = _object(raw, "A model")
    task: object = entry.get("task")
    listed: object = entry.get("properties")
    properties: dict[str, Any] = {}
    for each in cast("list[object]", listed) if isinstance(listed, list) else []:
        if isinstance(each, Mapping):
            fields = cast("Mapping[str, Any]", each)
            properties[str(fields.get("property_id"))] = fields.get("value")
    tags: object = entry.get("tags")
    return ModelEntry(
        name=_text(entry, "name") or _required(entry, "id", "A model"),
        description=_text(entry, "description"),
        task=_text(cast("Mapping[str, Any]", task), "name") if isinstance(task, Mapping) else "",
        tags=tuple(str(tag) for tag in cast("list[object]", tags)) if isinstance(tags, list) else (),
        properties=properties,
        raw=entry,
    )


def gateways(connection: Connection) -> Actions[list[GatewayEntry]]:
    """Lists the gateways of the account."""
    path = rest_path(connection, "/ai-gateway/gateways")

    def fetch(page: int) -> Actions[Page[GatewayEntry]]:
        return get_page(connection, f"{path}?{query({'page': page, 'per_page': _PER_PAGE})}", _gateway)

    return Pages(fetch, lambda entry: entry.id).all()


def _gateway(raw: object) -> GatewayEntry:
    entry = _object(raw, "A gateway")
    flags = {name: entry[name] for name in ("authentication", "collect_logs") if isinstance(entry.get(name), bool)}
    names = ("cache_ttl", "rate_limiting_limit", "rate_limiting_interval")
    numbers = {name: entry[name] for name in names if type(entry.get(name)) is int}
    return GatewayEntry(_required(entry, "id", "A gateway"), **flags, **numbers, raw=entry)


def credits(connection: Connection) -> Actions[Credits]:
    """The balance of the account's credits."""
    path = f"{rest_path(connection, '/ai-gateway/billing')}/credit-balance"
    return SimpleRequest(connection, path, lambda response, _: _credits(result_of(response)), method="GET").run()


def _credits(raw: object) -> Credits:
    result = _object(raw, "The balance")
    balance, default = result.get("balance"), result.get("has_default_payment_method")
    if isinstance(balance, bool) or not isinstance(balance, int | float):
        raise ProtocolError("The balance is not a number.", body=excerpt(repr(raw)))
    return Credits(float(balance), default if isinstance(default, bool) else None, result)


def web_search(
    connection: Connection,
    text: str,
    call: CallOptions,
    *,
    provider: SearchProvider | None = None,
    limit: int | None = None,
) -> Actions[WebSearch]:
    """Searches the web.

    Raises:
        ConfigError: An argument is not valid.
    """
    path = rest_path(connection, "/ai/websearch")
    if not isinstance(text, str) or not text.strip():  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
        raise invalid("query", text, "is empty", "Use a text.")
    if provider is not None and not (isinstance(provider, str) and provider):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise invalid("provider", provider, "is not a name", "Use ceramic, exa or linkup, or leave it out.")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise invalid("limit", limit, "is not a number of results", "Use a whole number from 1.")
    options = connection.options_of(call)
    gateway = (options and options.gateway_id) or connection.settings.gateway_id or DEFAULT_GATEWAY
    fields = {"query": text, "provider": provider, "limit": limit}
    body: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    body["options"] = {"gateway": {"id": gateway}}
    return SimpleRequest(connection, f"{path}/", _web_search, body=body, call=call).run()


def _web_search(response: HttpResponse, _: int) -> WebSearch:
    body = jsonio.load_object(response.body or b"")
    if is_error(body) or body.get("ok") is False:
        raise EmbeddedError(body)
    inner: object = body.get("result")
    found = cast("dict[str, Any]", inner) if isinstance(inner, dict) else body
    items, metadata = found.get("items"), found.get("metadata")
    if not isinstance(items, list):
        raise ProtocolError("The answer to a web search has no list of items.", body=excerpt(repr(body)))
    return WebSearch(
        tuple(map(_page, cast("list[object]", items))),
        cast("Mapping[str, Any]", metadata) if isinstance(metadata, Mapping) else {},
        response.headers.get("cf-aig-log-id"),
    )


def _page(raw: object) -> WebPage:
    item = _object(raw, "A result")
    return WebPage(_required(item, "url", "A result"), _text(item, "title"), _text(item, "description"), item)


def _object(value: object, what: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    raise ProtocolError(f"{what} is not an object.", body=redacted(value))


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def _required(entry: Mapping[str, Any], name: str, what: str) -> str:
    value = _text(entry, name)
    if not value:
        raise ProtocolError(f"{what} has no {name}.", body=redacted(entry))
    return value
