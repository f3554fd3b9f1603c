"""What calls cost, from their log entries: the log ids in the objects of the frameworks, and the sum of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import fsum
from time import monotonic
from typing import Any, cast

from cfaig_integrations.errors import ConfigError, NotFound, shown
from cfaig_integrations.gateway import logs
from cfaig_integrations.gateway.actions import Actions, Sleep
from cfaig_integrations.gateway.connection import Connection
from cfaig_integrations.gateway.logs import LogEntry

__all__ = ["RunCost", "cost", "iter_log_ids", "log_ids_of", "run_cost"]

_DELAY = 0.5
"""Seconds between two requests for a log entry that is not written yet (facts §8.5)."""
_MAX_DEPTH = 8
_NESTED = ("info", "message", "raw", "response", "generations", "generation_info")
"""Attributes and keys under which frameworks keep what the gateway reports of a call."""
_PLACES = (("response_metadata", "gateway"), ("additional_kwargs", "cf_aig"))
"""Where messages and responses of LangChain and LlamaIndex have the `GatewayInfo` as a dict."""


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run cost.

    Attributes:
        total: US dollars.
        by_model: US dollars by the model of the log entry.
        by_metadata: US dollars by the value of the metadata key that was asked for; empty text: calls without it.
        calls: Calls whose log entry was found.
        cached: Those of them that the gateway's cache answered, at no cost.
        missing: Log ids without an entry, even after the wait; their cost is not in `total`.
        unpriced: Log ids whose entry has no cost.
    """

    total: float = 0.0
    by_model: Mapping[str, float] = field(default_factory=dict[str, float])
    by_metadata: Mapping[str, float] = field(default_factory=dict[str, float])
    calls: int = 0
    cached: int = 0
    missing: tuple[str, ...] = ()
    unpriced: tuple[str, ...] = ()


def log_ids_of(source: object, *, field_name: str = "source") -> list[str]:
    """The log ids in a message, a response, a collector, a log id, or an iterable of them; each once.

    Raises:
        ConfigError: There is none.
    """
    found = list(dict.fromkeys(iter_log_ids(source)))
    if found or source in ([], ()) or hasattr(source, "log_ids"):
        return found
    raise ConfigError(
        f"{field_name} is a {type(source).__name__} without a log id.",
        field=field_name,
        remedy="Use a message or response of this package's classes, a log id, or a LogCollector.",
    )


def iter_log_ids(source: object) -> Iterator[str]:
    """The log ids in an object; perhaps one twice."""
    return _ids(source, 0)


def _ids(source: Any, depth: int) -> Iterator[str]:
    """The log ids; frameworks are not imported here, so that their objects are known by their attributes."""
    if depth > _MAX_DEPTH or source is None:
        return
    if isinstance(source, str):
        if depth <= 1 and source and not any(map(str.isspace, source)):  # deeper texts are contents of messages
            yield source
        return
    if isinstance(source, Mapping):
        fields = cast("Mapping[str, Any]", source)
        if isinstance(log_id := fields.get("log_id"), str):
            yield log_id
        else:
            for value in fields.values():
                if not isinstance(value, str):
                    yield from _ids(value, max(depth + 1, 2))
        return
    items: object = getattr(source, "log_ids", source)
    if isinstance(items, list | tuple | set | frozenset):
        for item in cast("Iterable[Any]", items):
            is_id = items is not source and isinstance(item, str)  # of a collector or a `GatewayInfo`
            yield from _ids(item, 1 if is_id else depth + 1)
        return
    yield from _ids_of_object(source, depth)


def _ids_of_object(source: Any, depth: int) -> Iterator[str]:
    if isinstance(log_id := getattr(source, "log_id", None), str):
        yield log_id
        return
    for name, key in _PLACES:
        place = getattr(source, name, None)
        info: object = cast("Mapping[str, Any]", place).get(key) if isinstance(place, Mapping) else None
        if isinstance(info, Mapping):
            yield from _ids(info, depth + 1)
            return
    for name in _NESTED:
        value = getattr(source, name, None)
        if value is not None and not isinstance(value, str) and not callable(value):
            yield from _ids(value, max(depth + 1, 2))


def cost(connection: Connection, source: object, gateway_id: str | None = None) -> Actions[float | None]:
    """What one or more calls cost; None if no entry has a cost.

    Raises:
        ConfigError: There is no log id in `source`.
        NotFound: There is no such entry.
    """
    costs: list[float] = []
    for log_id in log_ids_of(source):
        entry = yield from logs.entry(connection, log_id, gateway_id)
        if entry.cost is not None:
            costs.append(entry.cost)
    return fsum(costs) if costs else None


def run_cost(
    connection: Connection, source: object, *, by: str = "model", wait: float = 5.0, gateway_id: str | None = None
) -> Actions[RunCost]:
    """What a run cost; late log entries are waited for.

    Raises:
        ConfigError: An argument is not valid.
    """
    if not isinstance(by, str) or not by:  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
        raise ConfigError(
            f"by={shown(by)} is not a key.", field="by", value=by, remedy="Use 'model' or a metadata key."
        )
    if isinstance(wait, bool) or not isinstance(wait, int | float) or not wait >= 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"wait={shown(wait)} is not a duration.", field="wait", value=wait, remedy="Use seconds, 0 or more."
        )
    return _collect(connection, log_ids_of(source), by, wait, gateway_id)


def _collect(
    connection: Connection, waiting: list[str], by: str, wait: float, gateway_id: str | None
) -> Actions[RunCost]:
    entries: dict[str, LogEntry] = {}
    began, slept = monotonic(), 0.0
    while True:
        late: list[str] = []
        for log_id in waiting:
            try:
                entries[log_id] = yield from logs.entry(connection, log_id, gateway_id, wait=False)
            except NotFound:
                late.append(log_id)
        if not late or max(monotonic() - began, slept) + _DELAY > wait:
            return _sum(entries, late, by)
        yield Sleep(_DELAY)
        slept += _DELAY
        waiting = late


def _sum(entries: Mapping[str, LogEntry], missing: list[str], by: str) -> RunCost:
    models: dict[str, list[float]] = defaultdict(list)
    values: dict[str, list[float]] = defaultdict(list)
    for entry in entries.values():
        models[entry.model or ""].append(entry.cost or 0.0)
        if by != "model":
            values[str(entry.metadata.get(by, ""))].append(entry.cost or 0.0)
    return RunCost(
        total=fsum(entry.cost or 0.0 for entry in entries.values()),
        by_model={name: fsum(costs) for name, costs in models.items()},
        by_metadata={name: fsum(costs) for name, costs in values.items()},
        calls=len(entries),
        cached=sum(bool(entry.cached) for entry in entries.values()),
        missing=tuple(missing),
        unpriced=tuple(log_id for log_id, entry in entries.items() if entry.cost is None),
    )
