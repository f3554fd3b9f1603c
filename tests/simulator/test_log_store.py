"""The log store: filters, paging, totals, revisions, and what survives a restart."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cfaig_integrations.simulator.clock import timestamp
from cfaig_integrations.simulator.gateway import log_store
from cfaig_integrations.simulator.gateway import store as store_module
from cfaig_integrations.simulator.gateway.log_store import LogFilter, LogStore
from cfaig_integrations.simulator.gateway.store import Store

NOON = 1_790_000_000.0


def entry(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"log-{number}",
        "created_at": timestamp(NOON + number),
        "provider": "openai",
        "model": "openai/gpt-4.1",
        "request_type": "chat_completions",
        "status_code": 200,
        "success": True,
        "cached": False,
        "tokens_in": 10,
        "tokens_out": 5,
        "cost": 0.25,
        "duration": 100 * number,
        "metadata": {"user": "ann", "paid": True, "n": 7},
        "request": f"request {number}",
        "response": f"Response {number}",
    } | fields


@pytest.fixture
def logs() -> LogStore:
    store = LogStore(Store())
    store.add("account", "default", entry(1))
    store.add("account", "default", entry(2, metadata={"user": "bob"}, success=False, status_code=429))
    store.add("account", "other", entry(3, model="@cf/meta/llama", provider="workers-ai", cached=True))
    store.add("account", "default", entry(4, metadata=None, request_type="messages", request="Grüße <b>", cost=1.0))
    return store


@pytest.mark.parametrize(
    ("which", "numbers"),
    [
        (LogFilter(), [4, 3, 2, 1]),
        (LogFilter(gateway="default"), [4, 2, 1]),
        (LogFilter(account="nobody"), []),
        (LogFilter(metadata={"user": "ann"}), [3, 1]),
        (LogFilter(metadata={"user": "ann", "paid": "true", "n": "7"}), [3, 1]),
        (LogFilter(metadata={"paid": "ann"}), []),
        (LogFilter(model="@cf/meta/llama"), [3]),
        (LogFilter(model="openai/gpt-4.1", success=True), [4, 1]),
        (LogFilter(status_code=429), [2]),
        (LogFilter(success=False), [2]),
        (LogFilter(cached=True), [3]),
        (LogFilter(request_type="messages"), [4]),
        (LogFilter(since=NOON + 2), [4, 3, 2]),
        (LogFilter(text="RESPONSE 2"), [2]),
        (LogFilter(text="Grüße <B>"), [4]),
        (LogFilter(text="' OR 1 --"), []),
        (LogFilter(before_number=3), [2, 1]),
    ],
)
def test_filters(logs: LogStore, which: LogFilter, numbers: list[int]) -> None:
    assert [item["number"] for item in logs.find(which)] == numbers
    assert logs.count(which) == len(numbers)


def test_pages_and_one_entry(logs: LogStore) -> None:
    assert [item["number"] for item in logs.find(limit=2)] == [4, 3]
    assert "request" not in logs.find()[0], "a list does not read the bodies"
    read = logs.get("log-4")
    assert read is not None
    assert (read["request"], read["response"], read["gateway"]) == ("Grüße <b>", "Response 4", "default")
    assert logs.get("log-9") is None


def revision(logs: LogStore) -> int:
    return int(logs.version.partition("-")[0])


def test_changes_have_revisions(logs: LogStore) -> None:
    before = revision(logs)
    logs.update("log-1", {"feedback": -1, "metadata": {"x": 1}})
    changed = [item for item in logs.find() if item["revision"] > before]
    assert [(item["id"], item["feedback"], item["metadata"]) for item in changed] == [("log-1", -1, {"x": 1})]
    logs.delete(LogFilter(success=False))
    assert logs.count() == 3
    logs.add("account", "default", entry(5))
    assert revision(logs) == before + 3


def test_outlines_have_the_figures_of_the_newest_entries(logs: LogStore) -> None:
    newest, other = logs.outlines(limit=2)
    assert (newest.gateway, newest.request_type, newest.cost, newest.metadata) == ("default", "messages", 1.0, None)
    assert other[:5] == ("other", "@cf/meta/llama", "chat_completions", True, True)
    assert other[5:] == (10, 5, 0.25, 300, {"user": "ann", "paid": True, "n": 7})
    assert [outline.duration for outline in logs.outlines(LogFilter(metadata={"user": "bob"}), limit=9)] == [200]


def test_the_oldest_entries_make_room() -> None:
    logs = LogStore(Store())
    for number in range(1, 129):
        logs.add("account", "default", entry(number), keep=10)
    assert [item["number"] for item in logs.find()] == list(range(128, 118, -1))


def test_a_log_without_a_file_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_store, "MAX_IN_MEMORY", 10)
    logs = LogStore(Store())
    for number in range(1, 129):
        logs.add("account", "default", entry(number))
    assert logs.count() == 10


def test_a_file_keeps_entries_and_counts_on(tmp_path: Path) -> None:
    file = tmp_path / "log.sqlite"
    first = LogStore(Store(file))
    first.add("account", "default", entry(1))
    first.update("log-1", {"feedback": 1})
    again = LogStore(Store(file))
    assert [item["feedback"] for item in again.find()] == [1]
    assert again.add("account", "default", entry(2)) == 2
    assert revision(again) == 3
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    text, foreign = tmp_path / "notes.txt", tmp_path / "foreign.sqlite"
    text.write_text("not a database " * 100)
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE log_entries (x)").connection.commit()
    for file in (text, foreign):
        content = file.read_bytes()
        with pytest.raises(ValueError, match=file.name):
            Store(file)
        assert file.read_bytes() == content, "the file is left as it is"


def test_the_version_changes_when_another_server_writes_to_the_file(tmp_path: Path) -> None:
    first, second = (LogStore(Store(tmp_path / "log.sqlite")) for _ in range(2))
    before = second.version
    assert second.version == before
    first.add("account", "default", entry(1))
    assert second.version != before


def test_a_file_whose_creation_was_interrupted_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "_SCHEMA", store_module._SCHEMA.replace("CREATE TABLE IF NOT EXISTS log", "oops"))
        with pytest.raises(ValueError, match="cannot be used"):
            Store(tmp_path / "log.sqlite")
    assert LogStore(Store(tmp_path / "log.sqlite")).add("account", "default", entry(1)) == 1
