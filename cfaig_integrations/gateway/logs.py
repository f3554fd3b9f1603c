"""What the gateway wrote down about a call: the logs API's paths and entries (facts §8.5).

The cost of a call stands here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar, cast
from urllib.parse import quote, urlencode

from cfaig_integrations.core.text import read_json
from cfaig_integrations.errors import ConfigError, GatewayError, NotFound, ProtocolError, shown
from cfaig_integrations.gateway.actions import Action, Outcome, Sleep
from cfaig_integrations.gateway.attempts import fetch
from cfaig_integrations.gateway.connection import Connection
from cfaig_integrations.gateway.failures.redaction import redacted
from cfaig_integrations.gateway.settings import DEFAULT_GATEWAY

_T = TypeVar("_T")
OrderBy: TypeAlias = Literal["created_at", "provider", "model", "model_type", "success", "cached"]

LATE = 0.5
"""Seconds that the log of a stream may come after the stream's end (facts §8.5)."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One call as the gateway saw it. None is what the log does not say.

    Attributes:
        id: `GatewayInfo.log_id` of the call.
        created_at: When, in the server's own words (ISO 8601).
        provider: Who answered.
        model: Which model; its spelling may differ from the request's.
        path: Endpoint at the provider.
        status_code: HTTP status of the answer.
        success: Whether it was none of the errors.
        cached: Whether it came from the cache, and cost nothing.
        tokens_in: Input tokens.
        tokens_out: Output tokens.
        cost: US dollars.
        duration: Milliseconds.
        metadata: What came as `cf-aig-metadata`, and what the gateway added.
        step: Which entry of a fallback chain answered.
        raw: The entry, word for word.
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
"""What each field must be to count as said."""


def read_entry(raw: object) -> LogEntry:
    """The entry that the logs API gave.

    Raises:
        ProtocolError: It is not an object with an id.
    """
    if not isinstance(raw, Mapping):
        raise ProtocolError("A log entry is not an object.", body=raw)
    entry = cast("Mapping[str, Any]", raw)
    name = entry.get("id")
    if not name or not isinstance(name, str | int):
        raise ProtocolError("A log entry has no id.", body=entry)
    known = {field: entry[field] for field, kind in _TYPES.items() if isinstance(entry.get(field), kind)}
    return LogEntry(id=str(redacted(name)), metadata=_metadata(entry.get("metadata")), raw=entry, **known)


def _metadata(value: object) -> Mapping[str, Any]:
    # A string by the published types, an object on the wire (facts §8.5).
    if isinstance(value, str):
        try:
            value = read_json(value)
        except ValueError:
            return {}
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def entry(connection: Connection, log_id: str, gateway_id: str | None = None) -> Generator[Action, Outcome, LogEntry]:
    """The conversation that reads one entry."""
    return (yield from _found(connection, log_id, gateway_id, read_entry))


def feedback(
    connection: Connection, log_id: str, given: Feedback, gateway_id: str | None = None
) -> Generator[Action, Outcome, None]:
    """The conversation that adds to one entry what people think of the answer."""
    yield from _found(connection, log_id, gateway_id, lambda _: None, given.fields())


def _found(
    connection: Connection,
    log_id: str,
    gateway_id: str | None,
    read: Callable[[object], _T],
    change: dict[str, Any] | None = None,
) -> Generator[Action, Outcome, _T]:
    """One entry, read or changed; one that is not there yet is asked for a second time."""
    path = f"{_root(connection, gateway_id)}/{_quoted('log_id', log_id)}"
    try:
        return (yield from fetch(connection, path, read, change))
    except NotFound as early:
        yield Sleep(LATE)
        try:
            return (yield from fetch(connection, path, read, change))
        except GatewayError as error:
            error.requests_sent += early.requests_sent
            raise


@dataclass(frozen=True, slots=True)
class Feedback:
    """What people think of an answer (facts §8.5). None is what they do not say.

    Attributes:
        value: 1 is good, -1 is bad.
        score: 0 to 100.
        metadata: Texts, numbers and booleans in place of the entry's own metadata.

    Raises:
        ConfigError: It says nothing, or something that the API does not know.
    """

    value: Literal[1, -1] | None = None
    score: float | None = None
    metadata: Mapping[str, str | int | float | bool] | None = None

    def __post_init__(self) -> None:
        if not self.fields():
            raise ConfigError("The feedback says nothing.", field="value", remedy="Give value, score or metadata.")
        if self.value not in (None, 1, -1):
            raise _wrong("value", self.value, "Give 1 or -1.")
        if self.score is not None and not (_is_number(self.score) and 0 <= self.score <= 100):
            raise _wrong("score", self.score, "Give 0 to 100.")
        for key, value in (self.metadata or {}).items():
            if not isinstance(value, str | int | float | bool):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
                raise _wrong(f"metadata[{key!r}]", value, "Give a text, a number or a boolean.")

    def fields(self) -> dict[str, Any]:
        """As the API says it."""
        said = {"feedback": self.value, "score": self.score, "metadata": self.metadata and dict(self.metadata)}
        return {name: value for name, value in said.items() if value is not None}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(name: str, value: object, remedy: str) -> ConfigError:
    return ConfigError(f"{name}={shown(value)} is no feedback.", field=name, value=value, remedy=remedy)


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Keeps entries whose `key` is `operator` one of `value`.

    Attributes:
        key: Such as `model`, `success`, `cost`, `metadata.key` or `metadata.value`.
    """

    key: str
    operator: Literal["eq", "neq", "contains", "lt", "gt"]
    value: Sequence[str | int | float | bool]


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which entries, and in what order.

    Attributes:
        page: From 1.
        per_page: How many.
        order_by: Which field.
        descending: Whether the highest comes first.
        search: Text to look for; empty: none.
        filters: All of them must hold.
    """

    page: int = 1
    per_page: int = 20
    order_by: OrderBy = "created_at"
    descending: bool = True
    search: str = ""
    filters: Sequence[LogFilter] = ()

    def encoded(self) -> str:
        """As a query string."""
        words = {
            "page": str(self.page),
            "per_page": str(self.per_page),
            "order_by": self.order_by,
            "order_by_direction": "desc" if self.descending else "asc",
        }
        try:
            if self.search:
                words["search"] = self.search
            if self.filters:
                rules = [{"key": rule.key, "operator": rule.operator, "value": [*rule.value]} for rule in self.filters]
                words["filters"] = json.dumps(rules, separators=(",", ":"))
            return urlencode(words)
        except (AttributeError, TypeError, ValueError) as error:  # no LogFilter, no list, no JSON, no UTF-8
            raise ConfigError(
                f"The logs cannot be asked for that: {error}.", field="filters", remedy="Give a list of LogFilter."
            ) from error


def entries(
    connection: Connection, query: LogQuery, gateway_id: str | None = None
) -> Generator[Action, Outcome, list[LogEntry]]:
    """The conversation that lists entries."""
    return (yield from fetch(connection, f"{_root(connection, gateway_id)}?{query.encoded()}", _read_entries))


def _read_entries(raw: object) -> list[LogEntry]:
    if not isinstance(raw, list):
        raise ProtocolError("The list of logs is not a list.", body=raw)
    return [read_entry(each) for each in cast("list[object]", raw)]


def _root(connection: Connection, gateway_id: str | None) -> str:
    settings = connection.settings
    if settings.legacy:
        raise ConfigError(
            "Logs are not on the legacy host.",
            field="base_url",
            value=settings.base_url,
            remedy="Leave base_url out: they are read over Cloudflare's REST API.",
        )
    gateway = gateway_id or settings.gateway_id or DEFAULT_GATEWAY
    return f"/ai-gateway/gateways/{_quoted('gateway_id', gateway)}/logs"


def _quoted(name: str, value: object) -> str:
    if isinstance(value, str) and value.isascii() and value:
        return quote(value, safe="")
    raise ConfigError(
        f"{name}={shown(value)} is not a valid id.", field=name, value=value, remedy="Give the id as a text."
    )
