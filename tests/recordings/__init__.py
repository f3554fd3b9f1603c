"""Recorded exchanges with model providers: where they are, and how they are collected.

No recording is part of the repository. `python -m tests.recordings` collects some into `.recordings/`, from packages
on PyPI that publish recordings with their tests. Without one the tests that need recordings are left out, and one line
of the test report says so; each wire's hand-written streams and bodies, in `tests/wire/`, are tested everywhere.

A corpus is a folder with one JSON Lines file per format: `chat`, `responses`, `messages`, `embeddings`. Each line has

- `id`: 12 hexadecimal digits of the exchange's hash
- `source_repo`, `source_path`, `host`: who published it, in which file, and which host answered
- `request_body`: the JSON that was sent
- `status`, `response_headers`, `stream`, `response_body`: the response; a stream's body is its text
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
"""The maintainers' larger corpus, and a validator made of the official SDKs' types, beside the checkout."""
COLLECTED = ROOT / ".recordings"
COMPLETE = (SHARED / "recorded").is_dir()
"""Whether the larger corpus is there: only of it do the tests know how many recordings there are, and which are odd."""
RECORDED = SHARED / "recorded" if COMPLETE else COLLECTED
AVAILABLE = RECORDED.is_dir()


@cache
def _all(kind: str) -> list[dict[str, Any]]:
    path = RECORDED / f"{kind}.jsonl"
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [{**json.loads(text), "line": line} for line, text in enumerate(lines) if text]


def recordings(kind: str, *, stream: bool | None = None, ok: bool | None = True) -> list[dict[str, Any]]:
    """The recorded exchanges of one kind (`chat`, `responses`, `messages`, ...); each knows its `line`."""
    return [
        record
        for record in _all(kind)
        if (stream is None or record["stream"] is stream) and (ok is None or (200 <= record["status"] < 300) is ok)
    ]
