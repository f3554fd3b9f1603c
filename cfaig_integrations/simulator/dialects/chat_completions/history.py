"""Reads `messages`: roles, tool calls and their results."""

from __future__ import annotations

import json
from typing import Any, cast

from cfaig_integrations.simulator.dialects import schemas
from cfaig_integrations.simulator.dialects.chat_completions import parts
from cfaig_integrations.simulator.dialects.validation import JsonPath, Record, Validator
from cfaig_integrations.simulator.types import Call, Message, ToolResult

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
    """Reads the messages in order, and tracks the calls without a result."""

    def __init__(self, validator: Validator, *, thinking: bool) -> None:
        """Start without messages.

        Args:
            validator: Formats the error messages.
            thinking: Whether assistant messages may carry reasoning, which `openai/` models refuse
                (facts §9.3: it is replayed to `@cf/` models only).
        """
        self.validator = validator
        self.assistant_keys = _ASSISTANT_KEYS | _THINKING_KEYS if thinking else _ASSISTANT_KEYS
        self.waiting: list[str] = []
        self.messages: list[Message] = []

    def read(self, value: Any) -> list[Message]:
        """All messages."""
        messages = self.validator.array(value, ("messages",))
        if not messages:
            self.validator.fail(
                "Invalid 'messages': empty array. Expected an array with minimum length 1.", ("messages",)
            )
        for i, message in enumerate(messages):
            self._message(self.validator.record(message, ("messages", i)), ("messages", i))
        self._all_answered(("messages", len(messages) - 1))
        return self.messages

    def _message(self, message: Record, path: JsonPath) -> None:
        role = self.validator.one_of(self.validator.required(message, "role", path), (*path, "role"), ROLES)
        if role != "tool":
            self._all_answered(path)
        if role == "tool":
            self._tool(message, path)
        elif role == "assistant":
            self._assistant(message, path)
        else:
            self.validator.only_fields(message, _KEYS, path)
            text, kinds = parts.content(self.validator, self._present(message, path), role, (*path, "content"))
            self.messages.append(Message(role="user" if role == "user" else "system", text=text, media=kinds))
        self.validator.optional(message, "name", str, path)

    def _present(self, message: Record, path: JsonPath) -> Any:
        if "content" not in message:
            self.validator.missing_field((*path, "content"))
        return message["content"]

    def _assistant(self, message: Record, path: JsonPath) -> None:
        self.validator.only_fields(message, self.assistant_keys, path)
        calls = self._calls(message, path)
        text = ""
        if message.get("content") is not None:
            text, _ = parts.content(self.validator, message["content"], "assistant", (*path, "content"))
        elif not calls and not message.get("refusal") and not message.get("audio"):
            self.validator.wrong_type((*path, "content"), "string", None)
        self.messages.append(Message(role="assistant", text=text, calls=calls))
        self.waiting = [c.id for c in calls]

    def _calls(self, message: Record, path: JsonPath) -> list[Call]:
        if message.get("tool_calls") is None:
            return []
        where = (*path, "tool_calls")
        listed = self.validator.array(message["tool_calls"], where)
        if not listed:
            place = self.validator.format_path(where)
            self.validator.fail(f"Invalid '{place}': empty array. Expected an array with minimum length 1.", where)
        return [self._call(self.validator.record(c, (*where, i)), (*where, i)) for i, c in enumerate(listed)]

    def _call(self, call: Record, path: JsonPath) -> Call:
        self.validator.only_fields(call, ("id", "type", "function", "custom", "index", "extra_content"), path)
        identity = self.validator.required_text(call, "id", path)
        kind = self.validator.one_of(
            self.validator.required(call, "type", path), (*path, "type"), ("function", "custom")
        )
        inner = self.validator.record(self.validator.required(call, kind, path), (*path, kind))
        name = schemas.tool_name(self.validator, inner, (*path, kind))
        key = "arguments" if kind == "function" else "input"
        if key not in inner:
            self.validator.missing_field((*path, kind, key))
        return call_of(identity, name, self.validator.text(inner[key], (*path, kind, key)))

    def _tool(self, message: Record, path: JsonPath) -> None:
        self.validator.only_fields(message, _KEYS | {"tool_call_id"}, path)
        identity = self.validator.required_text(message, "tool_call_id", path)
        if (
            not self.messages
            or self.messages[-1].role not in ("assistant", "tool")
            or identity not in self._asked_for()
        ):
            self.validator.fail(_STRAY, (*path, "role"))
        text, kinds = parts.content(self.validator, self._present(message, path), "tool", (*path, "content"))
        self.messages.append(Message(role="tool", results=[ToolResult(call_id=identity, text=text)], media=kinds))
        self.waiting = [w for w in self.waiting if w != identity]

    def _asked_for(self) -> list[str]:
        turn = next((s for s in reversed(self.messages) if s.role == "assistant"), None)
        return [c.id for c in turn.calls] if turn else []

    def _all_answered(self, path: JsonPath) -> None:
        if self.waiting:
            self.validator.fail(_UNANSWERED.format(", ".join(self.waiting)), (*path, "role"))


def call_of(identity: str, name: str, text: str) -> Call:
    """A call in the history; arguments that are not a JSON object are kept as text."""
    try:
        value: Any = json.loads(text or "{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        return Call(identity, name, {}, raw=text)
    return Call(identity, name, cast("dict[str, Any]", value))
