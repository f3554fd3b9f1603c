"""Values of a reply that bodies and streams have alike, and values that a stream sends in pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cfaig_integrations.core.chat import FinishReason, Usage
from cfaig_integrations.core.content import NO_EXTRAS, Citation, Extras
from cfaig_integrations.core.events import PartKind
from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.wire.jsonio import (
    as_str,
    as_text,
    count_of,
    object_of,
    object_or_empty,
    objects_among,
    wrong_type,
)

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

REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text")
"""Where reasoning may be; some endpoints fill two, and only the first is read (facts §5.2)."""
REASONING_DETAILS = "reasoning_details"
"""OpenRouter's, of endpoints that fill no other field."""
REPLY_KEYS = frozenset(
    {
        *("choices", "error", "id", "model", "object", "response", "tool_calls", "usage"),
        # Padding and internals (facts §5.3), which a body and a stream do not have alike.
        *("obfuscation", "p", "prompt_token_ids", "token_ids", "kv_transfer_params"),
    }
)
"""Keys of a body or a chunk that are modeled or meaningless."""
CHOICE_KEYS = frozenset({"index", "delta", "message", "finish_reason", "token_ids"})
MESSAGE_KEYS = frozenset(
    {
        *("role", "content", "refusal", "tool_calls", "function_call", "audio", "images"),
        # Labels that only streams have (facts §5.3).
        *("channel", "token_ids", *REASONING_FIELDS),
    }
)
"""Keys of a message or a delta that are modeled, or left out because no whole message has them."""
_CALL_KEYS = frozenset({"index", "id", "type", "function", "custom", "name", "arguments", "input"})
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


def unmodeled(values: JsonObject, modeled: frozenset[str]) -> JsonObject:
    """The fields that have a value and are not modeled."""
    return {key: value for key, value in values.items() if key not in modeled and not is_empty(value)}


def native_message(reply: JsonObject) -> JsonObject:
    """The message of Workers AI's native form (facts §5.3)."""
    content = reply["response"]
    return {
        "content": as_text(content) if isinstance(content, list) else content,
        "tool_calls": reply.get("tool_calls"),
    }


def reasoning_of(message: JsonObject) -> tuple[str, str]:
    """The field of a message or a delta that holds its reasoning, and the reasoning, which may be empty."""
    for field in REASONING_FIELDS:
        if value := message.get(field):
            return field, as_text(value)
    details = objects_among(message.get(REASONING_DETAILS))
    return REASONING_DETAILS, "".join([as_str(detail.get("text") or detail.get("summary")) for detail in details])


def citations_of(annotations: JsonValue) -> list[Citation]:
    """The web sources among `annotations`."""
    return [
        Citation(
            url=as_str(source.get("url")),
            title=as_str(source.get("title")),
            quoted=as_str(source.get("content")),
            start=count_of(source.get("start_index")),
            end=count_of(source.get("end_index")),
            raw=raw,
        )
        for raw in objects_among(annotations)
        if isinstance(source := raw.get("url_citation"), dict)
    ]


@dataclass(slots=True)
class CallPiece:
    """One entry of `tool_calls`, normalized: a call or a piece of one.

    Attributes:
        index: The call that it belongs to; None: the latest.
        complete: Whether it is a whole call, even in a stream.
    """

    index: str | int | None
    id: str
    name: str
    arguments: str
    complete: bool
    kind: PartKind


def call_piece(raw: JsonObject, *, legacy: bool = False) -> CallPiece:
    """An entry of `tool_calls`, or with `legacy` a `function_call`.

    Raises:
        ProtocolError: A field of it has the wrong type.
    """
    custom = raw.get("type") == "custom"
    # Native calls have name and arguments at the top, facts §9.2.
    inner = object_of(raw, "custom" if custom else "function") or raw
    name, index = inner.get("name"), raw.get("index")
    if name is not None and not isinstance(name, str):
        raise wrong_type("tool_calls[].function.name", name, "a string")
    arguments = inner.get("input" if custom else "arguments")
    whole_object = arguments is not None and not isinstance(arguments, str)
    return CallPiece(
        index="function_call" if legacy else index if index and isinstance(index, str) else count_of(index),
        id=as_str(raw.get("id")),
        name=name or "",
        arguments="" if arguments is None else as_text(arguments),
        complete=bool(name) and (whole_object or (inner is raw and not legacy)),
        kind="custom_tool_call" if custom else "tool_call",
    )


def call_fields(raw: JsonObject) -> JsonObject:
    """The unmodeled fields of a call, such as the `extra_content` that Gemini wants back (facts §5.2)."""
    rest = unmodeled(raw, _CALL_KEYS)
    if (kind := as_str(raw.get("type"))) not in ("function", "custom", ""):
        rest["type"] = kind
    return rest


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
    for value in values:
        if (count := count_of(value)) is not None:
            return count
    return None


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
