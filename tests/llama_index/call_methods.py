"""What the tests of this folder share: a model on each wire, every way to ask it, and a tool."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from inspect import isawaitable
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.tools import FunctionTool

from cfaig_integrations.llama_index import CloudflareAIGateway

MODELS = {
    "chat_completions": "openai/gpt-4.1",
    "responses": "openai/gpt-5.4",
    "messages": "anthropic/claude-haiku-4.5",
    "run": "@cf/zai-org/glm-5.2",
}
REASONING_MODELS: dict[str, dict[str, Any]] = {
    "chat_completions": {"model": "@cf/zai-org/glm-5.2"},
    "responses": {"reasoning": {"effort": "low", "summary": "auto"}},
    "messages": {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096},
    "run": {},
}
"""Wire, and the words with which a model on it thinks."""
EMBEDDER = "@cf/baai/bge-small-en-v1.5"
CHATS = ("chat", "achat", "stream_chat", "astream_chat")
STREAMS = ("stream_chat", "astream_chat")
METHODS = (*CHATS, "complete", "acomplete", "stream_complete", "astream_complete")
"""The eight methods of an LLM."""

Make = Callable[..., CloudflareAIGateway]

every_wire = pytest.mark.parametrize("api", MODELS)
every_chat = pytest.mark.parametrize("method", CHATS)
every_stream = pytest.mark.parametrize("method", STREAMS)
every_method = pytest.mark.parametrize("method", METHODS)
both_modes = pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])


def weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


WEATHER = FunctionTool.from_defaults(weather)
CALL = {"id": "call_1", "name": "weather", "arguments": {"city": "Paris"}}
QUESTION = "What is the weather in Paris?"


def user(text: str = QUESTION) -> ChatMessage:
    return ChatMessage(role=MessageRole.USER, content=text)


def result(text: str = "It rains in Paris.", call: str = "call_1") -> ChatMessage:
    return ChatMessage(role=MessageRole.TOOL, content=text, additional_kwargs={"tool_call_id": call})


async def value_for(method: Callable[..., Any], *value: Any, **arguments: Any) -> Any:
    """What a method returns, asynchronous or not."""
    actual = method(*value, **arguments)
    return await actual if isawaitable(actual) else actual


async def begun(
    llm: CloudflareAIGateway, method: str, ask: str | Sequence[ChatMessage] = QUESTION, **arguments: Any
) -> Any:
    """What a method returns; a stream is not read yet."""
    value: Any = [user(ask)] if isinstance(ask, str) and not method.endswith("complete") else ask
    return await value_for(getattr(llm, method), value, **arguments)


async def read(actual: Any) -> list[Any]:
    """All that a method gave."""
    if isinstance(actual, AsyncGenerator):
        return [each async for each in actual]
    return list(actual) if isinstance(actual, Generator) else [actual]


async def answers(llm: CloudflareAIGateway, method: str, ask: Any = QUESTION, **arguments: Any) -> list[Any]:
    """All responses of a call: one, or those of a stream."""
    return await read(await begun(llm, method, ask, **arguments))


async def answer(llm: CloudflareAIGateway, method: str, ask: Any = QUESTION, **arguments: Any) -> Any:
    """The last response of a call."""
    return (await answers(llm, method, ask, **arguments))[-1]


def text_of(response: Any) -> str:
    """The text of a response, of a chat or of a completion."""
    actual: str | None = response.message.content if isinstance(response, ChatResponse) else response.text
    return actual or ""
