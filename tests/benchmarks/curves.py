"""A picture of how costs grow: of calls, events and texts what one costs; of messages and tools what a call costs."""

from __future__ import annotations

from collections import defaultdict
from importlib import import_module
from pathlib import Path

from tests.benchmarks.counting import Count

COLORS = {"langchain": "#1f5f8b", "llama_index": "#d1711f"}
OF_A_CALL = {"messages", "tools"}
"""Curves of whole calls on linear axes, where a straight line is linear growth; the others show one unit."""


def draw(counts: list[Count], file: Path) -> None:
    """Draws a curve for each size that grows and each framework."""
    curves: dict[str, dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    for each in counts:
        name, _, size = each.workload.partition(": ")
        curves[name][each.framework].append((int(size), each.instructions))
    figure = import_module("matplotlib.figure").Figure(figsize=(15, 3), layout="constrained")
    for axes, (name, lines) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        of_a_call = name in OF_A_CALL
        for framework, points in lines.items():
            sizes = [size for size, _ in points]
            costs = [cost * max(size, 1) / 1e6 if of_a_call else cost / 1e3 for size, cost in points]
            axes.plot(sizes, costs, marker="o", markersize=4, color=COLORS[framework], label=framework)
        axes.set_xlabel(name)
        axes.set_ylabel("million instructions of a call" if of_a_call else "thousand instructions of one")
        axes.set_ylim(0)
        if not of_a_call:
            axes.set_xscale("log")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False)
    figure.savefig(file, dpi=110)
