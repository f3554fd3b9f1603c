"""A metric judged by a LangChain model, and traces of agents of both frameworks."""

from __future__ import annotations

import json
from typing import Any

from deepeval.integrations.langchain import CallbackHandler
from deepeval.metrics import GEval
from deepeval.models import DeepEvalBaseLLM
from deepeval.test_case import LLMTestCase, SingleTurnParams
from deepeval.tracing import trace_manager
from langchain.agents import create_agent

from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import calls, chat_model, traces


class Judge(DeepEvalBaseLLM):
    """The wrapper of deepeval's documentation for a model of LangChain."""

    def __init__(self, model: ChatCloudflareAIGateway) -> None:
        self.model = model

    def load_model(self) -> ChatCloudflareAIGateway:
        """The model."""
        return self.model

    def generate(self, prompt: str, schema: Any = None) -> Any:
        """The answer to a prompt."""
        if schema is not None:
            return self.model.with_structured_output(schema).invoke(prompt)
        return self.model.invoke(prompt).text

    async def a_generate(self, prompt: str, schema: Any = None) -> Any:
        """The answer to a prompt."""
        if schema is not None:
            return await self.model.with_structured_output(schema).ainvoke(prompt)
        return (await self.model.ainvoke(prompt)).text

    def get_model_name(self) -> str:
        """The name in reports."""
        return "Cloudflare AI Gateway"


def weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


def run(simulator: Simulator) -> str:
    """One score, and the spans of one agent."""
    metric = GEval(
        name="Correctness",
        criteria="Is the output correct?",
        evaluation_params=[SingleTurnParams.INPUT, SingleTurnParams.ACTUAL_OUTPUT],
        model=Judge(chat_model(simulator)),
    )
    simulator.reply(json.dumps({"steps": ["Compare."]}))
    simulator.reply(json.dumps({"score": 9, "reason": "It is correct."}))
    metric.measure(LLMTestCase(input="2 + 2?", actual_output="4"))
    assert metric.score == 0.9, metric.score
    kept: list[Any] = []
    trace_manager.post_trace = lambda trace: kept.append(trace_manager.create_trace_api(trace))  # instead of sending it
    handler = CallbackHandler()
    agent = create_agent(chat_model(simulator), [weather])
    calls(simulator, "weather", city="Oslo")
    simulator.reply("It rains.")
    agent.invoke({"messages": [("user", "The weather of Oslo?")]}, config={"callbacks": [handler]})
    traces.extend(trace.model_dump_json() for trace in kept)
    spans = [span for trace in kept for span in trace.llm_spans or []]
    assert [span.model for span in spans] == ["openai/gpt-5.4"] * 2, spans
    assert all(span.input_token_count > 0 < span.output_token_count for span in spans), spans
    return "GEval; spans of an agent with token counts"
