"""What a response object says besides its output: usage, why it ended, facts, errors.

Shared by whole bodies and by the last event of a stream, which holds the same object.
"""

from __future__ import annotations

from typing import Any

from cfaig_integrations.core.chat import FinishReason, Usage
from cfaig_integrations.core.content import NO_EXTRAS, Extras
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.common import as_str, is_error
from cfaig_integrations.wire.fields import count_of, is_object

_NOT_FACTS = frozenset(
    {
        # said elsewhere in the reply
        *("id", "model", "object", "output", "output_text", "usage", "error"),
        # the request, repeated; `metadata` and `previous_response_id` are repeated too, but identify the reply
        *("background", "frequency_penalty", "include", "input", "instructions", "max_output_tokens"),
        *("max_tool_calls", "parallel_tool_calls", "presence_penalty", "prompt", "prompt_cache_key"),
        *("prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier", "store"),
        *("temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user"),
    }
)


def require_success(answer: dict[str, Any]) -> None:
    """Lets a response object through unless it is an error.

    Raises:
        EmbeddedError: It is one; the whole object goes along.
    """
    if is_error(answer) or answer.get("status") == "failed":
        raise EmbeddedError(answer)


def usage_of(answer: dict[str, Any]) -> Usage | None:
    """Token counts, if told."""
    counts = _object(answer, "usage")
    if not counts:
        return None
    read, written = _object(counts, "input_tokens_details"), _object(counts, "output_tokens_details")
    given, made = count_of(counts.get("input_tokens")) or 0, count_of(counts.get("output_tokens")) or 0
    total = count_of(counts.get("total_tokens"))
    return Usage(
        input=given,
        output=made,
        total=given + made if total is None else total,
        cache_read=count_of(read.get("cached_tokens")),
        cache_write=count_of(read.get("cache_write_tokens")),
        reasoning=count_of(written.get("reasoning_tokens")),
        raw=counts,
    )


def _object(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if is_object(found) else {}


def finish_of(answer: dict[str, Any], *, called: bool, refused: bool) -> tuple[FinishReason, str]:
    """Why the answer ended, and the provider's word for it.

    A background response that is still `queued` or `in_progress` is a `pause`: it can be asked for later.
    """
    status = as_str(answer.get("status")) or "completed"
    match status:
        case "incomplete":
            return _cut_short(as_str(_object(answer, "incomplete_details").get("reason")) or status)
        case "queued" | "in_progress":
            return "pause", status
        case "cancelled":
            return "error", status
        case _ if called:
            return "tool_calls", status
        case _ if refused:
            return "refusal", status
        case "completed" | "complete":  # `complete`: Responses API of early 2025
            return "stop", status
        case _:
            return "unknown", status


def _cut_short(reason: str) -> tuple[FinishReason, str]:
    match reason:
        case "max_output_tokens":
            return "length", reason
        case "content_filter":
            return "content_filter", reason
        case _:
            return "unknown", reason


def stored_of(answer: dict[str, Any]) -> Extras:
    """What a turn remembers of its reply: that the provider does not store it, so that its ids mean nothing later."""
    return {"responses": {"stored": False}} if answer.get("store") is False else NO_EXTRAS


def facts_of(answer: dict[str, Any]) -> Extras:
    """What else the provider says of the reply: creation time, service tier, status, incomplete details ..."""
    facts = {key: value for key, value in answer.items() if key not in _NOT_FACTS and value is not None and value != {}}
    return {"responses": facts} if facts else NO_EXTRAS
