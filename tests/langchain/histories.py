"""What the tests of histories share: a conversation around a reply, and a plain reading of what a wire was sent of it.

The reading shares no code with the package, so that a mistake is not made twice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.core.content import Media, Opaque, Part, Reasoning

QUESTION, RESULT, AND = "How was it?", "It was so.", "And then?"


def history(message: AIMessage) -> list[BaseMessage]:
    """A conversation in which the message is an answer, its calls are answered, and a question is open."""
    calls = [*message.tool_calls, *message.invalid_tool_calls]
    results = [ToolMessage(RESULT, tool_call_id=call["id"] or "") for call in calls]
    return [HumanMessage(QUESTION), message, *results, HumanMessage(AND)]


@dataclass
class SentAnswer:
    """What a body says of the assistant.

    Attributes:
        text: Its words and refusals.
        reasoning: Its reasoning, as text; of that without a text, its signature or encrypted form.
        calls: Name and arguments, as text, of its calls.
        called: Ids of the calls.
        answered: Ids of the results.
        other: Types of all other blocks.
    """

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def call(self, id_: str, name: str, arguments: str) -> None:
        self.called.append(id_)
        self.calls.append((name, arguments))


def read(body: dict[str, Any]) -> SentAnswer:
    """A body of any format."""
    result = SentAnswer()
    if "input" in body:
        _read_items(body["input"], result)
    else:
        for message in body["messages"]:
            _read_message(message, result)
    return result


def _read_items(items: list[dict[str, Any]], sent: SentAnswer) -> None:
    for item in items:
        match item:
            case {"role": "assistant", "content": content}:
                sent.text += content if isinstance(content, str) else "".join(map(_words, content))
            case {"role": _}:
                pass
            case {"type": "function_call", "call_id": id_, "name": name, "arguments": arguments}:
                sent.call(id_, name, arguments)
            case {"type": "custom_tool_call", "call_id": id_, "name": name, "input": text}:
                sent.call(id_, name, text)
            case {"type": "function_call_output" | "custom_tool_call_output", "call_id": id_}:
                sent.answered.append(id_)
            case {"type": "reasoning", "summary": summary}:
                sent.reasoning += "".join(map(_words, summary)) or str(item.get("encrypted_content") or "")
            case _:
                sent.other.append(item["type"])


def _words(block: dict[str, Any]) -> str:
    return str(block.get("text") or block.get("refusal") or "")


def _read_message(message: dict[str, Any], sent: SentAnswer) -> None:
    match message:
        case {"role": "tool", "tool_call_id": id_}:
            sent.answered.append(id_)
            return
        case {"role": "function", "name": name}:
            sent.answered.append(name)
            return
        case {"role": "assistant"}:
            sent.reasoning += str(message.get("reasoning_content") or "")
            sent.text += str(message.get("refusal") or "")
            _read_chat_calls(message, sent)
        case _:
            pass
    content = message["content"]
    if isinstance(content, str):
        sent.text += content if message["role"] == "assistant" else ""
        return
    for block in content:
        _read_block(block, sent, message["role"])


def _read_chat_calls(message: dict[str, Any], sent: SentAnswer) -> None:
    for call in message.get("tool_calls", ()):
        inner = call.get("function") or call["custom"]
        sent.call(call["id"], inner["name"], inner.get("arguments", inner.get("input")))
    if legacy := message.get("function_call"):
        sent.call(legacy["name"], legacy["name"], legacy["arguments"])


def _read_block(block: dict[str, Any], sent: SentAnswer, role: str) -> None:
    match block:
        case {"type": "text", "text": text}:
            sent.text += text if role == "assistant" else ""
        case {"type": "tool_use", "id": id_, "name": name, "input": arguments}:
            sent.call(id_, name, json.dumps(arguments))
        case {"type": "tool_result", "tool_use_id": id_}:
            sent.answered.append(id_)
        case {"type": "thinking", "thinking": text, "signature": signature}:
            sent.reasoning += text or signature
        case _:
            sent.other.append(block["type"])


def assert_sent(sent: SentAnswer, message: AIMessage) -> None:
    """The body has the message's words and calls, and each call its result."""
    text = message.text + (str(message.additional_kwargs.get("refusal") or ""))
    text += "".join(str(block.get("value", block).get("refusal", "")) for block in _blocks(message))
    assert "".join(sent.text.split()) == "".join(text.split())
    assert sorted(sent.called) == sorted(sent.answered)
    expected = [(call["name"], _forms(call["args"])) for call in message.tool_calls]
    expected += [(call["name"] or "", _broken_forms(call["args"] or "")) for call in message.invalid_tool_calls]
    for name, arguments in sent.calls:
        result = next((each for each in expected if each[0] == name and _plain(arguments) in each[1]), None)
        assert result is not None, (name, arguments, expected)
        expected.remove(result)
    assert not expected


def _blocks(message: AIMessage) -> Iterable[dict[str, Any]]:
    return [block for block in message.content if isinstance(block, dict)] if isinstance(message.content, list) else []


def _plain(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except ValueError:
        return arguments


def _forms(args: dict[str, Any]) -> set[str]:
    """How arguments may be written; the input of a free-text tool is a text, or an object where it must be one."""
    free = args.get("__arg1")
    wrapped = {str(free), json.dumps({"input": free})} if free is not None else set[str]()
    return {json.dumps(args, sort_keys=True), *wrapped}


def _broken_forms(args: str) -> set[str]:
    return {_plain(args), json.dumps({"invalid_arguments": args})}


def left_out(reply: ChatReply) -> Counter[str]:
    """The parts of a reply that no other wire carries, by kind."""
    return Counter(kind for part in reply.turn.parts if (kind := _kind(part)))


def _kind(part: Part) -> str:
    match part:
        case Reasoning():
            return "reasoning"
        case Opaque():
            return str(part.raw.get("type"))
        case Media():
            return part.kind
        case _:
            return ""


def shape(parts: Sequence[Part]) -> tuple[Any, ...]:
    """What is alike in replies that are handled alike."""
    return tuple(dict.fromkeys((type(part).__name__, _kind(part), *_keys(part)) for part in parts))


def _keys(part: Part) -> tuple[str, ...]:
    extras = {} if isinstance(part, Opaque) else part.extras
    return tuple(f"{wire}.{key}" for wire, values in extras.items() for key in values)
