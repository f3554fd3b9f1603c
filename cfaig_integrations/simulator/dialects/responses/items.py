"""Reads `input`: messages, calls, outputs, reasoning, and the items of built-in tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cfaig_integrations.simulator.dialects import schemas
from cfaig_integrations.simulator.dialects.chat_completions.history import call_of
from cfaig_integrations.simulator.dialects.responses import parts
from cfaig_integrations.simulator.dialects.validation import JsonPath, Record, Validator
from cfaig_integrations.simulator.types import Call, Message, ToolResult

OPAQUE = (
    "additional_tools", "apply_patch_call", "apply_patch_call_output", "code_interpreter_call", "compaction",
    "compaction_trigger", "computer_call", "computer_call_output", "file_search_call", "image_generation_call",
    "item_reference", "local_shell_call", "local_shell_call_output", "mcp_approval_request", "mcp_approval_response",
    "mcp_call", "mcp_list_tools", "program", "program_output", "shell_call", "shell_call_output", "tool_search_call",
    "tool_search_output", "web_search_call",
)  # fmt: skip
"""Items of built-in tools, which are not checked."""
_ROLES = ("assistant", "system", "developer", "user")
_STATES = ("in_progress", "completed", "incomplete")


class Items:
    """Reads the items in order, and tracks the calls without an output."""

    def __init__(self, validator: Validator, *, openai: bool, partial: bool = False) -> None:
        """Start without items."""
        self.validator = validator
        self.openai = openai
        self.partial = partial
        self.messages: list[Message] = []
        self.calls: dict[str, bool] = {}
        self._readers: dict[str, Callable[[Record, JsonPath], None]] = {
            "message": self._message,
            "function_call": self._function_call,
            "function_call_output": self._function_call_output,
            "custom_tool_call": self._custom_call,
            "custom_tool_call_output": self._custom_output,
            "reasoning": self._reasoning,
            **dict.fromkeys(OPAQUE, self._opaque),
        }

    def read(self, value: Any) -> list[Message]:
        """All items as messages."""
        if isinstance(value, str):
            self.messages.append(Message(role="user", text=value))
            return self.messages
        if not isinstance(value, list):
            self.validator.wrong_type(("input",), "one of a string or array of input items", value)
        listed = self.validator.array(value, ("input",))
        records = [self.validator.record(item, ("input", i)) for i, item in enumerate(listed)]
        for i, item in enumerate(records):
            kind = item.get("type", "message")
            self.validator.one_of(kind, ("input", i, "type"), tuple(self._readers))
            self._readers[kind](item, ("input", i))
        if self.openai:
            self._reasoning_is_followed(records)
        for call, answered in self.calls.items():
            if not answered:
                self.validator.fail(f"No tool output found for function call {call}.", ("input",))
        return self.messages

    def _own_id(self, item: Record, prefix: str, path: JsonPath) -> None:
        identity = self.validator.optional(item, "id", str, path)
        if self.openai and identity is not None and not identity.startswith(prefix):
            place = self.validator.format_path((*path, "id"))
            self.validator.fail(
                f"Invalid '{place}': '{identity}'. Expected an ID that begins with '{prefix}'.", (*path, "id")
            )
        if item.get("status") is not None:
            self.validator.one_of(item["status"], (*path, "status"), _STATES)

    def _message(self, item: Record, path: JsonPath) -> None:
        self.validator.only_fields(item, ("type", "role", "content", "id", "status", "phase", "name"), path)
        role = self.validator.one_of(self.validator.required(item, "role", path), (*path, "role"), _ROLES)
        allowed = parts.ASSISTANT_PARTS if role == "assistant" else parts.INPUT_PARTS
        text, kinds = parts.content(
            self.validator, self.validator.required(item, "content", path), allowed, (*path, "content")
        )
        if role == "assistant":
            self._own_id(item, "msg", path)
            self._add_to_assistant(text)
        else:
            self.messages.append(Message(role="user" if role == "user" else "system", text=text, media=kinds))

    def _add_to_assistant(self, text: str, *calls: Call) -> None:
        """Add to the assistant's message, which may consist of several items."""
        if not self.messages or self.messages[-1].role != "assistant":
            self.messages.append(Message(role="assistant"))
        turn = self.messages[-1]
        turn.text = f"{turn.text}\n{text}".strip() if text else turn.text
        turn.calls += calls

    def _call(self, item: Record, path: JsonPath, key: str) -> None:
        identity = self.validator.required_text(item, "call_id", path)
        name = schemas.tool_name(self.validator, item, path)
        text = self.validator.text(self.validator.required(item, key, path), (*path, key))
        self.calls[identity] = False
        self._add_to_assistant("", call_of(identity, name, text))

    def _function_call(self, item: Record, path: JsonPath) -> None:
        keys = ("type", "call_id", "name", "arguments", "id", "status", "namespace", "caller", "thought_signature")
        self.validator.only_fields(item, keys, path)
        self._own_id(item, "fc", path)
        self._call(item, path, "arguments")

    def _custom_call(self, item: Record, path: JsonPath) -> None:
        self._call(item, path, "input")

    def _output(self, item: Record, path: JsonPath, what: str) -> None:
        identity = self.validator.required_text(item, "call_id", path)
        if identity not in self.calls and not self.partial:
            self.validator.fail(f"No tool call found for {what} with call_id {identity}.", ("input",))
        self.calls[identity] = True
        output = self.validator.required(item, "output", path)
        text, kinds = parts.content(self.validator, output, parts.OUTPUT_PARTS, (*path, "output"))
        self.messages.append(Message(role="tool", results=[ToolResult(call_id=identity, text=text)], media=kinds))

    def _function_call_output(self, item: Record, path: JsonPath) -> None:
        self.validator.only_fields(item, ("type", "call_id", "output", "id", "status", "caller"), path)
        self._output(item, path, "function call output")

    def _custom_output(self, item: Record, path: JsonPath) -> None:
        self._output(item, path, "custom tool call output")

    def _reasoning(self, item: Record, path: JsonPath) -> None:
        self.validator.only_fields(item, ("type", "id", "summary", "content", "encrypted_content", "status"), path)
        self._own_id(item, "rs", path)
        for key, kind in (("summary", "summary_text"), ("content", "reasoning_text")):
            listed: Any = self.validator.required(item, key, path) if key == "summary" else item.get(key) or []
            for i, part in enumerate(self.validator.array(listed, (*path, key))):
                inner_path = (*path, key, i)
                record = self.validator.record(part, inner_path)
                self.validator.one_of(
                    self.validator.required(record, "type", inner_path), (*inner_path, "type"), (kind,)
                )
                self.validator.text(self.validator.required(record, "text", inner_path), (*inner_path, "text"))
        self.validator.optional(item, "encrypted_content", str, path)

    def _opaque(self, item: Record, path: JsonPath) -> None:
        self.validator.optional(item, "id", str, path)
        call: str | None = self.validator.optional(item, "call_id", str, path)
        if call and str(item["type"]).endswith("_call"):
            self.calls.setdefault(call, True)

    def _reasoning_is_followed(self, records: list[Record]) -> None:
        """Check that each reasoning item is followed by the model's output."""
        for i, item in enumerate(records):
            if item.get("type") != "reasoning":
                continue
            after = next((r for r in records[i + 1 :] if r.get("type") != "reasoning"), {"role": "user"})
            is_input = after.get("role") in ("user", "system", "developer") or str(after.get("type")).endswith(
                "_output"
            )
            if is_input:
                identity = item.get("id", "")
                message = f"Item '{identity}' of type 'reasoning' was provided without its required following item."
                self.validator.fail(message, ("input",))
