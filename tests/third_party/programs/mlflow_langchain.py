"""Traces of MLflow for an agent and a stream of LangChain."""

from __future__ import annotations

import mlflow
from langchain.agents import create_agent

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import calls, chat_model, traces


def weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


def run(simulator: Simulator) -> str:
    """An agent, and a stream, on three wires."""
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.langchain.autolog()
    for model in ("openai/gpt-5.4", "anthropic/claude-haiku-4.5", "@cf/zai-org/glm-5.2"):
        chat = chat_model(simulator, model=model)
        calls(simulator, "weather", city="Oslo")
        simulator.reply("It rains.")
        create_agent(chat, [weather]).invoke({"messages": [("user", "The weather of Oslo?")]})
        check(model, calls_in_trace=2)
        simulator.reply("Hello there.")
        assert "".join(chunk.text for chunk in chat.stream("Hi")) == "Hello there."
        check(model, calls_in_trace=1)
    return "agent and stream on three models"


def check(model: str, calls_in_trace: int) -> None:
    """The last trace counts the tokens of its calls."""
    trace = mlflow.get_trace(mlflow.get_last_active_trace_id())
    traces.append(trace.to_json())
    usage = trace.info.token_usage
    assert usage, trace.info
    assert usage["input_tokens"] > 0 < usage["output_tokens"], trace.info
    spans = [span for span in trace.data.spans if span.span_type == "CHAT_MODEL"]
    assert len(spans) == calls_in_trace, spans
    assert all("finish_reason" in str(span.outputs) for span in spans), spans
    assert {span.get_attribute("mlflow.llm.model") for span in spans} == {model}, spans[0].attributes
