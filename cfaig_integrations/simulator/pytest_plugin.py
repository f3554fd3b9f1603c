"""The pytest plugin: the fixture `ai_gateway`, a local gateway with scripted replies.

Nothing but pytest is imported until a test asks for the fixture.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cfaig_integrations.simulator.server import Simulator
    from cfaig_integrations.simulator.testing import ScriptedGateway

_GATEWAY = pytest.StashKey["ScriptedGateway"]()
_REPORTED = pytest.StashKey[int]()
"""Number of unscripted calls when the test itself ended; later ones come from threads and the teardown of fixtures."""
_STRICT = "ai_gateway_strict"
_LONGEST_WAIT = 5.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting for the strict mode."""
    parser.addini(_STRICT, "fail tests in which ai_gateway receives a chat request without a scripted reply", "bool")


@pytest.fixture(scope="session")
def _ai_gateway_server() -> Iterator[Simulator]:
    from cfaig_integrations.simulator import Simulator

    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def ai_gateway(
    _ai_gateway_server: Simulator, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[ScriptedGateway]:
    """A simulated Cloudflare AI Gateway, to which the environment variables lead during the test."""
    from cfaig_integrations.simulator.testing import ScriptedGateway

    _ai_gateway_server.reset()
    for name, value in _ai_gateway_server.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_PROXY", "no_proxy"):  # a proxy cannot reach the loopback interface of this machine
        monkeypatch.setenv(name, ",".join(filter(None, (os.environ.get(name), "127.0.0.1"))))
    gateway = ScriptedGateway(_ai_gateway_server)
    gateway.strict = request.config.getini(_STRICT)
    request.node.stash[_GATEWAY] = gateway
    yield gateway
    _wait_for_requests(_ai_gateway_server)
    late = gateway.unscripted[request.node.stash.get(_REPORTED, 0) :]
    _ai_gateway_server.reset()
    if late:
        _fail_unscripted(late)


def _wait_for_requests(simulator: Simulator) -> None:
    """Wait for requests that the test has left behind, such as one that timed out, so that the next test has none."""
    end = time.monotonic() + _LONGEST_WAIT
    while simulator.in_flight and time.monotonic() < end:
        time.sleep(0.005)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test with unscripted calls in strict mode, and list the calls of a test that fails."""
    try:
        try:
            result = yield
        finally:
            if _GATEWAY in item.stash:
                item.stash[_REPORTED] = len(item.stash[_GATEWAY].unscripted)
    except (Exception, pytest.fail.Exception):  # the latter, also of a `raises` that sees no error, is a BaseException
        _add_section(item)
        raise
    gateway = item.stash.get(_GATEWAY, None)
    if gateway is not None and gateway.unscripted:
        _add_section(item)
        _fail_unscripted(gateway.unscripted)
    return result


def _fail_unscripted(calls: Sequence[str]) -> None:
    lines = "\n".join(f"  {call}" for call in calls)
    pytest.fail(f"ai_gateway (strict) received calls without a scripted reply:\n{lines}", pytrace=False)


def _add_section(item: pytest.Item) -> None:
    gateway = item.stash.get(_GATEWAY, None)
    if gateway is not None:
        item.add_report_section("call", "ai_gateway", gateway.summary())
