"""`cfaig logs`: the gateway's log of calls, its totals, and new entries as they come."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.markup import escape

from cfaig_integrations.cli import options
from cfaig_integrations.cli.log_rows import lines_of, text_of, totals, totals_table
from cfaig_integrations.cli.output import console, details, print_json, progress_bar, reported
from cfaig_integrations.client.api import AIGateway, LogEntry, LogFilter
from cfaig_integrations.errors import ApiError, ConfigError, GatewayError

_PER_PAGE = 50
_DEFAULT_LIMIT = 20
_INTERVAL = 2.0
_NONE = "No entries."
_REMEMBERED = 10_000
"""Ids of entries that have been shown; entries of streams come late, out of order."""


def logs(
    log_id: Annotated[str | None, typer.Argument(help="Show this entry alone, with all its fields.")] = None,
    *,
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Only calls with this metadata; repeatable.", show_default=False),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Only models with this in their id.", show_default=False)] = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider.", show_default=False)] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only calls that failed.")] = False,
    cached: Annotated[bool, typer.Option("--cached", help="Only answers from the cache.")] = False,
    search: Annotated[str, typer.Option(help="Only entries with this text.", show_default=False)] = "",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most entries [default: 20; with --totals all].", show_default=False)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show new entries until interrupted.")] = False,
    interval: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds between two requests of --follow [default: 2].", show_default=False),
    ] = None,
    show_totals: Annotated[bool, typer.Option("--totals", help="Show sums of calls, tokens and costs.")] = False,
    by: Annotated[
        str | None,
        typer.Option(
            help="Group of --totals: model, provider, or a key of the metadata [default: model].", show_default=False
        ),
    ] = None,
    gateway: options.Gateway = None,
    account: options.Account = None,
    base_url: options.BaseUrl = None,
    json: options.Json = False,
) -> None:
    """Show the gateway's log, the newest entry first; needs a token with AI Gateway > Read.

    With --json every entry is one line of JSON, as the API has it.

    Exit codes: 0 success, 1 the call failed, 2 an option or setting is not valid, 130 interrupted.
    """
    with reported(as_json=json):
        if follow and (show_totals or log_id is not None):
            remedy = "Leave out --totals and the id."
            raise ConfigError("--follow shows new entries only.", field="--follow", remedy=remedy)
        if log_id is not None and (metadata or model or provider or failed or cached or search or limit or show_totals):
            remedy = "Leave out the id, or the other options."
            raise ConfigError("An id shows this entry alone.", field="log_id", value=log_id, remedy=remedy)
        _require("--interval", interval, "--follow", is_set=follow)
        _require("--by", by, "--totals", is_set=show_totals)
        client = AIGateway(**options.location(account, gateway, base_url))
        if log_id is not None:
            _show_entry(client.log(log_id), as_json=json)
            return
        pairs = options.metadata_entries(metadata)
        reader = _Reader(client, pairs, _filters(pairs, model, provider, failed=failed, cached=cached), search)
        if follow:
            _follow(reader, limit or _DEFAULT_LIMIT, _INTERVAL if interval is None else interval, as_json=json)
        elif show_totals:
            _show_totals(reader, limit, "model" if by is None else by, as_json=json)
        else:
            _show_newest(reader, limit or _DEFAULT_LIMIT, as_json=json)


def _show_entry(entry: LogEntry, *, as_json: bool) -> None:
    if as_json:
        print_json(dict(entry.raw))
    else:
        console().print(details({str(name): text_of(value) for name, value in entry.raw.items()}))


def _require(option: str, value: object, needed: str, *, is_set: bool) -> None:
    """Refuses an option without the one that it belongs to.

    Raises:
        ConfigError: It has a value, and the other option is not set.
    """
    if value is not None and not is_set:
        remedy = f"Add {needed}, or leave {option} out."
        raise ConfigError(f"{option} is for {needed} only.", field=option, value=value, remedy=remedy)


def _filters(
    metadata: dict[str, str], model: str | None, provider: str | None, *, failed: bool, cached: bool
) -> list[LogFilter]:
    filters: list[LogFilter] = []
    for key, value in metadata.items():
        filters += [LogFilter("metadata.key", "eq", [key]), LogFilter("metadata.value", "eq", [value])]
    if model:
        filters.append(LogFilter("model", "contains", [model]))
    if provider:
        filters.append(LogFilter("provider", "eq", [provider]))
    if failed:
        filters.append(LogFilter("success", "eq", [False]))
    if cached:
        filters.append(LogFilter("cached", "eq", [True]))
    return filters


@dataclass(frozen=True)
class _Reader:
    """Reads pages of the log."""

    client: AIGateway
    metadata: dict[str, str]
    filters: list[LogFilter]
    search: str

    def pages(self) -> Iterator[list[LogEntry]]:
        """Pages of matching entries, the newest first."""
        number = 1
        while True:
            page = self.client.logs(page=number, per_page=_PER_PAGE, filters=self.filters, search=self.search)
            # The API's filters on key and value are not paired (facts §4): each may match another entry.
            yield [
                entry
                for entry in page
                if self.metadata.items() <= {k: text_of(v) for k, v in entry.metadata.items()}.items()
            ]
            if len(page) < _PER_PAGE:
                return
            number += 1

    def newest(self, limit: int | None) -> Iterator[LogEntry]:
        """Entries, the newest first, each once: entries that come while pages are read move others to the next page."""
        seen: set[str] = set()
        for page in self.pages():
            for entry in page:
                if entry.id not in seen:
                    seen.add(entry.id)
                    yield entry
                    if limit is not None and len(seen) >= limit:
                        return


def _show(entries: list[LogEntry], *, as_json: bool) -> None:
    stdout = console()
    for entry in entries:
        if as_json:
            print_json(dict(entry.raw))
        else:
            for line in lines_of(entry):
                stdout.print(line, soft_wrap=True)


def _show_newest(reader: _Reader, limit: int, *, as_json: bool) -> None:
    entries = [*reader.newest(limit)]
    _show(entries, as_json=as_json)
    if not entries and not as_json:
        console(stderr=True).print(_NONE)


def _show_totals(reader: _Reader, limit: int | None, by: str, *, as_json: bool) -> None:
    with progress_bar() as progress:
        task = progress.add_task("Reading", total=limit, rate="")

        def counted() -> Iterator[LogEntry]:
            for entry in reader.newest(limit):
                progress.advance(task)
                yield entry

        groups = totals(counted(), by)
    if as_json:
        print_json({"by": by, "groups": {name: total.fields() for name, total in groups.items()}})
        return
    if not groups:
        console(stderr=True).print(_NONE)
        return
    console().print(totals_table(groups, by))
    missing = sum(total.without_cost for total in groups.values())
    if missing:
        console(stderr=True).print(f"[yellow]{missing} entries have no cost; the sum leaves them out.[/yellow]")


def _follow(reader: _Reader, limit: int, interval: float, *, as_json: bool) -> None:
    """Shows the newest entries, and then those that come, oldest first."""
    first: dict[str, LogEntry] = {}
    for page in reader.pages():
        first |= {entry.id: entry for entry in page}
        if len(first) >= limit:
            break
    _show([*first.values()][:limit][::-1], as_json=as_json)
    seen: dict[str, None] = dict.fromkeys(first)
    oldest = min((entry.created_at or "" for entry in first.values()), default="")
    while True:
        time.sleep(interval)
        fresh = _fresh(reader, seen, oldest)
        _show(fresh[::-1], as_json=as_json)
        seen |= dict.fromkeys(entry.id for entry in fresh)
        for old in [*seen][:-_REMEMBERED]:
            del seen[old]


def _fresh(reader: _Reader, seen: Mapping[str, None], oldest: str) -> list[LogEntry]:
    """Entries that have not been shown, the newest first; an error that may pass is only printed.

    Raises:
        GatewayError: The API refuses the request.
    """
    fresh: list[LogEntry] = []
    try:
        for page in reader.pages():
            new = [entry for entry in page if entry.id not in seen and (entry.created_at or oldest) >= oldest]
            fresh += new
            if len(new) < len(page):
                break
    except GatewayError as error:
        if isinstance(error, ApiError) and not error.retryable:
            raise
        console(stderr=True).print(f"[yellow]{escape(str(error))}[/yellow]", soft_wrap=True)
    return fresh
