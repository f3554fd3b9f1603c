"""Messages as LangChain's packages for OpenAI and Anthropic write them, in each of their output versions.

Written after what langchain-openai 1.7.3 and langchain-anthropic 1.7.7 make of the same answers; standard blocks are
made by langchain-core itself, as theirs are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.language_models._utils import _update_message_content_to_blocks
from langchain_core.messages import AIMessage, InvalidToolCall, ToolCall

Body = Mapping[str, Any]
NOT_THEIRS = frozenset({"local_shell_call", "shell_call", "shell_call_output", "program", "program_output"})
"""Items that langchain-openai leaves out of its messages."""


def _full(value: Any) -> Any:
    """An object of an answer without its nulls, as the SDKs' models are dumped."""
    if isinstance(value, dict):
        return {key: _full(inner) for key, inner in value.items() if inner is not None}
    return [_full(each) for each in value] if isinstance(value, list) else value


def _message(content: Any, provider: str, calls: list[tuple[str, str, Any]], **more: Any) -> AIMessage:
    good: list[ToolCall] = []
    bad: list[InvalidToolCall] = []
    for id_, name, arguments in calls:
        try:
            args = json.loads(arguments) if isinstance(arguments, str) else arguments
        except ValueError as error:
            bad.append({"name": name, "args": arguments, "id": id_, "error": str(error), "type": "invalid_tool_call"})
            continue
        good.append({"name": name, "args": args or {}, "id": id_, "type": "tool_call"})
    metadata = {"model_provider": provider}
    return AIMessage(content, tool_calls=good, invalid_tool_calls=bad, response_metadata=metadata, **more)


def _standard(message: AIMessage) -> AIMessage:
    """The same in standard blocks."""
    return _update_message_content_to_blocks(message, "v1")


def openai_chat(body: Body) -> AIMessage:
    """Of chat completions."""
    message = body["choices"][0]["message"]
    inner = [(each["id"], each["function"]) for each in message.get("tool_calls") or ()]
    calls = [(id_, function["name"], function.get("arguments", "{}")) for id_, function in inner]
    kwargs = {"refusal": message.get("refusal")} | {
        key: message[key] for key in ("audio", "function_call") if message.get(key)
    }
    return _message(message.get("content") or "", "openai", calls, additional_kwargs=kwargs)


def openai_responses(body: Body) -> AIMessage:
    """Of Responses, with `output_version="responses/v1"`."""
    content: list[Any] = []
    for item in body["output"]:
        if item["type"] != "message":
            content += [] if item["type"] in NOT_THEIRS else [_full(item)]
            continue
        for part in item["content"]:
            kind = "text" if part["type"] == "output_text" else part["type"]
            remaining = {key: part[key] for key in ("text", "refusal", "annotations") if key in part}
            content.append(_full({"type": kind, **remaining, "id": item.get("id"), "phase": item.get("phase")}))
    return _message(content, "openai", _calls(body), id=body["id"])


def openai_old(body: Body) -> AIMessage:
    """Of Responses, as it was before there were output versions."""
    content: list[Any] = []
    remaining: dict[str, Any] = {}
    for item in map(_full, body["output"]):
        match item["type"]:
            case "message":
                for part in item["content"]:
                    if part["type"] == "output_text":
                        text = {key: part[key] for key in ("text", "annotations") if key in part}
                        phase = {"phase": item["phase"]} if "phase" in item else {}
                        content.append({"type": "text", **text, **phase})
                    else:
                        remaining["refusal"] = part["refusal"]
            case "reasoning":
                remaining["reasoning"] = item
            case "function_call":
                remaining.setdefault("__openai_function_call_ids__", {})[item["call_id"]] = item.get("id")
            case "custom_tool_call" | "compaction":
                content.append(item)
            case kind if kind not in NOT_THEIRS:
                remaining.setdefault("tool_outputs", []).append(item)
            case _:
                continue
    return _message(content, "openai", _calls(body), additional_kwargs=remaining)


def _calls(body: Body) -> list[tuple[str, str, Any]]:
    result: list[tuple[str, str, Any]] = []
    for item in body["output"]:
        match item["type"]:
            case "function_call":
                result.append((item["call_id"], item["name"], item["arguments"]))
            case "custom_tool_call":
                result.append((item["call_id"], item["name"], {"__arg1": item["input"]}))
            case _:
                continue
    return result


def anthropic(body: Body) -> AIMessage:
    """Of Messages."""
    blocks = _full(body["content"])
    calls = [(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
    plain = len(blocks) == 1 and blocks[0].keys() == {"type", "text"}
    return _message(blocks[0]["text"] if plain else blocks, "anthropic", calls, id=body["id"])


PACKAGES: dict[str, tuple[str, Callable[[Body], AIMessage]]] = {
    "langchain-openai, chat completions": ("chat", openai_chat),
    "langchain-openai, chat completions, v1": ("chat", lambda body: _standard(openai_chat(body))),
    "langchain-openai, v0": ("responses", openai_old),
    "langchain-openai, responses/v1": ("responses", openai_responses),
    "langchain-openai, v1": ("responses", lambda body: _standard(openai_responses(body))),
    "langchain-anthropic": ("messages", anthropic),
    "langchain-anthropic, v1": ("messages", lambda body: _standard(anthropic(body))),
}
"""Kind of recording, and what makes a message of its body."""
