"""Spans of Traceloop's OpenLLMetry for an agent and a stream of LangChain."""

from __future__ import annotations

from langchain.agents import create_agent
from opentelemetry.instrumentation.langchain import LangchainInstrumentor

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import attributes, calls, chat_model, spans_of


def weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


def run(simulator: Simulator) -> str:
    """An agent, and a stream, on three wires."""
    memory = spans_of(lambda provider: LangchainInstrumentor().instrument(tracer_provider=provider))
    for model in ("openai/gpt-5.4", "anthropic/claude-haiku-4.5", "@cf/zai-org/glm-5.2"):
        memory.clear()
        chat = chat_model(simulator, model=model)
        calls(simulator, "weather", city="Oslo")
        simulator.reply("It rains.")
        create_agent(chat, [weather]).invoke({"messages": [("user", "The weather of Oslo?")]})
        simulator.reply("Hello there.")
        assert "".join(chunk.text for chunk in chat.stream("Hi")) == "Hello there."
        spans = [span for span in attributes(memory.get_finished_spans()) if "gen_ai.usage.input_tokens" in span]
        assert len(spans) == 3, spans
        for span in spans:
            assert span["gen_ai.usage.input_tokens"] > 0 < span["gen_ai.usage.output_tokens"], span
            assert span["gen_ai.request.model"] == span["gen_ai.response.model"] == model, span
        reasons = [list(span.get("gen_ai.response.finish_reasons") or ()) for span in spans]
        assert reasons == [["tool_call"], ["stop"], ["stop"]], reasons
    return "agent and stream on three models"
