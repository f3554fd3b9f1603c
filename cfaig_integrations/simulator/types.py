"""A model request and its answer, independent of the format.

A dialect parses a request body into a [ModelRequest][], the fake model generates an [Answer][], and the dialect renders
it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

CUSTOM_INPUT = "input"
"""The one argument of a custom tool."""


@dataclass(slots=True)
class Call:
    """A tool call, in the history or made by the model."""

    id: str
    name: str
    arguments: dict[str, Any]
    raw: str = ""
    """The arguments as text where they are not valid JSON: cut by a token limit, or scripted."""
    custom: bool = False
    """A call of a custom tool, whose input is text."""

    @property
    def text(self) -> str:
        """The input of a call of a custom tool."""
        return self.raw or str(self.arguments.get(CUSTOM_INPUT, ""))


@dataclass(slots=True)
class ToolResult:
    """The result of a tool call."""

    call_id: str
    text: str
    failed: bool = False


@dataclass(slots=True)
class Message:
    """One message of the conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    text: str = ""
    calls: list[Call] = field(default_factory=list[Call])
    results: list[ToolResult] = field(default_factory=list[ToolResult])
    media: list[str] = field(default_factory=list[str])
    """Kinds of the attachments (`image`, `audio`, `file`), in order."""


@dataclass(slots=True)
class Tool:
    """A function tool, or a custom tool, whose input is text."""

    name: str
    description: str
    parameters: dict[str, Any]
    custom: bool = False


def custom_tool(name: str, description: str) -> Tool:
    """A custom tool, which the fake model calls like a function with one argument."""
    parameters = {"type": "object", "properties": {CUSTOM_INPUT: {"type": "string"}}, "required": [CUSTOM_INPUT]}
    return Tool(name, description, parameters, custom=True)


@dataclass(slots=True)
class ModelRequest:
    """A validated request, independent of its format."""

    model: str
    messages: list[Message]
    tools: list[Tool] = field(default_factory=list[Tool])
    choice: str = "auto"
    """`auto`, `none`, `required`, or the name of the one tool that must be called."""
    parallel: bool = True
    schema: dict[str, Any] | None = None
    """A JSON schema for the text of the answer; `{}` for any JSON object."""
    reason: bool = False
    max_tokens: int | None = None
    stop: list[str] = field(default_factory=list[str])
    stream: bool = False
    usage_in_stream: bool = False
    """Chat completions only: `stream_options.include_usage`."""
    choices: int = 1
    """Chat completions only: `n`."""
    cacheable: bool = True
    """The prompt may be cached; on messages only if a block has `cache_control` (facts §7)."""
    searchable: bool = False
    """The provider's web search is among the tools (responses and messages)."""
    echo: dict[str, Any] = field(default_factory=dict[str, Any])
    """The body, of which some formats return parts."""


@dataclass(slots=True)
class Answer:
    """The answer of the model, generated or scripted."""

    text: str = ""
    calls: list[Call] = field(default_factory=list[Call])
    reasoning: str = ""
    refusal: str = ""
    finish: Literal["stop", "length", "tool_calls", "refusal"] = "stop"
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    """Part of `tokens_in`."""
    tokens_reasoning: int = 0
    """Part of `tokens_out`."""
    stopped_by: str = ""
    """The stop sequence that ended the text."""
    searches: list[str] = field(default_factory=list[str])
    """Queries of the provider's web search before the text."""
    structured: Any = None
    """A scripted value that becomes the text or a tool call, as the request asks for it."""


class InvalidBody(Exception):
    """The body violates a rule of its format."""

    def __init__(self, message: str, *, param: str = "", code: int = 7003, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status
