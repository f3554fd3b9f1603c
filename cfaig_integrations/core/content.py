"""A turn of a conversation and the parts it is made of.

What only one wire understands (signatures, item ids, encrypted reasoning, cache markers) rides along in `extras` under
that wire's name, and only that wire reads it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, TypeAlias

Wire: TypeAlias = Literal["chat_completions", "responses", "messages", "run"]
Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
Json: TypeAlias = Mapping[str, Any]
"""A JSON object."""
JsonDict: TypeAlias = dict[str, Any]
"""A JSON object that is still being written."""
Extras: TypeAlias = Mapping[str, Json]
"""Wire name -> what that wire alone understands."""


class _NoExtras(dict[str, Json]):
    """No extras: hashable, so that it may be a dataclass default, and impossible to fill by mistake.

    A dict, because every part of a long conversation is asked for its extras.
    """

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("NO_EXTRAS is everybody's: make extras of your own")

    __setitem__ = __delitem__ = __ior__ = update = setdefault = pop = popitem = clear = _refuse  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __hash__(self) -> int:  # type: ignore[override]
        return 0

    def __copy__(self) -> _NoExtras:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> _NoExtras:
        return self

    def __reduce__(self) -> str:
        return "NO_EXTRAS"


NO_EXTRAS: Extras = _NoExtras()


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a stretch of text comes from.

    Attributes:
        url: Address of the source, empty if it is not on the web.
        title: Its title.
        quoted: The words of the source that are cited.
        start: First character of the cited stretch in the part's text, if known.
        end: One past its last character, if known.
        raw: The wire's own object, word for word.
    """

    url: str = ""
    title: str = ""
    quoted: str = ""
    start: int | None = None
    end: int | None = None
    raw: Json = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text, with the sources that it cites."""

    text: str
    citations: tuple[Citation, ...] = ()
    extras: Extras = NO_EXTRAS


@dataclass(frozen=True, slots=True)
class Media:
    """An image, a recording, a film or a document: exactly one of `url`, `data`, `file_id` is set.

    Attributes:
        kind: What it is.
        url: Address of it (never a `data:` URL: those are split into `data` and `mime`).
        data: Its bytes in base64.
        file_id: Its name in the provider's file store.
        mime: Media type, such as `image/png`; empty if unknown.
        name: File name; empty if unknown.
        text: What an audio part says, if the provider gave a transcript.
    """

    kind: Literal["image", "audio", "video", "file"]
    url: str = ""
    data: str = ""
    file_id: str = ""
    mime: str = ""
    name: str = ""
    text: str = ""
    extras: Extras = NO_EXTRAS


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What the model thought; its signature or encrypted form is in the maker's extras."""

    text: str
    extras: Extras = NO_EXTRAS


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool.

    Attributes:
        id: Ties the result to the call.
        name: The tool.
        arguments: Their text exactly as it arrived: a JSON object for a function, anything for a custom tool. It may
            be broken JSON if the answer was cut; whoever parses it must be strict.
        kind: `custom` for the Responses wire's free-text tools.
    """

    id: str
    name: str
    arguments: str
    kind: Literal["function", "custom"] = "function"
    extras: Extras = NO_EXTRAS


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered.

    Attributes:
        call_id: The call that it answers.
        parts: Its content.
        failed: The tool failed, and the content says how.
    """

    call_id: str
    parts: tuple[Text | Media | Opaque, ...]
    failed: bool = False
    extras: Extras = NO_EXTRAS


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model declines, and says so in a place of its own."""

    text: str
    extras: Extras = NO_EXTRAS


@dataclass(frozen=True, slots=True)
class Opaque:
    """A block that is not modelled, kept word for word and given back to the wire that made it, and to no other."""

    wire: Wire
    raw: Json


Modelled: TypeAlias = Text | Media | Reasoning | ToolCall | ToolResult | Refusal
Part: TypeAlias = Modelled | Opaque


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: who speaks, and what they say.

    Attributes:
        name: Name of the speaker, if the user gave one.
    """

    role: Role
    parts: tuple[Part, ...]
    name: str = ""
    extras: Extras = NO_EXTRAS

    @property
    def text(self) -> str:
        """All text parts, joined."""
        return "".join(part.text for part in self.parts if type(part) is Text)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, in order."""
        return tuple(part for part in self.parts if type(part) is ToolCall)


def extras_of(wire: Wire, **values: Any) -> Extras:
    """Extras that hold `values` for `wire`, without those that are None."""
    kept = {key: value for key, value in values.items() if value is not None}
    return {wire: kept} if kept else NO_EXTRAS


def merged(extras: Extras, more: Extras) -> Extras:
    """Both extras; where a wire has a key in both, `more` wins."""
    if not more:
        return extras
    if not extras:
        return more
    both: dict[str, Json] = dict(extras)
    for wire, values in more.items():
        both[wire] = {**both.get(wire, {}), **values}
    return both
