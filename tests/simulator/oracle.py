"""The official SDK types and recorded vendor traffic, as an oracle from outside the repository.

Not part of the repository, so a test that needs them skips, saying so, where they are absent.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"


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
    if not (SHARED / "tools" / "validate.py").exists():
        pytest.skip(f"SKIPPED WITHOUT ORACLE: no {SHARED / 'tools' / 'validate.py'}")
    worker = _worker()
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps([name, kind, payload]) + "\n")
    worker.stdin.flush()
    found: list[str] = json.loads(worker.stdout.readline())
    return found


def response_errors(kind: str, body: Any) -> list[str]:
    """What the official types have against a whole response."""
    return _errors("validate_response", kind, body)


def stream_errors(kind: str, text: str) -> list[str]:
    """What the official types have against a stream."""
    return _errors("validate_stream", kind, text)


def recorded(kind: str, host: str) -> Iterator[dict[str, Any]]:
    """Exchanges that the vendor itself answered with success."""
    path = SHARED / "recorded" / f"{kind}.jsonl"
    if not path.exists():
        pytest.skip(f"SKIPPED WITHOUT ORACLE: no {path}")
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            exchange = json.loads(line)
            body = exchange["request_body"]
            if exchange["host"] == host and isinstance(body, dict) and body.get("model") and exchange["status"] == 200:
                yield exchange


def check(kind: str, dialect: Any, request: Any, answer: Any) -> None:
    """Hold a whole answer and a stream against the official types."""
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
