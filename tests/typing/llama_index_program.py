"""A user's LlamaIndex program; it is type-checked, and not run."""

from __future__ import annotations

from typing import assert_type

from llama_index.core.llms import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, SecretStr

from cfaig_integrations import AIGateway, GatewayOptions
from cfaig_integrations.llama_index import (
    CloudflareAIGateway,
    CloudflareAIGatewayEmbedding,
    CloudflareAIGatewayRerank,
    LogCollector,
    web_search_tool,
)


class Capital(BaseModel):
    """A capital."""

    city: str


llm = CloudflareAIGateway(
    "openai/gpt-5.4",
    api_token="t",
    account_id="a",
    gateway={"cache_ttl": 60},
    stop="a",
    logit_bias={50256: -100},
    timeout=30,
    system_prompt="Be brief.",
    context_window=8000,
    structured_output="json_schema",
)
CloudflareAIGateway(model="m/m", api_token=SecretStr("t"), gateway=GatewayOptions(cache_ttl=60), stop=["a"])
CloudflareAIGateway(model_name="m/m", api_key=lambda: "t", api_base="https://x", additional_kwargs={"user": "u"})
CloudflareAIGateway(model="m/m", temprature=0)  # pyright: ignore[reportCallIssue]
CloudflareAIGateway(model="m/m", max_tokens="9")  # pyright: ignore[reportArgumentType]

assert_type(llm.complete("Hi", stop="a"), CompletionResponse)
assert_type(llm.chat([ChatMessage(content="Hi")], temperature=0), ChatResponse)
for piece in llm.stream_chat([ChatMessage(content="Hi")]):
    assert_type(piece, ChatResponse)
assert_type(llm.structured_predict(Capital, PromptTemplate("Where?")).city, str)
assert_type(llm.as_structured_llm(Capital), StructuredLLM)
search = web_search_tool(provider="exa", api_token="t")
assert_type(search, FunctionTool)
assert_type(llm.chat_with_tools([search], user_msg="Hi", tool_required=True), ChatResponse)
web_search_tool(provider="other")  # pyright: ignore[reportArgumentType]
assert_type(llm.with_gateway(metadata={"job": "a"}, options={"cache_ttl": 60}), CloudflareAIGateway)

embed_model = CloudflareAIGatewayEmbedding(model="@cf/baai/bge-m3", api_token="t", dimensions=9)
assert_type(embed_model.get_query_embedding("Hi"), list[float])
CloudflareAIGatewayRerank(top_n=1, api_token="t")
CloudflareAIGatewayRerank(top_m=1)  # pyright: ignore[reportCallIssue]


async def ask() -> None:
    """The asynchronous methods."""
    assert_type(await llm.achat([ChatMessage(content="Hi")], stop=["a"]), ChatResponse)
    async for response in await llm.astream_chat([ChatMessage(content="Hi")]):
        assert_type(response, ChatResponse)
    assert_type((await llm.astructured_predict(Capital, PromptTemplate("Where?"))).city, str)
    assert_type(await embed_model.aget_query_embedding("Hi"), list[float])


with LogCollector() as collector:
    llm.complete("Hi")
assert_type(AIGateway(api_token="t").run_cost(collector, by="team").total, float)
