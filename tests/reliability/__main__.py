"""Runs the tests of this folder at full size, and prints what they counted.

`python -m tests.reliability load` runs those of test_load.py; other names likewise, and options are pytest's.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests import reliability

HERE = Path(__file__).parent


class Figures:
    """How many cases each test function had, how many failed, and what it recorded."""

    def __init__(self) -> None:
        self.cases: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.recorded: dict[str, list[tuple[str, object]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.partition("::")[2].partition("[")[0]
        if report.when == "call":
            self.cases[name] += dict(report.user_properties).get("cases", 1)
            self.recorded.setdefault(name, []).extend(each for each in report.user_properties if each[0] != "cases")
        self.failed[name] += report.failed

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_line("| test | cases | failed |\n|---|---|---|")
        for name, number in sorted(self.cases.items()):
            terminalreporter.write_line(f"| {name} | {number:,} | {self.failed[name]} |")
            for figure in self.recorded[name]:
                terminalreporter.write_line(f"    {figure[0]}: {figure[1]}")


def main(arguments: list[str]) -> int:
    """Runs pytest over the folder, or over the files that are named."""
    reliability.FULL = True
    os.environ["RELIABILITY"] = "full"  # for processes of pytest-xdist
    files = {each: str(HERE / f"test_{each}.py") for each in arguments if (HERE / f"test_{each}.py").exists()}
    options = [each for each in arguments if each not in files]
    return pytest.main([*(files.values() or [str(HERE)]), "-q", *options], plugins=[Figures()])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
