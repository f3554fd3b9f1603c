"""Traces of MLflow for a query engine, a chat and a stream of LlamaIndex."""

from __future__ import annotations

import mlflow
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import Document

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import embed_model, llm, traces


def run(simulator: Simulator) -> str:
    """A query engine, and a stream, on three wires."""
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.llama_index.autolog()
    index = VectorStoreIndex.from_documents([Document(text="The tower is high.")], embed_model=embed_model(simulator))
    for name in ("openai/gpt-5.4", "anthropic/claude-haiku-4.5", "@cf/zai-org/glm-5.2"):
        model = llm(simulator, model=name)
        simulator.reply("It is high.")
        assert str(index.as_query_engine(llm=model).query("How is the tower?")) == "It is high."
        check(name)
        simulator.reply("Hello.")
        assert list(model.stream_complete("Hi"))[-1].text == "Hello."
        check(name)
    return "query engine and stream on three models"


def check(model: str) -> None:
    """The last trace counts the tokens of its call."""
    trace = mlflow.get_trace(mlflow.get_last_active_trace_id())
    traces.append(trace.to_json())
    usage = trace.info.token_usage
    assert usage, trace.info
    assert usage["input_tokens"] > 0 < usage["output_tokens"], trace.info
    spans = [span for span in trace.data.spans if span.get_attribute("usage")]
    assert len(spans) == 1, [(span.name, span.attributes) for span in trace.data.spans]
    assert "finish_reason" in trace.to_json()
    assert spans[0].get_attribute("mlflow.llm.model") == model, spans[0].attributes
