"""The comparison with the budgets, with made-up counts."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import __main__ as benchmark
from tests.benchmarks.counting import Count, jobs
from tests.benchmarks.subjects import FRAMEWORKS, MEMORY, NETWORK, OURS
from tests.benchmarks.workloads import QUICK

BUDGETS: dict[str, Any] = json.loads(benchmark.BUDGETS.read_text())
NAME = "small call | langchain | run"


def counted(ours: float) -> list[Count]:
    costs = {OURS: ("run", ours), NETWORK: ("run", 60.0), MEMORY: ("", 40.0)}
    return [Count("langchain", "small call", subject, api, cost) for subject, (api, cost) in costs.items()]


def test_a_cost_is_divided_by_the_networks_and_the_frameworks() -> None:
    assert benchmark.keyed(benchmark.ratios(counted(120.0))) == {NAME: 1.2}


@pytest.mark.parametrize(("ours", "fails"), [(100.0, False), (102.9, False), (103.1, True), (90.0, False)])
def test_a_ratio_that_grew_by_more_than_three_percent_names_its_workload(ours: float, fails: bool) -> None:
    found = benchmark.over_budget(benchmark.keyed(benchmark.ratios(counted(ours))), {"ratios": {NAME: 1.0}})
    assert [NAME in sentence for sentence in found] == [True] * fails


def test_a_workload_without_a_budget_fails() -> None:
    assert benchmark.over_budget({NAME: 1.0}, {"ratios": {}})


def test_budgets_are_written_and_then_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "BUDGETS", tmp_path / "budgets.json")
    assert benchmark.compare({NAME: 1.0}, update=True) == benchmark.compare({NAME: 1.02}, update=False) == []
    assert len(benchmark.compare({NAME: 1.04}, update=False)) == 1


def test_other_versions_are_named_beside_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "BUDGETS", tmp_path / "budgets.json")
    benchmark.compare({NAME: 1.0}, update=True)
    monkeypatch.setattr(benchmark, "version", lambda name: "99")
    assert any("httpx" in sentence for sentence in benchmark.compare({NAME: 1.04}, update=False))


@pytest.mark.parametrize(("options", "code"), [(["--quick"], 0), ([], 1)], ids=["quick", "full"])
def test_without_valgrind_only_the_short_form_passes(
    options: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["benchmarks", *options])
    assert benchmark.main() == code
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("python", BUDGETS)
def test_every_row_of_the_short_form_has_a_budget(python: str) -> None:
    rows = {
        f"{name} | {framework} | {api}"
        for framework in FRAMEWORKS
        for name, subject, api in jobs(framework, [*QUICK], "quick")
        if subject == OURS
    }
    assert rows == set(BUDGETS[python]["ratios"])
