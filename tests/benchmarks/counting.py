"""Counts of instructions: a server and a client under callgrind for each group of jobs, two groups at a time."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.benchmarks.instrumentation import supported
from tests.benchmarks.subjects import ALTERNATIVES, FRAMEWORKS, MEMORY, NETWORK, OURS, Alternative
from tests.benchmarks.workloads import ROWS, WORKLOADS

ROOT = Path(__file__).resolve().parents[2]
SUMMARY = re.compile(r"^summary: (\d+)", re.M)
FIRST = ("import", "first call")
CALLGRIND = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--dump-line=no"]


@dataclass(frozen=True)
class Count:
    """What one unit of a workload costs a subject, in instructions, or why that is unknown."""

    framework: str
    workload: str
    subject: str
    format: str
    instructions: float = 0.0
    error: str = ""


def unavailable() -> str:
    """Why nothing can be counted here, or nothing."""
    if not supported():
        return "Instructions are counted on Linux with x86-64 only."
    return "" if shutil.which("valgrind") else "valgrind is not installed (Debian package `valgrind`)."


@cache
def same_addresses() -> list[str]:
    """The command that loads a program at the same addresses each time, where it is allowed.

    Dicts whose keys are objects cost what their addresses make of it: without this, two counts differ by up to 1 %.
    """
    command = ["setarch", "-R"]
    allowed = (
        shutil.which(command[0]) and not subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    )
    return command if allowed else []


@contextmanager
def server(environment: dict[str, str]) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.benchmarks.server"]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, cwd=ROOT, env=environment, **pipes) as process:
        assert process.stdin
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


def run(arguments: dict[str, Any], counted: bool = True) -> list[dict[str, Any]]:
    """The reports of one client process; each has the counts of its dumps.

    Raises:
        RuntimeError: The client failed.
    """
    # Nothing else of the environment: its variables change what packages do, and a seed of hashes what dicts cost.
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", "LANGSMITH_TRACING": "false"}
    with tempfile.TemporaryDirectory() as folder, server(environment) as url:
        file = Path(folder) / "out"
        command = [*same_addresses(), *CALLGRIND, f"--callgrind-out-file={file}"] if counted else []
        command += [sys.executable, "-m", "tests.benchmarks.client"]
        text = json.dumps({"url": url, **arguments})
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, cwd=ROOT, env=environment, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        reports = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        number = 0
        for each in reports if counted else []:
            files = [Path(f"{file}.{number + i + 1}") for i in range(each.get("dumps", 0))]
            number += len(files)
            each["counts"] = [int(found[1]) for path in files if (found := SUMMARY.search(path.read_text()))]
    return reports


def installed(other: Alternative) -> bool:
    try:
        return find_spec(other.module) is not None
    except ModuleNotFoundError:  # of the package that holds the module
        return False


def jobs(framework: str, selected: list[str], rows: str) -> list[list[str]]:
    """The jobs of this package and of what its cost is divided by; the network costs both frameworks the same."""
    found: list[list[str]] = []
    for name in selected:
        work = ROWS[rows][name]
        if (framework, work.method) == (FRAMEWORKS[1], "stream") and work.n > 10_000:
            continue  # each of its responses holds the text so far, whose copies callgrind counts byte by byte
        if MEMORY in work.floors:
            found.append([name, MEMORY, ""])
        for api in work.formats:
            found.append([name, OURS, api])
            if NETWORK in work.floors and framework == FRAMEWORKS[0]:
                found.append([name, NETWORK, api])
    return found


def groups(selected: list[str], rows: str, alternatives: bool) -> Iterator[dict[str, Any]]:
    """The arguments of each client process."""
    names = [name for name in selected if name not in FIRST]
    for framework in FRAMEWORKS:
        if names:
            yield {"framework": framework, "rows": rows, "jobs": jobs(framework, names, rows)}
    for other in ALTERNATIVES if alternatives else []:
        if installed(other):
            works = {name: WORKLOADS[name] for name in names if WORKLOADS[name].kind == other.kind}
            own = [name for name, work in works.items() if other.format in work.formats or NETWORK not in work.floors]
            if own:
                yield {
                    "framework": other.framework,
                    "rows": rows,
                    "jobs": [[name, other.title, other.format] for name in own],
                }
    if set(selected) & set(FIRST):
        yield from first_calls(alternatives)


def first_calls(alternatives: bool) -> Iterator[dict[str, Any]]:
    for framework in FRAMEWORKS:
        others = [each for each in ALTERNATIVES if each.kind == "chat" and each.framework == framework]
        yield {"framework": framework, "subject": MEMORY, "api": ""}
        yield {"framework": framework, "subject": OURS, "api": "chat_completions"}
        for other in others if alternatives else []:
            if installed(other):
                yield {"framework": framework, "subject": other.title, "api": other.format}
    yield {"framework": FRAMEWORKS[0], "subject": NETWORK, "api": "chat_completions"}


def count(selected: list[str], rows: str, alternatives: bool) -> list[Count]:
    """The costs of all selected workloads."""

    def counted(group: dict[str, Any]) -> list[Count]:
        framework = str(group["framework"])
        try:
            if "subject" in group:
                run(group, counted=False)  # compiles what is imported
            reports = run(group)
            if "subject" in group and group["subject"] != NETWORK:  # whose import is a part of the framework's
                reports[1]["counts"][0] += reports[0]["counts"][0]
        except RuntimeError as error:
            names = group.get("jobs") or [["import", group["subject"], group["api"]]]
            return [Count(framework, name, subject, api, error=str(error)) for name, subject, api in names]
        return [cost(framework, each, rows) for each in reports]

    with ThreadPoolExecutor(2) as threads:
        return [each for found in threads.map(counted, groups(selected, rows, alternatives)) for each in found]


def cost(framework: str, found: dict[str, Any], rows: str) -> Count:
    name, subject, api = found["job"]
    if "error" in found:
        return Count(framework, name, subject, api, error=found["error"])
    work = ROWS[rows].get(name)
    return Count(framework, name, subject, api, work.cost(found["counts"]) if work else found["counts"][0])


def skipped() -> list[str]:
    """The packages with alternatives that are not installed."""
    return sorted({each.package for each in ALTERNATIVES if not installed(each)})
