"""What a framework's message cannot hold of a turn, so that a history gives the provider its own blocks back.

A framework shows text, reasoning and tool calls in its own form, each kind joined. The skeleton rides beside them as
JSON: where each part begins and ends, the extras, the citations, the blocks that are not modelled. Digests tie it to
the text and the reasoning that it was made with, and to itself: a program may have edited either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from hashlib import blake2b
from typing import Any, cast

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
    merged,
)
from cfaig_integrations.core.text import read_arguments

PartState = dict[str, Any]
VERSION = 2
"""Of the form in which a skeleton is written; one of any other version counts for nothing."""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_encode_sorted = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode
_PLAIN_ORDER: Mapping[str, int] = {"reasoning": 0, "text": 1, "tool_call": 2}
_WHOLE = frozenset({"opaque", "media", "shown_media"})
_DIGEST_SIZE = 8


def replay_state(turn: Turn, *, known: Iterable[int] = (), shows_media: bool = False) -> dict[str, Any] | None:
    """The skeleton of an assistant turn as JSON, or None if the framework's message holds everything.

    Args:
        turn: An assistant turn.
        known: Numbers of the parts that `part_state` gave out before: media and opaque ones, in their order.
        shows_media: The framework's message shows the turn's media, and so keeps their data.
    """
    state = [part_state(number, part, shows_media=shows_media) for number, part in enumerate(turn.parts)]
    state.sort(key=lambda each: each["kind"] not in _WHOLE)  # those that a stream gives out before come first
    said = _said(turn, Reasoning)
    if not turn.extras and _is_plain(state):
        if not said:
            return None
        state = []
    found: dict[str, Any] = {"version": VERSION, "parts": state, "text": _digest(_words(turn))}
    if said:
        found["reasoning"] = _digest(said)
    if turn.extras:
        found["extras"] = _plain_extras(turn.extras)
    found["digest"] = _own_digest(found)
    skip = set(known)
    found["parts"] = [each for each in state if each["n"] not in skip]
    return found


def _words(turn: Turn) -> str:
    return _said(turn, Text) + _said(turn, Refusal)


def _said(turn: Turn, kind: type[Text | Reasoning | Refusal]) -> str:
    return "".join(part.text for part in turn.parts if isinstance(part, kind))


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_SIZE).hexdigest()


def _own_digest(state: Mapping[str, Any]) -> str:
    """The digest of a skeleton's own data, in whatever order its parts were added up."""
    parts = sorted(state["parts"], key=lambda each: each["n"])
    return _digest(_encode_sorted({**state, "parts": parts, "digest": ""}))


def part_state(number: int, part: Part, *, shows_media: bool = False) -> PartState:
    """One part's state: `n` is its place, `size` the length of its text in the joined text of its kind."""
    made: PartState = {"n": number}
    match part:
        case Opaque(wire, raw):
            return made | {"kind": "opaque", "wire": wire, "raw": dict(raw)}
        case Media():
            return made | _media_facts(part, shown=shows_media)
        case Text(text, citations):
            made |= {"kind": "text", "size": len(text)}
            if citations:
                made["citations"] = [asdict(citation) for citation in citations]
        case Reasoning(text):
            made |= {"kind": "reasoning", "size": len(text)}
        case Refusal(text):
            made |= {"kind": "refusal", "size": len(text)}
        case ToolCall():
            made |= {"kind": "tool_call"} | _call_facts(part)
        case ToolResult():
            raise TypeError("an assistant's turn holds no tool results")
    if part.extras:
        made["extras"] = _plain_extras(part.extras)
    return made


def _media_facts(media: Media, *, shown: bool) -> PartState:
    value = {**asdict(media), "extras": _plain_extras(media.extras)}
    if shown and media.data:
        return {"kind": "shown_media", "value": value | {"data": ""}}
    return {"kind": "media", "value": value}


def _call_facts(call: ToolCall) -> PartState:
    facts: PartState = {"id": call.id} if call.kind == "function" else {"id": call.id, "custom": True}
    if call.kind == "custom" or not _is_canonical(call.arguments):
        facts["arguments"] = call.arguments
    return facts


def _is_canonical(arguments: str) -> bool:
    """Whether a framework that parses the arguments and dumps them again comes to the same text."""
    try:
        value = json.loads(arguments)
        return isinstance(value, dict) and canonical(value) == arguments  # pyright: ignore[reportUnknownArgumentType]
    except (ValueError, RecursionError):
        return False


def canonical(value: object) -> str:
    """A JSON value in the one form in which tool arguments are written."""
    return _encode(value)


def _plain_extras(extras: Extras) -> dict[str, Any]:
    return {wire: dict(values) for wire, values in extras.items()}


def _is_plain(state: list[PartState]) -> bool:
    """Reasoning, then one text, then tool calls, and nothing about any of them: what every message implies."""
    ranks = [_PLAIN_ORDER.get(each["kind"], 9) for each in state]
    bare = all(each.keys() <= {"n", "kind", "size", "id"} for each in state)
    return bare and ranks == sorted(ranks) and 9 not in ranks and ranks.count(0) <= 1 and ranks.count(1) <= 1


def restore(turn: Turn, data: object) -> Turn:
    """`turn` as read from a framework's message, with the order, the extras and the opaque parts of its skeleton.

    A skeleton of another version, or a damaged one, counts for nothing. Where somebody edited the message, what the
    user sees wins; and if it is the text that was edited (a redactor did), the reasoning, the citations and the opaque
    parts, which may say in the old form what it no longer says, are left out.

    Args:
        turn: What the message shows.
        data: What was stored beside it: a skeleton as JSON, or anything.
    """
    state = _sound(data)
    if state is None:
        return turn
    if state["text"] != _digest(_words(turn)):
        return _words_alone(turn)
    if not _thinks_the_same(turn, state):
        return _unsigned(turn)
    if not state["parts"] and "extras" not in state:
        return turn
    flesh = _ShownParts(turn)
    parts: list[Part] = []
    for each in sorted(state["parts"], key=lambda found: found["n"]):
        part = flesh.take(each)
        if part is None:
            return turn
        parts.append(part)
    cited = _citations(turn.parts)
    if flesh.left_over() or (cited and cited != _citations(parts)):
        return turn
    return replace(turn, parts=tuple(parts), extras=merged(turn.extras, state.get("extras") or NO_EXTRAS))


def fits(turn: Turn, data: object) -> bool:
    """Whether a skeleton was made with the text and the reasoning that a message shows.

    Args:
        turn: What the message shows.
        data: What was stored beside it.
    """
    state = _sound(data)
    return state is not None and state["text"] == _digest(_words(turn)) and _thinks_the_same(turn, state)


def _thinks_the_same(turn: Turn, state: Mapping[str, Any]) -> bool:
    said = _said(turn, Reasoning)
    return bool(state.get("reasoning", "") == (_digest(said) if said else ""))


def _citations(parts: Iterable[Part]) -> list[Citation]:
    return [citation for part in parts if isinstance(part, Text) for citation in part.citations]


def _sound(data: object) -> dict[str, Any] | None:
    """The replay state, if it is one and unchanged; that of two messages that were merged has a wrong digest."""
    if not isinstance(data, dict):
        return None
    found = cast("dict[str, Any]", data)
    if found.get("version") != VERSION or not isinstance(found.get("parts"), list):
        return None
    try:
        return found if found.get("digest") == _own_digest(found) else None
    except (KeyError, TypeError, ValueError, RecursionError):  # not as it is written, or no JSON at all
        return None


def _words_alone(turn: Turn) -> Turn:
    """A turn whose text was edited, without what was said in the old form."""
    kept = [part for part in turn.parts if not isinstance(part, Reasoning | Opaque)]
    parts = tuple([replace(part, citations=()) if isinstance(part, Text) else part for part in kept])
    return turn if parts == turn.parts else replace(turn, parts=parts)


def _unsigned(turn: Turn) -> Turn:
    """A turn whose reasoning was edited, without the signatures and the encrypted form of the old one."""
    parts = tuple([replace(part, extras=NO_EXTRAS) if isinstance(part, Reasoning) else part for part in turn.parts])
    return turn if parts == turn.parts else replace(turn, parts=parts)


def free_text_calls(data: object) -> set[str]:
    """The ids of the calls of free-text tools.

    Args:
        data: What was stored beside a message.
    """
    state = _sound(data)
    return set() if state is None else {each["id"] for each in state["parts"] if each.get("custom")}


def whole_parts(data: object) -> Iterator[Part]:
    """The parts in a skeleton, or in a piece of one, that came whole; none of what is damaged."""
    pieces: Any = cast("PartState", data).get("parts") if isinstance(data, dict) else None
    state: list[PartState] = [*pieces] if isinstance(pieces, list) else []  # pyright: ignore[reportUnknownVariableType]
    for each in state:
        try:
            if each["kind"] == "opaque":
                yield Opaque(each["wire"], {**each["raw"]})
            elif each["kind"] == "media":
                yield Media(**each["value"])
        except (KeyError, TypeError):  # damaged
            continue


class _ShownParts:
    """What a framework's message shows, each kind joined, taken from piece by piece."""

    def __init__(self, turn: Turn) -> None:
        self._texts = {
            "text": _said(turn, Text),
            "reasoning": _said(turn, Reasoning),
            "refusal": _said(turn, Refusal),
        }
        self._calls = list(turn.tool_calls)
        self._media = [part for part in turn.parts if isinstance(part, Media) and part.data]

    def take(self, each: PartState) -> Part | None:
        extras: Extras = each.get("extras") or NO_EXTRAS
        kind = each["kind"]
        if kind == "opaque":
            return Opaque(each["wire"], each["raw"])
        if kind == "media":
            return Media(**each["value"])
        if kind == "shown_media":
            return self._shown(Media(**each["value"]))
        if kind == "tool_call":
            return self._call(each, extras)
        text = self._take(kind, each["size"])
        if text is None:
            return None
        if kind == "text":
            return Text(text, tuple(Citation(**found) for found in each.get("citations", ())), extras)
        return Reasoning(text, extras) if kind == "reasoning" else Refusal(text, extras)

    def _shown(self, bare: Media) -> Media | None:
        found = next((media for media in self._media if media.kind == bare.kind), None)
        if found is None:
            return None
        self._media.remove(found)
        return replace(bare, data=found.data)

    def _take(self, kind: str, size: int) -> str | None:
        text = self._texts[kind]
        if len(text) < size:
            return None
        self._texts[kind] = text[size:]
        return text[:size]

    def _call(self, each: PartState, extras: Extras) -> ToolCall | None:
        # By id: a framework may keep calls with broken arguments in a list of their own, out of their order.
        shown = next((call for call in self._calls if call.id == each["id"]), None)
        if shown is None:
            return None
        self._calls.remove(shown)
        arguments = shown.arguments
        if "arguments" in each and (each.get("custom") or _says_the_same(each["arguments"], shown.arguments)):
            arguments = each["arguments"]
        kind = "custom" if each.get("custom") else shown.kind
        return replace(shown, arguments=arguments, kind=kind, extras=merged(shown.extras, extras))

    def left_over(self) -> bool:
        return bool(self._calls) or any(self._texts.values())


def _says_the_same(original: str, shown: str) -> bool:
    """Whether the arguments as shown are the original ones: equal as JSON, or a broken text with a tail."""
    try:
        return read_arguments(original) == read_arguments(shown)
    except ValueError:
        return bool(original.strip()) and shown.startswith(original)
