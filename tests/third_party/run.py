"""Runs small programs of third-party packages with this package's models, each in an environment of its own.

    python tests/third_party/run.py [name ...] [--upgrade]

The environments are made on first use, in `.third_party/` at the top of the repository, with `uv` if it is installed
and else with `pip`. The programs call a simulated gateway, never a real one. Prints a table, and exits with 1 if a
program fails.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".third_party"
PACKAGES: dict[str, list[str]] = tomllib.loads((Path(__file__).parent / "packages.toml").read_text(encoding="utf-8"))
"""Program -> the requirements that it needs besides this package; the first is the package that it shows."""
TIME_LIMIT = 900
"""Seconds after which a program counts as hung."""


class Outcome(NamedTuple):
    """The row of a program in the table."""

    program: str
    package: str
    version: str
    result: str
    reason: str


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A finished process, with its output."""
    return subprocess.run(
        [str(each) for each in arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIME_LIMIT
    )


def install(python: Path, requirements: list[str], upgrade: bool) -> str:
    """Makes an environment; returns why it could not be made."""
    uv = shutil.which("uv")
    if not python.exists():
        command(sys.executable, "-m", "venv", *(["--without-pip"] if uv else []), python.parents[1])
    elif not upgrade:
        return ""
    pip = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    installed = command(*pip, "-q", "--upgrade", "-e", ".[all]", *requirements)
    if installed.returncode:
        shutil.rmtree(python.parents[1])
        return "not installed: " + last_line(installed.stderr)
    return ""


def last_line(text: str) -> str:
    """The last line that is not empty."""
    return ([line.strip() for line in text.splitlines() if line.strip()] or [""])[-1][:160]


def outcome(program: str, upgrade: bool) -> Outcome:
    """Runs one program."""
    python = ENVIRONMENTS / program / "bin" / "python"
    package = PACKAGES[program][0]
    try:
        if reason := install(python, PACKAGES[program], upgrade):
            return Outcome(program, package, "", "FAIL", reason)
        get_version = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
        version = command(python, "-c", get_version).stdout.strip()
        done = command(python, "-m", "tests.third_party.kit", program)
    except subprocess.TimeoutExpired:
        return Outcome(program, package, "", "FAIL", f"did not finish in {TIME_LIMIT} s")
    (ENVIRONMENTS / f"{program}.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        return Outcome(program, package, version, "FAIL", last_line(done.stderr))
    return Outcome(program, package, version, "ok", last_line(done.stdout))


def main() -> int:
    """Runs the programs that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="*", choices=[[], *PACKAGES], help="which to run (default: all)")
    parser.add_argument("--upgrade", action="store_true", help="install the newest versions first")
    arguments = parser.parse_args()
    rows = [Outcome("program", "package", "version", "result", "reason")]
    for program in arguments.program or PACKAGES:
        print(f"{program} ...", file=sys.stderr)
        rows.append(outcome(program, arguments.upgrade))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(" | ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip())
    return int(any(row.result == "FAIL" for row in rows[1:]))


if __name__ == "__main__":
    sys.exit(main())
