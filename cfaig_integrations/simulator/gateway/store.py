"""The log entries and gateways of the simulated account, in SQLite.

Knows no HTTP: callers hand in values and get dictionaries in the field names of wire-facts §8.5 and §8.6.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS gateways (
    account TEXT NOT NULL, id TEXT NOT NULL, settings TEXT NOT NULL,
    created_at REAL NOT NULL, modified_at REAL NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE TABLE IF NOT EXISTS logs (
    number INTEGER PRIMARY KEY, account TEXT NOT NULL, gateway TEXT NOT NULL, visible_at REAL NOT NULL,
    id TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL, event_id TEXT, provider TEXT, model TEXT, model_type TEXT,
    path TEXT, duration INTEGER, request_type TEXT, request_content_type TEXT, response_content_type TEXT,
    status_code INTEGER, success INTEGER, cached INTEGER, tokens_in INTEGER, tokens_out INTEGER, cost REAL,
    custom_cost INTEGER, metadata TEXT, step INTEGER, feedback INTEGER, score REAL, user_agent TEXT,
    authentication INTEGER, wholesale INTEGER, byok INTEGER, compatibility_mode INTEGER, dlp_action TEXT,
    usage_metadata TEXT, request TEXT, response TEXT
);
CREATE INDEX IF NOT EXISTS logs_of_gateway ON logs (account, gateway, created_at);
"""

_COLUMNS = (
    "id",
    "created_at",
    "event_id",
    "provider",
    "model",
    "model_type",
    "path",
    "duration",
    "request_type",
    "request_content_type",
    "response_content_type",
    "status_code",
    "success",
    "cached",
    "tokens_in",
    "tokens_out",
    "cost",
    "custom_cost",
    "metadata",
    "step",
    "feedback",
    "score",
    "user_agent",
    "authentication",
    "wholesale",
    "byok",
    "compatibility_mode",
    "dlp_action",
    "usage_metadata",
    "request",
    "response",
)
_FLAGS = frozenset({"success", "cached", "custom_cost", "authentication", "wholesale", "byok", "compatibility_mode"})
_JSON = frozenset({"metadata", "usage_metadata"})


class Store:
    """One database, safe to use from the server's thread and a test's at once."""

    def __init__(self, database: str | Path = ":memory:") -> None:
        """Open or create the database; `:memory:` lives as long as the simulator."""
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.executescript(_SCHEMA)
        weakref.finalize(self, self._connection.close)

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Run one statement and return all its rows."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def count(self, query: str, values: Sequence[Any] = ()) -> int:
        """Run one statement and return how many rows it touched."""
        with self._lock:
            return self._connection.execute(query, values).rowcount

    def clear(self) -> None:
        """Forget every gateway and log entry."""
        with self._lock:
            self._connection.execute("DELETE FROM logs")
            self._connection.execute("DELETE FROM gateways")

    def add_log(self, account: str, gateway: str, visible_at: float, entry: dict[str, Any]) -> None:
        """Keep one log entry, given in the field names of the API; absent fields are null."""
        columns = ", ".join(_COLUMNS)
        marks = ", ".join("?" * (len(_COLUMNS) + 3))
        values = [
            json.dumps(entry[name]) if name in _JSON and entry.get(name) is not None else entry.get(name)
            for name in _COLUMNS
        ]
        self.count(
            f"INSERT INTO logs (account, gateway, visible_at, {columns}) VALUES ({marks})",
            [account, gateway, visible_at, *values],
        )

    def find_logs(self, where: str, values: Sequence[Any], tail: str = "ORDER BY number") -> list[dict[str, Any]]:
        """Entries that satisfy a condition, each as a dictionary of the API's fields and both bodies."""
        return [entry_of(row) for row in self.rows(f"SELECT * FROM logs WHERE {where} {tail}", values)]


def entry_of(row: sqlite3.Row) -> dict[str, Any]:
    """A log entry out of a row: flags as booleans, metadata as an object (wire-facts §8.5: so the live API)."""
    entry: dict[str, Any] = {name: row[name] for name in _COLUMNS}
    for name in _FLAGS:
        entry[name] = None if entry[name] is None else bool(entry[name])
    for name in _JSON:
        entry[name] = None if entry[name] is None else json.loads(entry[name])
    return entry
