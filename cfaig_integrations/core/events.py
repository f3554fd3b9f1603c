"""The events of a stream: a closed union, the same for every wire.

Parts are numbered from 0 in the order in which they begin; a part begins with `PartStarted`, or comes as a whole with
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
    """The reply has begun, or its id or model became known; empty fields change nothing."""

    id: str = ""
    model: str = ""


@dataclass(slots=True)
class PartStarted:
    """A part begins.

    Attributes:
        part: Its number.
        choice: The answer that it belongs to.
        id: Of a tool call.
        name: Of a tool call; complete.
    """

    part: int
    kind: PartKind
    choice: int = 0
    id: str = ""
    name: str = ""


@dataclass(slots=True)
class Delta:
    """More text of a part; each kind of part has its own subclass."""

    part: int
    text: str


class TextDelta(Delta):
    """More text."""

    __slots__ = ()


class ReasoningDelta(Delta):
    """More reasoning."""

    __slots__ = ()


class RefusalDelta(Delta):
    """More of a refusal."""

    __slots__ = ()


class ArgumentsDelta(Delta):
    """More of a tool call's arguments."""

    __slots__ = ()


@dataclass(slots=True)
class CitationAdded:
    """A text part cites a source."""

    part: int
    citation: Citation


@dataclass(slots=True)
class PartExtras:
    """Wire-specific data of a part; later values replace earlier ones."""

    part: int
    extras: Extras


@dataclass(slots=True)
class PartAdded:
    """A part that comes as a whole."""

    part: int
    value: Media | Opaque
    choice: int = 0


@dataclass(slots=True)
class ReplyExtras:
    """Wire-specific data of the reply; with a choice, of that answer; with `turn`, of its turn."""

    extras: Extras
    choice: int | None = None
    turn: bool = False


@dataclass(slots=True)
class UsageUpdated:
    """Token counts so far; each event replaces the one before."""

    usage: Usage


@dataclass(slots=True)
class Finished:
    """An answer is complete; a later event replaces an earlier one.

    Attributes:
        finish: Why it ended.
        raw_finish: The provider's finish reason.
        choice: The answer.
    """

    finish: FinishReason
    raw_finish: str = ""
    choice: int = 0


Event: TypeAlias = (
    Started
    | PartStarted
    | TextDelta
    | ReasoningDelta
    | RefusalDelta
    | ArgumentsDelta
    | CitationAdded
    | PartExtras
    | PartAdded
    | ReplyExtras
    | UsageUpdated
    | Finished
)
