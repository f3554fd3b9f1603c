"""Spans of OpenInference for an agent and a stream of LangChain."""

from __future__ import annotations

from langchain.agents import create_agent
from openinference.instrumentation.langchain import LangChainInstrumentor

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import attributes, calls, chat_model, spans_of


def weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


def run(simulator: Simulator) -> str:
    """An agent, and a stream, on three wires."""
    memory = spans_of(lambda provider: LangChainInstrumentor().instrument(tracer_provider=provider))
    for model in ("openai/gpt-5.4", "anthropic/claude-haiku-4.5", "@cf/zai-org/glm-5.2"):
        memory.clear()
        chat = chat_model(simulator, model=model)
        calls(simulator, "weather", city="Oslo")
        simulator.reply("It rains.")
        create_agent(chat, [weather]).invoke({"messages": [("user", "The weather of Oslo?")]})
        simulator.reply("Hello there.")
        assert "".join(chunk.text for chunk in chat.stream("Hi")) == "Hello there."
        spans = [span for span in attributes(memory.get_finished_spans()) if "llm.model_name" in span]
        assert [span["llm.model_name"] for span in spans] == [model] * 3, spans
        assert all(span["llm.token_count.prompt"] > 0 < span["llm.token_count.completion"] for span in spans), spans
        reasons = [span.get("llm.finish_reason") for span in spans]
        assert all(reasons), reasons
    return f"agent and stream on three models; finish reasons {reasons}"
