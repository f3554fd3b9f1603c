"""The official SDKs' types and recorded exchanges, as an independent check of what the simulator sends.

Neither is part of the repository: tests that consist of such a check are marked `complete`, and omitted without them.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.recordings import COMPLETE, SHARED, recordings

complete = pytest.mark.recordings("complete")

_WORKER = """
import json, sys, validate
for line in sys.stdin:
    name, kind, payload = json.loads(line)
    print(json.dumps(getattr(validate, name)(kind, payload, strict=True)), flush=True)
"""


@functools.cache
def _worker() -> subprocess.Popen[str]:
    """The validator in a process of its own: it has to be imported before the SDKs are, which other tests import."""
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER],
        cwd=SHARED / "tools",
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(SHARED / "tools")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(worker.kill)
    return worker


def _errors(name: str, kind: str, payload: Any) -> list[str]:
    if not COMPLETE:
        return []
    worker = _worker()
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps([name, kind, payload]) + "\n")
    worker.stdin.flush()
    found: list[str] = json.loads(worker.stdout.readline())
    return found


def response_errors(kind: str, body: Any) -> list[str]:
    """The official types' errors in a whole response."""
    return _errors("validate_response", kind, body)


def stream_errors(kind: str, text: str) -> list[str]:
    """The official types' errors in a stream."""
    return _errors("validate_stream", kind, text)


def recorded(kind: str, host: str) -> Iterator[dict[str, Any]]:
    """Exchanges that the provider itself answered with success."""
    for exchange in recordings(kind):
        body = exchange["request_body"]
        if exchange["host"] == host and isinstance(body, dict) and body.get("model") and exchange["status"] == 200:
            yield exchange


def check(kind: str, dialect: Any, request: Any, answer: Any) -> None:
    """Validates a whole answer and a stream with the official types."""
    assert response_errors(kind, dialect.whole(request, answer)) == []
    assert stream_errors(kind, b"".join(dialect.stream(request, answer)).decode()) == []


def events(stream: Iterator[bytes]) -> list[dict[str, Any]]:
    """The payloads of a stream; every item must be one complete event."""
    found: list[dict[str, Any]] = []
    for raw in stream:
        assert raw.endswith(b"\n\n")
        line = raw.decode().rstrip("\n").split("\n")[-1]
        assert line.startswith("data: ")
        if line != "data: [DONE]":
            found.append(json.loads(line[6:]))
    return found
