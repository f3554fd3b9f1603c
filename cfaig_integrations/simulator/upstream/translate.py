"""Reads token counts from what passes through, and converts text, tools and JSON schemas between formats."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cfaig_integrations.simulator.dialects import dialect
from cfaig_integrations.simulator.dialects.chat_request import call_of
from cfaig_integrations.simulator.json_types import Record, as_record, is_list, is_record, parse_json, records
from cfaig_integrations.simulator.types import Answer, Call, Message, ModelRequest

_EVENT_END = re.compile(rb"\r?\n\r?\n")
_LONGEST_EVENT = 10_000_000


@dataclass(slots=True)
class Usage:
    """Token counts, as far as they are known."""

    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0

    def update(self, body: Any) -> None:
        """Take the counts of a body or an event; later ones replace earlier ones."""
        if not is_record(body):
            return
        for holder in (body, body.get("message"), body.get("response")):
            usage = holder.get("usage") if is_record(holder) else None
            if is_record(usage):
                self._take(usage)

    def _take(self, usage: dict[str, Any]) -> None:
        details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
        read = _count(usage, "cache_read_input_tokens")
        written = _count(usage, "cache_creation_input_tokens") or 0
        cached = read if read is not None else _count(details if is_record(details) else {}, "cached_tokens")
        into = _count(usage, "prompt_tokens", "input_tokens")
        if into is not None:
            # Anthropic counts what was read from and written to the prompt cache outside `input_tokens`
            self.tokens_in = into + (read or 0) + written
        self.tokens_out = _count(usage, "completion_tokens", "output_tokens") or self.tokens_out
        self.tokens_cached = cached or self.tokens_cached


def _count(record: dict[str, Any], *names: str) -> int | None:
    return next((record[name] for name in names if type(record.get(name)) is int), None)


class StreamMeter:
    """Splits a stream into events, and reads their usage; `hide_tail` drops OpenAI's last one, of only usage."""

    def __init__(self, *, hide_tail: bool) -> None:
        self.usage = Usage()
        self._hide_tail = hide_tail
        self._pending = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        """The bytes to pass on now: all complete events."""
        start = max(0, len(self._pending) - 3)
        self._pending += chunk
        passed = bytearray()
        position = 0
        for match in _EVENT_END.finditer(self._pending, start):
            event = bytes(self._pending[position : match.end()])
            position = match.end()
            if self._keeps(event):
                passed += event
        del self._pending[:position]
        if len(self._pending) > _LONGEST_EVENT:
            passed += self.finish()
        return bytes(passed)

    def finish(self) -> bytes:
        """What is left at the end of the stream."""
        rest = bytes(self._pending)
        self._pending.clear()
        return rest if self._keeps(rest) else b""

    def _keeps(self, event: bytes) -> bool:
        if b'"usage"' not in event:
            return True
        lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
        try:
            body = parse_json(b"\n".join(lines))
        except ValueError:
            return True
        self.usage.update(body)
        is_tail = is_record(body) and body.get("choices") == [] and is_record(body.get("usage"))
        return not (self._hide_tail and is_tail)


_COPIED = ("temperature", "top_p")
_MAX_TOKENS = 4096  # messages requests need a limit


@dataclass(frozen=True, slots=True)
class Translation:
    """How a request is written in one format, and how its answer is read."""

    write: Callable[[ModelRequest], Record]
    read: Callable[[Record], Answer]


def obstacle(request: ModelRequest) -> str | None:
    """What a request contains that cannot be translated."""
    if any(message.media for message in request.messages):
        return "images, audio or files"
    if request.searchable:
        return "the provider's web search"
    if request.choices > 1:
        return "several choices"
    if any(tool.custom for tool in request.tools):
        return "custom tools"
    return None


def _write_chat(request: ModelRequest) -> Record:
    messages = [message for turn in request.messages for message in _chat_messages(turn)]
    body: Record = {"messages": messages, **_sampling(request)}
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.stop:
        body["stop"] = request.stop
    if request.tools:
        functions = [{"name": t.name, "description": t.description, "parameters": t.parameters} for t in request.tools]
        body["tools"] = [{"type": "function", "function": function} for function in functions]
        named = {"type": "function", "function": {"name": request.choice}}
        body["tool_choice"] = request.choice if request.choice in {"auto", "none", "required"} else named
    if request.schema is not None:
        named_schema = {"name": "response", "schema": request.schema}
        form = {"type": "json_schema", "json_schema": named_schema} if request.schema else {"type": "json_object"}
        body["response_format"] = form
    return body


def _sampling(request: ModelRequest) -> Record:
    return {name: request.echo[name] for name in _COPIED if request.echo.get(name) is not None}


def _chat_messages(message: Message) -> Iterator[Record]:
    for result in message.results:
        yield {"role": "tool", "tool_call_id": result.call_id, "content": result.text}
    written = [(c, {"name": c.name, "arguments": dialect.arguments(c)}) for c in message.calls]
    calls = [{"id": c.id, "type": "function", "function": function} for c, function in written]
    if message.text or calls or not message.results:
        yield {"role": message.role, "content": message.text, **({"tool_calls": calls} if calls else {})}


def _read_chat(body: Record) -> Answer:
    first = as_record(next(iter(records(body.get("choices"))), None))
    message = as_record(first.get("message"))
    answer = Answer(
        text=_text(message.get("content")),
        reasoning=_text(message.get("reasoning_content") or message.get("reasoning")),
        refusal=_text(message.get("refusal")),
        finish="length" if first.get("finish_reason") == "length" else "stop",
    )
    for entry in records(message.get("tool_calls")):
        function = as_record(entry.get("function"))
        answer.calls.append(_call(str(entry.get("id") or ""), function.get("name"), function.get("arguments")))
    return answer


def _text(content: Any) -> str:
    if is_list(content):
        return "".join(str(part.get("text", "")) for part in content if is_record(part))
    return content if isinstance(content, str) else "" if content is None else json.dumps(content)


def _call(identity: str, name: Any, arguments: Any) -> Call:
    return call_of(identity, str(name), arguments if isinstance(arguments, str) else json.dumps(arguments or {}))


def _write_messages(request: ModelRequest) -> Record:
    turns: list[Record] = []
    for message in request.messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = list(_blocks(message))
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    body: Record = {"max_tokens": request.max_tokens or _MAX_TOKENS, "messages": turns, **_sampling(request)}
    system = "\n\n".join(message.text for message in request.messages if message.role == "system")
    if system:
        body["system"] = system
    if request.stop:
        body["stop_sequences"] = request.stop
    if request.tools:
        body["tools"] = [
            {"name": t.name, "description": t.description, "input_schema": t.parameters} for t in request.tools
        ]
        plain = {"auto": "auto", "none": "none", "required": "any"}.get(request.choice)
        body["tool_choice"] = {"type": plain} if plain else {"type": "tool", "name": request.choice}
    if request.schema:
        body["output_config"] = {"format": {"type": "json_schema", "schema": request.schema}}
    return body


def _blocks(message: Message) -> Iterator[Record]:
    for result in message.results:
        failed = {"is_error": True} if result.failed else {}
        yield {"type": "tool_result", "tool_use_id": result.call_id, "content": result.text, **failed}
    if message.text:
        yield {"type": "text", "text": message.text}
    for call in message.calls:
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}


def _read_messages(body: Record) -> Answer:
    answer = Answer(finish="length" if body.get("stop_reason") == "max_tokens" else "stop")
    for block in records(body.get("content")):
        match block.get("type"):
            case "text":
                answer.text += str(block.get("text", ""))
            case "thinking":
                answer.reasoning += str(block.get("thinking", ""))
            case "tool_use":
                answer.calls.append(_call(str(block.get("id") or ""), block.get("name"), block.get("input")))
            case _:
                continue
    return answer


TRANSLATIONS = {
    "chat_completions": Translation(_write_chat, _read_chat),
    "messages": Translation(_write_messages, _read_messages),
}
"""The formats that a request can be translated to, in the order in which they are tried."""
