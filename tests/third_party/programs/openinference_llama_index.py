"""Spans of OpenInference for an agent, a chat and a stream of LlamaIndex."""

from __future__ import annotations

import asyncio

from llama_index.core.agent.workflow import FunctionAgent
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import attributes, calls, llm, spans_of


def weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


async def ask_agent(agent: FunctionAgent) -> str:
    """The answer of an agent."""
    return str(await agent.run(user_msg="The weather of Oslo?"))


def run(simulator: Simulator) -> str:
    """An agent, a completion and a stream, on three wires."""
    memory = spans_of(lambda provider: LlamaIndexInstrumentor().instrument(tracer_provider=provider))
    for name in ("openai/gpt-5.4", "anthropic/claude-haiku-4.5", "@cf/zai-org/glm-5.2"):
        memory.clear()
        model = llm(simulator, model=name)
        calls(simulator, "weather", city="Oslo")
        simulator.reply("It rains.")
        assert asyncio.run(ask_agent(FunctionAgent(llm=model, tools=[weather]))) == "It rains."
        simulator.reply("Hello.", times=2)
        assert model.complete("Hi").text == "Hello."
        assert list(model.stream_complete("Hi"))[-1].text == "Hello."
        spans = [span for span in attributes(memory.get_finished_spans()) if "llm.token_count.total" in span]
        assert len(spans) == 4, spans
        assert {span["llm.model_name"] for span in spans} == {name}, spans
        assert all(span["llm.token_count.prompt"] > 0 < span["llm.token_count.completion"] for span in spans), spans
        reasons = [span.get("llm.finish_reason") for span in spans]
        assert reasons == ["tool_calls", "stop", "stop", "stop"], reasons
    return "agent, completion and stream on three models"
