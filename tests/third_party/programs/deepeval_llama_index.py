"""deepeval's traces of an agent, a chat and a stream of LlamaIndex."""

from __future__ import annotations

import asyncio
from typing import Any

from deepeval.integrations.llama_index import instrument_llama_index
from deepeval.tracing import trace_manager
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.llms import ChatMessage

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import calls, llm, traces


def weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


async def ask_agent(agent: FunctionAgent) -> str:
    """The answer of an agent."""
    return str(await agent.run(user_msg="The weather of Oslo?"))


def run(simulator: Simulator) -> str:
    """The model, the question and the answer are in the span of each call."""
    kept: list[Any] = []
    trace_manager.post_trace = lambda trace: kept.append(trace_manager.create_trace_api(trace))  # instead of sending it
    instrument_llama_index(get_dispatcher())
    model = llm(simulator)
    calls(simulator, "weather", city="Oslo")
    simulator.reply("It rains.", times=3)
    assert asyncio.run(ask_agent(FunctionAgent(llm=model, tools=[weather]))) == "It rains."
    question = [ChatMessage(content="The weather of Oslo?")]
    assert model.chat(question).message.content == "It rains."
    assert [*model.stream_chat(question)][-1].message.content == "It rains."
    kept += map(trace_manager.create_trace_api, trace_manager.get_all_traces())  # one of a stream has no end
    traces.extend(trace.model_dump_json(fallback=str) for trace in kept)
    spans = [span for trace in kept for span in trace.llm_spans or []]
    assert {span.model for span in spans} == {"openai/gpt-5.4"}, spans
    assert sum("It rains." in str(span.output) for span in spans) >= 3, spans
    return "agent, chat and stream, with model and answer"
