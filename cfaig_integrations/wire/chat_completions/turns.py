"""A conversation to the list of messages.

A system turn with `{"role": "developer"}` in its extras is a developer message. A failed tool's result is told apart by
its text alone. Media that tools return follow their results as one message of the user, since tool messages carry text
only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, assert_never

from cfaig_integrations.core.content import Media, Text, ToolResult, Turn
from cfaig_integrations.errors import UnsupportedContent
from cfaig_integrations.wire.chat_completions.assistant import assistant_message, call_id
from cfaig_integrations.wire.chat_completions.media import WIRE, content_of, part_block
from cfaig_integrations.wire.codec import Quirks


def messages_of(turns: Iterable[Turn], quirks: Quirks) -> list[dict[str, Any]]:
    """The messages of a conversation, in its order.

    Raises:
        UnsupportedContent: The wire cannot carry a part.
    """
    messages: list[dict[str, Any]] = []
    writer = _Writer(messages, quirks)
    for turn in turns:
        text = _only_text(turn)
        if text is None:
            writer.add(turn)
        else:
            writer.user_may_follow()
            messages.append({"role": turn.role, "content": text})
    writer.user_may_follow()
    if quirks.one_system:
        messages = _with_systems_merged(messages)
    if quirks.closed_history:
        messages = [_closed(message) for message in messages]
    return _in_mistral_order(messages) if quirks.mistral_turns else messages


def _only_text(turn: Turn) -> str | None:
    """The text of a turn that is nothing else."""
    if len(turn.parts) != 1 or turn.extras or turn.name or turn.role == "tool":
        return None
    part = turn.parts[0]
    return part.text if type(part) is Text and not part.extras else None


class _Writer:
    """Writes the turns that are more than one text."""

    def __init__(self, messages: list[dict[str, Any]], quirks: Quirks) -> None:
        self._messages = messages
        self._quirks = quirks
        self._waiting: list[dict[str, Any]] = []
        self._legacy: dict[str, str] = {}

    def user_may_follow(self) -> None:
        """Writes the media of tool results, which have to wait until every result of a turn is there."""
        if self._waiting:
            self._messages.append({"role": "user", "content": self._waiting})
            self._waiting = []

    def add(self, turn: Turn) -> None:
        """Writes one turn."""
        match turn.role:
            case "tool":
                self._add_results(turn)
            case "assistant":
                self.user_may_follow()
                self._add_assistant(turn)
            case "system" | "user":
                self._add_spoken(turn)
            case _:
                assert_never(turn.role)

    def _add_spoken(self, turn: Turn) -> None:
        results = tuple(part for part in turn.parts if isinstance(part, ToolResult))
        for result in results:
            self._add_result(result, "")
        self.user_may_follow()
        parts = tuple(part for part in turn.parts if not isinstance(part, ToolResult))
        if results and not parts:
            return
        message: dict[str, Any] = {"role": turn.role, "content": content_of(parts, self._quirks)}
        if turn.name:
            message["name"] = turn.name
        self._messages.append({**message, **turn.extras.get(WIRE, {})})

    def _add_results(self, turn: Turn) -> None:
        for part in turn.parts:
            if not isinstance(part, ToolResult):
                raise UnsupportedContent(
                    f"A tool turn holds a {type(part).__name__}.",
                    field="turns",
                    value=type(part).__name__,
                    remedy="Put it into a ToolResult, or into a user turn.",
                )
            self._add_result(part, turn.name)

    def _add_result(self, result: ToolResult, name: str) -> None:
        media = [part for part in result.parts if isinstance(part, Media)]
        content = content_of(tuple(part for part in result.parts if not isinstance(part, Media)), self._quirks)
        if media:
            # Tool messages carry text only (official SDK: `ChatCompletionToolMessageParam`).
            content = content or "The result follows as a message of the user."
            self._waiting.append({"type": "text", "text": f"Result of tool call {result.call_id}:"})
            self._waiting += [block for part in media if (block := part_block(part, self._quirks))]
        if legacy := self._legacy.get(result.call_id):
            self._messages.append({"role": "function", "name": legacy, "content": content})
            return
        message: dict[str, Any] = {
            "role": "tool",
            "tool_call_id": call_id(result.call_id, self._quirks),
            "content": content,
        }
        if name:
            message["name"] = name
        self._messages.append({**message, **result.extras.get(WIRE, {})})

    def _add_assistant(self, turn: Turn) -> None:
        self._messages.append(assistant_message(turn, self._quirks))
        for call in turn.tool_calls:
            if call.extras.get(WIRE, {}).get("legacy") and not self._quirks.closed_history:
                self._legacy[call.id] = call.name


def _in_mistral_order(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with an empty one of the assistant between tool and user (facts §9.2)."""
    ordered: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] == "user" and ordered and ordered[-1]["role"] == "tool":
            ordered.append({"role": "assistant", "content": ""})
        ordered.append(message)
    return ordered


_SYSTEM = ("system", "developer")
_CLOSED: Mapping[str, frozenset[str]] = {
    "system": frozenset({"role", "content", "name"}),
    "user": frozenset({"role", "content"}),
    "assistant": frozenset({"role", "content", "tool_calls", "name"}),
    "tool": frozenset({"role", "content", "tool_call_id"}),
}


def _closed(message: dict[str, Any]) -> dict[str, Any]:
    """A message with the keys alone that a closed schema has for its role (facts §14.3)."""
    role = "system" if message["role"] in _SYSTEM else message["role"]
    return {key: message[key] for key in message if key in _CLOSED[role]} | {"role": role}


def _with_systems_merged(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with neighbours of the system as one; each stays where it is."""
    merged: list[dict[str, Any]] = []
    for message in messages:
        if merged and message["role"] in _SYSTEM and merged[-1]["role"] in _SYSTEM:
            merged[-1] = {**merged[-1], "content": _both(merged[-1]["content"], message["content"])}
        else:
            merged.append(message)
    return merged


def _both(before: Any, after: Any) -> Any:
    if isinstance(before, str) and isinstance(after, str):
        return "\n\n".join(filter(None, (before, after)))
    return [
        block
        for content in (before, after)
        for block in ([{"type": "text", "text": content}] if isinstance(content, str) else content)
    ]
