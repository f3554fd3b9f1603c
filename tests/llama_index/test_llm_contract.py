"""What every LLM of LlamaIndex does: histories untouched, errors explained, connections released, arguments checked."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    ChatResponse,
    MessageRole,
    TextBlock,
    VideoBlock,
)
from llama_index.core.llms.utils import resolve_llm
from pydantic import ValidationError

from cfaig_integrations import AuthError, ConfigError, GatewayError, UnsupportedContent
from cfaig_integrations.llama_index import (
    CloudflareAIGateway,
    CloudflareAIGatewayEmbedding,
    CloudflareAIGatewayRerank,
)
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.handmade import last_request, play
from tests.llama_index.call_methods import (
    EMBEDDER,
    METHODS,
    QUESTION,
    WEATHER,
    Make,
    answer,
    begun,
    every_method,
    every_wire,
    read,
    text_of,
    user,
    value_for,
)
from tests.waiting import until, until_async

TOOLS = ("chat_with_tools", "achat_with_tools", "stream_chat_with_tools", "astream_chat_with_tools")
STREAMED = [method for method in METHODS if "stream" in method]


@every_wire
@pytest.mark.parametrize("method", TOOLS)
@pytest.mark.parametrize("form", ["text", "message"])
async def test_the_history_is_not_changed(make: Make, simulator: Simulator, api: str, method: str, form: str) -> None:
    """Two other packages append the question to it; one forgets a question that is a message."""
    history = [user("Hello."), ChatMessage(role=MessageRole.ASSISTANT, content="Hello, Ann.")]
    before = [message.model_dump() for message in history]
    question: Any = QUESTION if form == "text" else user(QUESTION)
    llm = make(api=api)
    await read(await value_for(getattr(llm, method), [WEATHER], user_msg=question, chat_history=history))
    assert [message.model_dump() for message in history] == before
    sent = json.dumps(last_request(simulator))
    assert sent.index("Hello, Ann.") < sent.index(QUESTION)
    assert sent.count(QUESTION) == 1


ITEMS: list[dict[str, Any]] = [
    {
        "type": "message",
        "id": f"m{n}",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    for n, text in enumerate(("one", "two"))
]


@pytest.mark.parametrize("method", METHODS)
async def test_two_texts_in_one_response_are_shown_once(make: Make, simulator: Simulator, method: str) -> None:
    """In another package they became "one one two"."""
    about: dict[str, Any] = {"id": "r1", "object": "response", "model": "m"}
    full = {**about, "status": "completed", "output": ITEMS}
    if "stream" in method:
        events: list[Any] = [{"type": "response.created", "response": {**about, "status": "in_progress", "output": []}}]
        for n, item in enumerate(ITEMS):
            at = {"item_id": item["id"], "output_index": n, "content_index": 0}
            text = item["content"][0]["text"]
            events += [
                {"type": "response.output_item.added", "output_index": n, "item": {**item, "content": []}},
                {"type": "response.output_text.delta", **at, "delta": text},
                {"type": "response.output_item.done", "output_index": n, "item": item},
            ]
        play(simulator, *events, {"type": "response.completed", "response": full})
    else:
        simulator.reply_raw(body=json.dumps(full))
    assert text_of(await answer(make(api="responses"), method)) == "onetwo"


@pytest.mark.parametrize("api", ["responses", "messages"])
@pytest.mark.parametrize("block", [AudioBlock(audio=b"RIFF", format="wav"), VideoBlock(video=b"film")], ids=["a", "v"])
def test_unsupported_content_raises_with_a_remedy(make: Make, simulator: Simulator, api: str, block: Any) -> None:
    """Peers raise a bare ValueError."""
    requested = ChatMessage(role=MessageRole.USER, blocks=[TextBlock(text="What is it?"), block])
    with pytest.raises(UnsupportedContent) as caught:
        make(api=api).chat([requested])
    assert caught.value.remedy
    assert not simulator.requests


@pytest.mark.parametrize("body", ['{"result": null, "success": false, "errors": []}', "null", "", "[]", '"no"'])
@pytest.mark.parametrize("api", ["run", "embeddings"])
def test_an_error_without_a_message_is_still_an_error(
    simulator: Simulator, capfd: pytest.CaptureFixture[str], body: str, api: Any
) -> None:
    """Another package raised TypeError on such a 401, and printed other bodies."""
    simulator.reply_raw(401, body)
    model = CloudflareAIGatewayEmbedding(**where(simulator), model=EMBEDDER, api=api, max_retries=0)
    with pytest.raises(AuthError) as caught:
        model.get_query_embedding("Hi")
    assert caught.value.status == 401
    assert capfd.readouterr().out == ""


@every_wire
@every_method
async def test_an_error_keeps_the_servers_message(
    make: Make, simulator: Simulator, capfd: pytest.CaptureFixture[str], api: str, method: str
) -> None:
    """Another package said "All LLMs failed"."""
    simulator.fault("invalid_provider")
    with pytest.raises(GatewayError, match=r"Invalid provider.*400.*2008"):
        await answer(make(api=api), method)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("token", ["", "   "])
@pytest.mark.parametrize("kind", [CloudflareAIGateway, CloudflareAIGatewayEmbedding, CloudflareAIGatewayRerank])
def test_an_empty_token_is_no_token(simulator: Simulator, monkeypatch: Any, token: str, kind: Any) -> None:
    """Another package sent "Bearer "."""
    for name in ("CLOUDFLARE_API_TOKEN", "CF_AIG_TOKEN", "CF_AI_API_TOKEN", "CF_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="api_token"):
        kind(**{**where(simulator), "model": EMBEDDER, "api_token": token})


@pytest.mark.parametrize("kind", [CloudflareAIGateway, CloudflareAIGatewayEmbedding, CloudflareAIGatewayRerank])
@pytest.mark.parametrize("argument", ["metadata", "dimension", "timeouts", "binding", "llms", "options"])
def test_an_unknown_argument_is_never_ignored(simulator: Simulator, kind: Any, argument: str) -> None:
    """`metadata` is LlamaIndex's own: a field of that name would be ignored without an error."""
    with pytest.raises(ConfigError) as caught:
        kind(**where(simulator), model=EMBEDDER, **{argument: {"a": 1}})
    assert caught.value.field == argument
    assert caught.value.remedy


@pytest.mark.parametrize("method", METHODS)
async def test_custom_http_clients_are_used(make: Make, simulator: Simulator, method: str) -> None:
    """Another package took them and did not."""
    headers = {"x-mine": "yes"}
    with httpx.Client(headers=headers) as client:
        async with httpx.AsyncClient(headers=headers) as aclient:
            await answer(make(http_client=client, http_async_client=aclient), method)
    assert [request.headers["x-mine"] for request in simulator.requests] == ["yes"]


@pytest.mark.parametrize("method", ["chat", "achat", "stream_chat", "astream_complete"])
async def test_a_timeout_ends_the_wait(make: Make, simulator: Simulator, method: str) -> None:
    simulator.fault("slow_first_byte", seconds=30, times=None)
    with pytest.raises(GatewayError):
        await answer(make(timeout=0.05, max_retries=0), method)


async def test_calls_share_a_connection(make: Make, simulator: Simulator) -> None:
    """Another package opened a session for each."""
    llm, embedding = make(), CloudflareAIGatewayEmbedding(**where(simulator), model=EMBEDDER)
    for _ in range(3):
        await answer(llm, "achat")
        await embedding.aget_query_embedding("Hi")
    assert len({request.connection for request in simulator.requests}) == 1


@every_wire
@pytest.mark.parametrize("method", STREAMED)
@pytest.mark.parametrize("ending", ["close", "drop", "raise"])
async def test_an_abandoned_stream_frees_its_connection(
    make: Make, simulator: Simulator, api: str, method: str, ending: str
) -> None:
    """LlamaIndex's asynchronous wrapper does not close what it wraps."""
    simulator.reply("word " * 100)
    opened: list[httpx.Response] = []  # held, so that only we can close them

    async def keep(response: httpx.Response) -> None:
        opened.append(response)

    with httpx.Client(verify=False, event_hooks={"response": [opened.append]}) as client:
        async with httpx.AsyncClient(verify=False, event_hooks={"response": [keep]}) as aclient:
            llm = make(api=api, http_client=client, http_async_client=aclient)
            stream: Any = await begun(llm, method)
            assert isinstance(stream, Generator | AsyncGenerator)
            with suppress(KeyError):
                _ = await anext(stream) if isinstance(stream, AsyncGenerator) else next(stream)
                if ending == "raise":
                    raise KeyError
            if ending == "close":
                _ = await stream.aclose() if isinstance(stream, AsyncGenerator) else stream.close()
            del stream
            gc.collect()
            for _ in range(20):
                await asyncio.sleep(0)
            assert [response.is_closed for response in opened] == [True]
            assert await asyncio.to_thread(until, lambda: simulator.in_flight == 0)


@pytest.mark.parametrize("method", ["achat", "acomplete", "astream_chat", "astream_complete"])
async def test_a_cancelled_call_frees_its_connection(make: Make, simulator: Simulator, method: str) -> None:
    simulator.reply("word " * 50)
    simulator.fault("stall" if "stream" in method else "slow_first_byte", seconds=30)
    llm = make(max_retries=0)
    call = asyncio.create_task(answer(llm, method))
    assert await until_async(lambda: simulator.requests)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await until_async(lambda: simulator.in_flight == 0)
    assert text_of(await answer(llm, method))


def test_every_argument_can_be_passed_again(make: Make) -> None:
    """Unpickling calls the constructor with every field, and would swallow its error."""
    llm = make(temperature=0.5, context_window=9000, stop="x")
    arguments = dict(vars(llm))
    again = CloudflareAIGateway(**arguments)
    assert again.to_dict() == llm.to_dict()


def test_names_and_payloads_never_fail(make: Make) -> None:
    kinds = (CloudflareAIGateway, CloudflareAIGatewayEmbedding, CloudflareAIGatewayRerank)
    assert [kind.class_name() for kind in kinds] == [
        "cloudflare_ai_gateway_llm",
        "CloudflareAIGatewayEmbedding",
        "CloudflareAIGatewayRerank",
    ]  # stored programs are read by these names
    for llm in (make(), make(max_tokens=10**9), make(model="?", context_window=1)):
        assert llm.metadata.num_output < llm.metadata.context_window
        json.dumps(llm.to_payload())


def test_resolve_llm_accepts_it(make: Make) -> None:
    llm = make()
    assert resolve_llm(llm) is llm


@every_method
async def test_unset_arguments_are_omitted(make: Make, simulator: Simulator, method: str) -> None:
    await answer(make(), method)
    assert simulator.requests[-1].body.keys() <= {"model", "messages", "stream", "stream_options"}


@pytest.mark.parametrize("value", [None, {"a": {"b": 1}}, ["x"], float("nan")], ids=str)
def test_a_value_that_would_void_the_header_is_refused(make: Make, simulator: Simulator, value: Any) -> None:
    """Another package allowed them: the gateway then drops all metadata."""
    with pytest.raises((ConfigError, ValidationError)):
        make(gateway_metadata={"a": value}).complete("Hi")
    assert not simulator.requests


def test_a_response_can_be_serialized(make: Make, simulator: Simulator) -> None:
    simulator.reply("Yes.", calls=[{"id": "call_1", "name": "weather", "arguments": {"city": "Paris"}}])
    response = make().chat([user()], tools=[WEATHER])
    assert ChatResponse.model_validate_json(response.model_dump_json()).message == response.message
