"""Which format an answer of `/ai/run` is written in, by the keys of a body or of a stream's event."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

Shape: TypeAlias = Literal["chat_completions", "messages", "responses", "gemini"]

_MESSAGES_EVENTS = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    }
)


def shape_of(body: dict[str, Any]) -> Shape | None:
    """The format of a whole body; None if it is no chat answer."""
    if body.get("type") == "message":
        return "messages"
    if body.get("object") == "response":
        return "responses"
    return _by_keys(body)


def shape_of_event(event: dict[str, Any]) -> Shape | None:
    """The format of a stream's event; None if it does not tell."""
    kind = event.get("type")
    if isinstance(kind, str):
        if kind in _MESSAGES_EVENTS:
            return "messages"
        if kind.startswith("response."):
            return "responses"
    return _by_keys(event)


def _by_keys(value: dict[str, Any]) -> Shape | None:
    if value.get("choices") is not None:
        return "chat_completions"
    # Rerankers and bge-m3 answer with a list under the same key (facts §6.1, §6.4).
    if "response" in value and not isinstance(value["response"], list):
        return "chat_completions"
    if "candidates" in value or "promptFeedback" in value:
        return "gemini"
    return None
