"""What a framework's message cannot hold of a turn, so that a history gives the provider its own blocks back.

A framework shows text, reasoning and tool calls in its own form, each kind joined. The skeleton rides beside them as
JSON: where each part begins and ends, the extras, the citations, the blocks that are not modelled. Knows neither the
frameworks nor the wires.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from cfaig_integrations.core.content import (
    NO_EXTRAS,
    Citation,
    Extras,
    Json,
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

Bone = dict[str, Any]
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_PLAIN_ORDER: Mapping[str, int] = {"reasoning": 0, "text": 1, "tool_call": 2}


def skeleton(turn: Turn, *, known: Iterable[int] = (), shows_media: bool = False) -> dict[str, Any] | None:
    """The skeleton of an assistant turn as JSON, or None if the framework's message holds everything.

    Args:
        turn: An assistant turn.
        known: Numbers of parts whose bones were given out before, by `bone`.
        shows_media: The framework's message shows the turn's media, and so keeps their data.
    """
    skip = set(known)
    bones = [
        bone(number, part, shows_media=shows_media) for number, part in enumerate(turn.parts) if number not in skip
    ]
    if not skip and not turn.extras and _is_plain(bones):
        return None
    found: dict[str, Any] = {"parts": bones}
    if turn.extras:
        found["extras"] = _plain_extras(turn.extras)
    return found


def bone(number: int, part: Part, *, shows_media: bool = False) -> Bone:
    """One part's bone: `n` is its place, `size` the length of its text in the joined text of its kind."""
    made: Bone = {"n": number}
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


def _media_facts(media: Media, *, shown: bool) -> Bone:
    value = {**asdict(media), "extras": _plain_extras(media.extras)}
    if shown and media.data:
        return {"kind": "shown_media", "value": value | {"data": ""}}
    return {"kind": "media", "value": value}


def _call_facts(call: ToolCall) -> Bone:
    facts: Bone = {"id": call.id} if call.kind == "function" else {"id": call.id, "custom": True}
    if call.kind == "custom" or not _is_canonical(call.arguments):
        facts["arguments"] = call.arguments
    return facts


def _is_canonical(arguments: str) -> bool:
    """Whether a framework that parses the arguments and dumps them again comes to the same text."""
    try:
        return canonical(json.loads(arguments)) == arguments
    except ValueError:
        return False


def canonical(value: object) -> str:
    """A JSON value in the one form in which tool arguments are written."""
    return _encode(value)


def _plain_extras(extras: Extras) -> dict[str, Any]:
    return {wire: dict(values) for wire, values in extras.items()}


def _is_plain(bones: list[Bone]) -> bool:
    """Reasoning, then one text, then tool calls, and nothing about any of them: what every message implies."""
    ranks = [_PLAIN_ORDER.get(each["kind"], 9) for each in bones]
    bare = all(each.keys() <= {"n", "kind", "size", "id"} for each in bones)
    return bare and ranks == sorted(ranks) and 9 not in ranks and ranks.count(0) <= 1 and ranks.count(1) <= 1


def restored(turn: Turn, bones: Json | None) -> Turn:
    """`turn` as read from a framework's message, with the order, the extras and the opaque parts of its skeleton.

    Where the message no longer fits its skeleton (somebody edited it), the turn is returned as it is: what the user
    sees wins.
    """
    if not bones or "parts" not in bones:
        return turn
    flesh = _Flesh(turn)
    parts: list[Part] = []
    order = sorted(bones["parts"], key=lambda found: found["n"])
    if [each["n"] for each in order] != list(range(len(order))):  # two messages were made one
        return turn
    for each in order:
        part = flesh.put_on(each)
        if part is None:
            return turn
        parts.append(part)
    if flesh.left_over():
        return turn
    return replace(turn, parts=tuple(parts), extras=merged(turn.extras, bones.get("extras") or NO_EXTRAS))


class _Flesh:
    """What a framework's message shows, each kind joined, taken from piece by piece."""

    def __init__(self, turn: Turn) -> None:
        self._texts = {
            "text": "".join(part.text for part in turn.parts if isinstance(part, Text)),
            "reasoning": "".join(part.text for part in turn.parts if isinstance(part, Reasoning)),
            "refusal": "".join(part.text for part in turn.parts if isinstance(part, Refusal)),
        }
        self._calls = list(turn.tool_calls)
        self._media = [part for part in turn.parts if isinstance(part, Media) and part.data]

    def put_on(self, each: Bone) -> Part | None:
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

    def _call(self, each: Bone, extras: Extras) -> ToolCall | None:
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
    """Whether the arguments as shown are the original ones: equal as JSON, or a broken text with a tail.

    A blank text is no arguments, which frameworks show as an empty object.
    """
    try:
        return bool(json.loads(original.strip() or "{}") == json.loads(shown.strip() or "{}"))
    except ValueError:
        return bool(original.strip()) and shown.startswith(original)
