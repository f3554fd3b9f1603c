"""A stream says all that a whole answer says, or fails loudly."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import httpx
import pytest
from langchain_core import exceptions as lc
from langchain_core.messages import AIMessage

from cfaig_integrations import errors
from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.handmade import chat_chunk, play
from tests.langchain.call_methods import CALL_METHODS, STREAMS, every_way, every_wire
from tests.langchain.conftest import MODELS, Make
from tests.waiting import until, until_async

both_streams = pytest.mark.parametrize("call_method", STREAMS)


@both_streams
@pytest.mark.parametrize(("api", "legacy"), [*((api, False) for api in MODELS), ("chat_completions", True)])
async def test_streams_report_usage_by_default(
    make: Make, simulator: Simulator, api: str, call_method: str, legacy: bool
) -> None:
    """langgraph#4848, #5878, langchain#26145, PR #33205, langchain-litellm#16, #20."""
    model = make(api=api)
    if legacy:
        model = model.model_copy(update={"base_url": simulator.legacy_url})
    simulator.reply("One two three.", tokens_in=11, tokens_out=7)
    usage = (await CALL_METHODS[call_method](model, "Hi")).usage_metadata
    assert usage is not None
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (11, 7, 18)


def usage(given: int, made: int) -> dict[str, int]:
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


GROWING: dict[str, list[Any]] = {
    "chat_completions": [
        chat_chunk({"role": "assistant", "content": "a"}, usage=usage(5, 1)),
        chat_chunk({"content": "b"}, usage=usage(5, 2)),
        chat_chunk({}, "stop", usage=usage(5, 2)),
        "[DONE]",
    ],
    "messages": [
        {
            "type": "message_start",
            "message": {
                "id": "m1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [],
                "usage": {"input_tokens": 5, "output_tokens": 1},
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ab"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"input_tokens": 5, "output_tokens": 2},
        },
        {"type": "message_stop"},
    ],
    "run": [
        {"response": "a", "usage": usage(5, 1)},
        {"response": "b", "usage": usage(5, 2)},
        {"response": "", "usage": usage(5, 2)},
        "[DONE]",
    ],
}


@pytest.mark.parametrize("api", GROWING)
@both_streams
async def test_cumulative_usage_is_not_summed(make: Make, simulator: Simulator, api: str, call_method: str) -> None:
    """langchain#30429, databricks-ai-bridge PR #638, langchainjs PR #11457, #10164."""
    play(simulator, *GROWING[api])
    model = make(api=api, model="@cf/meta/llama-3.3-70b-instruct-fp8-fast" if api == "run" else MODELS[api])
    answer = await CALL_METHODS[call_method](model, "Hi")
    assert answer.text == "ab"
    assert answer.usage_metadata is not None
    assert {key: answer.usage_metadata[key] for key in ("input_tokens", "output_tokens", "total_tokens")} == {
        "input_tokens": 5,
        "output_tokens": 2,
        "total_tokens": 7,
    }


@every_wire
def test_only_one_chunk_reports_usage(make: Make, simulator: Simulator, api: str) -> None:
    assert sum(chunk.usage_metadata is not None for chunk in make(api=api).stream("Hi")) == 1


REASONING = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Because."}]}
ANSWER = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Yes.", "annotations": []}],
}


def response(status: str = "completed", *output: Any, **extra: Any) -> dict[str, Any]:
    return {"id": "r1", "object": "response", "model": "m", "status": status, "output": [*output], **extra}


CREATED = {"type": "response.created", "response": response("in_progress")}
DELTAS: list[Any] = [
    {"type": "response.output_item.added", "output_index": 1, "item": {**ANSWER, "content": []}},
    {
        "type": "response.output_text.delta",
        "item_id": "msg_1",
        "output_index": 1,
        "content_index": 0,
        "delta": "Yes.",
    },
]
ITEM_DONE: list[Any] = [
    {"type": "response.output_item.added", "output_index": 0, "item": {**REASONING, "summary": []}},
    {"type": "response.output_item.done", "output_index": 0, "item": REASONING},
]
USAGE = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
COMPLETED = {"type": "response.completed", "response": response("completed", REASONING, ANSWER, usage=USAGE)}


@pytest.mark.parametrize("reported", ["item done", "completed"])
@pytest.mark.parametrize("output_version", ["v0", "v1"])
@both_streams
async def test_late_reasoning_is_kept(
    make: Make, simulator: Simulator, call_method: str, reported: str, output_version: str
) -> None:
    """langchain#37625."""
    if reported == "item done":  # and never again: there are servers whose last event repeats no output
        play(simulator, CREATED, *ITEM_DONE, *DELTAS, {"type": "response.completed", "response": response()})
    else:
        play(simulator, CREATED, *DELTAS, COMPLETED)
    answer = await CALL_METHODS[call_method](make(api="responses", output_version=output_version), "Hi")
    shown = [block for block in answer.content_blocks if block["type"] == "reasoning"]
    assert [block["reasoning"] for block in shown] == ["Because."]
    assert answer.text == "Yes."


ERROR = {"code": "server_error", "message": "The model fell over."}
FAILURES: dict[str, list[Any]] = {
    "response.failed": [{"type": "response.failed", "response": response("failed", error=ERROR)}],
    "error": [{"type": "error", **ERROR, "param": None, "sequence_number": 9}],
    "no end": [],
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("call_method", [*STREAMS, "invoke", "ainvoke"])
async def test_a_failed_stream_fails(
    make: Make, simulator: Simulator, call_method: str, failure: str, begun: bool
) -> None:
    """langchain#39039, PR #39041."""
    play(simulator, CREATED, *(DELTAS if begun else []), *FAILURES[failure])
    model = make(api="responses", streaming=True, max_retries=0)
    with pytest.raises(lc.ModelError) as caught:
        await CALL_METHODS[call_method](model, "Hi")
    assert isinstance(caught.value, errors.StreamBroken if failure == "no end" else errors.ApiError)
    assert failure == "no end" or "fell over" in str(caught.value)


@every_way
async def test_a_truncated_answer_reports_its_finish_reason(make: Make, simulator: Simulator, call_method: str) -> None:
    """langchain#33840."""
    cut = response("incomplete", ANSWER, incomplete_details={"reason": "max_output_tokens"}, usage=USAGE)
    if call_method in STREAMS:
        play(simulator, CREATED, *DELTAS, {"type": "response.incomplete", "response": cut})
    else:
        simulator.reply_raw(body=json.dumps(cut))
    answer = await CALL_METHODS[call_method](make(api="responses"), "Hi")
    assert answer.text == "Yes."
    assert answer.usage_metadata == {**USAGE}
    assert answer.response_metadata["finish_reason"] == "max_output_tokens"
    assert answer.response_metadata["incomplete_details"] == {"reason": "max_output_tokens"}


IN_BAND: dict[str, Any] = {
    "object": {"error": {"message": "The model fell over.", "type": "server_error", "code": 500}},
    "text": {"error": "The model fell over."},
    "list": {"success": False, "result": None, "errors": [{"code": 3040, "message": "The model fell over."}]},
}


@pytest.mark.parametrize("api", MODELS)
@pytest.mark.parametrize("form", IN_BAND)
@pytest.mark.parametrize("place", ["first", "later"])
@pytest.mark.parametrize("call_method", [*STREAMS, "invoke"])
async def test_an_error_in_an_event_is_an_error(
    make: Make, simulator: Simulator, api: str, form: str, place: str, call_method: str
) -> None:
    """litellm#40578."""
    before: dict[str, list[Any]] = {
        "chat_completions": [chat_chunk({"role": "assistant", "content": "a"})],
        "responses": [CREATED, *DELTAS],
        "messages": GROWING["messages"][:3],
        "run": GROWING["run"][:1],
    }
    end: list[Any] = [] if api in {"responses", "messages"} else ["[DONE]"]
    play(simulator, *(before[api] if place == "later" else []), IN_BAND[form], *end)
    with pytest.raises(errors.ApiError, match="fell over") as caught:
        await CALL_METHODS[call_method](make(api=api, streaming=True, max_retries=0), "Hi")
    assert isinstance(caught.value, lc.ModelError)


@every_wire
@every_way
async def test_an_error_in_a_body_with_status_200_is_an_error(
    make: Make, simulator: Simulator, api: str, call_method: str
) -> None:
    simulator.reply_raw(body='{"success": false, "result": null, "errors": [{"code": 5006, "message": "fell over"}]}')
    with pytest.raises(errors.ApiError, match="fell over"):
        await CALL_METHODS[call_method](make(api=api, max_retries=0), "Hi")


@every_wire
@pytest.mark.parametrize("ending", ["break", "close", "raise"])
def test_abandoned_streams_release_their_connections(make: Make, simulator: Simulator, api: str, ending: str) -> None:
    """langchain#37976, openai-agents PR #4066."""
    simulator.reply("word " * 400)
    opened: list[httpx.Response] = []  # held, so that no garbage collector closes them
    with httpx.Client(event_hooks={"response": [opened.append]}) as client:
        stream: Any = make(api=api, http_client=client).stream("Hi")
        with suppress(KeyError):
            for _ in stream:
                if ending == "raise":
                    raise KeyError
                break
        if ending == "close":
            stream.close()
        else:
            del stream
        assert until(lambda: simulator.in_flight == 0)
        assert [response.is_closed for response in opened] == [True]


@every_wire
@pytest.mark.parametrize("ending", ["close", "cancel"])
async def test_abandoned_async_streams_release_their_connections(
    make: Make, simulator: Simulator, api: str, ending: str
) -> None:
    simulator.reply("word " * 400)
    opened: list[httpx.Response] = []

    async def keep(response: httpx.Response) -> None:
        opened.append(response)

    async with httpx.AsyncClient(event_hooks={"response": [keep]}) as client:
        stream: Any = make(api=api, http_async_client=client).astream("Hi")
        await anext(stream)
        if ending == "close":
            await stream.aclose()
        else:
            begun = asyncio.Event()

            async def read() -> None:
                async for _ in stream:
                    begun.set()
                    await asyncio.sleep(30)

            task = asyncio.create_task(read())
            await begun.wait()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await stream.aclose()
        assert await until_async(lambda: simulator.in_flight == 0)
        assert [response.is_closed for response in opened] == [True]


@every_wire
@every_way
async def test_the_model_name_is_the_same_for_every_call_method(make: Make, api: str, call_method: str) -> None:
    """langchainjs#11230."""
    answer = await CALL_METHODS[call_method](make(api=api), "Hi")
    assert answer.response_metadata["model_name"] == MODELS[api]
    assert answer.response_metadata["model_provider"] == "cloudflare_ai_gateway"
    chosen = await CALL_METHODS[call_method](make(api="chat_completions"), "Hi", model="openai/gpt-4.1-mini")
    assert chosen.response_metadata["model_name"] == "openai/gpt-4.1-mini"


def parts_of(answer: AIMessage) -> tuple[Any, ...]:
    reported = {key: answer.response_metadata[key] for key in ("model_name", "finish_reason", "model_provider")}
    return answer.content, answer.tool_calls, answer.usage_metadata, reported


@every_wire
@pytest.mark.parametrize("call_method", ["invoke", "ainvoke", "batch", "abatch"])
async def test_an_invoke_may_stream_internally(make: Make, simulator: Simulator, api: str, call_method: str) -> None:
    """pr-reviewer-action#23, pollinations PR #7321: an edge gives up on an answer that says nothing for long."""
    simulator.reply("Said slowly.", tokens_in=4, tokens_out=3, times=2)
    plain = await CALL_METHODS[call_method](make(api=api), "Hi")
    assert "stream" not in simulator.requests[-1].body
    model: ChatCloudflareAIGateway = make(api=api, streaming=True)
    streamed = await CALL_METHODS[call_method](model, "Hi")
    assert simulator.requests[-1].body["stream"] is True
    assert parts_of(streamed) == parts_of(plain)
