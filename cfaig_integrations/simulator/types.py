"""What is asked and what is answered inside the simulator, whatever dialect it came in.

A dialect turns a request body into an [ModelRequest][] and an [Answer][] into bytes; the mind turns one into the other.
Knows no HTTP, no header and no wire format, and shares nothing with the client that it is there to test.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(slots=True)
class Call:
    """A tool call, as found in a history or as made by the model."""

    id: str
    name: str
    arguments: dict[str, Any]
    raw: str = ""
    """The arguments as text, where they are not the JSON of `arguments`: cut by a token limit, or scripted."""


@dataclass(slots=True)
class ToolResult:
    """What a tool answered, tied to its call by id."""

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
    """Kinds of attachments seen (`image`, `audio`, `file`), in order."""


@dataclass(slots=True)
class Tool:
    """A function tool on offer."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(slots=True)
class ModelRequest:
    """A validated request."""

    model: str
    messages: list[Message]
    tools: list[Tool] = field(default_factory=list[Tool])
    choice: str = "auto"
    """`auto`, `none`, `required`, or the name of the one tool that must be called."""
    parallel: bool = True
    schema: dict[str, Any] | None = None
    """A JSON schema that the text of the answer must satisfy; `{}` asks for any JSON object."""
    reason: bool = False
    max_tokens: int | None = None
    stop: list[str] = field(default_factory=list[str])
    stream: bool = False
    usage_in_stream: bool = False
    """Chat completions only: `stream_options.include_usage`."""
    choices: int = 1
    """Chat completions only: `n`."""
    cacheable: bool = True
    """The prompt may be cached; on messages only where a block is marked so (wire-facts §7)."""
    searchable: bool = False
    """The provider's own web search is on offer (responses and messages)."""
    echo: dict[str, Any] = field(default_factory=dict[str, Any])
    """The body as it was read, for the parts that a dialect gives back."""


@dataclass(slots=True)
class Answer:
    """What the model says. A script may give it word for word."""

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
    """Queries given to the provider's own web search before the text was written."""


class InvalidBody(Exception):
    """The body breaks a rule of its dialect; the gateway words it as its error shapes ask."""

    def __init__(self, message: str, *, param: str = "", code: int = 7003, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status
