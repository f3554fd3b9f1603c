"""Values of a reply: token counts, finish reasons, and values that a stream sends in pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cfaig_integrations.core.chat import FinishReason, Usage
from cfaig_integrations.core.content import NO_EXTRAS, Extras
from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.wire.fields import as_str, count_of, object_or_empty

# Finish reasons seen on Cloudflare's endpoints, facts §5.2.
_FINISH_REASONS: Mapping[str, FinishReason] = {
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

_APPENDED_KEYS = frozenset({"text", "summary", "data"})
"""Keys of `reasoning_details` that a stream sends piece by piece, even if two pieces happen to be equal."""


def finish_reason(raw: str, *, has_calls: bool) -> FinishReason:
    """Why an answer ended. Without a reason, or with `stop` and tool calls, the calls decide (facts §5.2)."""
    if not raw or raw == "stop":
        return "tool_calls" if has_calls else "stop"
    return _FINISH_REASONS.get(raw, "unknown")


def wire_extras(values: JsonObject) -> Extras:
    """Extras of this wire."""
    return {"chat_completions": values} if values else NO_EXTRAS


def is_empty(value: JsonValue) -> bool:
    """Whether a value is null, empty, or an object whose values are all null, zero or empty."""
    return not any(value.values()) if isinstance(value, dict) else value is None or value in ("", [])


def usage_of(raw: JsonObject) -> Usage:
    """Token counts (facts §5.4). What is not a count of tokens, such as `neurons`, stays in `raw`."""
    prompt_details = object_or_empty(raw.get("prompt_tokens_details"))
    completion_details = object_or_empty(raw.get("completion_tokens_details"))
    prompt = count_of(raw.get("prompt_tokens")) or 0
    completion = count_of(raw.get("completion_tokens")) or 0
    total = count_of(raw.get("total_tokens"))
    # Google counts reasoning in the total only (facts §5.4).
    output = completion if total is None else max(completion, total - prompt)
    return Usage(
        input=prompt,
        output=output,
        total=prompt + output if total is None else total,
        cache_read=_first_count(prompt_details.get("cached_tokens"), raw.get("prompt_cache_hit_tokens")),
        cache_write=count_of(prompt_details.get("cache_write_tokens")),
        reasoning=_first_count(completion_details.get("reasoning_tokens"), raw.get("reasoning_tokens")),
        audio_in=count_of(prompt_details.get("audio_tokens")),
        audio_out=count_of(completion_details.get("audio_tokens")),
        raw=raw,
    )


def _first_count(*values: JsonValue) -> int | None:
    return next((count for count in map(count_of, values) if count is not None), None)


def join_values(pieces: Sequence[JsonValue], key: str = "") -> JsonValue:
    """One value from the pieces that a stream sent of it; a single piece is returned as it is.

    Strings are joined unless they repeat a label, objects key by key, lists end to end, and items of lists that have
    the same `index` and `type` are one item.
    """
    pieces = [piece for piece in pieces if piece is not None]
    if len(pieces) < 2:
        return pieces[0] if pieces else None
    texts = [piece for piece in pieces if isinstance(piece, str)]
    if len(texts) == len(pieces):
        return texts[0] if key not in _APPENDED_KEYS and len(set(texts)) == 1 else "".join(texts)
    lists = [piece for piece in pieces if isinstance(piece, list)]
    if len(lists) == len(pieces):
        return _join_lists(lists)
    objects = [piece for piece in pieces if isinstance(piece, dict)]
    return join_objects(objects) if len(objects) == len(pieces) else pieces[-1]


def join_objects(pieces: Sequence[JsonObject]) -> JsonObject:
    """Objects to one, key by key, in order of first appearance."""
    keys = dict.fromkeys(key for piece in pieces for key in piece)
    return {key: join_values([piece[key] for piece in pieces if key in piece], key) for key in keys}


def _join_lists(lists: Sequence[list[JsonValue]]) -> list[JsonValue]:
    groups: dict[object, list[JsonValue]] = {}
    for position, item in enumerate(item for items in lists for item in items):
        group: object = position
        if isinstance(item, dict) and (index := count_of(item.get("index"))) is not None:
            group = ("index", index, as_str(item.get("type")))
        groups.setdefault(group, []).append(item)
    return [join_values(group) for group in groups.values()]
