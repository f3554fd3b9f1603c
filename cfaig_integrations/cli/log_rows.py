"""Log entries as lines of at most 100 columns, with ids that can be copied, and their totals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from cfaig_integrations.cli.output import WIDTH
from cfaig_integrations.client.api import LogEntry

_NO_GROUP = "(none)"
_LONG = 24
_KEPT = 8
"""Characters that are shown of a long metadata value, such as a UUID."""


def dollars(cost: float | None) -> str:
    """A cost, with as many digits as a cheap call needs."""
    if cost is None:
        return "-"
    return f"${cost:.2f}" if cost >= 1 or cost == 0 else f"${cost:.6f}"


def lines_of(entry: LogEntry) -> Iterator[str]:
    """Two lines of markup about an entry: its id and numbers, then model and metadata."""
    time = (entry.created_at or "")[5:19].replace("T", " ")
    status = str(entry.status_code or ("ok" if entry.success else "failed"))
    color = "green" if entry.success else "red"
    cache = "HIT" if entry.cached else ""
    tokens = f"{entry.tokens_in or 0}/{entry.tokens_out or 0}"
    numbers = f"{cache:3}  {tokens:>11}  {dollars(entry.cost):>9}"
    yield f"{escape(entry.id)}  {time}  [{color}]{status:3}[/{color}]  {numbers}"
    about = " · ".join(part for part in (entry.model or "", metadata_text(entry.metadata), entry.path or "") if part)
    width = WIDTH - 4
    yield f"    [dim]{escape(about if len(about) <= width else f'{about[: width - 1]}…')}[/dim]"


def metadata_text(metadata: Mapping[str, Any]) -> str:
    """The entries of an entry's metadata, long values shortened."""
    texts = {key: text_of(value) for key, value in metadata.items()}
    return " ".join(f"{key}={text if len(text) <= _LONG else f'{text[:_KEPT]}…'}" for key, text in texts.items())


def text_of(value: object) -> str:
    """A metadata value as the API's filters write it."""
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(slots=True)
class Total:
    """The sums of some entries."""

    calls: int = 0
    failed: int = 0
    cached: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    without_cost: int = 0

    def add(self, entry: LogEntry) -> None:
        """Adds an entry."""
        self.calls += 1
        self.failed += not entry.success
        self.cached += bool(entry.cached)
        self.tokens_in += entry.tokens_in or 0
        self.tokens_out += entry.tokens_out or 0
        self.cost += entry.cost or 0.0
        self.without_cost += entry.cost is None

    def fields(self) -> dict[str, Any]:
        """The sums as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def totals(entries: Iterable[LogEntry], by: str) -> dict[str, Total]:
    """The totals of each group, the most expensive first.

    Args:
        entries: The entries.
        by: What groups them: `model`, `provider`, or a key of their metadata.
    """
    groups: dict[str, Total] = {}
    for entry in entries:
        if by in {"model", "provider"}:
            group = getattr(entry, by) or _NO_GROUP
        else:
            group = text_of(entry.metadata[by]) if by in entry.metadata else _NO_GROUP
        groups.setdefault(group, Total()).add(entry)
    return dict(sorted(groups.items(), key=lambda item: (-item[1].cost, item[0])))


def totals_table(groups: Mapping[str, Total], by: str) -> Table:
    """The totals as a table, with their sum."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_footer=len(groups) > 1)
    whole = Total()
    for total in groups.values():
        for name, value in total.fields().items():
            setattr(whole, name, getattr(whole, name) + value)
    table.add_column(by, footer="total", overflow="fold")
    for heading, text in zip(
        ("calls", "failed", "cached", "tokens in", "tokens out", "cost"), _cells(whole), strict=True
    ):
        table.add_column(heading, footer=text, justify="right", no_wrap=True)
    for group, total in groups.items():
        table.add_row(escape(group), *_cells(total))
    return table


def _cells(total: Total) -> tuple[str, ...]:
    numbers = (total.calls, total.failed, total.cached, total.tokens_in, total.tokens_out)
    return (*(f"{number:,}" for number in numbers), dollars(total.cost))
