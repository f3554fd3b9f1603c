"""The SQLite database of one simulator: its gateways and its log."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 2

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS gateways (
    account TEXT NOT NULL, id TEXT NOT NULL, settings TEXT NOT NULL,
    created_at REAL NOT NULL, modified_at REAL NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE TABLE IF NOT EXISTS routes (
    account TEXT NOT NULL, gateway TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL, elements TEXT NOT NULL,
    created_at REAL NOT NULL, PRIMARY KEY (account, gateway, name)
);
CREATE TABLE IF NOT EXISTS log_entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT, revision INTEGER NOT NULL, account TEXT NOT NULL, gateway TEXT NOT NULL,
    visible_at REAL NOT NULL, id TEXT NOT NULL UNIQUE, entry TEXT NOT NULL, request TEXT, response TEXT,
    created_at TEXT GENERATED ALWAYS AS (json_extract(entry, '$.created_at')) VIRTUAL,
    model TEXT GENERATED ALWAYS AS (json_extract(entry, '$.model')) VIRTUAL,
    provider TEXT GENERATED ALWAYS AS (json_extract(entry, '$.provider')) VIRTUAL,
    request_type TEXT GENERATED ALWAYS AS (json_extract(entry, '$.request_type')) VIRTUAL,
    status_code INTEGER GENERATED ALWAYS AS (json_extract(entry, '$.status_code')) VIRTUAL,
    success INTEGER GENERATED ALWAYS AS (json_extract(entry, '$.success')) VIRTUAL,
    cached INTEGER GENERATED ALWAYS AS (json_extract(entry, '$.cached')) VIRTUAL
);
CREATE INDEX IF NOT EXISTS log_entries_of_gateway ON log_entries (account, gateway, number);
CREATE INDEX IF NOT EXISTS log_entries_by_revision ON log_entries (revision);
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""
"""One transaction, so that a process that ends in the middle leaves no file that the next one refuses."""
_TABLES = frozenset({"gateways", "routes", "log_entries"})
_BUSY_SECONDS = 10.0


class Store:
    """One database, safe to use from several threads at once.

    A file is kept in WAL mode: a committed row survives the end of the process at any moment, and readers do not wait
    for the writer.
    """

    def __init__(self, database: str | Path = ":memory:") -> None:
        """Open or create the database; `:memory:` lives as long as the simulator.

        Raises:
            ValueError: The file was written by another version or program, is not a database, or cannot be opened.
        """
        self._lock = threading.RLock()
        try:
            self._connection = _connect(database)
        except sqlite3.OperationalError as error:
            raise ValueError(f"{database} cannot be opened as a database: {error}") from error
        try:
            _prepare(self._connection, database)
        except BaseException:
            self._connection.close()
            raise
        self.in_memory = str(database) == ":memory:"
        self._reader = self._connection if self.in_memory else _connect(database)
        self._reader_lock = self._lock if self.in_memory else threading.RLock()
        for connection in {id(c): c for c in (self._connection, self._reader)}.values():
            weakref.finalize(self, connection.close)

    def read(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """The rows of one query."""
        with self._reader_lock:
            return self._reader.execute(query, values).fetchall()

    def write(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run and commit one statement."""
        with self._lock:
            return self._connection.execute(statement, values)

    @property
    def version(self) -> int:
        """Changes when another connection, such as that of another server on the same file, has changed the file."""
        version: int = self.read("PRAGMA data_version")[0][0]
        return version

    def clear(self) -> None:
        """Delete every gateway, route and log entry."""
        for table in _TABLES:
            self.write(f"DELETE FROM {table}")


def _connect(database: str | Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    return connection


def _prepare(connection: sqlite3.Connection, database: str | Path) -> None:
    try:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and (version != SCHEMA_VERSION or not tables >= _TABLES):
            raise ValueError(f"{database} is not a log of this version of the simulator: choose another file")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{database} cannot be used as a database: {error}") from error
