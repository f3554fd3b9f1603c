"""Spans of Traceloop's OpenLLMetry for an agent, a chat and a stream of LlamaIndex."""

from __future__ import annotations

import asyncio

from llama_index.core.agent.workflow import FunctionAgent
from opentelemetry.instrumentation.llamaindex import LlamaIndexInstrumentor

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import attributes, calls, llm, spans_of


def weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


async def ask_agent(agent: FunctionAgent) -> str:
    """The answer of an agent."""
    return str(await agent.run(user_msg="The weather of Oslo?"))


def run(simulator: Simulator) -> str:
    """An agent and a query, on three wires."""
    memory = spans_of(lambda provider: LlamaIndexInstrumentor().instrument(tracer_provider=provider))
    for name in ("openai/gpt-5.4", "anthropic/claude-haiku-4.5", "@cf/zai-org/glm-5.2"):
        memory.clear()
        model = llm(simulator, model=name)
        calls(simulator, "weather", city="Oslo")
        simulator.reply("It rains.")
        assert asyncio.run(ask_agent(FunctionAgent(llm=model, tools=[weather]))) == "It rains."
        simulator.reply("Hello.")
        assert model.complete("Hi").text == "Hello."
        spans = [span for span in attributes(memory.get_finished_spans()) if "gen_ai.usage.input_tokens" in span]
        assert len(spans) >= 2, spans
        assert all(span["gen_ai.usage.input_tokens"] > 0 < span["gen_ai.usage.output_tokens"] for span in spans), spans
        reasons = [list(span.get("gen_ai.response.finish_reasons") or ()) for span in spans]
        assert reasons[:2] == [["tool_call"], ["stop"]], reasons
    return "agent and completion on three models"
