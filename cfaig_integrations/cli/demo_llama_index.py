"""LlamaIndex's part of the demo: a query engine that embeds, reranks and streams, and an agent, over one document."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from llama_index.core import Document, PromptTemplate, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult
from llama_index_instrumentation.dispatcher import instrument_tags
from rich.console import Console
from rich.markup import escape

from cfaig_integrations.cli import demo
from cfaig_integrations.cli.demo import CHAT_MODEL, EXTRACT_QUESTION, QUESTION, TOOL_QUESTION, MetadataRule, section
from cfaig_integrations.llama_index import CloudflareAIGateway, CloudflareAIGatewayEmbedding, CloudflareAIGatewayRerank

EMBED_MODEL = "@cf/qwen/qwen3-embedding-0.6b"
APP = {"app": demo.APP}


def show(console: Console, connection: dict[str, Any], sections: Mapping[str, str]) -> None:
    """Runs the LlamaIndex programs."""
    with instrument_tags({"part": "query"}):
        _query(console, connection, sections)
    with instrument_tags({"part": "structured"}):
        _extract(console, connection)
    with instrument_tags({"part": "agent"}):
        asyncio.run(_agent(console, connection, sections))


def _llm(connection: dict[str, Any]) -> CloudflareAIGateway:
    return CloudflareAIGateway(model=CHAT_MODEL, max_tokens=400, gateway_metadata=APP, **connection)


def _query(console: Console, connection: dict[str, Any], sections: Mapping[str, str]) -> None:
    console.rule("LlamaIndex: a query engine that embeds, reranks and streams")
    console.print(f"[bold]{QUESTION}[/bold]")
    embed_model = CloudflareAIGatewayEmbedding(model=EMBED_MODEL, gateway_metadata=APP, **connection)
    documents = [
        Document(text=text, metadata={"section": heading}, excluded_llm_metadata_keys=["section"])
        for heading, text in sections.items()
    ]
    index: Any = VectorStoreIndex.from_documents(documents, embed_model=embed_model)
    rerank = CloudflareAIGatewayRerank(top_n=1, gateway_metadata=APP, **connection)
    engine = index.as_query_engine(
        llm=_llm(connection), similarity_top_k=6, node_postprocessors=[rerank], streaming=True
    )
    response = engine.query(QUESTION)
    for text in response.response_gen:
        console.print(escape(text), end="", highlight=False)
    (best,) = response.source_nodes
    source = f"from the section {best.metadata['section']}, score {best.score:.2f}"
    console.print(f"\n[dim]{source}[/dim]\n", highlight=False)


def _extract(console: Console, connection: dict[str, Any]) -> None:
    console.rule("LlamaIndex: structured output")
    console.print(f"[bold]{EXTRACT_QUESTION}[/bold]")
    rule = _llm(connection).structured_predict(MetadataRule, PromptTemplate("{text}"), text=EXTRACT_QUESTION)
    console.print(f"{rule!r}\n", markup=False)


async def _agent(console: Console, connection: dict[str, Any], sections: Mapping[str, str]) -> None:
    def read_section(heading: str) -> str:
        """Read one section of the README by its heading."""
        return section(sections, heading)

    console.rule("LlamaIndex: an agent with a tool")
    console.print(f"[bold]{TOOL_QUESTION}[/bold]")
    agent: Any = FunctionAgent(name="reader", tools=[read_section], llm=_llm(connection))
    running = agent.run(TOOL_QUESTION)
    async for event in running.stream_events():
        if isinstance(event, ToolCallResult):
            call: Any = event
            console.print(f"[dim]calls {call.tool_name}({call.tool_kwargs})[/dim]", highlight=False)
    console.print(f"{escape(str(await running))}\n", highlight=False)
