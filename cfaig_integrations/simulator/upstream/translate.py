"""Converts a request to a format that the upstream server has, and its answer back: text, tools and JSON schemas."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cfaig_integrations.simulator.json_types import as_record, is_list, is_record, records
from cfaig_integrations.simulator.types import Answer, Call, Message, ModelRequest

Record = dict[str, Any]

_COPIED = ("temperature", "top_p")
_MAX_TOKENS = 4096
"""Messages requests need a limit."""


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
    return None


# --------------------------------------------------------------------------------------------------- chat completions


def _write_chat(request: ModelRequest) -> Record:
    body: Record = {
        "messages": [message for turn in request.messages for message in _chat_messages(turn)],
        **_sampling(request),
    }
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.stop:
        body["stop"] = request.stop
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": t.name, "description": t.description, "parameters": t.parameters},
            }
            for t in request.tools
        ]
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
    calls = [
        {
            "id": c.id,
            "type": "function",
            "function": {"name": c.name, "arguments": c.raw or json.dumps(c.arguments, ensure_ascii=False)},
        }
        for c in message.calls
    ]
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
    try:
        parsed = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return Call(identity, str(name), {}, raw=str(arguments))
    return Call(identity, str(name), parsed if is_record(parsed) else {})


# ----------------------------------------------------------------------------------------------------------- messages


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
