"""The log: one entry for each model call, with filters, paging and totals by metadata."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, NotRequired, TypedDict, cast

from cfaig_integrations.simulator.clock import timestamp
from cfaig_integrations.simulator.gateway.store import Store

Scalar = str | int | float | bool
Condition = tuple[str, Sequence[Any]]

METADATA_TEXT = "CASE type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(value AS TEXT) END"
"""SQL: a metadata value as text, for a row of `json_each`."""

MAX_IN_MEMORY = 20_000  # entries of a log without a file
_PRUNE_EVERY = 64


class LogEntry(TypedDict):
    """One call, in the field names of Cloudflare's logs API, and a few more."""

    number: int  # counts up with every entry, across restarts
    revision: int  # the store's revision when the entry was added or last changed
    gateway: str
    id: str
    event_id: str
    created_at: str  # ISO 8601 in UTC, with milliseconds
    provider: str
    model: str
    model_type: str
    path: str
    request_type: str  # the format: `chat_completions`, `responses`, `messages`, `run`, `embeddings` or `universal`
    duration: int  # milliseconds
    status_code: int
    success: bool
    cached: bool
    streamed: bool
    tokens_in: int
    tokens_out: int
    cost: float  # dollars
    metadata: dict[str, Scalar] | None
    step: int
    guardrails: dict[str, list[str]]  # hazard categories that were found, by side
    feedback: int | None
    score: float | None
    user_agent: str | None
    request_headers: dict[str, str]  # without credentials, which are replaced by `***` before the entry is stored
    response_headers: dict[str, str]
    response_content_type: str
    request: NotRequired[str | None]  # the body as text, without credentials; only in `LogStore.get`
    response: NotRequired[str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which entries to read; None and an empty value accept every entry."""

    account: str | None = None
    gateway: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """Each key must be present with this value, compared as text (`true`, `7`)."""
    model: str | None = None
    request_type: str | None = None
    status_code: int | None = None
    success: bool | None = None
    cached: bool | None = None
    since: float | None = None  # seconds since 1970, inclusive
    text: str | None = None  # part of the model, the request or the response, in any case
    before_number: int | None = None  # only entries older than this one: a page that does not move while entries arrive

    def condition(self) -> Condition:
        """The SQL condition and its values."""
        tests: list[Condition] = []
        for column in ("account", "gateway", "model", "request_type", "status_code", "success", "cached"):
            value = getattr(self, column)
            if value is not None:
                tests.append((f"{column} = ?", (value,)))
        for key, value in self.metadata.items():
            match = f"key = ? AND {METADATA_TEXT} = ?"
            tests.append((f"EXISTS (SELECT 1 FROM json_each(entry, '$.metadata') WHERE {match})", (key, value)))
        if self.since is not None:
            tests.append(("created_at >= ?", (timestamp(self.since),)))
        if self.text:
            tests.append(contains(self.text, "model", "request", "response"))
        if self.before_number is not None:
            tests.append(("number < ?", (self.before_number,)))
        return all_of(tests)


def contains(text: str, *columns: str) -> Condition:
    """That one of the columns contains a text, in any case."""
    test = " OR ".join(f"instr(lower(coalesce({column}, '')), lower(?))" for column in columns)
    return f"({test})", (text,) * len(columns)


def all_of(conditions: Sequence[Condition]) -> Condition:
    """That every condition is met."""
    tests = ["1", *(test for test, _ in conditions)]
    return " AND ".join(tests), [value for _, values in conditions for value in values]


EVERYTHING = LogFilter()


class Outline(NamedTuple):
    """The figures of one entry, for totals over many."""

    gateway: str
    model: str
    request_type: str
    success: bool
    cached: bool
    tokens_in: int
    tokens_out: int
    cost: float
    duration: float  # milliseconds
    metadata: Mapping[str, Scalar] | None


_OUTLINE_PATHS = ", ".join(f"'$.{name}'" for name in Outline._fields[1:])


class LogStore:
    """The log entries of all gateways.

    Every method may be called from any thread. An entry that `add` has returned for is on disk: it survives the end
    of the process at any moment.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._revision: int = store.read("SELECT coalesce(max(revision), 0) FROM log_entries")[0][0]

    @property
    def version(self) -> str:
        """Changes with every change, also by another server on the same file."""
        return f"{self._revision}-{self._store.version}"

    def add(
        self, account: str, gateway: str, entry: Mapping[str, Any], *, visible_at: float = 0.0, keep: int | None = None
    ) -> int:
        """Add an entry without credentials, and commit it before returning its number.

        Cloudflare's logs API would show it at `visible_at`. The gateway's oldest entries beyond `keep` are deleted;
        without a file, at most `MAX_IN_MEMORY` entries are kept.
        """
        fields = {name: value for name, value in entry.items() if name not in {"request", "response"}}
        bodies = (entry.get("request"), entry.get("response"))
        values = (visible_at, entry["id"], json.dumps(fields, allow_nan=False), *bodies)
        with self._lock:
            self._revision += 1
            number = self._store.write(
                "INSERT INTO log_entries (revision, account, gateway, visible_at, id, entry, request, response) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (self._revision, account, gateway, *values),
            ).lastrowid
        if self._store.in_memory:
            keep = min(keep or MAX_IN_MEMORY, MAX_IN_MEMORY)
        if keep is not None and (number or 0) % _PRUNE_EVERY == 0:
            self._store.write(
                "DELETE FROM log_entries WHERE account = ? AND gateway = ? AND number <= (SELECT number FROM "
                "log_entries WHERE account = ? AND gateway = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (account, gateway, account, gateway, keep),
            )
        return number or 0

    def find(self, which: LogFilter = EVERYTHING, *, limit: int = 50) -> list[LogEntry]:
        """The newest entries that pass a filter, without their bodies."""
        return self.select(which, f"ORDER BY number DESC LIMIT {int(limit)}")

    def count(self, which: LogFilter | Condition = EVERYTHING) -> int:
        """How many entries pass a filter."""
        where, values = _condition(which)
        count: int = self._store.read(f"SELECT count(*) FROM log_entries WHERE {where}", values)[0][0]
        return count

    def get(self, log_id: str) -> LogEntry | None:
        """One entry with its bodies."""
        return next(iter(self.select(("id = ?", (log_id,)), bodies=True)), None)

    def update(self, log_id: str, changes: Mapping[str, Any]) -> None:
        """Change fields of an entry, such as its feedback."""
        with self._lock:
            self._revision += 1
            pairs = [item for name, value in changes.items() for item in (f"$.{name}", json.dumps(value))]
            settings = "".join(", ?, json(?)" for _ in changes)
            self._store.write(
                f"UPDATE log_entries SET revision = ?, entry = json_set(entry{settings}) WHERE id = ?",
                (self._revision, *pairs, log_id),
            )

    def delete(self, which: LogFilter | Condition) -> None:
        """Delete the entries that pass a filter."""
        where, values = _condition(which)
        with self._lock:
            self._revision += 1
            self._store.write(f"DELETE FROM log_entries WHERE {where}", values)

    def outlines(self, which: LogFilter = EVERYTHING, *, limit: int) -> list[Outline]:
        """The newest entries that pass a filter, with their figures only."""
        where, values = which.condition()
        query = f"SELECT gateway, json_extract(entry, {_OUTLINE_PATHS}) FROM log_entries WHERE {where}"
        rows = self._store.read(f"{query} ORDER BY number DESC LIMIT {int(limit)}", values)
        return [Outline(row[0], *json.loads(row[1])) for row in rows]

    def costs(self, which: LogFilter = EVERYTHING) -> Iterator[tuple[float, float, str, str, dict[str, Scalar] | None]]:
        """Time, cost, model, provider and metadata of the entries that cost something, oldest first."""
        where, values = which.condition()
        query = f"SELECT entry FROM log_entries WHERE {where} AND json_extract(entry, '$.cost') > 0 ORDER BY number"
        for row in self._store.read(query, values):
            entry = json.loads(row["entry"])
            at = datetime.fromisoformat(entry["created_at"]).timestamp()
            yield at, entry["cost"], entry["model"], entry["provider"], entry["metadata"]

    def select(
        self, which: LogFilter | Condition, order: str = "ORDER BY number", *, bodies: bool = False
    ) -> list[LogEntry]:
        """The entries that pass a filter or satisfy an SQL condition."""
        where, values = _condition(which)
        columns = "number, revision, gateway, entry" + (", request, response" if bodies else "")
        rows = self._store.read(f"SELECT {columns} FROM log_entries WHERE {where} {order}", values)
        return [_to_entry(row) for row in rows]


def _condition(which: LogFilter | Condition) -> Condition:
    return which.condition() if isinstance(which, LogFilter) else which


def _to_entry(row: sqlite3.Row) -> LogEntry:
    columns = {name: row[name] for name in row.keys() if name != "entry"}  # noqa: SIM118
    return cast("LogEntry", {**json.loads(row["entry"]), **columns})
