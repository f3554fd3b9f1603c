"""Whoever watches sees one start and one end for each request, with its tokens, whichever method is called.

The eight methods themselves: `test_llm`. Programs, agents and engines: `programs`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator
from inspect import isawaitable
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler, TokenCountingHandler
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatInProgressEvent,
    LLMChatStartEvent,
    LLMCompletionEndEvent,
    LLMCompletionStartEvent,
)
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.program import FunctionCallingProgram, LLMTextCompletionProgram
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from cfaig_integrations import GatewayError
from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.llama_index.call_methods import MODELS, every_wire
from tests.llama_index.conftest import Events

QUESTION = "What is the weather in Paris?"
ASK = PromptTemplate(QUESTION)


class City(BaseModel):
    """A city."""

    name: str


def weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


WEATHER = FunctionTool.from_defaults(weather)
CALL = {"id": "call_1", "name": "weather", "arguments": {"city": "Paris"}}
NAME = {"id": "call_1", "name": "City", "arguments": {"name": "Paris"}}
PARIS = '{"name": "Paris"}'
TOKENS: Any = {"tokens_in": 11, "tokens_out": 7}


class ObservedEvents:
    """An LLM, and all who watch it."""

    def __init__(self, simulator: Simulator, events: Events, api: Any, **arguments: Any) -> None:
        self.debug = LlamaDebugHandler(print_trace_on_end=False)
        self.counting = TokenCountingHandler()
        self.simulator, self.events = simulator, events
        manager = CallbackManager([self.debug, self.counting])
        arguments = {"api": api, "model": MODELS[api], "callback_manager": manager, **arguments}
        self.llm = CloudflareAIGateway(**where(simulator), **arguments)

    def ended(self) -> list[Any]:
        """The responses of the end events, one per start event."""
        starts = [e for e in self.events.seen if isinstance(e, LLMChatStartEvent | LLMCompletionStartEvent)]
        ends = [e for e in self.events.seen if isinstance(e, LLMChatEndEvent | LLMCompletionEndEvent)]
        custom = [e for e in starts if e.model_dict["class_name"] == CloudflareAIGateway.class_name()]
        assert {e.model_dict["model"] for e in custom} == {self.llm.model}
        assert len(custom) == len(self.simulator.requests)
        assert len(starts) == len(ends)
        return [e.response for e in ends]

    def check_events(self, requests: int = 1) -> None:
        """One start and one end for each request, the tokens of all of them, and no secret."""
        assert len(self.simulator.requests) == requests
        assert self.simulator.queued == (0, 0)
        pairs = self.debug.get_event_pairs(CBEventType.LLM)
        assert [len(pair) for pair in pairs] == [2] * requests
        for _, end in pairs:
            assert end.payload is not None
            assert end.payload.keys() & {EventPayload.RESPONSE, EventPayload.COMPLETION}
        logs = self.simulator.logs()
        assert self.counting.prompt_llm_token_count == sum(entry["tokens_in"] for entry in logs) == 11 * requests
        assert self.counting.completion_llm_token_count == sum(entry["tokens_out"] for entry in logs) == 7 * requests
        message = [response.raw["usage"] for response in self.ended() if isinstance(response.raw, dict)]
        assert [(each["prompt_tokens"], each["completion_tokens"]) for each in message] == [(11, 7)] * requests
        visible = f"{self.events.seen} {pairs} {[event.model_dump() for event in self.events.seen]}"
        assert self.simulator.api_token not in visible


async def all_of(result: Any) -> Any:
    """The result of a method; a stream is read to its end."""
    result = await result if isawaitable(result) else result
    if isinstance(result, AsyncGenerator):
        return [each async for each in result]
    return list(result) if isinstance(result, Generator) else result


FORMS = ("", "a", "stream_", "astream_")


@every_wire
@pytest.mark.parametrize("way", ["json_schema", "function_calling", "prompt"])
@pytest.mark.parametrize("form", FORMS)
async def test_an_object_is_one_event(simulator: Simulator, events: Events, api: str, way: str, form: str) -> None:
    observed = ObservedEvents(simulator, events, api, structured_output=way)
    if way == "function_calling":
        simulator.reply(calls=[NAME], **TOKENS)
    else:
        simulator.reply(PARIS, **TOKENS)
    result = await all_of(getattr(observed.llm, f"{form}structured_predict")(City, ASK))
    assert (result[-1] if "stream" in form else result) == City(name="Paris")
    observed.check_events()
    names = [event.class_name() for event in events.seen]
    assert names.count("LLMStructuredPredictStartEvent") == names.count("LLMStructuredPredictEndEvent") == 1


@every_wire
@pytest.mark.parametrize("form", FORMS)
async def test_a_structured_chat_is_one_event(simulator: Simulator, events: Events, api: str, form: str) -> None:
    """LlamaIndex's structured LLM wraps ours, and has an event around ours."""
    observed = ObservedEvents(simulator, events, api)
    simulator.reply(PARIS, **TOKENS)
    twin = observed.llm.as_structured_llm(City)
    result = await all_of(getattr(twin, f"{form}chat")([ChatMessage(role=MessageRole.USER, content=QUESTION)]))
    assert (result[-1] if "stream" in form else result).raw == City(name="Paris")
    observed.check_events()


@every_wire
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("calls", [[CALL], [], [CALL, {**CALL, "id": "call_2"}]], ids=["one", "none", "two"])
async def test_a_chat_with_tools_is_one_event(
    simulator: Simulator, events: Events, api: str, form: str, calls: list[Any]
) -> None:
    observed = ObservedEvents(simulator, events, api)
    simulator.reply("I will look.", calls=calls, **TOKENS)
    method = getattr(observed.llm, f"{form}chat_with_tools")
    result = await all_of(method([WEATHER], user_msg=QUESTION, allow_parallel_tool_calls=True))
    last = result[-1] if "stream" in form else result
    assert len(observed.llm.get_tool_calls_from_response(last, error_on_no_tool_call=False)) == len(calls)
    observed.check_events()
    progress = [event for event in events.seen if isinstance(event, LLMChatInProgressEvent)]
    assert bool(progress) is ("stream" in form)


@every_wire
@pytest.mark.parametrize("form", ["", "a"])
async def test_predict_and_call_is_one_event(simulator: Simulator, events: Events, api: str, form: str) -> None:
    observed = ObservedEvents(simulator, events, api)
    simulator.reply(calls=[CALL], **TOKENS)
    result = await all_of(getattr(observed.llm, f"{form}predict_and_call")([WEATHER], user_msg=QUESTION))
    assert str(result) == "It rains in Paris."
    observed.check_events()


@every_wire
@pytest.mark.parametrize("method", ["predict", "apredict", "stream", "astream"])
async def test_a_prompt_is_one_event(simulator: Simulator, events: Events, api: str, method: str) -> None:
    observed = ObservedEvents(simulator, events, api)
    simulator.reply("It rains.", **TOKENS)
    assert "".join(await all_of(getattr(observed.llm, method)(ASK))) == "It rains."
    observed.check_events()


PROGRAMS = [
    *((FunctionCallingProgram, form) for form in ("", "a", "stream_")),
    *((LLMTextCompletionProgram, form) for form in ("", "a")),
]


@pytest.mark.parametrize(("kind", "form"), PROGRAMS)
async def test_llama_indexs_programs_are_one_event(simulator: Simulator, events: Events, form: str, kind: Any) -> None:
    observed = ObservedEvents(simulator, events, "responses")
    if kind is FunctionCallingProgram:
        simulator.reply(calls=[NAME], **TOKENS)
    else:
        simulator.reply(PARIS, **TOKENS)
    program = kind.from_defaults(output_cls=City, prompt_template_str=QUESTION, llm=observed.llm)
    match form:
        case "":
            result = program()
        case "a":
            result = await program.acall()
        case _:
            result = list(program.stream_call())[-1]
    assert result.name == "Paris"
    observed.check_events()


@every_wire
@pytest.mark.parametrize("form", FORMS)
async def test_several_calls_are_several_events(simulator: Simulator, events: Events, api: str, form: str) -> None:
    observed = ObservedEvents(simulator, events, api)
    simulator.reply("It rains.", times=3, **TOKENS)
    for _ in range(3):
        await all_of(getattr(observed.llm, f"{form}complete")(QUESTION))
    observed.check_events(3)


@pytest.mark.parametrize("method", ["chat_with_tools", "achat_with_tools", "structured_predict", "predict"])
async def test_a_failure_is_an_exception_event(
    simulator: Simulator, spans: SimpleSpanHandler, events: Events, method: str
) -> None:
    observed = ObservedEvents(simulator, events, "chat_completions", max_retries=0)
    simulator.fault("provider_error")
    value: Any = {"structured_predict": (City, ASK), "predict": (ASK,)}.get(method, ([WEATHER], QUESTION))
    with pytest.raises(GatewayError):
        await all_of(getattr(observed.llm, method)(*value))
    dropped = [span.id_.partition("-")[0] for span in spans.dropped_spans]
    assert dropped.count(f"CloudflareAIGateway.{method.removesuffix('_with_tools')}") == 1
    assert observed.counting.total_llm_token_count == 0
    assert not [event for event in events.seen if isinstance(event, LLMChatEndEvent)]


@every_wire
@pytest.mark.parametrize("form", FORMS)
async def test_a_span_is_opened_for_each_method_once(
    simulator: Simulator, spans: SimpleSpanHandler, events: Events, api: str, form: str
) -> None:
    observed = ObservedEvents(simulator, events, api)
    simulator.reply("It rains.")
    simulator.reply(PARIS)
    await all_of(getattr(observed.llm, f"{form}chat_with_tools")([WEATHER], user_msg=QUESTION))
    await all_of(getattr(observed.llm, f"{form}structured_predict")(City, ASK))
    names = [span.id_.partition("-")[0] for span in spans.completed_spans]
    assert sorted(names) == sorted(
        f"CloudflareAIGateway.{name}"
        for name in ("_prepare_chat_with_tools", f"{form}chat", f"{form}structured_predict", f"{form}chat")
    )
    assert simulator.api_token not in str(spans.completed_spans)


def test_what_observers_see_is_json(simulator: Simulator, events: Events) -> None:
    observed = ObservedEvents(simulator, events, "messages")
    simulator.reply(calls=[CALL], **TOKENS)
    observed.llm.chat_with_tools([WEATHER], user_msg=QUESTION)
    for event in events.seen:
        if isinstance(event, LLMChatStartEvent | LLMChatEndEvent):
            json.loads(event.model_dump_json())
