"""`cfaig serve`: its options, its output, and what survives a kill."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from cfaig_integrations.cli import app
from cfaig_integrations.simulator.gateway.log_store import LogStore
from cfaig_integrations.simulator.gateway.store import SCHEMA_VERSION, Store

ROOT = Path(__file__).parents[2]
BODY = {"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": "Say hello"}]}


class Serving:
    """A running `cfaig serve`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.environment: dict[str, str] = {}
        self.output: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line.rstrip())
            name, _, value = line.removeprefix("export ").rstrip().partition("=")
            if line.startswith("export "):
                self.environment[name] = value
            if "Ctrl-C" in line:
                break
        base = self.environment["CLOUDFLARE_API_BASE_URL"]
        self.url = base.removesuffix("/client/v4")
        self.account = f"{base}/accounts/{self.environment['CLOUDFLARE_ACCOUNT_ID']}"
        self.headers = {"authorization": f"Bearer {self.environment['CLOUDFLARE_API_TOKEN']}"}

    def chat(self, client: httpx.Client | None = None) -> httpx.Response:
        return (client or httpx).post(f"{self.account}/ai/v1/chat/completions", json=BODY, headers=self.headers)


@contextmanager
def serving(*options: str) -> Generator[Serving]:
    command = [
        sys.executable,
        "-c",
        "from cfaig_integrations.cli import main; main()",
        "serve",
        "--port",
        "0",
        *options,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    try:
        yield Serving(process)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_the_log_survives_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "log.sqlite"
    ids: list[str] = []
    for _ in range(2):
        with serving("--database", str(file)) as server:
            ids.append(server.chat().headers["cf-aig-log-id"])
            listed = httpx.get(f"{server.account}/ai-gateway/gateways/default/logs", headers=server.headers).json()
            assert [entry["id"] for entry in listed["result"]] == ids[::-1]
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(30) == 0


def test_the_output_points_a_program_at_the_server(tmp_path: Path) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"openai/*": {"input": 1e6}}))
    with serving("--prices", str(prices), "--token", "my-own-token") as server:
        assert server.environment["CLOUDFLARE_API_TOKEN"] == "my-own-token"
        assert server.environment["CLOUDFLARE_AI_GATEWAY_ID"] == "default"
        assert any(f"{server.url}/v1/" in line for line in server.output), "the legacy host"
        bases = dict(part.split("=", 1) for line in server.output for part in line.split() if "BASE_URL=" in part)
        assert (bases["OPENAI_BASE_URL"], bases["ANTHROPIC_BASE_URL"]) == (
            f"{server.account}/ai/v1",
            f"{server.account}/ai",
        )
        answer = server.chat()
        logs = f"{server.account}/ai-gateway/gateways/default/logs"
        entry = httpx.get(f"{logs}/{answer.headers['cf-aig-log-id']}", headers=server.headers).json()["result"]
        assert entry["cost"] == entry["tokens_in"] > 0


def test_a_public_address_gets_a_random_token() -> None:
    with serving("--host", "0.0.0.0") as first, serving("--host", "0.0.0.0") as second:
        tokens = {server.environment["CLOUDFLARE_API_TOKEN"] for server in (first, second)}
        assert len(tokens) == 2
        assert all(len(token) >= 30 for token in tokens)
        assert first.chat().status_code == 200


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--prices", "absent.json"], "absent.json"),
        (["--prices", "list.json"], "JSON object"),
        (["--prices", "typo.json"], "'imput'"),
        (["--prices", "negative.json"], "dollars per million tokens"),
        (["--prices", "words.json"], "not JSON"),
        (["--upstream", "localhost:11434"], "must be a URL"),
        (["--upstream", "http://localhost:114340/v1"], "must be a URL"),
        (["--upstream-model", "llama3"], "Add --upstream"),
        (["--database", ""], "--database is empty"),
        (["--database", "words.json"], "cannot be used as a database"),
        (["--database", "absent/log.sqlite"], "cannot be opened as a database"),
        (["--database", "."], "cannot be opened as a database"),
        (["--database", "other.sqlite"], "not a log of this version"),
    ],
)
def test_options_that_are_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("other.sqlite")) as other:
        other.executescript(f"CREATE TABLE routes (x); PRAGMA user_version = {SCHEMA_VERSION}")
    Path("list.json").write_text("[]")
    Path("typo.json").write_text('{"a/b": {"imput": 1}}')
    Path("negative.json").write_text('{"a/b": {"input": -1}}')
    Path("words.json").write_text("no JSON, and no database " * 50)
    result = CliRunner().invoke(app, ["serve", *options])
    assert result.exit_code == 1
    assert reason in result.stderr
    assert "Traceback" not in result.output


def test_an_acknowledged_entry_survives_a_kill(tmp_path: Path) -> None:
    """Ten times: four clients write as fast as they can while the process is killed."""
    file = tmp_path / "log.sqlite"
    acknowledged: list[str] = []

    def write(server: Serving, enough: threading.Semaphore) -> None:
        with httpx.Client(timeout=10) as client:
            while True:
                try:
                    answer = server.chat(client)
                except httpx.HTTPError:
                    return
                acknowledged.append(answer.headers["cf-aig-log-id"])
                enough.release()

    for _ in range(10):
        with serving("--database", str(file)) as server:
            enough = threading.Semaphore(0)
            threads = [threading.Thread(target=write, args=(server, enough)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for _ in range(12):
                assert enough.acquire(timeout=60)
            server.process.kill()
            for thread in threads:
                thread.join(60)
    assert len(acknowledged) >= 120
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        stored = {row[0] for row in connection.execute("SELECT id FROM log_entries")}
    assert set(acknowledged) <= stored
    logs = LogStore(Store(file))
    newest = logs.find(limit=1)[0]
    assert newest["number"] == logs.count()
    assert json.loads((logs.get(newest["id"]) or newest).get("request") or "") == BODY
