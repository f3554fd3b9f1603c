"""Servers for the tests of both frameworks; what the simulated one receives is judged at the end."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from cfaig_integrations.client import pool
from cfaig_integrations.simulator import Simulator
from tests.client.loopback import Loopback, loopback
from tests.recordings import AVAILABLE, COMPLETE, SHARED

settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in what a script starts with `&`; tests press Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

KINDS = {"/ai/v1/chat/completions": "chat", "/ai/v1/responses": "responses", "/ai/v1/messages": "messages"}
VALIDATOR = """
import json, sys, validate
for kind, body in json.load(sys.stdin):
    found = validate.validate_request(kind, body)
    if found and kind == "messages":
        found = validate.validate_request("messages_beta", body)
    for error in found:
        print(kind, error, json.dumps(body)[:300])
"""


LEAKING = (
    "tests/cli/test_demo.py",
    "tests/llama_index/",
    "tests/simulator/test_upstream_frameworks.py",
    "tests/test_readme.py",
)
"""Tests in which LlamaIndex closes event loops before their connections, and leaves databases open."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Omits tests whose recordings are absent, and ignores what LlamaIndex leaves to the garbage collector."""
    for item in items:
        if item.nodeid.startswith(LEAKING):
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))
    present = {"any": AVAILABLE, "complete": COMPLETE}
    left_out = [item for item in items if any(not present[mark.args[0]] for mark in item.iter_markers("recordings"))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """Modules live as long as the tests: exempt from garbage collection, they do not slow it down."""
    gc.collect()
    gc.freeze()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Collects what LlamaIndex has left before a test that must leave nothing."""
    if item.nodeid.startswith(LEAKING) and not (nextitem and nextitem.nodeid.startswith(LEAKING)):
        asyncio.set_event_loop(None)  # which the next `asyncio.run` would do, and leave the loop as garbage
        gc.collect()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not AVAILABLE:
        terminalreporter.write_line(
            "Tests over recorded exchanges were left out; to collect some: python -m tests.recordings"
        )


@pytest.fixture
def server() -> Iterator[Loopback]:
    """A server that misbehaves, for one test."""
    with loopback() as running:
        yield running
    pool.close_all()


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture(scope="session")
def sent_bodies() -> Iterator[list[tuple[str, Any]]]:
    """Collects every body that any test here sends; at the end the official SDKs' types judge them all."""
    bodies: list[tuple[str, Any]] = []
    yield bodies
    if bodies and SHARED.is_dir():
        command = [sys.executable, "-B", "-c", VALIDATOR]
        judged = subprocess.run(
            command, cwd=SHARED / "tools", input=json.dumps(bodies), capture_output=True, text=True, check=True
        )
        assert not judged.stdout, judged.stdout


@pytest.fixture
def simulator(running_simulator: Simulator, sent_bodies: list[tuple[str, Any]]) -> Iterator[Simulator]:
    running_simulator.reset()
    yield running_simulator
    for request in running_simulator.requests:
        for ending, kind in KINDS.items():
            if request.path.endswith(ending) and request.body is not None:
                sent_bodies.append((kind, request.body))


def where(simulator: Simulator) -> dict[str, Any]:
    """The constructor arguments that lead to a simulator."""
    return {"base_url": simulator.base_url, "account_id": simulator.account_id, "api_token": simulator.api_token}
