"""The replay state of a turn: what a framework's message cannot hold, so that the provider gets its own blocks back.

A framework shows text, reasoning and tool calls in its own form, each kind joined. The replay state is stored next to
them as JSON: where each part begins and ends, the extras, the citations, the unmodeled blocks. Digests tie it to the
text and the reasoning that it was made with, and to itself, because a program may have edited either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from hashlib import blake2b
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict, cast

from cfaig_integrations.core.content import (
    NO_EXTRAS,
    Citation,
    Extras,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Wire,
    merge_extras,
)
from cfaig_integrations.core.json_types import JsonValue
from cfaig_integrations.core.text import read_arguments

VERSION = 2
"""Of the format; a replay state of any other version is ignored."""


class _OpaqueState(TypedDict):
    n: int
    kind: Literal["opaque"]
    wire: Wire
    raw: dict[str, Any]


class _MediaState(TypedDict):
    n: int
    kind: Literal["media"]
    value: dict[str, Any]


class _ShownMediaState(TypedDict):
    n: int
    kind: Literal["shown_media"]
    value: dict[str, Any]


class _TextState(TypedDict):
    n: int
    kind: Literal["text", "reasoning", "refusal"]
    size: int
    citations: NotRequired[list[dict[str, Any]]]
    extras: NotRequired[dict[str, Any]]


class _CallState(TypedDict):
    n: int
    kind: Literal["tool_call"]
    id: str
    custom: NotRequired[bool]
    arguments: NotRequired[str]
    extras: NotRequired[dict[str, Any]]


PartState: TypeAlias = _OpaqueState | _MediaState | _ShownMediaState | _TextState | _CallState
"""One part: `n` is its number, `size` the length of its text in the joined text of its kind."""


class ReplayState(TypedDict):
    """A turn: `text` and `reasoning` are the digests of what the message shows, `digest` that of the state itself."""

    version: int
    parts: list[PartState]
    text: str
    reasoning: NotRequired[str]
    extras: NotRequired[dict[str, Any]]
    digest: NotRequired[str]


canonical = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""A JSON value in the one form in which tool arguments are written."""
_encode_sorted = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode
_DEFAULT_ORDER: Mapping[str, int] = {"reasoning": 0, "text": 1, "tool_call": 2}


def replay_state(turn: Turn, *, sent: Iterable[int] = (), shows_media: bool = False) -> ReplayState | None:
    """The replay state of an assistant turn, or None if the framework's message holds everything.

    Args:
        turn: An assistant turn.
        sent: Numbers of the media and opaque parts whose `part_state` was sent before, in their order.
        shows_media: The framework's message shows the turn's media, and so keeps their data.
    """
    parts = [part_state(number, part, shows_media=shows_media) for number, part in enumerate(turn.parts)]
    parts.sort(key=lambda part: part["kind"] not in ("opaque", "media", "shown_media"))  # a stream sends those first
    reasoning = _joined(turn, Reasoning)
    if not turn.extras and _is_implied(parts):
        if not reasoning:
            return None
        parts = []
    state: ReplayState = {"version": VERSION, "parts": parts, "text": _digest(_joined(turn, Text, Refusal))}
    if reasoning:
        state["reasoning"] = _digest(reasoning)
    if turn.extras:
        state["extras"] = _as_dicts(turn.extras)
    state["digest"] = _state_digest(state)
    skipped = set(sent)
    state["parts"] = [part for part in parts if part["n"] not in skipped]
    return state


def _joined(turn: Turn, *types: type[Text | Reasoning | Refusal]) -> str:
    return "".join(part.text for type_ in types for part in turn.parts if isinstance(part, type_))


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _state_digest(state: ReplayState) -> str:
    """The digest of a replay state's own data, in whatever order its parts were merged."""
    parts = sorted(state["parts"], key=lambda part: part["n"])
    return _digest(_encode_sorted({**state, "parts": parts, "digest": ""}))


def part_state(number: int, part: Part, *, shows_media: bool = False) -> PartState:
    """The state of one part."""
    match part:
        case Opaque(wire, raw):
            return {"n": number, "kind": "opaque", "wire": wire, "raw": dict(raw)}
        case Media():
            value = {**asdict(part), "extras": _as_dicts(part.extras)}
            if shows_media and part.data:
                return {"n": number, "kind": "shown_media", "value": {**value, "data": ""}}
            return {"n": number, "kind": "media", "value": value}
        case ToolCall():
            state: _TextState | _CallState = _call_state(number, part)
        case ToolResult():
            raise TypeError("an assistant's turn holds no tool results")
        case Text() | Reasoning() | Refusal():
            kind: Literal["text", "reasoning", "refusal"] = "text"
            if not isinstance(part, Text):
                kind = "reasoning" if isinstance(part, Reasoning) else "refusal"
            state = {"n": number, "kind": kind, "size": len(part.text)}
            if isinstance(part, Text) and part.citations:
                state["citations"] = [asdict(citation) for citation in part.citations]
    if part.extras:
        state["extras"] = _as_dicts(part.extras)
    return state


def _call_state(number: int, call: ToolCall) -> _CallState:
    state: _CallState = {"n": number, "kind": "tool_call", "id": call.id}
    if call.kind == "custom":
        state["custom"] = True
    if call.kind == "custom" or not _is_canonical(call.arguments):
        state["arguments"] = call.arguments
    return state


def _is_canonical(arguments: str) -> bool:
    """Whether a framework that parses the arguments and dumps them again gets the same text."""
    try:
        value: JsonValue = json.loads(arguments)
        return isinstance(value, dict) and canonical(value) == arguments
    except (ValueError, RecursionError):
        return False


def _as_dicts(extras: Extras) -> dict[str, Any]:
    return {wire: dict(values) for wire, values in extras.items()}


def _is_implied(parts: list[PartState]) -> bool:
    """Whether every message implies this state: reasoning, then one text, then tool calls, without further data."""
    ranks = [_DEFAULT_ORDER.get(part["kind"], 9) for part in parts]
    bare = all(part.keys() <= {"n", "kind", "size", "id"} for part in parts)
    return bare and ranks == sorted(ranks) and 9 not in ranks and ranks.count(0) <= 1 and ranks.count(1) <= 1


def restore(turn: Turn, data: object) -> Turn:
    """`turn` as read from a framework's message, with the order, the extras and the opaque parts of its replay state.

    A replay state of another version, or a damaged one, is ignored. Where the message was edited, what the user sees
    wins; and if the text was edited (by a redactor, for example), the reasoning, the citations and the opaque parts,
    which may repeat the original text, are left out.

    Args:
        turn: What the message shows.
        data: What was stored next to it: a replay state, or anything.
    """
    state = _validate(data)
    if state is None:
        return turn
    if not _has_same_text(turn, state):
        return _without_traces_of_text(turn)
    if not _has_same_reasoning(turn, state):
        return _without_signatures(turn)
    if not state["parts"] and "extras" not in state:
        return turn
    shown = _ShownParts(turn)
    parts: list[Part] = []
    for each in sorted(state["parts"], key=lambda part: part["n"]):
        part = shown.take(each)
        if part is None:
            return turn
        parts.append(part)
    citations = _citations(turn.parts)
    if shown.has_rest() or (citations and citations != _citations(parts)):
        return turn
    return replace(turn, parts=tuple(parts), extras=merge_extras(turn.extras, state.get("extras") or NO_EXTRAS))


def matches(turn: Turn, data: object) -> bool:
    """Whether a replay state was made with the text and the reasoning that a message shows.

    Args:
        turn: What the message shows.
        data: What was stored next to it.
    """
    state = _validate(data)
    return state is not None and _has_same_text(turn, state) and _has_same_reasoning(turn, state)


def _has_same_text(turn: Turn, state: ReplayState) -> bool:
    return state["text"] == _digest(_joined(turn, Text, Refusal))


def _has_same_reasoning(turn: Turn, state: ReplayState) -> bool:
    reasoning = _joined(turn, Reasoning)
    return state.get("reasoning", "") == (_digest(reasoning) if reasoning else "")


def _citations(parts: Iterable[Part]) -> list[Citation]:
    return [citation for part in parts if isinstance(part, Text) for citation in part.citations]


def _validate(data: object) -> ReplayState | None:
    """The replay state, if it is one and unchanged; that of two messages that were merged has a wrong digest."""
    if not isinstance(data, dict):
        return None
    fields = cast("dict[str, object]", data)
    if fields.get("version") != VERSION or not isinstance(fields.get("parts"), list):
        return None
    state = cast("ReplayState", fields)
    try:
        return state if state.get("digest") == _state_digest(state) else None
    except (KeyError, TypeError, ValueError, RecursionError):  # not of this format, or not JSON
        return None


def _without_traces_of_text(turn: Turn) -> Turn:
    """A turn whose text was edited, without the parts that may repeat the original text."""
    kept = [part for part in turn.parts if not isinstance(part, Reasoning | Opaque)]
    parts = tuple([replace(part, citations=()) if isinstance(part, Text) else part for part in kept])
    return turn if parts == turn.parts else replace(turn, parts=parts)


def _without_signatures(turn: Turn) -> Turn:
    """A turn whose reasoning was edited, without the signatures and the encrypted form of the original."""
    parts = tuple([replace(part, extras=NO_EXTRAS) if isinstance(part, Reasoning) else part for part in turn.parts])
    return turn if parts == turn.parts else replace(turn, parts=parts)


def free_text_calls(data: object) -> set[str]:
    """The ids of the calls of free-text tools.

    Args:
        data: What was stored next to a message.
    """
    state = _validate(data)
    parts = state["parts"] if state else []
    return {part["id"] for part in parts if part["kind"] == "tool_call" and part.get("custom")}


def whole_parts(data: object) -> Iterator[Part]:
    """The media and opaque parts in a replay state, or in a piece of one; damaged ones are skipped."""
    parts = cast("Mapping[str, object]", data).get("parts") if isinstance(data, dict) else None
    for part in cast("list[PartState]", parts) if isinstance(parts, list) else ():
        try:
            if part["kind"] == "opaque":
                yield Opaque(part["wire"], {**part["raw"]})
            elif part["kind"] == "media":
                yield Media(**part["value"])
        except (KeyError, TypeError):  # damaged
            continue


class _ShownParts:
    """What a framework's message shows, each kind joined, divided into parts again."""

    def __init__(self, turn: Turn) -> None:
        self._texts = {
            "text": _joined(turn, Text),
            "reasoning": _joined(turn, Reasoning),
            "refusal": _joined(turn, Refusal),
        }
        self._calls = list(turn.tool_calls)
        self._media = [part for part in turn.parts if isinstance(part, Media) and part.data]

    def take(self, state: PartState) -> Part | None:
        """The next part; None if the message does not show it."""
        if state["kind"] == "opaque":
            return Opaque(state["wire"], state["raw"])
        if state["kind"] == "tool_call":
            return self._take_call(state)
        if state["kind"] == "media":
            return Media(**state["value"])
        if state["kind"] == "shown_media":
            return self._take_media(Media(**state["value"]))
        kind, size = state["kind"], state["size"]
        text, self._texts[kind] = self._texts[kind][:size], self._texts[kind][size:]
        if len(text) < size:
            return None
        extras: Extras = state.get("extras") or NO_EXTRAS
        match kind:
            case "text":
                return Text(text, tuple(Citation(**citation) for citation in state.get("citations", ())), extras)
            case "reasoning":
                return Reasoning(text, extras)
            case "refusal":
                return Refusal(text, extras)

    def _take_media(self, stored: Media) -> Media | None:
        shown = next((media for media in self._media if media.kind == stored.kind), None)
        if shown is None:
            return None
        self._media.remove(shown)
        return replace(stored, data=shown.data)

    def _take_call(self, state: _CallState) -> ToolCall | None:
        # By id: a framework may keep calls with invalid arguments in a separate list, out of their order.
        shown = next((call for call in self._calls if call.id == state["id"]), None)
        if shown is None:
            return None
        self._calls.remove(shown)
        arguments, custom = state.get("arguments"), state.get("custom")
        if arguments is None or not (custom or _are_same_arguments(arguments, shown.arguments)):
            arguments = shown.arguments
        extras = merge_extras(shown.extras, state.get("extras") or NO_EXTRAS)
        return replace(shown, arguments=arguments, kind="custom" if custom else shown.kind, extras=extras)

    def has_rest(self) -> bool:
        """Whether the message shows text or calls that no part contains."""
        return bool(self._calls) or any(self._texts.values())


def _are_same_arguments(original: str, shown: str) -> bool:
    """Whether the arguments as shown are the original ones: equal as JSON, or invalid text with an addition."""
    try:
        return read_arguments(original) == read_arguments(shown)
    except ValueError:
        return bool(original.strip()) and shown.startswith(original)
