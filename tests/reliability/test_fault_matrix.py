"""Every fault over every way to call: exception, requests, connection, and nothing truncated as complete.

By default each fault meets every format, and the other dimensions in turn; `python -m tests.reliability` tests every
cell.
"""

from __future__ import annotations

import json
import random
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cfaig_integrations import errors
from cfaig_integrations.client import aio, pool, sync
from tests.cli.kit import RawServer, raw_server
from tests.client.loopback import Loopback, loopback
from tests.reliability import FULL
from tests.reliability.bodies import STREAMS, TEXT, Wire
from tests.reliability.calls import FORMS, WAYS, Outcome, Way, call
from tests.reliability.faults import FAULTS, LOG, Expected, Fault, body, chunked, envelope, sized
from tests.waiting import PATIENCE

CUTS = 200 if FULL else 8
"""Random bytes of each stream at which it is cut."""


def turn(number: int) -> Iterator[Way]:
    """Every way to call; or one of each format, whose framework and driver depend on the number of the fault."""
    if FULL:
        yield from WAYS
        return
    for place in range(len(FORMS)):
        yield WAYS[4 * place + (place + number) % 4]


CELLS = [
    pytest.param(fault, way, id=f"{fault}-{way}")
    for number, fault in enumerate(FAULTS)
    for way in turn(number)
    if fault.expected(way) is not None
]


@pytest.fixture(scope="module")
def running() -> Iterator[Loopback]:
    with loopback() as server:
        yield server


@pytest.fixture
def server(running: Loopback, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """The server without connections and requests of other tests; pauses between attempts take no time."""

    async def sleep(_seconds: float) -> None:
        return None

    monkeypatch.setattr(sync, "time", SimpleNamespace(sleep=lambda _seconds: None))
    monkeypatch.setattr("anyio.sleep", sleep)
    assert running.until(lambda: running.open == 0)
    running.seen.clear()
    running.script.clear()
    running.accepted = 0
    running.greeting = None
    yield running
    pool.close_all()


@pytest.fixture(scope="module")
def untrusted() -> Iterator[RawServer]:
    with raw_server({}, tls=True) as server:
        yield server


def check(outcome: Outcome, expected: Expected, way: Way) -> None:
    """Compares a call with what it should lead to."""
    error = outcome.error
    assert outcome.requests == expected.requests, error
    assert (outcome.returned, outcome.closed) == (expected.kept, not expected.kept)
    if not expected.error:
        assert (error, outcome.complete) == (None, True)
        return
    assert error is not None
    assert not outcome.complete or way.stream, "a truncated answer was returned as complete"
    assert type(error).__name__ in expected.error.split(), repr(error)
    assert not isinstance(error, errors.ConfigError)
    assert error.requests_sent == expected.requests
    assert error.maybe_billed is expected.billed
    assert error.log_ids == ((LOG,) * expected.requests if expected.logged else ())
    if expected.status is not None:
        assert isinstance(error, errors.ApiError)
        assert error.status == expected.status
    if expected.requests == 3:
        assert error.retryable
    if error.maybe_billed:
        assert not error.retryable
    if isinstance(error, errors.StreamBroken):
        assert error.partial == outcome.text
    if way.stream:
        assert TEXT.startswith(outcome.text)
        assert outcome.text or not expected.partial
    else:
        assert (outcome.text, outcome.numbers) == ("", [])


@pytest.mark.parametrize(("fault", "way"), CELLS)
def test_a_fault_leads_to_what_the_table_says(
    server: Loopback, monkeypatch: pytest.MonkeyPatch, fault: Fault, way: Way
) -> None:
    expected = fault.expected(way)
    assert expected is not None
    for module in (sync, aio):
        monkeypatch.setattr(module, "DRAIN_SECONDS", PATIENCE if expected.kept else 0.01)
    server.usual = fault.reply(way)
    outcome = call(way, server, expected.kept, **fault.arguments)
    check(outcome, expected, way)


@pytest.mark.parametrize("way", WAYS if FULL else WAYS[1::3], ids=str)
@pytest.mark.parametrize("kind", ["refused", "no such host", "no TLS", "untrusted certificate"])
def test_a_server_that_cannot_be_reached(
    server: Loopback, untrusted: RawServer, monkeypatch: pytest.MonkeyPatch, kind: str, way: Way
) -> None:
    """Connecting is tried again, except where the certificate is not trusted, which would not change."""
    settings: dict[str, Any] = {}
    match kind:
        case "refused":
            with socket.socket() as unused:
                unused.bind(("127.0.0.1", 0))
                settings["base_url"] = f"http://127.0.0.1:{unused.getsockname()[1]}/client/v4"
        case "no such host":
            look_up = socket.getaddrinfo

            def fail(host: Any, *rest: Any, **more: Any) -> Any:
                if host in ("gateway.invalid", b"gateway.invalid"):
                    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
                return look_up(host, *rest, **more)

            monkeypatch.setattr(socket, "getaddrinfo", fail)
            settings["base_url"] = "http://gateway.invalid/client/v4"
        case "untrusted certificate":
            settings["base_url"] = untrusted.base_url
        case _:
            server.greeting = b"HTTP/1.1 400 Bad Request\r\n\r\n"
            settings["base_url"] = f"https://127.0.0.1:{server.port}/client/v4"
    outcome = call(way, server, None, **settings)
    assert isinstance(outcome.error, errors.ConnectFault)
    again = kind != "untrusted certificate"
    assert (outcome.error.requests_sent, outcome.error.retryable) == ((3, True) if again else (1, False))
    assert ("SSL_CERT_FILE" in str(outcome.error)) is not again
    assert not outcome.error.maybe_billed
    assert outcome.error.log_ids == ()
    assert (server.seen, untrusted.requests) == ([], [])
    assert server.accepted == (3 if kind == "no TLS" else 0)


def cuts(wire: Wire) -> list[int]:
    """Lengths at which a stream is cut: after every event, and at random bytes; the last event is not complete."""
    ends = [sum(map(len, STREAMS[wire][:number])) for number in range(1, len(STREAMS[wire]))]
    chance = random.Random(wire)
    return [*ends, *[chance.randrange(1, ends[-1]) for _ in range(CUTS)]]


@pytest.mark.parametrize("end", ["cut", "reset", "keep"])
@pytest.mark.parametrize("way", [way for way in WAYS if way.stream], ids=str)
def test_a_stream_that_is_cut_is_never_complete(
    server: Loopback, way: Way, end: Any, record_property: Callable[[str, object], None]
) -> None:
    """A cut after the last text is complete only where the format has said so."""
    whole = body(way)
    lengths = cuts(way.format)  # type: ignore[arg-type]
    record_property("cases", len(lengths))
    for length in lengths:
        server.seen.clear()
        server.usual = chunked(way, whole[:length], end=end)
        outcome = call(way, server, None)
        assert len(server.seen) == 1
        if outcome.error is None:
            assert outcome.complete, length
            assert says_the_end(way, whole[:length]), length
        else:
            assert isinstance(outcome.error, errors.StreamBroken | errors.ConnectFault), length
            assert (outcome.error.maybe_billed, outcome.error.retryable) == (True, False)
            assert TEXT.startswith(outcome.text)


def says_the_end(way: Way, data: bytes) -> bool:
    """Whether a stream has named a reason to end, or its usage, which follows the text."""
    marks = {
        "chat_completions": b'"stop"',
        "responses": b"response.completed",
        "messages": b"end_turn",
        "run": b"usage",
    }
    return marks[way.format] in data.replace(b'"stop_reason": null', b"")


def rows() -> list[tuple[int, int, bool]]:
    """Code, status and whether it is retried, of the tables of codes in the page of facts."""
    text = Path(errors.__file__).with_name("gateway").joinpath("facts.md").read_text(encoding="utf-8")
    found: list[tuple[int, int, bool]] = []
    text = text.partition("### 5.6 ")[2].partition("### 5.8 ")[0]
    for line in re.findall(r"^\| \d.* \|$", text, flags=re.MULTILINE):
        codes, statuses, _, retried = (cell.strip() for cell in line.strip("|").split("|"))
        found += [
            (int(code), int(status), retried.startswith("yes"))
            for code in codes.split(", ")
            for status in statuses.split(", ")
        ]
    return found


CODES = rows()


@pytest.mark.parametrize(
    ("number", "way"),
    [
        (number, way)
        for number in range(len(CODES))
        for way in (WAYS if FULL else [WAYS[number * 7 % len(WAYS)], WAYS[(number * 7 + 13) % len(WAYS)]])
    ],
    ids=str,
)
def test_every_code_is_retried_as_the_facts_say(server: Loopback, number: int, way: Way) -> None:
    code, status, retried = CODES[number]
    server.usual = sized(json.dumps(envelope(code)).encode(), status=f"{status} Because")
    outcome = call(way, server, None)
    assert isinstance(outcome.error, errors.ApiError)
    assert (outcome.error.code, outcome.error.status) == (code, status)
    assert (len(server.seen), outcome.error.retryable) == ((3, True) if retried else (1, False))
    assert outcome.error.log_ids == (LOG,) * len(server.seen)
