"""Reads `messages`: roles, calls and results, and that every call finds its result.

Knows nothing of the other fields of a body.
"""

from __future__ import annotations

import json
from typing import Any, cast

from cfaig_integrations.simulator.dialects import schemas
from cfaig_integrations.simulator.dialects.chat_completions import parts
from cfaig_integrations.simulator.dialects.validation import At, Reader, Record
from cfaig_integrations.simulator.types import Call, Result, Said

ROLES = ("system", "assistant", "user", "tool", "developer")
_KEYS = {"role", "content", "name", "cache_control"}
_ASSISTANT_KEYS = _KEYS | {"tool_calls", "refusal", "audio", "annotations"}
_THINKING_KEYS = {"reasoning_content", "reasoning", "reasoning_details", "reasoning_text"}
_UNANSWERED = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
    "The following tool_call_ids did not have response messages: {}"
)
_STRAY = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."


class History:
    """One pass over the messages, remembering the calls that wait for a result."""

    def __init__(self, reader: Reader, *, thinking: bool) -> None:
        """Start before the first message.

        Args:
            reader: Words the faults.
            thinking: Whether assistant messages may carry reasoning, which `openai/` models refuse
                (wire-facts §9.3: it is replayed to `@cf/` models only).
        """
        self.reader = reader
        self.assistant_keys = _ASSISTANT_KEYS | _THINKING_KEYS if thinking else _ASSISTANT_KEYS
        self.waiting: list[str] = []
        self.said: list[Said] = []

    def read(self, value: Any) -> list[Said]:
        """All messages as they were said.

        Raises:
            BadBody: Unknown role, wrong content, or calls and results that do not match.
        """
        messages = self.reader.array(value, ("messages",))
        if not messages:
            self.reader.fail("Invalid 'messages': empty array. Expected an array with minimum length 1.", ("messages",))
        for i, message in enumerate(messages):
            self._message(self.reader.record(message, ("messages", i)), ("messages", i))
        self._all_answered(("messages", len(messages) - 1))
        return self.said

    def _message(self, message: Record, at: At) -> None:
        role = self.reader.among(self.reader.need(message, "role", at), (*at, "role"), ROLES)
        if role != "tool":
            self._all_answered(at)
        if role == "tool":
            self._tool(message, at)
        elif role == "assistant":
            self._assistant(message, at)
        else:
            self.reader.only(message, _KEYS, at)
            text, kinds = parts.content(self.reader, self._present(message, at), role, (*at, "content"))
            self.said.append(Said(role="user" if role == "user" else "system", text=text, media=kinds))
        self.reader.optional(message, "name", str, at)

    def _present(self, message: Record, at: At) -> Any:
        if "content" not in message:
            self.reader.missing((*at, "content"))
        return message["content"]

    def _assistant(self, message: Record, at: At) -> None:
        self.reader.only(message, self.assistant_keys, at)
        calls = self._calls(message, at)
        text = ""
        if message.get("content") is not None:
            text, _ = parts.content(self.reader, message["content"], "assistant", (*at, "content"))
        elif not calls and not message.get("refusal") and not message.get("audio"):
            self.reader.mistyped((*at, "content"), "string", None)
        self.said.append(Said(role="assistant", text=text, calls=calls))
        self.waiting = [c.id for c in calls]

    def _calls(self, message: Record, at: At) -> list[Call]:
        if message.get("tool_calls") is None:
            return []
        where = (*at, "tool_calls")
        listed = self.reader.array(message["tool_calls"], where)
        if not listed:
            place = self.reader.place(where)
            self.reader.fail(f"Invalid '{place}': empty array. Expected an array with minimum length 1.", where)
        return [self._call(self.reader.record(c, (*where, i)), (*where, i)) for i, c in enumerate(listed)]

    def _call(self, call: Record, at: At) -> Call:
        self.reader.only(call, ("id", "type", "function", "custom", "index", "extra_content"), at)
        identity = self.reader.named(call, "id", at)
        kind = self.reader.among(self.reader.need(call, "type", at), (*at, "type"), ("function", "custom"))
        inner = self.reader.record(self.reader.need(call, kind, at), (*at, kind))
        name = schemas.tool_name(self.reader, inner, (*at, kind))
        key = "arguments" if kind == "function" else "input"
        if key not in inner:
            self.reader.missing((*at, kind, key))
        return call_of(identity, name, self.reader.text(inner[key], (*at, kind, key)))

    def _tool(self, message: Record, at: At) -> None:
        self.reader.only(message, _KEYS | {"tool_call_id"}, at)
        identity = self.reader.named(message, "tool_call_id", at)
        if not self.said or self.said[-1].role not in ("assistant", "tool") or identity not in self._asked_for():
            self.reader.fail(_STRAY, (*at, "role"))
        text, kinds = parts.content(self.reader, self._present(message, at), "tool", (*at, "content"))
        self.said.append(Said(role="tool", results=[Result(call_id=identity, text=text)], media=kinds))
        self.waiting = [w for w in self.waiting if w != identity]

    def _asked_for(self) -> list[str]:
        turn = next((s for s in reversed(self.said) if s.role == "assistant"), None)
        return [c.id for c in turn.calls] if turn else []

    def _all_answered(self, at: At) -> None:
        if self.waiting:
            self.reader.fail(_UNANSWERED.format(", ".join(self.waiting)), (*at, "role"))


def call_of(identity: str, name: str, text: str) -> Call:
    """A call from a history; arguments that are no JSON object stay as text, as providers keep them."""
    try:
        value: Any = json.loads(text or "{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        return Call(identity, name, {}, raw=text)
    return Call(identity, name, cast("dict[str, Any]", value))
