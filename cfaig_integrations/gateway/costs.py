"""What calls cost, from their log entries: the log ids in the objects of the frameworks, and the sum of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import fsum
from time import monotonic
from typing import Any, cast

from cfaig_integrations.errors import ConfigError, GatewayError, NotFound, invalid
from cfaig_integrations.gateway import logs
from cfaig_integrations.gateway.actions import Actions, Sleep
from cfaig_integrations.gateway.connection import Connection
from cfaig_integrations.gateway.logs import LogEntry

CONCURRENCY = 8
"""Most requests for log entries at a time."""
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


def log_ids_of(source: object) -> list[str]:
    """The log ids in a message, a response, a collector, a log id, or an iterable of them; each once.

    Raises:
        ConfigError: There is none.
    """
    found = list(dict.fromkeys(iter_log_ids(source)))
    if found or source in ([], ()) or hasattr(source, "log_ids"):
        return found
    raise ConfigError(
        f"source is a {type(source).__name__} without a log id.",
        field="source",
        remedy="Use a message or response of this package's classes, a log id, or a LogCollector.",
    )


def iter_log_ids(source: Any, depth: int = 0) -> Iterator[str]:
    """The log ids in an object, perhaps one twice.

    Frameworks are not imported here, so that their objects are known by their attributes.
    """
    if depth > _MAX_DEPTH or source is None:
        return
    if isinstance(source, str):
        if depth <= 1 and source and not any(map(str.isspace, source)):  # deeper texts are contents of messages
            yield source
        return
    if isinstance(source, Mapping):
        fields = cast("Mapping[str, Any]", source)
        if reported := _reported(fields.get("log_ids"), fields.get("log_id")):
            yield from reported
        else:
            for value in fields.values():
                if not isinstance(value, str):
                    yield from iter_log_ids(value, max(depth + 1, 2))
        return
    if isinstance(source, list | tuple | set | frozenset):
        for item in cast("Iterable[Any]", source):
            yield from iter_log_ids(item, depth + 1)
        return
    yield from _ids_of_object(source, depth)


def _reported(log_ids: object, log_id: object) -> list[str]:
    """The log ids of all requests of a call, else that of the last one."""
    found = [*cast("Iterable[object]", log_ids)] if isinstance(log_ids, list | tuple) else []
    return [each for each in found or [log_id] if isinstance(each, str)]


def _ids_of_object(source: Any, depth: int) -> Iterator[str]:
    if reported := _reported(getattr(source, "log_ids", None), getattr(source, "log_id", None)):
        yield from reported
        return
    for name, key in _PLACES:
        place = getattr(source, name, None)
        info: object = cast("Mapping[str, Any]", place).get(key) if isinstance(place, Mapping) else None
        if isinstance(info, Mapping):
            yield from iter_log_ids(info, depth + 1)
            return
    for name in _NESTED:
        value = getattr(source, name, None)
        if value is not None and not isinstance(value, str) and not callable(value):
            yield from iter_log_ids(value, max(depth + 1, 2))


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


class RunLogs:
    """The log entries of a run, which are written late: requested in rounds until all are there or the time is over.

    Args:
        connection: Account, host and gateway.
        source: What has the log ids.
        by: `model`, or the metadata key by whose values the costs are added up, too.
        wait: Most seconds to wait.
        gateway_id: Gateway of the calls, if it is another one.

    Raises:
        ConfigError: An argument is not valid.
    """

    def __init__(self, connection: Connection, source: object, *, by: str, wait: float, gateway_id: str | None) -> None:
        if not isinstance(by, str) or not by:  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
            raise invalid("by", by, "is not a key", "Use 'model' or a metadata key.")
        if isinstance(wait, bool) or not isinstance(wait, int | float) or not wait >= 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise invalid("wait", wait, "is not a duration", "Use seconds, 0 or more.")
        self._connection, self._gateway_id = connection, gateway_id
        self._log_ids = log_ids_of(source)
        self._by, self._wait = by, wait
        self._entries: dict[str, LogEntry] = {}
        self._error: GatewayError | None = None
        self._began, self._slept = monotonic(), 0.0

    @property
    def _missing(self) -> list[str]:
        return [log_id for log_id in self._log_ids if log_id not in self._entries]

    def requests(self) -> list[Actions[None]]:
        """A request for each missing entry; they may be sent at the same time, and raise nothing."""
        return [self._read(log_id) for log_id in self._missing]

    def _read(self, log_id: str) -> Actions[None]:
        if self._error is not None:
            return
        try:
            self._entries[log_id] = yield from logs.entry(self._connection, log_id, self._gateway_id, wait=False)
        except NotFound:
            pass
        except GatewayError as error:
            self._error = error

    def pause(self) -> Actions[bool]:
        """Waits before the next round; False if there is none.

        Raises:
            GatewayError: The API returned another error than a missing entry, or could not be reached.
        """
        if self._error is not None:
            raise self._error
        if not self._missing or max(monotonic() - self._began, self._slept) + _DELAY > self._wait:
            return False
        yield Sleep(_DELAY)
        self._slept += _DELAY
        return True

    def cost(self) -> RunCost:
        """The sum of the entries that were found."""
        entries = {log_id: self._entries[log_id] for log_id in self._log_ids if log_id in self._entries}
        models: dict[str, list[float]] = defaultdict(list)
        values: dict[str, list[float]] = defaultdict(list)
        for entry in entries.values():
            models[entry.model or ""].append(entry.cost or 0.0)
            if self._by != "model":
                values[str(entry.metadata.get(self._by, ""))].append(entry.cost or 0.0)
        return RunCost(
            total=fsum(entry.cost or 0.0 for entry in entries.values()),
            by_model={name: fsum(costs) for name, costs in models.items()},
            by_metadata={name: fsum(costs) for name, costs in values.items()},
            calls=len(entries),
            cached=sum(bool(entry.cached) for entry in entries.values()),
            missing=tuple(self._missing),
            unpriced=tuple(log_id for log_id, entry in entries.items() if entry.cost is None),
        )
