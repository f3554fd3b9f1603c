"""What the programs share: models at a simulator, and traces of all that they call.

`python -m tests.third_party.kit NAME` runs one program in the current environment. Whatever it checks itself, each of
its model calls must be in a trace with token counts and a finish reason, and no trace may hold the token.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import chdir
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from langchain_core.tracers import BaseTracer, Run
from langchain_core.tracers.context import register_configure_hook
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMCompletionEndEvent

from cfaig_integrations.langchain import ChatCloudflareAIGateway, CloudflareAIGatewayEmbeddings
from cfaig_integrations.llama_index import CloudflareAIGateway, CloudflareAIGatewayEmbedding
from cfaig_integrations.simulator import Simulator

GUIDE = Path(__file__).resolve().parents[2] / "notebooks" / "08_migrating.ipynb"
SECRET = "a-secret-token-of-cloudflare"
MODEL = "openai/gpt-5.4"
EMBEDDER = "@cf/baai/bge-m3"
TRACE = "CFAIG_TEST_TRACE"
ENVIRONMENT = {
    TRACE: "1",
    "DEEPEVAL_TELEMETRY_OPT_OUT": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "LANGSMITH_TRACING": "false",
    "MEM0_TELEMETRY": "false",
    "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAGAS_DO_NOT_TRACK": "true",
}
"""No program reports its use to anybody, or asks LangSmith."""
FINISH_REASONS = {"stop", "length", "tool_calls", "content_filter"}

langchain_calls: list[Mapping[str, Any]] = []
llama_index_calls: list[Mapping[str, Any]] = []
traces: list[str] = []
"""Everything that observers of both frameworks were shown, as text."""


class LangChainTrace(BaseTracer):
    """Keeps the runs of LangChain, of which those of models must be complete."""

    def _persist_run(self, run: Run) -> None:
        traces.append(run.model_dump_json() if hasattr(run, "model_dump_json") else str(run.dict()))
        self._keep_calls(run)

    def _keep_calls(self, run: Run) -> None:
        if run.run_type == "llm" and not run.error:
            langchain_calls.append(run.outputs or {})
        for child in run.child_runs:
            self._keep_calls(child)


class LlamaIndexTrace(BaseEventHandler):
    """Keeps the responses of LlamaIndex."""

    @classmethod
    def class_name(cls) -> str:
        """The name of the handler."""
        return "LlamaIndexTrace"

    def handle(self, event: Any, **_: Any) -> None:
        """Keeps one event."""
        traces.append(event.model_dump_json(serialize_as_any=True, fallback=str))
        if isinstance(event, LLMChatEndEvent | LLMCompletionEndEvent) and event.response is not None:
            response: Any = event.response
            llama_index_calls.append({"raw": response.raw, "kwargs": response.additional_kwargs})


def chat_model(simulator: Simulator, **arguments: Any) -> ChatCloudflareAIGateway:
    """A chat model of LangChain."""
    return ChatCloudflareAIGateway(**{**_where(simulator), "model": MODEL, **arguments})


def embeddings(simulator: Simulator) -> CloudflareAIGatewayEmbeddings:
    """An embedding model of LangChain."""
    return CloudflareAIGatewayEmbeddings(**_where(simulator), model=EMBEDDER)


def llm(simulator: Simulator, **arguments: Any) -> CloudflareAIGateway:
    """A model of LlamaIndex."""
    return CloudflareAIGateway(**{**_where(simulator), "model": MODEL, **arguments})


def embed_model(simulator: Simulator) -> CloudflareAIGatewayEmbedding:
    """An embedding model of LlamaIndex."""
    return CloudflareAIGatewayEmbedding(**_where(simulator), model=EMBEDDER)


def _where(simulator: Simulator) -> dict[str, Any]:
    return {
        "base_url": simulator.base_url,
        "account_id": simulator.account_id,
        "api_token": simulator.api_token,
    }


def recipe(package: str, simulator: Simulator) -> dict[str, Any]:
    """Runs the block of a package in the migration guide, with the environment of the simulator; returns its names."""
    os.environ.update(simulator.environment)
    cells = json.loads(GUIDE.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    (block,) = re.findall(rf"^### {package} [\d.]+$.*?^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": package}
    exec(compile(block, f"{GUIDE.name}, {package}", "exec"), names)
    return names


def calls(simulator: Simulator, name: str, /, **arguments: Any) -> None:
    """The next answer calls a tool."""
    simulator.reply(calls=[{"name": name, "arguments": arguments}])


def attributes(spans: Iterable[Any]) -> list[dict[str, Any]]:
    """The attributes of spans of OpenTelemetry; they become part of the traces."""
    values = [dict(span.attributes or {}) for span in spans]
    traces.extend(map(str, values))
    return values


def spans_of(provider_hook: Any) -> Any:
    """Instruments with a provider of spans that are kept in memory; returns what keeps them."""
    trace = importlib.import_module("opentelemetry.sdk.trace")
    export = importlib.import_module("opentelemetry.sdk.trace.export")
    memory = importlib.import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    exporter, provider = memory.InMemorySpanExporter(), trace.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    provider_hook(provider)
    return exporter


def check_langchain(outputs: Mapping[str, Any]) -> None:
    """A model's run has token counts and a finish reason."""
    ((generation, *_), *_) = outputs["generations"]
    message = generation.get("message", {}).get("kwargs", {})
    usage = message.get("usage_metadata") or (generation.get("generation_info") or {}).get("usage_metadata")
    assert usage, outputs
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0, outputs
    metadata = message.get("response_metadata") or generation["generation_info"]
    assert metadata["finish_reason"], outputs


def check_llama_index(response: Mapping[str, Any]) -> None:
    """A response has token counts and a finish reason."""
    usage = response["raw"]["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0, response
    assert response["raw"]["finish_reason"] in FINISH_REASONS, response


def main(name: str) -> None:
    """Runs a program, and checks its traces."""
    os.environ.update(ENVIRONMENT)
    register_configure_hook(ContextVar("trace", default=None), True, LangChainTrace, TRACE)
    get_dispatcher().add_event_handler(LlamaIndexTrace())
    program = importlib.import_module(f"tests.third_party.programs.{name}")
    with tempfile.TemporaryDirectory() as folder, chdir(folder), Simulator(api_token=SECRET) as simulator:
        remark = program.run(simulator)
        assert simulator.requests, "nothing was sent"
        assert all(SECRET not in json.dumps(request.body) for request in simulator.requests)
    for outputs in langchain_calls:
        check_langchain(outputs)
    for response in llama_index_calls:
        check_llama_index(response)
    assert traces, "there is no trace"
    assert langchain_calls or llama_index_calls, "no call is in a trace"
    assert not [trace for trace in traces if SECRET in trace], "a trace holds the token"
    print(f"{remark}; {len(simulator.requests)} requests, {len(langchain_calls) + len(llama_index_calls)} calls traced")


if __name__ == "__main__":
    main(sys.argv[1])
