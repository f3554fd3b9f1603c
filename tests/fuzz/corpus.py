"""The committed inputs, one JSON Lines file for each target, and which of many inputs are worth committing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.fuzz.targets import TARGETS

FOLDER = Path(__file__).parent / "corpus"
PACKAGE = str(Path(__file__).resolve().parents[2] / "cfaig_integrations")
MOST_BYTES = 15_000
"""Of one target's inputs."""


def read(target: str) -> list[bytes]:
    """The inputs of a target; each line is a JSON string whose characters are the bytes."""
    path = FOLDER / f"{target}.jsonl"
    lines = path.read_text(encoding="ascii").splitlines() if path.is_file() else []
    return [json.loads(line).encode("latin-1") for line in lines]


def write(target: str, inputs: Iterable[bytes]) -> None:
    """Replaces the inputs of a target."""
    lines = sorted(json.dumps(each.decode("latin-1")) for each in inputs)
    (FOLDER / f"{target}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")


def smallest_cover(target: str, inputs: Iterable[bytes]) -> list[bytes]:
    """Short inputs that together run nearly every pair of lines that all of them run."""
    chosen: list[bytes] = []
    covered: set[tuple[str, int, int]] = set()
    size = 0
    for each in sorted(set(inputs), key=len):
        steps = _steps(target, each)
        if not steps <= covered and size + len(each) <= MOST_BYTES:
            covered |= steps
            chosen.append(each)
            size += len(each)
    return chosen


def _steps(target: str, data: bytes) -> set[tuple[str, int, int]]:
    """The pairs of consecutive lines of the package that an input runs."""
    steps: set[tuple[str, int, int]] = set()

    def trace(frame: Any, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(PACKAGE):
            return None
        last = 0

        def line(frame: Any, event: str, argument: Any) -> Any:
            nonlocal last
            steps.add((name, last, frame.f_lineno))
            last = frame.f_lineno
            return line

        return line

    sys.settrace(trace)
    try:
        TARGETS[target](data)
    finally:
        sys.settrace(None)
    return steps
