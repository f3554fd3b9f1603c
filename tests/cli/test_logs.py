"""`cfaig logs`: filters, totals, and entries that come late."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.cli.kit import Request, Response, environment, error, raw_server, result, run, start
from tests.waiting import PATIENCE


def entry(number: int, **fields: Any) -> dict[str, Any]:
    usual = {
        "id": f"01JADMCQQQBWH3NXZ5GCRN98D{number:02}",
        "created_at": f"2026-11-28T08:00:{number:02}.000Z",
        "model": "gpt-5.4",
        "provider": "openai",
        "path": "v1/chat/completions",
        "status_code": 200,
        "success": True,
        "cached": False,
        "tokens_in": 1000,
        "tokens_out": 100,
        "cost": 0.5,
        "metadata": {"team": "docs", "run_id": "8e8a2a4e-73f1-4e2c-9a54-6a1cbb4ad4b0"},
    }
    return {**usual, **fields}


class Log:
    """The log of a gateway: newest first, in pages, with the filters unpaired as Cloudflare's are."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self.entries = entries
        self.queries: list[dict[str, list[str]]] = []

    def __call__(self, request: Request) -> Response:
        query = parse_qs(urlsplit(request.path).query)
        self.queries.append(query)
        page, size = int(query["page"][0]), int(query["per_page"][0])
        found = [each for each in self.entries if query.get("search", [""])[0] in json.dumps(each)]
        newest = sorted(found, key=lambda each: each["created_at"], reverse=True)
        kept = [each for each in newest if all(self.passes(each, rule) for rule in self.rules(query))]
        return result(kept[(page - 1) * size : page * size])

    @staticmethod
    def rules(query: dict[str, list[str]]) -> list[dict[str, Any]]:
        rules: list[dict[str, Any]] = json.loads(query.get("filters", ["[]"])[0])
        return rules

    @staticmethod
    def passes(each: dict[str, Any], rule: dict[str, Any]) -> bool:
        match rule["key"]:
            case "metadata.key":
                return bool({*rule["value"]} & each["metadata"].keys())
            case "metadata.value":
                return bool({*rule["value"]} & {*map(str, each["metadata"].values())})
            case key if rule["operator"] == "contains":
                return any(value in each[key] for value in rule["value"])
            case key:
                return each[key] in rule["value"]


PATH = "GET /ai-gateway/gateways/default/logs"


def logs(entries: list[dict[str, Any]], *arguments: str) -> Any:
    with raw_server({PATH: Log(entries)}) as server:
        return run("logs", *arguments, env=environment(server))


def test_rows_fit_and_ids_can_be_copied() -> None:
    long = {f"key{number}": "x" * 90 for number in range(5)}
    outcome = logs([entry(1), entry(2, model="a" * 60, metadata=long, cost=None, success=False, status_code=429)])
    assert outcome.code == 0
    lines = outcome.stdout.splitlines()
    assert [line.split()[0] for line in lines[::2]] == [entry(2)["id"], entry(1)["id"]]
    assert max(map(len, lines)) <= 100
    assert "$0.500000" in lines[2]
    assert "team=docs run_id=8e8a2a4e…" in lines[3]
    assert "429" in lines[0]


def test_metadata_is_compared_key_by_key() -> None:
    """The API's own filters let `a=1 b=2` pass for `a=2`."""
    entries = [entry(1, metadata={"a": "1", "b": "2"}), entry(2, metadata={"a": "2"})]
    outcome = logs(entries, "--metadata", "a=2", "--json")
    assert [line["id"] for line in outcome.lines] == [entries[1]["id"]]


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ((), [5, 4, 3, 2, 1]),
        (("--limit", "2"), [5, 4]),
        (("--failed",), [3]),
        (("--cached",), [4]),
        (("--model", "claude"), [2]),
        (("--provider", "anthropic"), [2]),
        (("--search", "haiku"), [2]),
        (("--provider", "anthropic", "--failed"), []),
    ],
)
def test_filters_select_entries(arguments: tuple[str, ...], numbers: list[int]) -> None:
    entries = [
        entry(1),
        entry(2, model="claude-haiku-4-5", provider="anthropic"),
        entry(3, success=False, status_code=500),
        entry(4, cached=True),
        entry(5),
    ]
    outcome = logs(entries, *arguments, "--json")
    assert outcome.code == 0
    assert [line["id"] for line in outcome.lines] == [entry(number)["id"] for number in numbers]


def many(count: int) -> list[dict[str, Any]]:
    return [
        {**entry(0), "id": f"log-{number:04}", "created_at": f"2026-11-28T{number // 3600:02}:{number // 60 % 60:02}"
         f":{number % 60:02}Z", "model": "ab"[number % 2], "cost": None if number == 7 else 0.25}
        for number in range(count)
    ]  # fmt: skip


def test_totals_are_those_of_all_pages() -> None:
    outcome = logs(many(120), "--totals", "--json")
    groups = outcome.json["groups"]
    assert {name: group["calls"] for name, group in groups.items()} == {"a": 60, "b": 60}
    assert (groups["a"]["cost"], groups["b"]["cost"], groups["b"]["without_cost"]) == (15.0, 14.75, 1)
    assert [*groups] == ["a", "b"], "the most expensive first"


def test_totals_by_a_key_of_the_metadata() -> None:
    entries = [
        entry(1, metadata={"team": "a"}),
        entry(2, metadata={"team": "b"}, cost=2),
        entry(3, metadata={}, cost=0),
    ]
    outcome = logs(entries, "--totals", "--by", "team")
    rows = [line.split() for line in outcome.stdout.splitlines()]
    assert [(row[0], row[-1]) for row in rows] == [
        ("team", "cost"),
        ("b", "$2.00"),
        ("a", "$0.500000"),
        ("(none)", "$0.00"),
        ("total", "$2.50"),
    ]
    assert "no cost" not in outcome.stderr


def test_totals_of_nothing_are_said_to_be_none() -> None:
    outcome = logs([entry(1)], "--totals", "--failed")
    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, "", "No entries.\n")


def growing(log: Log) -> Callable[[Request], Response]:
    """A log to which each request adds an entry."""

    def serve(request: Request) -> Response:
        response = log(request)
        log.entries.append({**entry(0), "id": f"new-{len(log.queries)}", "created_at": "2026-11-29T00:00:00Z"})
        return response

    return serve


def test_an_entry_that_moves_to_the_next_page_is_counted_once() -> None:
    with raw_server({PATH: growing(Log(many(60)))}) as server:
        outcome = run("logs", "--limit", "100", "--json", env=environment(server))
    ids = [line["id"] for line in outcome.lines]
    assert len(ids) == len({*ids}) == 60


def test_follow_shows_each_new_entry_once_in_order_even_if_it_comes_late() -> None:
    log = Log([entry(number) for number in (1, 2, 5)])
    at_once = {**entry(9), "created_at": entry(1)["created_at"]}
    arrivals = [[], [entry(7)], [], [entry(6), entry(8)], [entry(4)], [at_once]]
    busy = replace(error(503, 7009, "Upstream service unavailable"), headers={"retry-after": "0"})
    failures = [busy] * 3  # a call and its retries

    def serve(request: Request) -> Response:
        step = len(log.queries)
        if step == 2 and failures:
            return failures.pop()
        if step > len(arrivals):
            return error(401, 10000, "Authentication error")  # ends the command
        if step:
            log.entries += arrivals[step - 1]
        return log(request)

    with raw_server({PATH: serve}) as server:
        outcome = run("logs", "--follow", "--interval", "0", "--limit", "2", "--json", env=environment(server))
    assert outcome.code == 1
    assert [line["id"] for line in outcome.lines] == [entry(number)["id"] for number in (2, 5, 7, 6, 8, 4, 9)]


def test_follow_begins_with_as_many_entries_as_the_limit_says() -> None:
    log = Log(many(120))

    def serve(request: Request) -> Response:
        return error(401, 10000, "Authentication error") if len(log.queries) == 2 else log(request)

    with raw_server({PATH: serve}) as server:
        outcome = run("logs", "--follow", "--interval", "0", "--limit", "70", "--json", env=environment(server))
    assert [line["id"] for line in outcome.lines] == [f"log-{number:04}" for number in range(50, 120)]


def test_follow_does_not_show_old_entries_when_the_log_is_long() -> None:
    log = Log(many(300))

    def serve(request: Request) -> Response:
        if len(log.queries) == 3:
            return error(401, 10000, "Authentication error")
        if len(log.queries) == 2:
            log.entries = log.entries[:-10]  # deleted: older ones move up to the first page
        return log(request)

    with raw_server({PATH: serve}) as server:
        outcome = run("logs", "--follow", "--interval", "0", "--limit", "1", "--json", env=environment(server))
    assert [line["id"] for line in outcome.lines] == ["log-0299"]


def test_a_reader_of_the_output_that_leaves_ends_the_command_without_a_message() -> None:
    arguments = ("logs", "--follow", "--interval", "0", "--json")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with raw_server({PATH: growing(Log(many(2)))}) as server, start(server, *arguments, **pipes) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline()
        running.stdout.close()
        assert (running.stderr.read(), running.wait(PATIENCE)) == (b"", 1)


def test_one_entry_with_all_its_fields() -> None:
    body = json.dumps({"text": "x" * 300}, separators=(",", ":"))
    one = entry(1, request_head=body)
    with raw_server({f"{PATH}/{one['id']}": result(one)}) as server:
        outcome = run("logs", one["id"], "--json", env=environment(server))
        text = run("logs", one["id"], env=environment(server)).stdout
    assert outcome.json == one
    assert body in "".join(text.split()), "no value is cut"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--metadata", "team"), 2, "KEY=VALUE"),
        (("--metadata", "team=a", "--metadata", "team=b"), 2, "'team' is set twice"),
        (("--follow", "--totals"), 2, "Leave out --totals"),
        (("--follow", "01JADMCQQQBWH3NXZ5GCRN98D01"), 2, "and the id"),
        (("--by", "team"), 2, "Add --totals"),
        (("--totals", "--interval", "1"), 2, "Add --follow"),
        (("01JADMCQQQBWH3NXZ5GCRN98D01", "--failed"), 2, "Leave out the id"),
        (("01JADMCQQQBWH3NXZ5GCRN98D01", "--totals"), 2, "Leave out the id"),
        (("--limit", "0"), 2, "--limit"),
    ],
)
def test_an_invalid_option_is_named(arguments: tuple[str, ...], code: int, text: str) -> None:
    outcome = logs([], *arguments)
    assert (outcome.code, text in outcome.stderr) == (code, True)


def test_an_error_of_the_api_is_json_on_standard_error() -> None:
    with raw_server({PATH: error(401, 10000, "Authentication error")}) as server:
        outcome = run("logs", "--json", env=environment(server))
    assert (outcome.code, outcome.stdout) == (1, "")
    assert json.loads(outcome.stderr)["error"]["code"] == 10000
