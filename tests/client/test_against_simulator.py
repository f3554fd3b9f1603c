"""Every failure of the simulator: the client's exception, and the number of requests.

The simulator shares no code with the client, so its table of faults is an opinion of its own about what may pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from cfaig_integrations.client import pool
from cfaig_integrations.client.aio import AsyncClient
from cfaig_integrations.client.api import AIGateway, AsyncAIGateway, LogFilter
from cfaig_integrations.client.sync import Client
from cfaig_integrations.core.content import Wire
from cfaig_integrations.core.fold import fold
from cfaig_integrations.errors import (
    ApiError,
    ConfigError,
    ConnectFault,
    GatewayError,
    NotFound,
    ProtocolError,
    StreamBroken,
    TimeoutFault,
)
from cfaig_integrations.gateway.connection import CallOptions, Connection
from cfaig_integrations.gateway.failures.codes import UNCERTAIN
from cfaig_integrations.gateway.models import routes
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.gateway.settings import resolve
from cfaig_integrations.simulator import FAULTS, Simulator
from tests.client.conftest import REQUEST, AsyncDriver, Driver
from tests.waiting import until

ERRORS = sorted(name for name, fault in FAULTS.items() if fault.kind == "error")
EFFECTS = sorted(name for name, fault in FAULTS.items() if fault.kind != "error")
WIRES: tuple[Wire, ...] = get_args(Wire)


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Iterator[Simulator]:
    yield running
    running.reset()
    routes.forget()
    pool.close_all()


def reach(simulator: Simulator, **arguments: Any) -> Connection:
    settings = resolve(
        base_url=simulator.base_url,
        account_id=simulator.account_id,
        api_token=simulator.api_token,
        gateway_id="default",
    )
    return Connection(settings=settings, **({"api": "chat_completions"} | arguments))


@pytest.mark.parametrize("wire", WIRES)
def test_every_format_whole_and_streamed(simulator: Simulator, driver: Driver, wire: Wire) -> None:
    simulator.reply("Right away.", times=2)
    to = reach(simulator, api=wire)
    reply, info = driver.chat(to)
    assert (reply.turn.text, info.wire) == ("Right away.", wire)
    assert fold(wire, driver.events(to)).turn.text == "Right away."
    assert len(simulator.requests) == 2


RETRIED = {name for name in ERRORS if FAULTS[name].retry and FAULTS[name].status not in UNCERTAIN}
"""Errors for which the model did not run."""


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_has_its_status_and_is_retried_if_transient(
    simulator: Simulator, name: str, pauses: list[float]
) -> None:
    fault = FAULTS[name]
    simulator.fault(name, times=None)
    with pytest.raises(GatewayError) as caught:
        AsyncDriver().chat(reach(simulator)) if len(name) % 2 else Client(reach(simulator)).chat(REQUEST)
    error = caught.value
    sent = 3 if name in RETRIED else 1
    assert error.requests_sent == sent == len(simulator.requests)
    assert len(pauses) == sent - 1
    if name == "html_200":
        assert isinstance(error, ProtocolError)
        return
    assert isinstance(error, ApiError)
    assert error.status == fault.status
    assert error.retryable is (name in RETRIED)
    assert error.maybe_billed is (fault.status in UNCERTAIN)
    if fault.code is not None and fault.shape not in ("anthropic", "html", "policy", "string", "text"):
        assert str(error.code) == str(fault.code) or fault.shape == "provider"


@pytest.mark.parametrize("name", [name for name in ERRORS if FAULTS[name].retry])
def test_a_transient_error_succeeds_the_second_time(
    simulator: Simulator, name: str, pauses: list[float], driver: Driver
) -> None:
    simulator.fault(name)
    assert driver.chat(reach(simulator, retry_after_send=name not in RETRIED))[1].attempts == 2
    after = FAULTS[name].details.get("retry_after")
    if after is not None:
        assert pauses[0] <= 1.0


WHOLE_EFFECTS: dict[str, tuple[type[GatewayError] | None, int]] = {
    "slow_first_byte": (None, 1),
    "busy": (None, 1),
    "stall": (None, 1),
    "cut": (ConnectFault, 1),
    "malformed_event": (ProtocolError, 1),
    "close_before_response": (ConnectFault, 1),
    "bytes": (None, 1),
}
STREAM_EFFECTS: dict[str, tuple[type[GatewayError] | None, int]] = WHOLE_EFFECTS | {
    "slow_stream": (None, 1),
    "cut": (StreamBroken, 1),
    "cut_clean": (StreamBroken, 1),
    "missing_done": (None, 1),
    "malformed_event": (ProtocolError, 1),
    "error_event": (ApiError, 1),
    "error_event_envelope": (ApiError, 1),
    "json_instead_of_stream": (None, 1),
    "double_done": (None, 1),
    "bare_done": (None, 1),
    "crlf": (None, 1),
    "comments": (None, 1),
    "no_space": (None, 1),
}


def test_every_effect_is_tested() -> None:
    assert sorted(STREAM_EFFECTS) == EFFECTS


@pytest.mark.parametrize("name", sorted(WHOLE_EFFECTS))
def test_an_effect_on_a_whole_response(simulator: Simulator, driver: Driver, pauses: list[float], name: str) -> None:
    simulator.fault(name, times=None)
    expect(simulator, WHOLE_EFFECTS[name], lambda: driver.chat(reach(simulator)))


@pytest.mark.parametrize("name", sorted(STREAM_EFFECTS))
def test_an_effect_on_a_stream(simulator: Simulator, driver: Driver, pauses: list[float], name: str) -> None:
    simulator.reply("One two three four five six.", times=None)
    simulator.fault(name, times=None)
    expect(simulator, STREAM_EFFECTS[name], lambda: fold("chat_completions", driver.events(reach(simulator))))


def expect(simulator: Simulator, outcome: tuple[type[GatewayError] | None, int], what: Any) -> None:
    kind, sent = outcome
    if kind is None:
        assert what()
    else:
        with pytest.raises(kind) as caught:
            what()
        assert caught.value.requests_sent == sent
    assert len(simulator.requests) == sent


def test_a_stream_that_stalls_too_long_is_a_timeout(simulator: Simulator, driver: Driver) -> None:
    simulator.reply("One two three four five six.", times=None)
    simulator.fault("stall", times=None, seconds=30)
    with pytest.raises(TimeoutFault):
        driver.events(reach(simulator, stream_idle_timeout=2))
    assert len(simulator.requests) == 1


def test_no_client_retries_if_the_gateway_retries(simulator: Simulator, driver: Driver, pauses: list[float]) -> None:
    simulator.fault("provider_error", times=None)
    with pytest.raises(ApiError) as caught:
        driver.chat(reach(simulator, options=GatewayOptions(max_attempts=3)))
    assert (caught.value.requests_sent, len(simulator.requests)) == (1, 1)


def test_a_model_of_one_format_is_routed_to_it(simulator: Simulator, driver: Driver) -> None:
    """facts §1.4: what the route table does not know, the catalogue says."""
    simulator.fault("user_input_error")
    info = driver.chat(reach(simulator, api="auto"))[1]
    assert (info.wire, info.switched_from, info.attempts) == ("responses", "chat_completions", 2)
    assert driver.chat(reach(simulator, api="auto"))[1].attempts == 1


def test_all_connections_are_released(simulator: Simulator) -> None:
    to = reach(simulator)

    async def main() -> None:
        client = AsyncClient(to)
        await asyncio.gather(*[client.chat(REQUEST) for _ in range(10)])
        await client.stream(REQUEST)  # dropped
        stream = await client.stream(REQUEST)
        async for _ in stream:
            break

    for _ in range(2):
        asyncio.run(main())
    pool.close_all()
    assert until(lambda: simulator.connections == 0)


# Logs


def test_the_log_of_a_call_has_its_cost_and_metadata(simulator: Simulator, driver: Driver) -> None:
    call = CallOptions(metadata=({"team": "a"},))
    reply, info = driver.chat(reach(simulator), call)
    gateway = AIGateway(**account(simulator))
    found = gateway.log(info.log_id or "")
    assert (found.id, found.metadata, found.success, found.cached) == (info.log_id, {"team": "a"}, True, False)
    assert found.tokens_out == (reply.usage.output if reply.usage else None)
    assert found.cost is not None
    assert [entry.id for entry in gateway.logs(filters=[LogFilter("metadata.value", "eq", ["a"])])] == [found.id]
    assert list(gateway.logs(filters=[LogFilter("metadata.value", "eq", ["b"])])) == []
    assert asyncio.run(AsyncAIGateway(**account(simulator)).log(info.log_id or "")) == found

    async def listed() -> list[str]:
        return [entry.id for entry in await AsyncAIGateway(**account(simulator)).logs()]

    assert asyncio.run(listed()) == [found.id]
    assert gateway.request_body(found.id)["messages"] == [{"role": "user", "content": "Hello"}]
    assert gateway.response_body(found.id)["choices"][0]["message"]["content"] == reply.turn.text
    assert [entry.id for entry in gateway.gateways()] == ["default"]
    assert gateway.cost(found.id) == found.cost


def test_the_log_of_a_stream_may_be_delayed() -> None:
    with Simulator(log_delay=0.3) as simulator:
        with Client(reach(simulator)).stream(REQUEST) as stream:
            assert list(stream)
        log_id = stream.info.log_id or ""
        assert AIGateway(**account(simulator)).log(log_id).id == log_id
    pool.close_all()


def test_a_missing_log(simulator: Simulator, pauses: list[float]) -> None:
    with pytest.raises(NotFound) as caught:
        AIGateway(**account(simulator)).log("nobody")
    assert caught.value.requests_sent == 2
    assert pauses == [0.5]


def account(simulator: Simulator) -> dict[str, str]:
    return {
        "account_id": simulator.account_id,
        "api_key": simulator.api_token,
        "base_url": simulator.base_url,
        "gateway_id": "default",
    }


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_feedback_goes_to_the_log_of_the_call(simulator: Simulator, driver: Driver, asynchronous: bool) -> None:
    _, info = driver.chat(reach(simulator), CallOptions())
    log_id = info.log_id or ""
    if asynchronous:
        asyncio.run(AsyncAIGateway(**account(simulator)).feedback(log_id, -1, score=7.5, metadata={"by": "ann"}))
    else:
        AIGateway(**account(simulator)).feedback(log_id, -1, score=7.5, metadata={"by": "ann"})
    told = AIGateway(**account(simulator)).log(log_id)
    assert (told.raw["feedback"], told.raw["score"], told.metadata) == (-1, 7.5, {"by": "ann"})
    AIGateway(**account(simulator)).feedback(log_id, 1)
    told = AIGateway(**account(simulator)).log(log_id)
    assert (told.raw["feedback"], told.raw["score"], told.metadata) == (1, 7.5, {"by": "ann"})
    AIGateway(**account(simulator)).feedback(log_id, score=0)
    assert AIGateway(**account(simulator)).log(log_id).raw["score"] == 0


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "value"),
        ({"value": 0}, "value"),
        ({"score": 101}, "score"),
        ({"score": -1}, "score"),
        ({"metadata": {"a": None}}, "metadata['a']"),
    ],
)
def test_invalid_feedback_is_not_sent(simulator: Simulator, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AIGateway(**account(simulator)).feedback("log", **arguments)
    assert caught.value.field == field
    assert not simulator.requests


def test_feedback_on_a_missing_log(simulator: Simulator, pauses: list[float]) -> None:
    with pytest.raises(NotFound) as caught:
        AIGateway(**account(simulator)).feedback("nobody", 1)
    assert caught.value.requests_sent == 2
    assert pauses == [0.5]
