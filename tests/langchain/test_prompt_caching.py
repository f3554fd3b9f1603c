"""Hints for the provider's prompt cache reach it, and what it read and wrote comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from cfaig_integrations.errors import ConfigError
from cfaig_integrations.langchain import CloudflarePromptCachingMiddleware, gateway_info
from cfaig_integrations.simulator import Simulator
from tests.handmade import last_request
from tests.langchain.call_methods import CALL_METHODS, every_way, every_wire, weather
from tests.langchain.conftest import Make

MARK = {"cache_control": {"type": "ephemeral"}}
KEYS = {"prompt_cache_key": "tenant-7", "prompt_cache_retention": "24h"}
LONG = "The quick brown fox jumps over the lazy dog near the bank of the river. " * 120


def marked(text: str, **mark: Any) -> HumanMessage:
    return HumanMessage([{"type": "text", "text": text, **mark}])


def read(message: AIMessage) -> int:
    """How many tokens came from the cache."""
    assert message.usage_metadata is not None
    return message.usage_metadata.get("input_token_details", {}).get("cache_read", 0)


@every_way
@every_wire
async def test_a_repeated_prompt_is_read_from_the_cache(
    make: Make, simulator: Simulator, api: str, call_method: str
) -> None:
    model, ask = make(api=api), [marked(LONG, **(MARK if api == "messages" else {}))]
    first, second = [await CALL_METHODS[call_method](model, ask) for _ in range(2)]
    assert read(first) == 0
    assert read(second) >= 1024
    for message in (first, second):
        assert message.usage_metadata is not None
        assert message.usage_metadata["input_tokens"] >= read(message)
        assert message.usage_metadata["input_tokens"] == (first.usage_metadata or {})["input_tokens"]


@pytest.mark.parametrize("api", ["chat_completions", "responses"])
def test_cache_keys_reach_the_body(make: Make, simulator: Simulator, api: str) -> None:
    make(api=api).invoke("Hi", **KEYS)
    make(api=api, extra_body=KEYS).invoke("Hi")
    make(api=api, extra_body={"prompt_cache_key": "mine"}).bind(**KEYS).invoke("Hi")
    for request in simulator.requests:
        assert {key: request.body.get(key) for key in KEYS} == KEYS


def test_cache_markers_keep_their_place(make: Make, simulator: Simulator) -> None:
    system = SystemMessage([{"type": "text", "text": "Be brief."}])
    hour = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    make(api="messages").invoke([system, marked("One.", **hour), AIMessage("1"), marked("Two.", **MARK)])
    body = last_request(simulator)
    assert body["messages"][0]["content"] == [{"type": "text", "text": "One.", **hour}]
    assert body["messages"][2]["content"] == [{"type": "text", "text": "Two.", **MARK}]


@pytest.mark.parametrize("api", ["responses", "run"])
def test_cache_markers_are_ignored_by_other_formats(make: Make, simulator: Simulator, api: str) -> None:
    assert make(api=api).invoke([marked("Hi", **MARK)]).text
    assert "cache_control" not in str(last_request(simulator))


@every_way
async def test_automatic_caching_selects_a_format_that_has_it(
    make: Make, simulator: Simulator, call_method: str
) -> None:
    model = make(model="anthropic/claude-haiku-4.5").bind_tools([weather])
    reply = await CALL_METHODS[call_method](model, "Hi", **MARK)
    info = gateway_info(reply)
    assert info is not None
    assert (info.wire, info.attempts, info.switched_from) == ("messages", 1, None)
    assert last_request(simulator)["cache_control"] == MARK["cache_control"]


def test_a_tool_keeps_its_cache_marker(make: Make, simulator: Simulator) -> None:
    cached = weather.model_copy(update={"extras": MARK})
    make(model="anthropic/claude-haiku-4.5").bind_tools([cached]).invoke("Hi")
    assert last_request(simulator)["tools"][0]["cache_control"] == MARK["cache_control"]


def test_workers_ai_receives_the_conversation_id(make: Make, simulator: Simulator) -> None:
    make(model="@cf/zai-org/glm-5.2").invoke("Hi", {"metadata": {"thread_id": "t"}})
    assert simulator.requests[-1].headers["x-session-affinity"] == "t"


def test_a_marker_of_the_system_text_is_sent_on_the_first_user_block(make: Make, simulator: Simulator) -> None:
    hour = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    system = SystemMessage([{"type": "text", "text": "Be brief.", **hour}])
    make(api="messages").invoke([system, HumanMessage("One.")])
    make(api="messages").invoke([system, marked("One.", **MARK)])
    first, second = (request.body for request in simulator.requests)
    assert first["system"] == second["system"] == "Be brief."
    assert first["messages"][0]["content"] == [{"type": "text", "text": "One.", **hour}]
    assert second["messages"][0]["content"] == [{"type": "text", "text": "One.", **MARK}]


BREAKPOINT = {"type": "ephemeral", "ttl": "5m"}
TEXT = {"type": "text", "cache_control": BREAKPOINT}


def markers(body: Any) -> int:
    return json.dumps(body).count("cache_control")


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_the_middleware_marks_system_tools_and_last_message(
    make: Make, simulator: Simulator, asynchronous: bool
) -> None:
    model = make(model="anthropic/claude-haiku-4.5")
    agent: Any = create_agent(model, [weather], system_prompt=LONG, middleware=[CloudflarePromptCachingMiddleware()])
    ask = {"messages": [HumanMessage("What is the weather in Oslo?")]}
    state = await agent.ainvoke(ask) if asynchronous else agent.invoke(ask)
    first, second = (request.body for request in simulator.requests)
    assert first["system"] == LONG
    assert first["tools"][0]["cache_control"] == BREAKPOINT
    assert first["messages"][0]["content"] == [{**TEXT, "text": "What is the weather in Oslo?"}]
    assert second["messages"][0]["content"] == [{**TEXT, "text": "What is the weather in Oslo?"}]
    [result] = second["messages"][-1]["content"]
    assert result["content"][0]["cache_control"] == BREAKPOINT
    assert (markers(first), markers(second)) == (2, 3)
    answer: Any = state["messages"][-1]
    assert read(answer) >= 1024
    assert "cache_control" not in str(state["messages"])


def test_the_middleware_keeps_markers_and_adds_up_to_four(make: Make, simulator: Simulator) -> None:
    hour = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    caching = CloudflarePromptCachingMiddleware(ttl="1h", min_messages_to_cache=2)
    agent: Any = create_agent(make(model="anthropic/claude-haiku-4.5"), [weather], middleware=[caching])
    simulator.reply("Fine.", times=3)
    agent.invoke({"messages": [HumanMessage("Hi")]})
    agent.invoke({"messages": [marked(f"{n}", **hour) for n in range(3)] + [HumanMessage("Hi")]})
    agent.invoke({"messages": [marked(f"{n}", **hour) for n in range(4)] + [HumanMessage("Hi")]})
    assert [markers(request.body) for request in simulator.requests] == [0, 4, 4]
    assert simulator.requests[1].body["messages"][0]["content"][-1] == {"type": "text", "text": "Hi", **hour}


def test_the_middleware_counts_markers_wherever_they_are(make: Make, simulator: Simulator) -> None:
    system = SystemMessage([{"type": "text", "text": "Be brief.", **MARK}])
    tool, caching = weather.model_copy(update={"extras": MARK}), CloudflarePromptCachingMiddleware()
    model = make(model="anthropic/claude-haiku-4.5")
    agent: Any = create_agent(model, [tool], system_prompt=system, middleware=[caching])
    simulator.reply("Fine.")
    extra = HumanMessage([{"type": "text", "text": "2", "extras": MARK}])
    agent.invoke({"messages": [HumanMessage("0"), marked("1", **MARK), extra, HumanMessage("Hi")]})
    assert markers(last_request(simulator)) == 4


@pytest.mark.parametrize("behavior", ["ignore", "warn", "raise"])
@pytest.mark.parametrize("api", ["chat_completions", "responses"])
def test_the_middleware_on_other_models(make: Make, simulator: Simulator, api: str, behavior: Any) -> None:
    caching = CloudflarePromptCachingMiddleware(unsupported_model_behavior=behavior)
    agent: Any = create_agent(make(api=api), [weather], middleware=[caching])
    message = "takes no cache markers"
    match behavior:
        case "raise":
            with pytest.raises(ConfigError, match=message):
                agent.invoke({"messages": [HumanMessage("Hi")]})
        case "warn":
            with pytest.warns(UserWarning, match=message):
                agent.invoke({"messages": [HumanMessage("Hi")]})
        case _:
            agent.invoke({"messages": [HumanMessage("Hi")]})
    assert len(simulator.requests) == (behavior != "raise")
    assert not any(markers(request.body) for request in simulator.requests)


@pytest.mark.parametrize("arguments", [{"ttl": "2h"}, {"unsupported_model_behavior": "fail"}])
def test_the_middleware_refuses_unknown_values(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Use one of"):
        CloudflarePromptCachingMiddleware(**arguments)
