"""What is counted, and how a number of its units is run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.benchmarks import replies
from tests.benchmarks.subjects import FORMATS, MEMORY, NETWORK

CHAT = tuple(FORMATS["chat"])


@dataclass(frozen=True)
class Workload:
    """A row of the table.

    Attributes:
        method: Of `langchain_calls.Calls`; `construct` makes a model.
        unit: What the cost is of.
        n: Units of the shorter run; the longer run has twice as many.
        formats: Formats in which it is counted.
        kind: Kind of model.
        settings: Of the server; `{n}` is the number of units.
        tools: Tools that are bound beforehand.
        together: Calls or streams in flight.
        once: Whether n units are run, and not also 2n.
        floors: What the cost is divided by the sum of.
    """

    method: str
    unit: str
    n: int
    formats: tuple[str, ...] = CHAT
    kind: str = "chat"
    settings: str = "n=20"
    tools: int = 0
    together: int = 1
    once: bool = False
    floors: tuple[str, ...] = (NETWORK, MEMORY)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Units of each counted run: n and 2n, and concurrent calls once, because more of them cost more each."""
        return (self.n,) if self.once or self.method == "acall" else (self.n, 2 * self.n)

    def reply_length(self, n: int) -> int:
        """Words or parts of the reply to a request of a run of n units."""
        return n if "stream" in self.method else 12 if self.method == "long_call" else 20

    def cost(self, counts: list[int]) -> float:
        """Instructions of a unit: by the difference of the runs, which leaves out what they have in common."""
        if len(counts) == 1:
            return counts[0] / max(self.n, 1)
        return (counts[1] - counts[0]) / self.n / self.together


WORKLOADS = {
    "one more model": Workload("construct", "model", 20, CHAT[:1], floors=(MEMORY,)),
    "small call": Workload("call", "call", 8),
    "50 messages, 20 tools": Workload("long_call", "call", 4, settings="n=12,tool=1", tools=20),
    "bind 20 tools": Workload("bind", "binding", 4, CHAT[:1], floors=(MEMORY,)),
    "stream, 1 event per read": Workload("stream", "event", 200, settings="n={n}"),
    "stream, 20 events per read": Workload("stream", "event", 200, settings="n={n},per=20"),
    "tool-argument deltas": Workload("tool_stream", "event", 200, settings="n={n},tool=1", tools=1),
    "200 concurrent calls": Workload("acall", "call", 200, settings="n=20,hold={n}"),
    "100 concurrent streams": Workload("astream", "event", 40, settings="n={n},hold=100", together=100),
    "embeddings, numbers": Workload("embed", "text", 50, tuple(FORMATS["embeddings"]), kind="embeddings"),
    "embeddings, base64": Workload("embed", "text", 50, ("embeddings",), kind="embeddings", settings="b64=1"),
    "rerank 100 passages": Workload("rerank", "call", 4, ("run",), kind="rerank"),
}
QUICK = {
    name: replace(WORKLOADS[name], **changes)
    for name, changes in {
        "one more model": {"n": 10},
        "small call": {"n": 4},
        "50 messages, 20 tools": {"n": 2},
        "bind 20 tools": {"n": 4},
        "stream, 1 event per read": {"n": 40},
        "stream, 20 events per read": {"n": 40},
        "tool-argument deltas": {"n": 40},
        "200 concurrent calls": {"n": 50, "formats": CHAT[:1]},
        "100 concurrent streams": {"n": 20, "formats": CHAT[:1], "settings": "n={n},hold=10", "together": 10},
        "embeddings, numbers": {"n": 10},
        "embeddings, base64": {"n": 10},
        "rerank 100 passages": {"n": 2},
    }.items()
}
"""The same rows with fewer units, for every change."""

_CURVES = {
    "calls in flight": (Workload("acall", "call", 1, settings="n=20,hold={n}"), (1, 10, 50, 200, 1000)),
    "events of a stream": (Workload("stream", "event", 1, settings="n={n},per=20"), (100, 1000, 10_000, 100_000)),
    "texts to embed": (
        Workload("embed", "text", 1, ("embeddings",), kind="embeddings", settings="dim=16"),
        (1, 10, 100, 1000, 10_000, 100_000),
    ),
    "messages": (Workload("converse", "message", 1), (1, 500, 1000, 1500, 2000)),
    "tools": (Workload("call_with_tools", "tool", 1), (0, 32, 64, 96, 128)),
}
CURVES = {
    f"{name}: {n}": replace(work, n=n, formats=work.formats[:1], once=True, floors=())
    for name, (work, sizes) in _CURVES.items()
    for n in sizes
}
"""How the cost grows with the size."""
ROWS = {"all": WORKLOADS, "quick": QUICK, "curves": CURVES}


def prepared(
    work: Workload, n: int, make: Callable[[str], Any], calls: Any, loop: asyncio.AbstractEventLoop
) -> Callable[[], Any]:
    """A function that runs n units and returns the last result."""
    settings = work.settings.format(n=n)
    if work.method == "construct":
        return lambda: [make(settings) for _ in range(n)]
    model = calls.prepare(make(settings), work.tools)
    method = getattr(calls, work.method)
    if work.method in {"acall", "astream"}:
        number = max(work.together, n if work.method == "acall" else 1)

        async def together() -> Any:
            return (await asyncio.gather(*[method(model) for _ in range(number)]))[-1]

        return lambda: loop.run_until_complete(together())
    if work.method in {"embed", "converse", "call_with_tools"}:
        values = inputs_of(work.method, n, calls)
        return lambda: method(model, values)
    repeats = 1 if "stream" in work.method else n

    def repeated() -> Any:
        result: Any = None
        for _ in range(repeats):
            result = method(model)
        return result

    return repeated


def inputs_of(method: str, n: int, calls: Any) -> Any:
    """n texts, messages or tools."""
    if method == "converse":
        return calls.conversation(n)
    if method == "call_with_tools":
        return calls.toolbox(n)
    from tests.benchmarks.inputs import texts  # which imports pydantic

    return texts(n)


def check(work: Workload, n: int, result: Any, subject: str) -> None:
    """Whether the work was done.

    Raises:
        AssertionError: It was not.
    """
    length = work.reply_length(n)
    match work.method:
        case "construct" | "bind":
            return
        case _ if subject == NETWORK:
            assert result
        case "rerank":
            assert result == 100, result
        case "embed":
            assert len(result) == n, len(result)
            assert subject == MEMORY or n < 2 or abs(result[1][5] - replies.vectors(2)[1][5]) < 1e-6
        case "long_call" | "tool_stream":
            assert result == json.loads("".join(replies.argument_pieces(length))), str(result)[:100]
        case _:
            assert result == "".join(replies.pieces(length)), str(result)[:100]
