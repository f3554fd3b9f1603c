"""Reads `input`: messages, calls, outputs, reasoning, and the items of built-in tools.

Knows nothing of the other fields of a body.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cfaig_integrations.simulator.dialects import schemas
from cfaig_integrations.simulator.dialects.chat_completions.history import call_of
from cfaig_integrations.simulator.dialects.responses import parts
from cfaig_integrations.simulator.dialects.validation import At, Reader, Record
from cfaig_integrations.simulator.types import Call, Result, Said

OPAQUE = (
    "additional_tools", "apply_patch_call", "apply_patch_call_output", "code_interpreter_call", "compaction",
    "compaction_trigger", "computer_call", "computer_call_output", "file_search_call", "image_generation_call",
    "item_reference", "local_shell_call", "local_shell_call_output", "mcp_approval_request", "mcp_approval_response",
    "mcp_call", "mcp_list_tools", "program", "program_output", "shell_call", "shell_call_output", "tool_search_call",
    "tool_search_output", "web_search_call",
)  # fmt: skip
"""Accepted and not looked into: what built-in tools left behind."""
_ROLES = ("assistant", "system", "developer", "user")
_STATES = ("in_progress", "completed", "incomplete")


class Items:
    """One pass over the items, remembering the calls that wait for an output."""

    def __init__(self, reader: Reader, *, openai: bool, partial: bool = False) -> None:
        """Start before the first item.

        Args:
            reader: Words the faults.
            openai: Also check what only OpenAI's ids and reasoning must obey.
            partial: A stored conversation goes before, which may hold the calls that outputs belong to.
        """
        self.reader = reader
        self.openai = openai
        self.partial = partial
        self.said: list[Said] = []
        self.calls: dict[str, bool] = {}
        self._readers: dict[str, Callable[[Record, At], None]] = {
            "message": self._message,
            "function_call": self._function_call,
            "function_call_output": self._function_call_output,
            "custom_tool_call": self._custom_call,
            "custom_tool_call_output": self._custom_output,
            "reasoning": self._reasoning,
            **dict.fromkeys(OPAQUE, self._opaque),
        }

    def read(self, value: Any) -> list[Said]:
        """All items as they were said.

        Raises:
            BadBody: Unknown item, wrong field, an output without a call or a call without an output.
        """
        if isinstance(value, str):
            self.said.append(Said(role="user", text=value))
            return self.said
        if not isinstance(value, list):
            self.reader.mistyped(("input",), "one of a string or array of input items", value)
        listed = self.reader.array(value, ("input",))
        records = [self.reader.record(item, ("input", i)) for i, item in enumerate(listed)]
        for i, item in enumerate(records):
            kind = item.get("type", "message")
            self.reader.among(kind, ("input", i, "type"), tuple(self._readers))
            self._readers[kind](item, ("input", i))
        if self.openai:
            self._reasoning_is_followed(records)
        for call, answered in self.calls.items():
            if not answered:
                self.reader.fail(f"No tool output found for function call {call}.", ("input",))
        return self.said

    def _own_id(self, item: Record, prefix: str, at: At) -> None:
        identity = self.reader.optional(item, "id", str, at)
        if self.openai and identity is not None and not identity.startswith(prefix):
            place = self.reader.place((*at, "id"))
            self.reader.fail(
                f"Invalid '{place}': '{identity}'. Expected an ID that begins with '{prefix}'.", (*at, "id")
            )
        if item.get("status") is not None:
            self.reader.among(item["status"], (*at, "status"), _STATES)

    def _message(self, item: Record, at: At) -> None:
        self.reader.only(item, ("type", "role", "content", "id", "status", "phase", "name"), at)
        role = self.reader.among(self.reader.need(item, "role", at), (*at, "role"), _ROLES)
        allowed = parts.MADE if role == "assistant" else parts.GIVEN
        text, kinds = parts.content(self.reader, self.reader.need(item, "content", at), allowed, (*at, "content"))
        if role == "assistant":
            self._own_id(item, "msg", at)
            self._made(text)
        else:
            self.said.append(Said(role="user" if role == "user" else "system", text=text, media=kinds))

    def _made(self, text: str, *calls: Call) -> None:
        """Add to the assistant's turn, which may be spread over several items."""
        if not self.said or self.said[-1].role != "assistant":
            self.said.append(Said(role="assistant"))
        turn = self.said[-1]
        turn.text = f"{turn.text}\n{text}".strip() if text else turn.text
        turn.calls += calls

    def _call(self, item: Record, at: At, key: str) -> None:
        identity = self.reader.named(item, "call_id", at)
        name = schemas.tool_name(self.reader, item, at)
        text = self.reader.text(self.reader.need(item, key, at), (*at, key))
        self.calls[identity] = False
        self._made("", call_of(identity, name, text))

    def _function_call(self, item: Record, at: At) -> None:
        keys = ("type", "call_id", "name", "arguments", "id", "status", "namespace", "caller", "thought_signature")
        self.reader.only(item, keys, at)
        self._own_id(item, "fc", at)
        self._call(item, at, "arguments")

    def _custom_call(self, item: Record, at: At) -> None:
        self._call(item, at, "input")

    def _output(self, item: Record, at: At, what: str) -> None:
        identity = self.reader.named(item, "call_id", at)
        if identity not in self.calls and not self.partial:
            self.reader.fail(f"No tool call found for {what} with call_id {identity}.", ("input",))
        self.calls[identity] = True
        output = self.reader.need(item, "output", at)
        text, kinds = parts.content(self.reader, output, parts.RETURNED, (*at, "output"))
        self.said.append(Said(role="tool", results=[Result(call_id=identity, text=text)], media=kinds))

    def _function_call_output(self, item: Record, at: At) -> None:
        self.reader.only(item, ("type", "call_id", "output", "id", "status", "caller"), at)
        self._output(item, at, "function call output")

    def _custom_output(self, item: Record, at: At) -> None:
        self._output(item, at, "custom tool call output")

    def _reasoning(self, item: Record, at: At) -> None:
        self.reader.only(item, ("type", "id", "summary", "content", "encrypted_content", "status"), at)
        self._own_id(item, "rs", at)
        for key, kind in (("summary", "summary_text"), ("content", "reasoning_text")):
            listed: Any = self.reader.need(item, key, at) if key == "summary" else item.get(key) or []
            for i, part in enumerate(self.reader.array(listed, (*at, key))):
                where = (*at, key, i)
                record = self.reader.record(part, where)
                self.reader.among(self.reader.need(record, "type", where), (*where, "type"), (kind,))
                self.reader.text(self.reader.need(record, "text", where), (*where, "text"))
        self.reader.optional(item, "encrypted_content", str, at)

    def _opaque(self, item: Record, at: At) -> None:
        self.reader.optional(item, "id", str, at)
        call: str | None = self.reader.optional(item, "call_id", str, at)
        if call and str(item["type"]).endswith("_call"):
            self.calls.setdefault(call, True)

    def _reasoning_is_followed(self, records: list[Record]) -> None:
        """Reasoning stands before what it led to; OpenAI refuses it alone."""
        for i, item in enumerate(records):
            if item.get("type") != "reasoning":
                continue
            after = next((r for r in records[i + 1 :] if r.get("type") != "reasoning"), {"role": "user"})
            given = after.get("role") in ("user", "system", "developer") or str(after.get("type")).endswith("_output")
            if given:
                identity = item.get("id", "")
                message = f"Item '{identity}' of type 'reasoning' was provided without its required following item."
                self.reader.fail(message, ("input",))
