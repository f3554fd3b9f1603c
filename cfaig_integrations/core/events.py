"""The events of a stream: a closed union, the same for every wire.

Parts are numbered from 0 in the order in which they begin; a part begins with `PartStarted`, or comes whole with
`PartAdded`. Consumers `match` on the class and end with `assert_never`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from cfaig_integrations.core.chat import FinishReason, Usage
from cfaig_integrations.core.content import Citation, Extras, Media, Opaque

PartKind: TypeAlias = Literal["text", "reasoning", "refusal", "tool_call", "custom_tool_call"]


@dataclass(slots=True)
class Started:
    """The reply has begun, or its id or model became known; empty fields say nothing new."""

    id: str = ""
    model: str = ""


@dataclass(slots=True)
class PartStarted:
    """A part begins.

    Attributes:
        part: Its number.
        choice: The answer that it belongs to.
        id: Of a tool call.
        name: Of a tool call; given once, here.
    """

    part: int
    kind: PartKind
    choice: int = 0
    id: str = ""
    name: str = ""


@dataclass(slots=True)
class TextDelta:
    """More text."""

    part: int
    text: str


@dataclass(slots=True)
class ReasoningDelta:
    """More reasoning."""

    part: int
    text: str


@dataclass(slots=True)
class RefusalDelta:
    """More of a refusal."""

    part: int
    text: str


@dataclass(slots=True)
class ArgumentsDelta:
    """More of a tool call's arguments."""

    part: int
    text: str


@dataclass(slots=True)
class CitationAdded:
    """A text part cites a source."""

    part: int
    citation: Citation


@dataclass(slots=True)
class PartNoted:
    """A wire learned something about a part that only it understands; later values win."""

    part: int
    extras: Extras


@dataclass(slots=True)
class PartAdded:
    """A part that comes whole."""

    part: int
    value: Media | Opaque
    choice: int = 0


@dataclass(slots=True)
class ReplyNoted:
    """A wire learned something about the reply; with a choice, about that answer; for the turn, about its turn."""

    extras: Extras
    choice: int | None = None
    turn: bool = False


@dataclass(slots=True)
class UsageUpdated:
    """Token counts so far; each replaces the one before."""

    usage: Usage


@dataclass(slots=True)
class Finished:
    """An answer is complete; may be said again, and the last word wins."""

    finish: FinishReason
    word: str = ""
    choice: int = 0


Event: TypeAlias = (
    Started
    | PartStarted
    | TextDelta
    | ReasoningDelta
    | RefusalDelta
    | ArgumentsDelta
    | CitationAdded
    | PartNoted
    | PartAdded
    | ReplyNoted
    | UsageUpdated
    | Finished
)
