"""A logs API whose entries come late: each is missing for its first requests, and some for ever."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from cfaig_integrations import AIGateway
from cfaig_integrations.client import sync

LATE = 4
"""Requests for an entry that fail: two seconds, with half a second between two of them."""


@contextmanager
def late_logs(
    entries: Iterable[dict[str, Any]], never: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[AIGateway, list[float]]]:
    """A client of such a server, and the pauses that it makes, which take no time.

    Args:
        entries: The log.
        never: Id of the entry that never comes.
        monkeypatch: Replaces the pauses.
    """
    log = {entry["id"]: entry for entry in entries}
    requests: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            requests[name] += 1
            is_there = name in log and name != never and requests[name] > LATE
            body: dict[str, Any] = {"success": True, "result": log[name], "errors": []}
            if not is_there:
                body = {"success": False, "result": None, "errors": [{"code": 7002, "message": "Log not found"}]}
            data = json.dumps(body).encode()
            self.send_response(200 if is_there else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    pauses: list[float] = []
    monkeypatch.setattr(sync, "time", SimpleNamespace(sleep=pauses.append))
    try:
        yield (
            AIGateway(account_id="acc", api_token="tok", base_url=f"http://127.0.0.1:{server.server_port}/client/v4"),
            pauses,
        )
    finally:
        server.shutdown()
        server.server_close()
