"""Shared by the programs: a few facts, readers of requests, and observers that check the events."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatStartEvent,
    LLMCompletionEndEvent,
    LLMCompletionStartEvent,
)
from llama_index.core.schema import TextNode
from pydantic import BaseModel, Field

from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Captured, Simulator

M3 = "@cf/baai/bge-m3"
QWEN = "@cf/qwen/qwen3-embedding-0.6b"
FACTS = {
    "bananas": "Bananas are yellow and grow in Ecuador.",
    "paris": "Paris is the capital of France.",
    "rivers": "France has many rivers, and the Loire is the longest of them.",
    "rome": "Rome is the capital of Italy.",
    "sea": "The sea is deep and salty.",
}
QUESTION = "What is the capital of France?"
ANSWER = FACTS["paris"]

both_methods = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


def nodes(names: Iterable[str] = FACTS) -> list[TextNode]:
    return [TextNode(id_=name, text=FACTS[name], metadata={"name": name}) for name in names]


def _embeds(request: Captured) -> bool:
    return "/baai/" in request.path or "embedding" in request.path


def llm_requests(simulator: Simulator) -> list[Captured]:
    """The requests to chat models."""
    return [request for request in simulator.requests if not _embeds(request)]


def embedded(simulator: Simulator) -> list[list[str]]:
    """The texts of each request to a model that embeds."""
    bodies = [request.body for request in simulator.requests if _embeds(request)]
    return [body.get("text") or body.get("documents") or body.get("queries") or body["input"] for body in bodies]


def steps(simulator: Simulator) -> list[str]:
    """The kinds of the requests, in order."""
    return ["embed" if _embeds(request) else "ask" for request in simulator.requests]


def conversation(request: Captured) -> list[tuple[str, str]]:
    """Role and text of each message, whatever the wire; what is not text stays JSON."""
    body: dict[str, Any] = request.body
    system = [("system", _text(body["system"]))] if "system" in body else []
    messages = body.get("messages") or body["input"]
    return [*system, *((each["role"], _text(each["content"])) for each in messages)]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] if "text" in part else json.dumps(part) for part in content)


def roles(request: Captured) -> list[str]:
    return [role for role, _ in conversation(request)]


def prompt_text(request: Captured) -> str:
    """The text of a conversation."""
    return "\n".join(text for _, text in conversation(request))


def must_call(request: Captured) -> bool:
    """Whether the request forces a tool call."""
    choice = request.body.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, dict) else choice
    return kind in ("required", "any", "function", "tool")


class Observers(BaseEventHandler):
    """Collects LlamaIndex's events, and checks them after a program."""

    models: set[str] = Field(default_factory=set)
    """The models that may be called."""
    started: list[str] = Field(default_factory=list)
    ended: list[str] = Field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        match event:
            case EmbeddingStartEvent():
                self.started.append("Embedding")
            case EmbeddingEndEvent():
                self.ended.append("Embedding")
            case LLMChatStartEvent() | LLMCompletionStartEvent():
                # An LLM's structured twin is one more LLM to LlamaIndex, with events of its own.
                if event.model_dict["class_name"] == CloudflareAIGateway.class_name():
                    self.started.append("LLM")
            case LLMChatEndEvent() | LLMCompletionEndEvent():
                assert event.response is not None
                if not isinstance(event.response.raw, BaseModel):
                    self.ended.append("LLM")
                    usage = event.response.raw["usage"]
                    self.prompt_tokens += usage["prompt_tokens"]
                    self.completion_tokens += usage["completion_tokens"]
            case _:
                pass

    def check_events(self, simulator: Simulator) -> None:
        """No request failed, each was one event, the model was the right one, and the tokens are those of the log."""
        entries = simulator.logs()
        assert [entry["status_code"] for entry in entries] == [200] * len(simulator.requests)
        assert simulator.queued == (0, 0)
        talks = [entry for entry in entries if entry["model_type"] != "Text Embeddings"]
        assert {entry["model"] for entry in talks} <= self.models
        assert len(talks) == len(llm_requests(simulator))
        for seen in (self.started, self.ended):
            assert seen.count("LLM") == len(talks)
            assert seen.count("Embedding") == len(entries) - len(talks)
        assert self.prompt_tokens == sum(entry["tokens_in"] for entry in talks)
        assert self.completion_tokens == sum(entry["tokens_out"] for entry in talks)
