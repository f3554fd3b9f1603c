"""The gateways and log entries of the simulated account, in SQLite."""

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
CREATE TABLE IF NOT EXISTS log_entries (
    number INTEGER PRIMARY KEY, account TEXT NOT NULL, gateway TEXT NOT NULL, visible_at REAL NOT NULL,
    id TEXT NOT NULL UNIQUE, entry TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS log_entries_of_gateway ON log_entries (account, gateway, number);
"""


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

    def clear(self) -> None:
        """Delete every gateway and log entry."""
        self.rows("DELETE FROM log_entries")
        self.rows("DELETE FROM gateways")

    def add_log(self, account: str, gateway: str, visible_at: float, entry: dict[str, Any]) -> None:
        """Add a log entry, given in the field names of facts §8.5."""
        self.rows(
            "INSERT INTO log_entries (account, gateway, visible_at, id, entry) VALUES (?, ?, ?, ?, ?)",
            (account, gateway, visible_at, entry["id"], json.dumps(entry)),
        )

    def find_logs(self, where: str, values: Sequence[Any], order: str = "ORDER BY number") -> list[dict[str, Any]]:
        """The entries that satisfy a condition, with the bodies as `request` and `response`."""
        return [
            json.loads(row["entry"]) for row in self.rows(f"SELECT * FROM log_entries WHERE {where} {order}", values)
        ]
