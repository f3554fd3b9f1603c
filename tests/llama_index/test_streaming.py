"""A stream contains what a whole answer contains, once, and each of its responses is a message."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llama_index.core.agent.workflow import AgentOutput, FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, TextBlock, ThinkingBlock, ToolCallBlock
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler, TokenCountingHandler

from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.handmade import chat_chunk, play
from tests.llama_index.call_methods import (
    CALL,
    MODELS,
    QUESTION,
    REASONING_MODELS,
    WEATHER,
    Make,
    answer,
    answers,
    begun,
    both_modes,
    every_method,
    every_stream,
    every_wire,
    text_of,
    user,
)

TOKENS = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def counts(response: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tokens, where LlamaIndex's counter and where other observers look."""
    kwargs, usage = response.additional_kwargs, response.raw["usage"]
    return {name: kwargs[name] for name in TOKENS}, {name: usage[name] for name in TOKENS}


@every_method
@pytest.mark.parametrize(("api", "legacy"), [*((api, False) for api in MODELS), ("chat_completions", True)])
async def test_usage_is_reported_by_default(
    make: Make, simulator: Simulator, api: str, method: str, legacy: bool
) -> None:
    """run-llama#12214, #19740, #17673, #18118."""
    llm = make(api=api, **({"base_url": simulator.legacy_url} if legacy else {}))
    simulator.reply("One two three.", tokens_in=11, tokens_out=7)
    *before, last = await answers(llm, method)
    assert counts(last) == (TOKENS, TOKENS)
    assert not [each for each in before if "usage" in each.raw]


FINISH_REASONS = ("stop", "length", "tool_calls")


@every_wire
@every_method
@pytest.mark.parametrize("finish", FINISH_REASONS)
async def test_finish_reasons_have_one_vocabulary(
    make: Make, simulator: Simulator, api: str, method: str, finish: str
) -> None:
    simulator.reply("One two three.", finish=finish, calls=[CALL] if finish == "tool_calls" else [])
    last = await answer(make(api=api), method, tools=[WEATHER])
    assert last.additional_kwargs["normalized_finish_reason"] == finish
    assert last.raw["finish_reason"] == finish
    if api == "messages":
        native = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
        assert last.additional_kwargs["finish_reason"] == native[finish]


@every_wire
@every_method
async def test_parts_of_token_counts_have_openai_names(make: Make, simulator: Simulator, api: str, method: str) -> None:
    simulator.reply("One two three.", tokens_in=11, tokens_out=7, tokens_cached=5)
    last = await answer(make(api=api), method)
    assert counts(last) == (TOKENS, TOKENS)
    assert last.raw["usage"]["prompt_tokens_details"]["cached_tokens"] == 5


def usage(value: int, created: int) -> dict[str, int]:
    return {"prompt_tokens": value, "completion_tokens": created, "total_tokens": value + created}


@every_stream
async def test_cumulative_usage_is_not_summed(make: Make, simulator: Simulator, method: str) -> None:
    chunks = [
        chat_chunk({"role": "assistant", "content": "a"}, usage=usage(11, 1)),
        chat_chunk({"content": "b"}, usage=usage(11, 5)),
        chat_chunk({}, "stop", usage=usage(11, 7)),
    ]
    play(simulator, *chunks, "[DONE]")
    counting = TokenCountingHandler()
    last = await answer(make(api="chat_completions", callback_manager=CallbackManager([counting])), method)
    assert counts(last) == (TOKENS, TOKENS)
    assert (counting.prompt_llm_token_count, counting.completion_llm_token_count) == (11, 7)


@every_wire
@both_modes
async def test_an_agents_output_reports_usage(make: Make, simulator: Simulator, api: str, streaming: bool) -> None:
    """run-llama#19269."""
    simulator.reply(calls=[CALL], tokens_in=20, tokens_out=5)
    simulator.reply("It rains.", tokens_in=11, tokens_out=7)
    counting = TokenCountingHandler()
    llm = make(api=api, callback_manager=CallbackManager([counting]))
    handler = FunctionAgent(tools=[WEATHER], llm=llm, streaming=streaming).run(QUESTION)
    steps = [event async for event in handler.stream_events() if isinstance(event, AgentOutput)]
    logged = [step.raw["usage"] for step in steps if step.raw]
    assert [(each["prompt_tokens"], each["completion_tokens"]) for each in logged] == [(20, 5), (11, 7)]
    assert (counting.prompt_llm_token_count, counting.completion_llm_token_count) == (31, 12)
    assert (await handler).raw["cf_aig"]["log_id"] == simulator.logs()[-1]["id"]


@every_wire
@every_method
async def test_one_call_is_one_event(make: Make, simulator: Simulator, api: str, method: str) -> None:
    """Zipstack/unstract-sdk PR #63; of programs and tools: tests/llama_index/test_observers.py."""
    debug, counting = LlamaDebugHandler(print_trace_on_end=False), TokenCountingHandler()
    llm = make(api=api, callback_manager=CallbackManager([debug, counting]))
    simulator.reply("One two three.", tokens_in=11, tokens_out=7)
    await answer(llm, method)
    assert [len(pair) for pair in debug.get_event_pairs(CBEventType.LLM)] == [2]
    assert (counting.prompt_llm_token_count, counting.completion_llm_token_count) == (11, 7)


REASONING_TEXT = "Let me look at the sky."
TEXT = "I will look it up for you."


def reasoning_of(message: ChatMessage) -> str:
    return "".join(block.content or "" for block in message.blocks if isinstance(block, ThinkingBlock))


def calls_of(message: ChatMessage) -> list[ToolCallBlock]:
    return [block for block in message.blocks if isinstance(block, ToolCallBlock)]


@pytest.mark.parametrize("api", REASONING_MODELS)
@every_stream
async def test_every_response_holds_the_whole_message_so_far(
    make: Make, simulator: Simulator, api: str, method: str
) -> None:
    """run-llama PR #22450."""
    simulator.reply(TEXT, reasoning=REASONING_TEXT, calls=[CALL, {**CALL, "id": "call_2"}])
    result = await answers(make(api=api, **REASONING_MODELS[api]), method, tools=[WEATHER])
    text = thought = ""
    for response in result:
        text += response.delta or ""
        thought += response.additional_kwargs.get("thinking_delta") or ""
        assert text_of(response) == text
        assert reasoning_of(response.message) == thought
        assert len(response.message.additional_kwargs.get("tool_calls", [])) == len(calls_of(response.message))
    assert (text, thought) == (TEXT, REASONING_TEXT)
    assert len({response.message.content for response in result}) > 4
    for before, after in pairwise(result):
        assert len(before.message.blocks) <= len(after.message.blocks)
    last = result[-1].message
    assert [(call.tool_call_id, call.tool_kwargs) for call in calls_of(last)] == [
        ("call_1", {"city": "Paris"}),
        ("call_2", {"city": "Paris"}),
    ]
    simulator.reset()  # reasoning words that the official types do not know


def text_parts(api: str, parts: list[list[str]]) -> list[Any]:
    """A stream whose text comes in several parts, each in several pieces, as servers that cite write it."""
    if api == "responses":
        return list(_responses_parts(parts))
    if api == "messages":
        return list(_messages_parts(parts))
    pieces = [chat_chunk({"content": piece}) for part in parts for piece in part]
    return [chat_chunk({"role": "assistant"}), *pieces, chat_chunk({}, "stop", usage=usage(1, 1)), "[DONE]"]


def _responses_parts(parts: list[list[str]]) -> Any:
    complete = [{"type": "output_text", "text": "".join(part), "annotations": []} for part in parts]
    item: dict[str, Any] = {"type": "message", "id": "m1", "role": "assistant", "status": "completed"}
    about: dict[str, Any] = {"id": "r1", "object": "response", "model": "m"}
    yield {"type": "response.created", "response": {**about, "status": "in_progress", "output": []}}
    yield {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}}
    for place, part in enumerate(parts):
        at = {"item_id": "m1", "output_index": 0, "content_index": place}
        yield {"type": "response.content_part.added", **at, "part": {**complete[place], "text": ""}}
        for piece in part:
            yield {"type": "response.output_text.delta", **at, "delta": piece}
        yield {"type": "response.output_text.done", **at, "text": complete[place]["text"]}
        yield {"type": "response.content_part.done", **at, "part": complete[place]}
    done = {**item, "content": complete}
    yield {"type": "response.output_item.done", "output_index": 0, "item": done}
    spent = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    yield {
        "type": "response.completed",
        "response": {**about, "status": "completed", "output": [done], "usage": spent},
    }


def _messages_parts(parts: list[list[str]]) -> Any:
    spent = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": spent}
    yield {"type": "message_start", "message": message}
    for place, part in enumerate(parts):
        yield {"type": "content_block_start", "index": place, "content_block": {"type": "text", "text": ""}}
        for piece in part:
            yield {"type": "content_block_delta", "index": place, "delta": {"type": "text_delta", "text": piece}}
        yield {"type": "content_block_stop", "index": place}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": spent}
    yield {"type": "message_stop"}


PIECES = st.lists(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), max_size=4), max_size=4)


@pytest.mark.parametrize("api", ["chat_completions", "responses", "messages"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(parts=PIECES)
def test_deltas_add_up_to_the_text(simulator: Simulator, api: Any, parts: list[list[str]]) -> None:
    """Mistral PR #22284."""
    play(simulator, *text_parts(api, parts))
    llm = CloudflareAIGateway(**where(simulator), api=api, model=MODELS[api])
    result = list(llm.stream_chat([user()]))
    text = "".join(piece for part in parts for piece in part)
    assert "".join(response.delta or "" for response in result) == text
    last = result[-1].message
    assert (last.content or "") == text
    assert len([block for block in last.blocks if isinstance(block, TextBlock)]) == 1


@every_wire
@every_method
async def test_line_separators_are_kept(make: Make, simulator: Simulator, api: str, method: str) -> None:
    text = "# One\n\n- two\n- three\n\n\n```\nfour\n```\n"
    simulator.reply(text)
    result = await answers(make(api=api), method)
    assert text_of(result[-1]) == text
    if "stream" in method:
        assert "".join(response.delta or "" for response in result) == text


@every_wire
@every_stream
async def test_an_observer_gets_the_whole_message(make: Make, simulator: Simulator, api: str, method: str) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    simulator.reply(TEXT)
    stream = await begun(make(api=api, callback_manager=CallbackManager([debug])), method)
    assert [each async for each in stream] if method.startswith("a") else list(stream)
    ((_, end),) = debug.get_event_pairs(CBEventType.LLM)
    assert end.payload is not None
    assert end.payload["response"].message.content == TEXT
    json.dumps(end.payload["response"].raw)
