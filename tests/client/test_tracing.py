"""The active span of OpenTelemetry in the headers of a call, if the option is set."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.options import GatewayOptions
from tests.client.conftest import Driver, connect
from tests.client.gateway_api import Api, json_reply
from tests.client.loopback import Loopback, streamed

NAMES = ("cf-aig-otel-trace-id", "cf-aig-otel-parent-span-id")
TRACE, SPAN = "0000000000000000000000000000abcd", "00000000000000ef"
ON = GatewayOptions(otel_active_span=True)


def span(trace_id: int = 0xABCD, span_id: int = 0xEF) -> Any:
    context = SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(1))
    return trace.use_span(NonRecordingSpan(context))


def ids(server: Loopback, index: int = -1) -> tuple[str | None, str | None]:
    headers = server.seen[index].headers
    return headers.get(NAMES[0]), headers.get(NAMES[1])


@pytest.mark.parametrize("option", ["constructor", "call"])
def test_each_call_has_its_own_span(server: Loopback, driver: Driver, option: str) -> None:
    to = connect(server, options=ON if option == "constructor" else None)
    call = CallOptions(options=ON if option == "call" else None)
    with span():
        driver.chat(to, call)
        assert ids(server) == (TRACE, SPAN)
    with span(0xABCD, 0xFF):
        server.script.append(streamed())
        driver.events(to, call)
        assert ids(server) == (TRACE, "00000000000000ff")
    driver.chat(to, call)
    assert ids(server) == (None, None)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (GatewayOptions(), (None, None)),
        (GatewayOptions(otel_active_span=False), (None, None)),
        (GatewayOptions(otel_active_span=True, otel_trace_id="1" * 32), ("1" * 32, None)),
        (GatewayOptions(otel_active_span=True, otel_parent_span_id="1" * 16), (None, "1" * 16)),
    ],
    ids=["unset", "off", "trace id set", "span id set"],
)
def test_the_span_is_left_out(
    server: Loopback, driver: Driver, options: GatewayOptions, expected: tuple[str | None, str | None]
) -> None:
    with span():
        driver.chat(connect(server, options=options))
    assert ids(server) == expected


@pytest.mark.parametrize("state", ["no span", "not installed"])
def test_without_a_span(server: Loopback, driver: Driver, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    with span() if state == "not installed" else nullcontext():
        if state == "not installed":
            monkeypatch.delitem(sys.modules, "opentelemetry.trace")
        driver.chat(connect(server, options=ON))
    assert ids(server) == (None, None)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_run(server: Loopback, asynchronous: bool) -> None:
    server.usual = json_reply({"text": "x"})
    with span():
        Api(server, asynchronous=asynchronous, gateway=ON).run("@cf/a/b", {})
    assert ids(server) == (TRACE, SPAN)
