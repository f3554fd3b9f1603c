"""What limits an answer if the caller sets no limit, and the warning where that truncates it."""

from __future__ import annotations

from typing import Any

import pytest

from cfaig_integrations.gateway import truncation
from cfaig_integrations.langchain import CloudflareAIGatewayLLM
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.langchain.call_methods import CALL_METHODS, every_way, every_wire
from tests.langchain.conftest import Make


@every_wire
@every_way
@pytest.mark.parametrize("arguments", [{}, {"max_tokens": 20}], ids=str)
async def test_an_answer_at_the_servers_limit_is_warned_of_once(
    make: Make,
    simulator: Simulator,
    caplog: pytest.LogCaptureFixture,
    api: str,
    call_method: str,
    arguments: dict[str, Any],
) -> None:
    truncation._models_warned_about.clear()
    model = make(api=api, **arguments)
    for _ in range(2):
        simulator.reply("It begins and", finish="length")
        await CALL_METHODS[call_method](model, "Hi")
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == (0 if arguments else 1)
    assert all("Set max_tokens=" in warning and repr(model.model) in warning for warning in warnings)


@pytest.mark.parametrize("streaming", [False, True])
def test_the_text_class_warns_too(simulator: Simulator, caplog: pytest.LogCaptureFixture, streaming: bool) -> None:
    truncation._models_warned_about.clear()
    simulator.reply("It begins and", finish="length")
    CloudflareAIGatewayLLM(model="@cf/zai-org/glm-5.2", streaming=streaming, **where(simulator)).invoke("Hi")
    assert "Set max_tokens=" in caplog.text


LIMITS: list[tuple[str, dict[str, Any], int]] = [
    ("anthropic/claude-haiku-4.5", {}, 64_000),
    ("anthropic/claude-haiku-4.5", {"thinking": {"type": "enabled", "budget_tokens": 2000}}, 64_000),
    ("anthropic/claude-haiku-4.5", {"max_tokens": 9}, 9),
    ("anthropic/claude-3-haiku", {}, 4096),
    ("anthropic/claude-of-next-year", {}, 8192),
]


@pytest.mark.parametrize(("model", "arguments", "expected"), LIMITS)
@pytest.mark.parametrize("api", ["auto", "run"])
def test_anthropics_models_may_write_all_that_they_can(
    make: Make, simulator: Simulator, api: str, model: str, arguments: dict[str, Any], expected: int
) -> None:
    make(model=model, api=api, **arguments).invoke("Hi")
    body = simulator.requests[-1].body
    assert body.get("input", body)["max_tokens"] == expected


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_in_the_body_is_a_limit(
    make: Make, simulator: Simulator, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    truncation._models_warned_about.clear()
    simulator.reply("It begins and", finish="length")
    make(api="chat_completions", extra_body={name: 20}).invoke("Hi")
    assert not caplog.records
