"""Short constructors of messages, and what is made of them."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from llama_index.core.base.llms.types import (
    CachePoint,
    ChatMessage,
    ContentBlock,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)

from cfaig_integrations.core.content import Part, Turn, Wire
from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.llama_index.inbound import to_turns
from cfaig_integrations.simulator import Simulator
from tests.conftest import where

MODELS: dict[Wire, str] = {
    "chat_completions": "openai/gpt-4.1",
    "responses": "openai/gpt-5.4",
    "messages": "anthropic/claude-haiku-4.5",
}
EPHEMERAL = {"type": "ephemeral", "ttl": "5m"}
MARKED = {"messages": {"cache_control": EPHEMERAL}}
CALL = ToolCallBlock(tool_call_id="call_1", tool_name="w", tool_kwargs={"c": 1})


def point(ttl: str = "5m") -> CachePoint:
    return CachePoint.model_validate({"cache_control": {"type": "ephemeral", "ttl": ttl}})


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def message(role: str, *blocks: ContentBlock | str, **kwargs: Any) -> ChatMessage:
    created = [TextBlock(text=block) if isinstance(block, str) else block for block in blocks]
    return ChatMessage(role=MessageRole(role), blocks=created, additional_kwargs=kwargs)


def user(*blocks: ContentBlock | str, **kwargs: Any) -> ChatMessage:
    return message("user", *blocks, **kwargs)


def model(*blocks: ContentBlock | str, **kwargs: Any) -> ChatMessage:
    return message("assistant", *blocks, **kwargs)


def tool(*blocks: ContentBlock | str, **kwargs: Any) -> ChatMessage:
    return message("tool", *blocks, **({"tool_call_id": "call_1"} | kwargs))


def turn_of(value: ChatMessage) -> Turn:
    (turn,) = to_turns([value])
    return turn


def parts_of(*blocks: ContentBlock | str, **kwargs: Any) -> tuple[Part, ...]:
    return turn_of(user(*blocks, **kwargs)).parts


def restored_from_json(value: ChatMessage) -> ChatMessage:
    return ChatMessage.model_validate_json(value.model_dump_json())


def sent(simulator: Simulator, api: Wire, *messages: ChatMessage) -> Any:
    """The body that a wire is sent."""
    CloudflareAIGateway(**where(simulator), api=api, model=MODELS[api]).chat(messages)
    return simulator.requests[-1].body
