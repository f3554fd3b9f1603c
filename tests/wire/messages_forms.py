"""The two forms of an Anthropic answer, one made from the other, sharing no code with the package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.core.content import ToolCall


def sse_objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a stream whose events are one `data:` line each."""
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.startswith("data:") and line[5:].strip().startswith("{"):
            yield json.loads(line[5:])


def sse(*events: dict[str, Any]) -> str:
    """Events as the text of a stream."""
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def whole_from_stream(text: str) -> dict[str, Any]:
    """The whole body that a stream stands for, added up as Anthropic documents its events.

    Several messages in one stream give one body: all their blocks, and otherwise the last one's words.
    """
    message: dict[str, Any] = {"content": []}
    for event in sse_objects(text):
        kind = event["type"]
        if kind == "message_start":
            fields = {key: value for key, value in event["message"].items() if value is not None}
            blocks = message["content"] + fields.pop("content")
            message = {**message, **fields, "content": blocks}
            base = len(blocks)
        elif kind == "content_block_start":
            message["content"].append({**event["content_block"], "#json": ""})
            if event["content_block"]["type"] == "fallback":
                message["model"] = event["content_block"]["to"]["model"]
        elif kind == "content_block_delta":
            _grow(message["content"][base + event["index"]], event["delta"])
        elif kind == "message_delta":
            fields = {key: value for key, value in event.items() if key not in ("type", "delta", "usage")}
            counts = {key: value for key, value in event["usage"].items() if value is not None}
            message = {**message, **event["delta"], **fields, "usage": {**message["usage"], **counts}}
    for block in message["content"]:
        if text := block.pop("#json", ""):
            block["input"] = json.loads(text)
    return message


def _grow(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match delta["type"]:
        case "input_json_delta":
            block["#json"] += delta["partial_json"]
        case "citations_delta":
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] = delta["signature"]
        case _:
            for key in delta.keys() - {"type"}:
                block[key] = (block.get(key) or "") + delta[key]


def stream_from_whole(message: dict[str, Any], step: int = 7) -> str:
    """A whole body as Anthropic would have streamed it, texts in pieces of `step` characters."""
    late = ("content", "stop_reason", "stop_sequence", "stop_details", "container", "context_management")
    usage = dict(message["usage"])
    begun = {**{key: value for key, value in message.items() if key not in late}, "content": []}
    begun |= {"stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for index, block in enumerate(message["content"]):
        start, deltas = _split(block, step)
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {
        key: message[key] for key in ("stop_reason", "stop_sequence", "stop_details", "container") if key in message
    }
    ended: dict[str, Any] = {"type": "message_delta", "delta": delta, "usage": usage}
    if "context_management" in message:
        ended["context_management"] = message["context_management"]
    return sse(*events, ended, {"type": "message_stop"})


def _split(block: dict[str, Any], step: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    def pieces(text: str) -> Iterator[str]:
        return (text[at : at + step] for at in range(0, len(text), step))

    match block:
        case {"type": "text"}:
            deltas = [{"type": "citations_delta", "citation": each} for each in block.get("citations") or ()]
            deltas += [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
            return {**block, "text": "", "citations": []}, deltas
        case {"type": "thinking"}:
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
            return {**block, "thinking": "", "signature": ""}, deltas
        case {"input": dict(arguments)}:
            text = json.dumps(arguments) if arguments else ""
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *pieces(text))]
            return {**block, "input": {}}, deltas
        case _:
            return block, []


def comparable(reply: ChatReply) -> ChatReply:
    """The reply with tool arguments in one spelling.

    A stream brings them as text and a whole body as an object, so they can be equal as JSON only.
    """

    def spelled(part: Any) -> Any:
        if isinstance(part, ToolCall):
            return replace(part, arguments=json.dumps(json.loads(part.arguments), sort_keys=True))
        return part

    choices = tuple(
        replace(choice, turn=replace(choice.turn, parts=tuple(spelled(part) for part in choice.turn.parts)))
        for choice in reply.choices
    )
    return replace(reply, choices=choices)
