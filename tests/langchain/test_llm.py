"""The LLM from the outside: prompts to texts, on every wire, and what LangChain builds on top of it."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any, cast

import httpx
import pytest
from langchain_core.exceptions import ModelError
from langchain_core.language_models import BaseLLM
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import PromptTemplate

from cfaig_integrations import GatewayOptions, errors
from cfaig_integrations.core.content import Refusal, Text
from cfaig_integrations.core.events import PartStarted, TextDelta
from cfaig_integrations.core.fold import fold
from cfaig_integrations.langchain.generations import GenerationChunkMaker, joined, to_generations
from cfaig_integrations.simulator import Simulator
from tests.langchain.llms import (
    Listener,
    Make,
    batch,
    both,
    every_wire,
    generate,
    invoke,
    make,
    only,
    stream,
    texts,
)
from tests.recorded_replies import WIRES, info, streams
from tests.waiting import PATIENCE
from tests.wire.harness import needs_recordings

__all__ = ["make"]


@both
@every_wire
def test_a_prompt_is_one_user_message_and_the_answer_a_text(
    make: Make, simulator: Simulator, api: str, asynchronous: bool
) -> None:
    simulator.reply("Hello there.", times=2)
    llm = make(api=api)
    assert invoke(llm, asynchronous, "Say hello.") == "Hello there."
    assert "".join(stream(llm, asynchronous, "Say hello.")) == "Hello there."
    whole, streamed = simulator.requests
    assert "Say hello." in json.dumps(whole.body)
    assert streamed.body["stream"] is True or streamed.body["input"]["stream"] is True


@both
@every_wire
def test_the_last_chunk_has_the_info_of_a_whole_answer(
    make: Make, simulator: Simulator, api: str, asynchronous: bool
) -> None:
    simulator.reply("It is so.", times=2, reasoning="Let me think.", tokens_in=7, tokens_out=9)
    listener, llm = Listener(), make(api=api)
    whole, result = only(generate(llm, asynchronous, ["Is it so?"]))
    pieces = stream(llm, asynchronous, "Is it so?", {"callbacks": [listener]})
    streamed, reported = only(listener.results[0])
    assert "".join(pieces) == whole.text == streamed.text == "It is so."
    assert len(pieces) > 2
    assert [*listener.pieces.values()] == [pieces]
    changing = {"gateway", "id", "lc_gateway_metadata"}
    assert {key: result[key] for key in result.keys() - changing} == {
        key: reported[key] for key in reported.keys() - changing
    }
    if api in ("messages", "run"):  # OpenAI keeps reasoning to itself
        assert result["reasoning_content"] == "Let me think."
    assert (result["usage_metadata"]["input_tokens"], result["usage_metadata"]["output_tokens"]) == (7, 9)
    assert {result["gateway"]["log_id"], reported["gateway"]["log_id"]} == {entry["id"] for entry in simulator.logs()}


@both
def test_answers_are_in_the_order_of_prompts_and_tokens_add_up(
    make: Make, simulator: Simulator, asynchronous: bool
) -> None:
    llm = make()
    prompts = [f"Repeat: {n}" for n in range(9)]
    one_by_one = [llm.invoke(prompt) for prompt in prompts]
    simulator.reset()
    result = generate(llm, asynchronous, prompts)
    assert texts(result) == [[answer] for answer in one_by_one]
    logs = simulator.logs()
    assert len(logs) == 9
    assert result.llm_output == {
        "token_usage": {
            "prompt_tokens": sum(entry["tokens_in"] for entry in logs),
            "completion_tokens": sum(entry["tokens_out"] for entry in logs),
            "total_tokens": sum(entry["tokens_in"] + entry["tokens_out"] for entry in logs),
        },
        "model_name": "openai/gpt-4.1",
    }
    assert {each[0].generation_info["gateway"]["log_id"] for each in result.generations} == {
        entry["id"] for entry in logs
    }


@both
def test_handlers_count_every_token_once(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    simulator.reply("Yes.", times=3, tokens_in=5, tokens_out=2)
    listener = Listener()
    generate(make(), asynchronous, ["a", "b", "c"], callbacks=[listener])
    counted = [(result.llm_output or {})["token_usage"].get("total_tokens", 0) for result in listener.results]
    assert sum(counted) == 21


@both
@every_wire
def test_a_refusal_is_the_text_of_its_answer(make: Make, simulator: Simulator, api: str, asynchronous: bool) -> None:
    simulator.reply(refusal="I cannot do that.", times=2)
    llm = make(api=api)
    result, answer = only(generate(llm, asynchronous, ["Do it."]))
    assert "".join(stream(llm, asynchronous, "Do it.")) == result.text
    match api:
        case "run":  # which has no place for one
            assert result.text == "I cannot do that."
        case _:
            assert result.text == answer["refusal"] == "I cannot do that."


def test_a_truncated_answer_has_its_finish_reason(make: Make, simulator: Simulator) -> None:
    simulator.reply("It goes", finish="length")
    assert only(make().generate(["Go on"]))[1]["finish_reason"] == "length"


@both
def test_n_gives_several_answers(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    result = generate(make(n=2), asynchronous, ["a", "b"])
    assert [len(each) for each in result.generations] == [2, 2]
    counted = [["usage_metadata" in one.generation_info for one in each] for each in result.generations]
    assert counted == [[True, False]] * 2
    assert len(simulator.requests) == 2


@both
def test_several_answers_cannot_be_streamed(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    with pytest.raises(errors.ConfigError, match="n=2"):
        stream(make(n=2), asynchronous, "Hi")
    with pytest.raises(errors.ConfigError, match="n=2"):
        stream(make(extra_body={"n": 2}), asynchronous, "Hi")
    with pytest.raises(errors.ConfigError, match="n=2"):
        invoke(make(streaming=True), asynchronous, "Hi", n=2)
    assert not simulator.requests


@both
def test_a_call_accepts_every_model_parameter(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    arguments: dict[str, Any] = {
        "model": "anthropic/claude-haiku-4.5",
        "api": "chat_completions",
        "temperature": 0.5,
        "max_tokens": 9,
        "stop": ["END"],
        "gateway_options": {"skip_cache": True},
        "gateway_metadata": {"team": "docs"},
        "extra_headers": {"x-mine": "1"},
        "extra_body": {"prompt_cache_key": "k"},
        "user": "u1",
        "timeout": 30,
    }
    llm = make(gateway=GatewayOptions(cache_ttl=60))
    invoke(llm, asynchronous, "Hi", **arguments)
    stream(llm, asynchronous, "Hi", **arguments)
    for request in simulator.requests:
        assert request.path.endswith("/ai/v1/chat/completions")
        reported = {
            "model": arguments["model"],
            "temperature": 0.5,
            "stop": ["END"],
            "user": "u1",
            "prompt_cache_key": "k",
        }
        assert request.body.items() >= reported.items()
        assert request.headers["x-mine"] == "1"
        assert (request.headers["cf-aig-skip-cache"], request.headers["cf-aig-cache-ttl"]) == ("true", "60")
        assert json.loads(request.headers["cf-aig-metadata"])["team"] == "docs"


@pytest.mark.parametrize("arguments", [{"stop": "END"}, {"stop": ["END"]}, {"stop_sequences": ["END"]}])
def test_stop_texts_in_every_form(make: Make, simulator: Simulator, arguments: dict[str, Any]) -> None:
    make(**arguments).invoke("Hi")
    make(stop=["other"]).invoke("Hi", **arguments)
    assert [request.body["stop"] for request in simulator.requests] == [["END"]] * 2


def test_json_can_be_requested(make: Make) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "title": "City"}
    assert json.loads(make().invoke("Paris", response_format=schema)).keys() == {"city"}


@both
@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"use_previous_response_id": True}, "use_previous_response_id"),
        ({"api_token": "x"}, "api_token"),
        ({"api": "smoke"}, "api"),
        ({"gateway_metadata": 5}, "gateway_metadata"),
    ],
)
def test_invalid_arguments_raise_before_the_request(
    make: Make, simulator: Simulator, arguments: dict[str, Any], field: str, asynchronous: bool
) -> None:
    for call in (invoke, stream):
        with pytest.raises(errors.ConfigError) as caught:
            call(make(), asynchronous, "Hi", **arguments)
        assert caught.value.field == field
        assert isinstance(caught.value, ModelError)
    assert not simulator.requests


@both
def test_a_prompt_that_is_not_text_raises(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    with pytest.raises(errors.ConfigError, match="is not text"):
        generate(make(), asynchronous, ["a", 5, "c"])
    assert not simulator.requests


def test_an_unknown_constructor_argument_raises(make: Make) -> None:
    with pytest.raises(errors.ConfigError, match="temperature"):
        make(temprature=1)


@both
def test_no_prompts_send_no_request(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    assert batch(make(), asynchronous, []) == []
    assert not simulator.requests


@both
def test_one_prompt_of_a_batch_can_fail_alone(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    simulator.fault("gateway_rate_limit", after=1)
    answers = batch(make(max_retries=0), asynchronous, ["a", "b", "c"], {"max_concurrency": 1}, return_exceptions=True)
    assert [type(answer) is str for answer in answers] == [True, False, True]
    assert isinstance(answers[1], errors.RateLimited)
    assert isinstance(answers[1], ModelError)


@both
def test_one_failed_prompt_fails_a_generate(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    simulator.fault("gateway_rate_limit", after=1)
    listener = Listener()
    with pytest.raises(errors.RateLimited):
        generate(make(max_retries=0, max_concurrency=1), asynchronous, ["a", "b"], callbacks=[listener])
    assert not listener.results


class Crowd(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Lets requests through in pairs only, and remembers how many there were at a time."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.lock = threading.Lock()
        self.barrier, self.abarrier = threading.Barrier(2, timeout=PATIENCE), asyncio.Barrier(2)
        self.over, self.aover = httpx.HTTPTransport(), httpx.AsyncHTTPTransport()

    def count(self, step: int) -> None:
        with self.lock:
            self.inside += step
            self.most = max(self.most, self.inside)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.count(1)
        self.barrier.wait()
        response = self.over.handle_request(request)
        self.count(-1)
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.count(1)
        async with asyncio.timeout(PATIENCE):
            await self.abarrier.wait()
        response = await self.aover.handle_async_request(request)
        self.count(-1)
        return response

    def close(self) -> None:
        self.over.close()

    async def aclose(self) -> None:
        await self.aover.aclose()


@pytest.mark.parametrize("how", ["generate", "batch"])
def test_max_concurrency_limits_threads(make: Make, how: str) -> None:
    crowd = Crowd()
    with httpx.Client(transport=crowd) as client:
        llm = make(http_client=client, max_concurrency=2)
        if how == "generate":
            assert len(llm.generate(["a", "b", "c", "d"]).generations) == 4
        else:
            assert len(llm.batch(["a", "b", "c", "d"], {"max_concurrency": 2})) == 4
    assert crowd.most == 2


@pytest.mark.parametrize("how", ["generate", "batch"])
async def test_max_concurrency_limits_tasks(make: Make, how: str) -> None:
    crowd = Crowd()
    async with httpx.AsyncClient(transport=crowd) as client:
        llm = make(http_async_client=client, max_concurrency=2)
        if how == "generate":
            assert len((await llm.agenerate(["a", "b", "c", "d"])).generations) == 4
        else:
            assert len(await llm.abatch(["a", "b", "c", "d"], {"max_concurrency": 2})) == 4
    assert crowd.most == 2


@both
def test_streaming_invoke_passes_each_run_its_own_chunks(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    llm, listener = make(streaming=True), Listener()
    result = generate(llm, asynchronous, ["Repeat: one", "Repeat: two"], callbacks=[listener])
    assert [["".join(pieces)] for pieces in listener.pieces.values()] == texts(result)
    assert all(len(pieces) > 1 for pieces in listener.pieces.values())
    assert all(request.body["stream"] for request in simulator.requests)
    assert result.llm_output
    assert result.llm_output["token_usage"]["total_tokens"] > 0


async def test_events_hold_the_chunks(make: Make) -> None:
    chain = PromptTemplate.from_template("{text}") | make() | StrOutputParser()
    result = [event async for event in chain.astream_events({"text": "Hi"}, version="v2")]
    pieces = [event["data"]["chunk"] for event in result if event["event"] == "on_llm_stream"]
    [end] = [event["data"]["output"] for event in result if event["event"] == "on_llm_end"]
    assert "".join(piece.text for piece in pieces) == end["generations"][0][0]["text"] != ""


def test_a_truncated_stream_raises(make: Make, simulator: Simulator) -> None:
    simulator.fault("cut")
    with pytest.raises(errors.StreamBroken):
        list(make().stream("Tell me a story."))


def test_one_object_serves_several_event_loops(make: Make) -> None:
    llm = make()
    assert len({asyncio.run(llm.ainvoke("Hi")) for _ in range(3)}) == 1


def test_a_stream_of_several_answers_yields_the_first() -> None:
    maker = GenerationChunkMaker(info("chat_completions"), "asked")
    events = [PartStarted(0, "text"), PartStarted(1, "text", choice=1), TextDelta(1, "b"), TextDelta(0, "a")]
    assert [piece.text for event in events if (piece := maker.make(event)) is not None] == ["a"]


@needs_recordings
@pytest.mark.parametrize("kind", WIRES)
def test_every_recorded_stream_adds_up_to_the_whole_answer(kind: str) -> None:
    result = streams(kind)
    assert result
    wire = WIRES[kind]
    for line, events in result:
        reply = fold(wire, events)
        maker = GenerationChunkMaker(info(wire), "asked")
        pieces = [*(piece for event in events if (piece := maker.make(event)) is not None), maker.last()]
        whole = to_generations(reply, info(wire), "asked")[0]
        assert joined(pieces) == whole, line
        added = pieces[0]
        for piece in pieces[1:]:
            added += piece  # as core does
        assert (added.text, added.generation_info) == (whole.text, whole.generation_info), line
        assert whole.text == "".join(part.text for part in reply.turn.parts if isinstance(part, Text | Refusal))
        json.dumps(whole.generation_info)


def test_it_is_an_llm_with_a_name(make: Make) -> None:
    assert isinstance(cast("object", make()), BaseLLM)
    assert make()._llm_type == "cloudflare-ai-gateway-llm"
    assert make().OutputType is str
