"""Failures in programs: which requests are retried, and which errors reach the program."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import SummaryIndex
from llama_index.core.agent.workflow import AgentStream, AgentWorkflow, FunctionAgent
from llama_index.core.instrumentation import get_dispatcher

from cfaig_integrations import (
    ApiError,
    AuthError,
    GatewayError,
    GuardrailBlocked,
    InvalidRequest,
    NotFound,
    PaymentRequired,
    ProtocolError,
    QuotaExceeded,
    RateLimited,
    ServerFault,
    StreamBroken,
)
from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import FAULTS, Simulator
from tests.llama_index.programs.agents_kit import ASK, SUNNY, run_agent, sent, weather
from tests.llama_index.programs.conftest import Make
from tests.llama_index.programs.kit import ANSWER, QUESTION, Observers, nodes

both_modes = pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
AT_ONCE: dict[str, dict[str, Any]] = {
    "gateway_rate_limit_after": {"retry_after": 0},
    "provider_rate_limit": {"retry_after": 0},
    "internal_error": {"headers": {"retry-after": "0"}},
    "edge_502": {"headers": {"retry-after": "0"}},
    "provider_overloaded": {"headers": {"retry-after": "0"}},
}
"""Failures that pass, and may be tried again at once."""


@pytest.fixture
def observers(simulator: Simulator) -> Any:
    """They count without checks: not every request succeeds here."""
    seen = Observers()
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(seen)
    yield seen
    dispatcher.event_handlers.remove(seen)


@pytest.fixture(params=["chat_completions", "responses", "messages"])
def api(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("fault", AT_ONCE)
@both_modes
async def test_a_transient_failure_is_retried(
    llm: CloudflareAIGateway, simulator: Simulator, observers: Observers, fault: str, streaming: bool
) -> None:
    simulator.fault(fault, after=1, **AT_ONCE[fault])
    run = await run_agent(FunctionAgent(tools=[weather], llm=llm, streaming=streaming).run(ASK))
    assert run.answer == SUNNY
    assert len(simulator.requests) == 3
    assert simulator.requests[1].body == simulator.requests[2].body
    assert observers.started == observers.ended == ["LLM"] * 2
    assert run.end.raw["cf_aig"]["attempts"] == 2


INVALID: dict[str, tuple[type[GatewayError], int | None]] = {
    "gateway_missing": (InvalidRequest, 2001),
    "gateway_rate_limit": (RateLimited, 2003),
    "spend_limit": (QuotaExceeded, 2045),
    "dlp_request": (GuardrailBlocked, 2029),
    "no_credits": (PaymentRequired, 2021),
    "model_not_found": (NotFound, 7003),
    "user_input_error": (InvalidRequest, 7003),
    "wrong_token": (AuthError, 10000),
    "internal_error": (ServerFault, 4007),
    "provider_error": (ServerFault, None),
    "edge_502": (ServerFault, None),
}


@pytest.mark.parametrize("fault", INVALID)
@both_modes
async def test_an_agent_raises_the_gateway_error(
    make: Make, simulator: Simulator, observers: Observers, fault: str, streaming: bool
) -> None:
    kind, code = INVALID[fault]
    simulator.fault(fault, times=9, after=1)
    agent = FunctionAgent(tools=[weather], llm=make(max_retries=0), streaming=streaming)
    with pytest.raises(kind) as caught:
        await agent.run(ASK)
    assert type(caught.value) is kind
    assert isinstance(caught.value, ApiError)
    assert code in (None, caught.value.code)
    assert caught.value.requests_sent == 1
    assert len(simulator.requests) == 2
    assert observers.started == ["LLM"] * 2
    assert observers.ended == ["LLM"]
    simulator.reset()
    assert str(await agent.run(ASK)) == SUNNY


ERRORS = [name for name, fault in FAULTS.items() if fault.kind == "error"]


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
@pytest.mark.parametrize("api", ["chat_completions"])
async def test_every_failure_is_raised_to_the_program(make: Make, simulator: Simulator, streaming: bool) -> None:
    agent = FunctionAgent(tools=[weather], llm=make(max_retries=0), streaming=streaming)
    for name in ERRORS:
        simulator.reset()
        simulator.fault(name, times=9)
        with pytest.raises(GatewayError) as caught:
            await agent.run(ASK)
        assert isinstance(caught.value, ApiError | ProtocolError), name
        assert len(simulator.requests) == 1, name
        assert simulator.api_token not in str(caught.value)


@pytest.mark.parametrize("fault", ["cut", "cut_clean", "error_event", "error_event_envelope", "malformed_event"])
@pytest.mark.parametrize("kind", ["agent", "workflow"])
async def test_a_broken_stream_raises(make: Make, simulator: Simulator, fault: str, kind: str) -> None:
    llm = make(max_retries=0)
    one = FunctionAgent(name="a", description="b", tools=[weather], llm=llm)
    agent: Any = one if kind == "agent" else AgentWorkflow([one])
    simulator.reply("word " * 40)
    simulator.fault(fault, after_events=12)
    seen = ""

    async def observed() -> None:
        nonlocal seen
        handler = agent.run(ASK)
        async for event in handler.stream_events():
            if isinstance(event, AgentStream):
                seen = event.response
        await handler

    with pytest.raises(StreamBroken if fault.startswith("cut") else GatewayError):
        await observed()
    assert 0 < seen.count("word") < 40
    assert len(simulator.requests) == 1
    assert str(await agent.run(ASK)) == SUNNY


@pytest.mark.parametrize(
    "fault", ["comments", "crlf", "no_space", "bytes", "json_instead_of_stream", "slow_stream", "stall"]
)
async def test_an_unusual_stream_is_read(llm: CloudflareAIGateway, simulator: Simulator, fault: str) -> None:
    simulator.fault(fault, times=2)
    run = await run_agent(FunctionAgent(tools=[weather], llm=llm).run(ASK))
    assert run.answer == run.streamed_text == SUNNY
    assert len(simulator.requests) == 2


@both_modes
async def test_a_query_engine_fails_and_recovers(make: Make, simulator: Simulator, streaming: bool) -> None:
    engine = SummaryIndex(nodes()).as_query_engine(llm=make(max_retries=0), streaming=streaming)
    simulator.fault("provider_error", times=2)
    with pytest.raises(ServerFault):
        str(engine.query(QUESTION))

    async def read() -> None:
        response: Any = await engine.aquery(QUESTION)
        async for _ in response.async_response_gen():
            pass

    with pytest.raises(ServerFault):
        await read()
    assert len(simulator.requests) == 2
    assert ANSWER in str(engine.query(QUESTION))


@both_modes
async def test_a_refusal_is_an_answer(
    llm: CloudflareAIGateway, simulator: Simulator, api: str, streaming: bool
) -> None:
    """Anthropic reports a refusal as stop reason, with its details next to the answer."""
    simulator.reply(refusal="I cannot help with that.")
    run = await run_agent(FunctionAgent(tools=[weather], llm=llm, streaming=streaming).run(ASK))
    if api == "messages":
        assert run.end.raw["finish_reason"] == "content_filter"
        assert run.end.raw["stop_details"]["explanation"] == "I cannot help with that."
    else:
        assert run.answer == "I cannot help with that."
        assert run.streamed_text == (run.answer if streaming else "")


@both_modes
async def test_a_truncated_answer_is_kept(make: Make, simulator: Simulator, streaming: bool) -> None:
    simulator.reply("It is 21 deg", finish="length")
    run = await run_agent(FunctionAgent(tools=[weather], llm=make(), streaming=streaming).run(ASK))
    assert run.answer == "It is 21 deg"
    assert run.end.raw["finish_reason"] in {"length", "max_tokens", "max_output_tokens", "incomplete"}
    assert "It is 21 deg" not in sent(simulator)
