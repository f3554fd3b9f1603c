"""The LLM's eight methods: one request, one event, one token of a limiter; the same answer whole and streamed."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, MessageRole
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler, TokenCountingHandler
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.tools import FunctionTool
from pydantic import Field

from cfaig_integrations import ConfigError, GatewayError, NotFound, RateLimited, StreamBroken
from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.llama_index.call_methods import METHODS, MODELS, Make, answers
from tests.waiting import until

QUESTION = [ChatMessage(role=MessageRole.USER, content="What is Cloudflare?")]
ANSWER = "A network, and a good one."


async def ask(llm: CloudflareAIGateway, method: str, **kwargs: Any) -> list[Any]:
    """What one of the eight methods returns: one response, or those of a stream."""
    return await answers(llm, method, "What is Cloudflare?", **kwargs)


def text_of(response: ChatResponse | CompletionResponse) -> str | None:
    return response.text if isinstance(response, CompletionResponse) else response.message.content


@pytest.mark.parametrize("api", MODELS)
@pytest.mark.parametrize("method", METHODS)
async def test_every_method_on_every_wire(make: Make, simulator: Simulator, method: str, api: Any) -> None:
    simulator.reply(ANSWER)
    responses = await ask(make(api=api), method)
    last = responses[-1]
    assert text_of(last) == ANSWER
    assert len(simulator.requests) == 1
    extra = last.additional_kwargs
    assert extra["total_tokens"] == extra["prompt_tokens"] + extra["completion_tokens"] > 0
    assert extra["cf_aig"]["wire"] == api
    assert extra["finish_reason"]
    usage = last.raw["usage"]
    assert usage["prompt_tokens"] == extra["prompt_tokens"]
    assert last.raw["cf_aig"] == extra["cf_aig"]
    json.dumps(last.raw)
    if "stream" in method:
        assert len(responses) > 2
        assert "".join(response.delta or "" for response in responses) == ANSWER


@pytest.mark.parametrize("api", MODELS)
async def test_all_eight_methods_return_the_same_answer(make: Make, simulator: Simulator, api: Any) -> None:
    llm = make(api=api, temperature=0.5)
    ends = []
    for method in METHODS:
        simulator.reply(ANSWER)
        last = (await ask(llm, method))[-1]
        facts = {key: value for key, value in last.additional_kwargs.items() if key.endswith("tokens")}
        ends.append((text_of(last), facts, last.additional_kwargs["finish_reason"]))
    assert all(end == ends[0] for end in ends)
    bodies = [{key: value for key, value in each.body.items() if "stream" not in key} for each in simulator.requests]
    assert all(body == bodies[0] for body in bodies)


class Seen(BaseEventHandler):
    names: list[str] = Field(default_factory=list)
    payloads: list[Any] = Field(default_factory=list)

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        self.names.append(event.class_name())
        self.payloads.append(event.model_dump())


@pytest.mark.parametrize("method", METHODS)
async def test_observers_see_one_start_and_one_end(make: Make, simulator: Simulator, method: str) -> None:
    debug, counting = LlamaDebugHandler(print_trace_on_end=False), TokenCountingHandler()
    llm = make(callback_manager=CallbackManager([debug, counting]))
    seen = Seen()
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(seen)
    simulator.reply(ANSWER)
    try:
        last = (await ask(llm, method))[-1]
    finally:
        dispatcher.event_handlers.remove(seen)
    pairs = debug.get_event_pairs(CBEventType.LLM)
    assert [len(pair) for pair in pairs] == [2]
    assert EventPayload.RESPONSE in pairs[0][1].payload or EventPayload.COMPLETION in pairs[0][1].payload
    kind = "LLMCompletion" if method.endswith("complete") else "LLMChat"
    assert seen.names.count(f"{kind}StartEvent") == seen.names.count(f"{kind}EndEvent") == 1
    assert not [name for name in seen.names if name.startswith("LLM") and not name.startswith(kind)]
    assert counting.prompt_llm_token_count == last.additional_kwargs["prompt_tokens"]
    assert counting.completion_llm_token_count == last.additional_kwargs["completion_tokens"]
    visible = json.dumps([seen.payloads, pairs], default=str)
    assert simulator.api_token not in visible
    assert "openai/gpt-4.1" in visible


class Limiter:
    def __init__(self) -> None:
        self.taken = 0

    def acquire(self) -> None:
        self.taken += 1

    async def async_acquire(self) -> None:
        self.taken += 1


@pytest.mark.parametrize("method", METHODS)
async def test_a_call_takes_one_token_of_a_limiter(make: Make, simulator: Simulator, method: str) -> None:
    limiter = Limiter()
    await ask(make(rate_limiter=limiter), method)
    assert limiter.taken == len(simulator.requests) == 1


@pytest.mark.parametrize("method", [name for name in METHODS if "stream" in name])
async def test_a_stream_is_opened_at_once(make: Make, simulator: Simulator, method: str) -> None:
    simulator.fault("model_not_found")
    llm = make()
    original: Any = "?" if method.endswith("complete") else QUESTION
    with pytest.raises(NotFound):
        _ = await getattr(llm, method)(original) if method.startswith("a") else getattr(llm, method)(original)


@pytest.mark.parametrize("method", METHODS)
async def test_a_failed_call_is_retried(make: Make, simulator: Simulator, method: str) -> None:
    simulator.fault("internal_error", times=1)
    simulator.reply(ANSWER)
    last = (await ask(make(), method))[-1]
    assert text_of(last) == ANSWER
    assert last.additional_kwargs["cf_aig"]["attempts"] == len(simulator.requests) == 2


@pytest.mark.parametrize("method", METHODS)
async def test_errors_are_gateway_errors(make: Make, simulator: Simulator, method: str) -> None:
    simulator.fault("gateway_rate_limit", times=5)
    with pytest.raises(RateLimited) as caught:
        await ask(make(max_retries=0), method)
    assert caught.value.requests_sent == 1
    assert isinstance(caught.value, GatewayError)


def test_a_stream_that_breaks_is_an_error(make: Make, simulator: Simulator) -> None:
    simulator.reply(ANSWER)
    simulator.fault("cut")
    with pytest.raises(StreamBroken):
        list(make().stream_chat(QUESTION))


def test_an_abandoned_stream_is_closed(make: Make, simulator: Simulator) -> None:
    simulator.reply("word " * 500)
    stream = make().stream_chat(QUESTION)
    next(stream)
    stream.close()
    gc.collect()
    assert until(lambda: simulator.in_flight == 0)


def test_arguments_of_a_call_override_the_constructor(make: Make, simulator: Simulator) -> None:
    llm = make(temperature=0.1)
    llm.chat(
        QUESTION,
        temperature=0.9,
        model="openai/gpt-4.1-mini",
        gateway={"cache_ttl": 60},
        gateway_metadata={"user": "ann"},
        extra_headers={"x-own": "1"},
        user="ann",
    )
    (request,) = simulator.requests
    assert request.body["temperature"] == 0.9
    assert request.body["model"] == "openai/gpt-4.1-mini"
    assert request.body["user"] == "ann"
    assert request.headers["cf-aig-cache-ttl"] == "60"
    assert json.loads(request.headers["cf-aig-metadata"])["user"] == "ann"
    assert request.headers["x-own"] == "1"


def test_lists_of_extra_body_are_extended_and_other_values_replaced(make: Make, simulator: Simulator) -> None:
    llm = make(api="responses", extra_body={"tools": [{"type": "web_search"}], "temperature": 1})
    llm.chat(QUESTION, tools=[{"type": "custom", "name": "shell"}], temperature=0.5)
    (request,) = simulator.requests
    assert {tool["type"] for tool in request.body["tools"]} == {"custom", "web_search"}
    assert request.body["temperature"] == 0.5


def test_betas_of_extra_body_are_added_to_those_of_the_constructor(make: Make, simulator: Simulator) -> None:
    make(api="messages", betas=["one"]).chat(QUESTION, extra_body={"betas": ["two"]})
    (request,) = simulator.requests
    assert request.headers["anthropic-beta"].split(",") == ["one", "two"]
    assert "betas" not in request.body


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"api": "telepathy"}, "api"),
        ({"account_id": "other"}, "account_id"),
        ({"n": 2}, "n=2"),
        ({"extra_body": {"n": 2}}, "n=2"),
        ({"gateway": {"cache_ttll": 1}}, "cache_ttll"),
        ({"response_format": 7}, "response_format"),
        ({"tools": [7]}, "tool"),
        ({"gateway_metadata": {"a": None}}, "a"),
    ],
)
def test_a_wrong_argument_is_refused_before_sending(
    make: Make, simulator: Simulator, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigError, match=field):
        make().chat(QUESTION, **arguments)
    assert not simulator.requests


def test_completion_prompts_are_formatted_once(make: Make, simulator: Simulator) -> None:
    llm = make(completion_to_prompt=lambda prompt: f"<{prompt}>")
    llm.complete("a")
    llm.complete("b", formatted=True)
    assert [each.body["messages"][0]["content"] for each in simulator.requests] == ["<a>", "b"]


@pytest.mark.parametrize("method", METHODS[4:])
@pytest.mark.parametrize("prompt", [None, 7, QUESTION[0]], ids=["nothing", "a number", "a message"])
async def test_a_prompt_that_is_not_a_string_is_refused(
    make: Make, simulator: Simulator, method: str, prompt: Any
) -> None:
    ask_it = getattr(make(), method)
    with pytest.raises(ConfigError, match="prompt"):
        _ = await ask_it(prompt) if method.startswith("a") else ask_it(prompt)
    assert not simulator.requests


def test_tools_may_come_from_a_generator(make: Make, simulator: Simulator) -> None:
    def look(city: str) -> str:
        return city

    names = ["look", "search"]
    make(api="chat_completions").chat(QUESTION, tools=(FunctionTool.from_defaults(look, name=name) for name in names))
    assert [each["function"]["name"] for each in simulator.requests[0].body["tools"]] == names


def test_a_system_prompt_is_not_doubled(make: Make, simulator: Simulator) -> None:
    llm = make(system_prompt="Be brief.")
    llm.chat(QUESTION)
    assert [each["role"] for each in simulator.requests[0].body["messages"]] == ["user"]


def test_metadata_describes_the_model(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    llm = make(model="openai/gpt-4.1", max_tokens=100)
    assert isinstance(llm, FunctionCallingLLM)
    assert llm.metadata.context_window > 1_000_000
    assert llm.metadata.num_output == 100
    assert llm.metadata.is_chat_model
    assert llm.metadata.is_function_calling_model
    assert llm.metadata.model_name == "openai/gpt-4.1"
    assert not caplog.records
    small = make(model="openai/gpt-4.1", context_window=16_000, max_tokens=8_000)
    assert (small.metadata.context_window, small.metadata.num_output) == (16_000, -1)
    assert make(model="openai/gpt-4.1", context_window=16_000, max_tokens=7_999).metadata.num_output == 7_999


def test_an_unknown_model_is_logged_once(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    llm = make(model="nobody/model-of-the-future-1")
    assert llm.metadata.context_window == llm.metadata.context_window == 128_000
    (record,) = caplog.records
    assert "context_window=" in record.getMessage()
    assert llm.metadata.is_function_calling_model
    textual = make(model="nobody/model-of-the-future-1", is_function_calling_model=False)
    assert not textual.metadata.is_function_calling_model
