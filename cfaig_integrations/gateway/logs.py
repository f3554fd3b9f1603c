"""The logs API: what the gateway recorded about calls, among it their cost (facts §8.5)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, TypeVar, cast, get_args
from urllib.parse import urlencode

from cfaig_integrations.core.text import read_json
from cfaig_integrations.errors import ConfigError, GatewayError, NotFound, ProtocolError, invalid, shown
from cfaig_integrations.gateway.actions import Actions, HttpResponse
from cfaig_integrations.gateway.attempts import SimpleRequest, result_of
from cfaig_integrations.gateway.connection import Connection
from cfaig_integrations.gateway.failures.redaction import redacted
from cfaig_integrations.gateway.pages import Page, Pages, get_page, quoted_id, rest_path
from cfaig_integrations.gateway.settings import DEFAULT_GATEWAY
from cfaig_integrations.wire import jsonio

_T = TypeVar("_T")
OrderBy: TypeAlias = Literal["created_at", "provider", "model", "model_type", "success", "cached"]

_DELAY = 0.5
"""Seconds after its end within which the log of a stream is written (facts §8.5)."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A call as the gateway recorded it. A field that the log does not have is None.

    Attributes:
        id: `GatewayInfo.log_id` of the call.
        created_at: Time of the call, as the server writes it (ISO 8601).
        provider: Provider that answered.
        model: Model that answered; its spelling may differ from the request's.
        path: Endpoint of the provider.
        status_code: HTTP status.
        success: Whether the call succeeded.
        cached: Whether the response came from the cache, and cost nothing.
        tokens_in: Input tokens.
        tokens_out: Output tokens.
        cost: US dollars.
        duration: Milliseconds.
        metadata: Entries of `cf-aig-metadata`, and those that the gateway added.
        step: Entry of a fallback chain that answered.
        raw: The entry as it came.
    """

    id: str
    created_at: str | None = None
    provider: str | None = None
    model: str | None = None
    path: str | None = None
    status_code: int | None = None
    success: bool | None = None
    cached: bool | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None
    duration: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    step: int | None = None
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("created_at", "provider", "model", "path"), str),
    **dict.fromkeys(("status_code", "tokens_in", "tokens_out", "step"), int),
    **dict.fromkeys(("success", "cached"), (bool, int)),  # 0 and 1 of a database
    **dict.fromkeys(("cost", "duration"), (int, float)),
}
"""A value of another type is ignored."""


def read_entry(raw: object) -> LogEntry:
    """An entry of the logs API.

    Raises:
        ProtocolError: It is not an object with an id.
    """
    if not isinstance(raw, Mapping):
        raise ProtocolError("A log entry is not an object.", body=raw)
    entry = cast("Mapping[str, Any]", raw)
    name = entry.get("id")
    if not name or not isinstance(name, str | int):
        raise ProtocolError("A log entry has no id.", body=entry)
    fields = {field: entry[field] for field, kind in _TYPES.items() if isinstance(entry.get(field), kind)}
    return LogEntry(id=str(redacted(name)), metadata=_metadata(entry.get("metadata")), raw=entry, **fields)


def _metadata(value: object) -> Mapping[str, Any]:
    # A string by the published types, an object on the wire (facts §8.5).
    if isinstance(value, str):
        try:
            value = read_json(value)
        except ValueError:
            return {}
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


class _LogRequest(SimpleRequest[_T]):
    """Reads or changes an entry; one that is not written yet is requested a second time."""

    _delayed = False

    def _pause(self, error: GatewayError) -> float | None:
        if isinstance(error, NotFound) and not self._delayed:
            self._delayed, self._retries = True, 0
            return _DELAY
        return super()._pause(error)


def entry(
    connection: Connection, log_id: str, gateway_id: str | None = None, *, wait: bool = True
) -> Actions[LogEntry]:
    """Reads one entry; with `wait`, one that is not written yet is requested a second time."""
    path = _entry_path(connection, log_id, gateway_id)
    request = _LogRequest[LogEntry] if wait else SimpleRequest[LogEntry]
    return request(connection, path, lambda response, _: read_entry(result_of(response)), method="GET").run()


def body(
    connection: Connection, log_id: str, side: Literal["request", "response"], gateway_id: str | None = None
) -> Actions[Any]:
    """Reads the body of the request or of the response of one entry."""
    path = f"{_entry_path(connection, log_id, gateway_id)}/{side}"
    return _LogRequest(connection, path, _read_body, method="GET").run()


def _read_body(response: HttpResponse, _: int) -> Any:
    """The body as it was logged, without an envelope: JSON, else text, else bytes."""
    data = response.body or b""
    try:
        return jsonio.load(data, repair=False)
    except ProtocolError:
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data


def feedback(connection: Connection, log_id: str, feedback: Feedback, gateway_id: str | None = None) -> Actions[object]:
    """Adds what people think of the reply to one entry."""
    path = _entry_path(connection, log_id, gateway_id)
    change = feedback.fields()
    return _LogRequest(connection, path, lambda response, _: result_of(response), body=change, method="PATCH").run()


@dataclass(frozen=True, slots=True)
class Feedback:
    """What people think of a reply (facts §8.5).

    Attributes:
        value: 1 is good, -1 is bad.
        score: 0 to 100.
        metadata: Strings, numbers and booleans that replace the entry's metadata.

    Raises:
        ConfigError: Nothing is set, or a value is out of range.
    """

    value: Literal[1, -1] | None = None
    score: float | None = None
    metadata: Mapping[str, str | int | float | bool] | None = None

    def __post_init__(self) -> None:
        if self.metadata is not None and not isinstance(self.metadata, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
            raise invalid("metadata", self.metadata, "is not valid feedback", "Use a dict.")
        if not self.fields():
            raise ConfigError("The feedback is empty.", field="value", remedy="Set value, score or metadata.")
        if self.value is not None and (type(self.value) is not int or self.value not in (1, -1)):
            raise invalid("value", self.value, "is not valid feedback", "Use 1 or -1.")
        is_number = isinstance(self.score, int | float) and not isinstance(self.score, bool)
        if self.score is not None and not (is_number and 0 <= self.score <= 100):
            raise invalid("score", self.score, "is not valid feedback", "Use a number from 0 to 100.")
        for key, value in (self.metadata or {}).items():
            if not isinstance(value, str | int | float | bool):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
                raise invalid(
                    f"metadata[{key!r}]", value, "is not valid feedback", "Use a string, a number or a boolean."
                )

    def fields(self) -> dict[str, Any]:
        """The body of the API's request."""
        fields = {"feedback": self.value, "score": self.score, "metadata": self.metadata and dict(self.metadata)}
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class LogFilter:
    """A condition on log entries.

    Attributes:
        key: Field to compare, such as `model`, `success`, `cost`, `metadata.key` or `metadata.value`.
        operator: How to compare it.
        value: Values to compare it with, of which one must match.

    Raises:
        ConfigError: `value` is a str, whose characters would be the values.
    """

    key: str
    operator: Literal["eq", "neq", "contains", "lt", "gt"]
    value: Sequence[str | int | float | bool]

    def __post_init__(self) -> None:
        if isinstance(self.value, str):
            raise invalid("value", self.value, "is not a list", f"Use [{shown(self.value)}].")


@dataclass(frozen=True, slots=True)
class LogQuery:
    """A page of log entries."""

    page: int = 1
    per_page: int = 20
    order_by: OrderBy = "created_at"
    descending: bool = True
    search: str = ""
    filters: Sequence[LogFilter] = ()

    def encoded(self) -> str:
        """The query string.

        Raises:
            ConfigError: A value is out of range, or cannot be encoded.
        """
        for name, number in (("page", self.page), ("per_page", self.per_page)):
            if type(number) is not int or number < 1:
                raise invalid(name, number, "is not a whole number above 0", "Use 1 or more.")
        if self.order_by not in get_args(OrderBy):
            raise invalid("order_by", self.order_by, "is not known", f"Use one of {', '.join(get_args(OrderBy))}.")
        if type(self.descending) is not bool:
            raise invalid("descending", self.descending, "is not a boolean", "Use True or False.")
        parameters = {
            "page": str(self.page),
            "per_page": str(self.per_page),
            "order_by": self.order_by,
            "order_by_direction": "desc" if self.descending else "asc",
        }
        try:
            if self.search:
                parameters["search"] = self.search
            if self.filters:
                rules = [{"key": rule.key, "operator": rule.operator, "value": [*rule.value]} for rule in self.filters]
                parameters["filters"] = json.dumps(rules, separators=(",", ":"))
            return urlencode(parameters)
        except (AttributeError, TypeError, ValueError) as error:  # no LogFilter, no list, no JSON, no UTF-8
            raise ConfigError(
                f"The query of the logs cannot be encoded: {error}.",
                field="filters",
                remedy="Use a str for search and a list of LogFilter for filters.",
            ) from error


def entries(connection: Connection, query: LogQuery, gateway_id: str | None = None) -> Actions[list[LogEntry]]:
    """The entries of one page."""
    page = yield from _page(connection, query, gateway_id)
    return page.entries


def pages(connection: Connection, query: LogQuery, gateway_id: str | None = None) -> Pages[LogEntry]:
    """The entries of all pages, from the first.

    Raises:
        ConfigError: As of `LogQuery.encoded`.
    """
    query.encoded()
    _logs_path(connection, gateway_id)
    return Pages(lambda page: _page(connection, replace(query, page=page), gateway_id), lambda entry: entry.id)


def _page(connection: Connection, query: LogQuery, gateway_id: str | None) -> Actions[Page[LogEntry]]:
    return get_page(connection, f"{_logs_path(connection, gateway_id)}?{query.encoded()}", read_entry)


def _logs_path(connection: Connection, gateway_id: str | None) -> str:
    gateway = gateway_id or connection.settings.gateway_id or DEFAULT_GATEWAY
    return rest_path(connection, f"/ai-gateway/gateways/{quoted_id('gateway_id', gateway)}/logs")


def _entry_path(connection: Connection, log_id: str, gateway_id: str | None) -> str:
    return f"{_logs_path(connection, gateway_id)}/{quoted_id('log_id', log_id)}"
