"""Tool calls of LangChain's messages and content blocks to ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, cast

from langchain_core.messages import AIMessage

from cfaig_integrations.adapters.tools import arguments_text
from cfaig_integrations.core.content import ToolCall
from cfaig_integrations.core.text import read_json
from cfaig_integrations.langchain.media import Block
from cfaig_integrations.langchain.tool_calls import CUSTOM_INPUT


def calls_of(message: AIMessage) -> list[ToolCall]:
    """The calls of an AI message, valid and invalid.

    Raises:
        ConfigError: Their arguments are not JSON.
    """
    calls = [
        ToolCall(call["id"] or "", call["name"], arguments_text(call["args"], field="tool_calls"))
        for call in message.tool_calls
    ]
    match message.additional_kwargs:
        case {"function_call": {"name": str(name), "arguments": str(arguments)}} if name and not calls:
            # OpenAI's call as it was before there were tools; a function message answers it by name.
            calls.append(ToolCall(name, name, arguments))
        case _:
            pass
    if message.invalid_tool_calls:
        calls += [
            ToolCall(broken["id"] or "", broken["name"] or "", broken["args"] or "")
            for broken in message.invalid_tool_calls
        ]
    return calls


def taken(calls: list[ToolCall], shown: ToolCall) -> ToolCall | None:
    """The message's own call that a block shows; LangChain wraps the input of a free-text one."""
    for number, call in enumerate(calls):
        if call.id == shown.id:
            found = calls.pop(number)
            return found if shown.kind == "function" else replace(found, arguments=_free_text(found), kind="custom")
    return None


def _free_text(call: ToolCall) -> str:
    try:
        return str(cast("dict[str, object]", read_json(call.arguments))[CUSTOM_INPUT])
    except (ValueError, KeyError, TypeError):  # not as LangChain wraps it
        return call.arguments


def call_in(block: Block) -> ToolCall:
    """The call that a content block shows.

    Raises:
        ConfigError: Its arguments are not JSON.
    """
    given = next((block[key] for key in ("args", "input", "arguments") if block.get(key)), "")
    arguments = arguments_text(given, field="tool_calls")
    kind: Literal["function", "custom"] = "custom" if block.get("type") == "custom_tool_call" else "function"
    return ToolCall(str(block.get("call_id") or block.get("id") or ""), str(block.get("name") or ""), arguments, kind)
