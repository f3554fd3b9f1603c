"""Small JSON values to core values: token counts, why an answer ended, text, pieces of what is only kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cfaig_integrations.core.chat import FinishReason, Usage
from cfaig_integrations.core.content import NO_EXTRAS, Extras
from cfaig_integrations.wire.common import as_str
from cfaig_integrations.wire.fields import count_of, is_list, is_object

# Words seen on Cloudflare's endpoints, facts §5.2.
_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
    "other": "unknown",
    "unknown": "unknown",
}

_GROWING = frozenset({"text", "summary", "data"})
"""Keys of `reasoning_details` that a stream sends piece by piece, even if two pieces happen to be equal."""


def finish_of(word: str, *, has_calls: bool) -> FinishReason:
    """Why an answer ended. Without a word, or with `stop` beside tool calls, the calls decide (facts §5.2)."""
    if not word or word == "stop":
        return "tool_calls" if has_calls else "stop"
    return _FINISH.get(word, "unknown")


def own(values: dict[str, Any]) -> Extras:
    """Extras of this wire."""
    return {"chat_completions": values} if values else NO_EXTRAS


def is_empty(value: Any) -> bool:
    """Whether a value says nothing: null, empty, or an object whose values are all null, zero or empty."""
    if is_object(value):
        return not any(value.values())
    return value is None or value in ("", [])


def usage_of(raw: dict[str, Any]) -> Usage:
    """Token counts (facts §5.4). What is not a count of tokens, such as `neurons`, stays in `raw`."""
    into, out_of = _part(raw, "prompt_tokens_details"), _part(raw, "completion_tokens_details")
    prompt = count_of(raw.get("prompt_tokens")) or 0
    completion = count_of(raw.get("completion_tokens")) or 0
    told = count_of(raw.get("total_tokens"))
    # Google counts reasoning in the total only (facts §5.4).
    output = completion if told is None else max(completion, told - prompt)
    return Usage(
        input=prompt,
        output=output,
        total=prompt + output if told is None else told,
        cache_read=_first(into.get("cached_tokens"), raw.get("prompt_cache_hit_tokens")),
        cache_write=count_of(into.get("cache_write_tokens")),
        reasoning=_first(out_of.get("reasoning_tokens"), raw.get("reasoning_tokens")),
        audio_in=count_of(into.get("audio_tokens")),
        audio_out=count_of(out_of.get("audio_tokens")),
        raw=raw,
    )


def _part(raw: dict[str, Any], key: str) -> dict[str, Any]:
    part = raw.get(key)
    return part if is_object(part) else {}


def _first(*told: Any) -> int | None:
    return next((count for count in map(count_of, told) if count is not None), None)


def joined(pieces: Sequence[Any], key: str = "") -> Any:
    """One value from the pieces that a stream gave of it; a single piece is returned as it is.

    Strings are joined unless they repeat a label, objects key by key, lists end to end, and items of lists that bear
    the same `index` and `type` are one item.
    """
    pieces = [piece for piece in pieces if piece is not None]
    if not pieces:
        return None
    if len(pieces) == 1:
        return pieces[0]
    if all(isinstance(piece, str) for piece in pieces):
        return pieces[0] if key not in _GROWING and len(set(pieces)) == 1 else "".join(pieces)
    if all(is_list(piece) for piece in pieces):
        return _joined_lists(pieces)
    if all(is_object(piece) for piece in pieces):
        return joined_objects(pieces)
    return pieces[-1]


def joined_objects(pieces: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Objects to one, key by key, in order of first appearance."""
    keys = dict.fromkeys(key for piece in pieces for key in piece)
    return {key: joined([piece[key] for piece in pieces if key in piece], key) for key in keys}


def _joined_lists(lists: Sequence[list[Any]]) -> list[Any]:
    groups: dict[object, list[Any]] = {}
    for number, item in enumerate(item for items in lists for item in items):
        place: object = number
        if is_object(item) and (index := count_of(item.get("index"))) is not None:
            place = ("index", index, as_str(item.get("type")))
        groups.setdefault(place, []).append(item)
    return [joined(group) for group in groups.values()]
