"""A turn of a conversation and the parts it is made of.

Values that only one wire format understands (signatures, item ids, encrypted reasoning, cache markers) are kept in
`extras` under the format's name, and only that format reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal, NoReturn, TypeAlias

from cfaig_integrations.core.records import record

Wire: TypeAlias = Literal["chat_completions", "responses", "messages", "run"]
Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
Json: TypeAlias = Mapping[str, Any]
"""A JSON object."""
JsonDict: TypeAlias = dict[str, Any]
"""A JSON object that is still being written."""
Extras: TypeAlias = Mapping[str, Json]
"""Wire name -> values that only this format understands."""


class _NoExtras(dict[str, Json]):
    """No extras: hashable, so that it can be a dataclass default, and immutable.

    A dict for speed: the extras of every part of a long conversation are read.
    """

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("NO_EXTRAS is shared and cannot be changed: create a new dict")

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


@record
class Citation:
    """The source of a passage of text.

    Attributes:
        url: Address of the source, empty if it is not on the web.
        title: Its title.
        quoted: The cited passage of the source.
        start: First character of the cited passage in the part's text, if known.
        end: One past its last character, if known.
        raw: The provider's object, unchanged.
    """

    url: str = ""
    title: str = ""
    quoted: str = ""
    start: int | None = None
    end: int | None = None
    raw: Json = field(default_factory=dict[str, Any])


@record
class Text:
    """Plain text, with the sources that it cites."""

    text: str
    citations: tuple[Citation, ...] = ()
    extras: Extras = NO_EXTRAS


@record
class Media:
    """An image, audio, a video or a document: exactly one of `url`, `data`, `file_id` is set.

    Attributes:
        kind: What it is.
        url: Its address (never a `data:` URL: those are split into `data` and `mime`).
        data: Its bytes in base64.
        file_id: Its id in the provider's file store.
        mime: Media type, such as `image/png`; empty if unknown.
        name: File name; empty if unknown.
        text: Transcript of an audio part, if the provider gave one.
    """

    kind: Literal["image", "audio", "video", "file"]
    url: str = ""
    data: str = ""
    file_id: str = ""
    mime: str = ""
    name: str = ""
    text: str = ""
    extras: Extras = NO_EXTRAS

    @property
    def address(self) -> str:
        """Its URL, or its data as a `data:` URL."""
        return self.url or f"data:{self.mime};base64,{self.data}"

    @property
    def essence(self) -> str:
        """The media type without parameters (WHATWG: MIME type essence)."""
        return self.mime.partition(";")[0].strip()


@record
class Reasoning:
    """The model's reasoning; its signature or encrypted form is in the extras of the format that it came in."""

    text: str
    extras: Extras = NO_EXTRAS


@record
class ToolCall:
    """A call of a tool by the model.

    Attributes:
        id: Links the result to the call.
        name: The tool.
        arguments: Their text exactly as it arrived: a JSON object for a function, anything for a custom tool. It can
            be invalid JSON if the answer was truncated, so parse it strictly.
        kind: `custom` for OpenAI's free-text tools.
    """

    id: str
    name: str
    arguments: str
    kind: Literal["function", "custom"] = "function"
    extras: Extras = NO_EXTRAS


@record
class ToolResult:
    """The result of a tool call.

    Attributes:
        call_id: The call that it answers.
        parts: Its content.
        failed: The tool failed, and the content is the error.
    """

    call_id: str
    parts: tuple[Text | Media | Opaque, ...]
    failed: bool = False
    extras: Extras = NO_EXTRAS


@record
class Refusal:
    """The model declines to answer, in a field of its own."""

    text: str
    extras: Extras = NO_EXTRAS


@record
class Opaque:
    """A block that is not modeled: kept unchanged and sent only in the format that it came in."""

    wire: Wire
    raw: Json


Modeled: TypeAlias = Text | Media | Reasoning | ToolCall | ToolResult | Refusal
Part: TypeAlias = Modeled | Opaque


@record
class Turn:
    """One message.

    Attributes:
        name: Name of the speaker, if the user gave one.
    """

    role: Role
    parts: tuple[Part, ...]
    name: str = ""
    extras: Extras = NO_EXTRAS

    @property
    def is_plain_text(self) -> bool:
        """Whether it is one text and nothing else: no name, no extras, no citations."""
        if len(self.parts) != 1 or self.extras or self.name:
            return False
        part = self.parts[0]
        return type(part) is Text and not (part.extras or part.citations)

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


def merge_extras(extras: Extras, more: Extras) -> Extras:
    """Both extras; where a wire has a key in both, `more` wins."""
    if not more:
        return extras
    if not extras:
        return more
    both: dict[str, Json] = dict(extras)
    for wire, values in more.items():
        both[wire] = {**both.get(wire, {}), **values}
    return both
