"""Counts what this package costs: `python -m tests.benchmarks`.

The cost of a unit of work, in instructions of the client process, is divided by what the network and the framework cost
alone: httpx and json with the same requests and responses, and a model of the framework that answers from memory.
Instructions do not depend on the machine's load: two runs differ by less than 1 %; where `setarch -R` is allowed, calls
differ by 0.002 %. `--quick` compares the ratios of fewer units with `budgets.json`, and fails if one is more than
3 % larger. `--curves FILE` draws how the cost grows with the number of calls, events, texts, messages and tools.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.counting import FIRST, Count, count, skipped, unavailable
from tests.benchmarks.curves import draw
from tests.benchmarks.subjects import FRAMEWORKS, MEMORY, NETWORK, OURS
from tests.benchmarks.workloads import CURVES, QUICK, WORKLOADS

BUDGETS = Path(__file__).with_name("budgets.json")
TOLERANCE = 0.03
DISTRIBUTIONS = ("httpx", "pydantic", "langchain-core", "llama-index-core")
PYTHON = "{}.{}".format(*sys.version_info)
console = Console(width=None if sys.stdout.isatty() else 150)
Ratios = dict[tuple[str, str, str, str], float]


def ratios(counts: list[Count]) -> Ratios:
    """Cost over what it is divided by, for each workload, framework, subject and format."""
    costs = {(c.workload, c.framework, c.subject, c.format): c.instructions for c in counts if not c.error}
    found: Ratios = {}
    for (workload, framework, subject, api), cost in costs.items():
        parts = floor_parts(workload, framework, api)
        if subject not in {MEMORY, NETWORK} and all(part in costs for part in parts):
            found[workload, framework, subject, api] = cost / sum(costs[part] for part in parts)
    return found


def floor_parts(workload: str, framework: str, api: str) -> list[tuple[str, str, str, str]]:
    """The costs whose sum a cost is divided by. The first call includes the import."""
    memory = (workload, framework, MEMORY, "")
    network = (workload, FRAMEWORKS[0], NETWORK, "chat_completions" if workload in FIRST else api)
    if workload in FIRST:
        return [memory] if workload == FIRST[0] else [memory, network]
    floors = WORKLOADS[workload].floors
    return [memory] * (MEMORY in floors) + [network] * (NETWORK in floors)


def table(found: Ratios, alternatives: bool) -> Table:
    """A row for each workload and framework, a column for each format."""
    columns = ("chat_completions", "responses", "messages", "run")
    shown = Table("workload", "framework", *(name.replace("_", " ") for name in columns), "best alternative")
    for workload in (*WORKLOADS, *FIRST):
        for framework in FRAMEWORKS:
            row = {api: ratio for (name, of, subject, api), ratio in found.items()
                   if (name, of, subject) == (workload, framework, OURS)}  # fmt: skip
            others = [(ratio, subject) for (name, of, subject, _), ratio in found.items()
                      if (name, of) == (workload, framework) and subject != OURS]  # fmt: skip
            if not row and not others:
                continue
            row.setdefault("chat_completions", row.pop("embeddings", 0.0))
            cells = [f"{row[api]:.2f}" if row.get(api) else "" for api in columns]
            best = "{:.2f} {}".format(*min(others)) if others else ""
            shown.add_row(workload, framework, *cells, best)
    if not alternatives:
        shown.columns.pop()
    return shown


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in DISTRIBUTIONS}}


def keyed(found: Ratios) -> dict[str, float]:
    return {f"{workload} | {framework} | {api}": round(ratio, 4)
            for (workload, framework, subject, api), ratio in found.items() if subject == OURS}  # fmt: skip


def over_budget(now: dict[str, float], budget: dict[str, Any]) -> list[str]:
    """The workloads whose ratio has grown too much, each as a sentence."""
    sentences: list[str] = []
    for name, ratio in now.items():
        allowed = budget["ratios"].get(name)
        if allowed is None:
            sentences.append(f"{name}: no budget. Write one with --quick --update.")
        elif ratio > allowed * (1 + TOLERANCE):
            sentences.append(f"{name}: {ratio:.3f}, {ratio / allowed - 1:.1%} more than its budget of {allowed:.3f}.")
    return sentences


def compare(now: dict[str, float], update: bool) -> list[str]:
    """Compares with the budgets of this Python version, or writes them."""
    budgets: dict[str, Any] = json.loads(BUDGETS.read_text()) if BUDGETS.exists() else {}
    budget = budgets.get(PYTHON)
    if update:
        kept = budget["ratios"] if budget else {}
        budgets[PYTHON] = {"versions": versions(), "ratios": kept | now}
        BUDGETS.write_text(json.dumps(dict(sorted(budgets.items())), indent=1) + "\n")
        console.print(f"{len(now)} budgets of Python {PYTHON} written.")
        return []
    if budget is None:
        console.print(f"There are no budgets of Python {PYTHON}; write them with --quick --update.")
        return []
    problems = over_budget(now, budget)
    if problems and (other := {k: v for k, v in versions().items() if budget["versions"].get(k) != v}):
        counted = {name: budget["versions"].get(name) for name in other}
        problems.append(f"The budgets were counted with {counted}, and these with {other}.")
    return problems


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", default="", help="parts of the names of workloads, separated by commas")
    parser.add_argument("--alternatives", action="store_true", help="count other packages too (extra `bench`)")
    parser.add_argument("--quick", action="store_true", help="fewer units, compared with the budgets")
    parser.add_argument("--update", action="store_true", help="with --quick: write the budgets")
    parser.add_argument("--curves", type=Path, metavar="FILE", help="draw how costs grow (extra `notebooks`)")
    parser.add_argument("--json", type=Path, help="write all counts to this file")
    parsed = parser.parse_args()
    if parsed.update and not parsed.quick:
        parser.error("Budgets are those of --quick: add it.")
    return parsed


def main() -> int:
    options = arguments()
    if problem := unavailable():
        console.print(f"Nothing was counted: {problem}")
        return 0 if options.quick else 1
    group = "curves" if options.curves else "quick" if options.quick else "all"
    rows = {"curves": [*CURVES], "quick": [*QUICK], "all": [*WORKLOADS, *FIRST]}[group]
    selected = [name for name in rows if any(part.strip() in name for part in options.only.split(","))]
    for package in skipped() if options.alternatives else []:
        console.print(f"{package} is not installed, and left out.")
    counts = count(selected, group, options.alternatives)
    found: Ratios = {}
    if options.curves:
        draw(counts, options.curves)
    else:
        found = ratios(counts)
        console.print(table(found, options.alternatives))
    errors = [each for each in counts if each.error]
    for each in errors:
        console.print(f"{each.subject}, {each.workload} ({each.framework}): {each.error}", markup=False)
    if options.json:
        options.json.write_text(
            json.dumps({"versions": versions(), "counts": [vars(each) for each in counts]}, indent=1)
        )
    problems = compare(keyed(found), options.update) if options.quick else []
    for sentence in problems:
        console.print(sentence, markup=False)
    return 1 if problems or any(each.subject in {OURS, MEMORY, NETWORK} for each in errors) else 0


if __name__ == "__main__":
    sys.exit(main())
