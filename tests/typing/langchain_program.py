"""A user's LangChain program; it is type-checked, and not run."""

from __future__ import annotations

from typing import Any, TypedDict, assert_type

import httpx
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, tool
from pydantic import BaseModel, SecretStr

from cfaig_integrations import AIGateway, GatewayInfo, GatewayOptions, RunInfo
from cfaig_integrations.langchain import (
    ChatCloudflareAIGateway,
    CloudflareAIGatewayEmbeddings,
    CloudflareAIGatewayLLM,
    CloudflareAIGatewayReranker,
    CloudflarePromptCachingMiddleware,
    LogCollector,
    gateway_info,
    image_generation_tool,
)


class Capital(BaseModel):
    """A capital."""

    city: str


class Country(TypedDict):
    """A country."""

    name: str


@tool
def weather(city: str) -> str:
    """Weather in a city."""
    return f"Rain in {city}."


def mapper(run: RunInfo) -> dict[str, Any]:
    """Metadata of a run."""
    return {"framework": run.framework}


async def later() -> str:
    """A token."""
    return "t"


model = ChatCloudflareAIGateway(
    "openai/gpt-5.4",
    api_token="t",
    account_id="a",
    gateway={"cache_ttl": 60},
    gateway_metadata={"team": "docs"},
    metadata_mapper=mapper,
    stop="a",
    logit_bias={50256: -100},
    timeout=(5, 60),
    http_client=httpx.Client(),
    callbacks=[],
    use_previous_response_id=True,
)
ChatCloudflareAIGateway(model="m/m", api_token=SecretStr("t"), gateway=GatewayOptions(cache_ttl=60), stop=["a"])
ChatCloudflareAIGateway(model_name="m/m", api_key=later, request_timeout=5, max_completion_tokens=9, stop_sequences="a")
ChatCloudflareAIGateway(model="m/m", temperature="hot")  # pyright: ignore[reportArgumentType]
ChatCloudflareAIGateway(model="m/m", temprature=0)  # pyright: ignore[reportCallIssue]
ChatCloudflareAIGateway()  # pyright: ignore[reportCallIssue]

assert_type(model.invoke("Hi", stop="a", temperature=0), AIMessage)
for chunk in model.stream("Hi", stop="a"):
    assert_type(chunk, AIMessageChunk)
assert_type(model.with_structured_output(Capital).invoke("Hi").city, str)
assert_type(model.with_structured_output(Country).invoke("Hi"), Country)
assert_type(model.with_structured_output({"title": "A"}).invoke("Hi"), dict[str, Any])
assert_type(model.with_structured_output(Capital, include_raw=True).invoke("Hi"), dict[str, Any])
model.with_structured_output(Capital, method="jsn")  # pyright: ignore[reportCallIssue, reportArgumentType]
agent = model.bind_tools([weather, {"type": "web_search"}], tool_choice="auto", parallel_tool_calls=False)
assert_type(agent, Runnable[LanguageModelInput, AIMessage])

assert_type(CloudflareAIGatewayLLM("m/m", api_key="t", max_concurrency=2).invoke("Hi"), str)
embeddings = CloudflareAIGatewayEmbeddings(model="@cf/baai/bge-m3", api_token="t", gateway={"skip_cache": True})
assert_type(embeddings.embed_query("Hi"), list[float])
CloudflareAIGatewayReranker(top_n=1, api_token="t")
CloudflareAIGatewayReranker("@cf/baai/bge-reranker-base", top_n="1")  # pyright: ignore[reportArgumentType]


async def ask() -> None:
    """The asynchronous methods."""
    assert_type(await model.ainvoke("Hi", stop=["a"]), AIMessage)
    async for piece in model.astream("Hi"):
        assert_type(piece, AIMessageChunk)
    assert_type((await model.with_structured_output(Capital).ainvoke("Hi")).city, str)
    assert_type(await embeddings.aembed_query("Hi"), list[float])


assert_type(gateway_info(model.invoke("Hi")), GatewayInfo | None)
draw = image_generation_tool("cloudflare/image", folder=".", api_token="t")
assert_type(draw, BaseTool)
model.bind_tools([draw], tool_choice=1.5)  # pyright: ignore[reportArgumentType]
CloudflarePromptCachingMiddleware(ttl="1h")
CloudflarePromptCachingMiddleware(ttl="2h")  # pyright: ignore[reportArgumentType]
collector = LogCollector()
model.invoke("Hi", {"callbacks": [collector]})
assert_type(AIGateway(api_token="t").run_cost(collector).by_model["openai/gpt-5.4"], float)
