"""The tool calls of a response as LlamaIndex's selections, whole or still being written.

Knows LlamaIndex's responses; knows no tool and no wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from pydantic_core import from_json

from cfaig_integrations.core.skeleton import free_text_calls, with_one_call
from cfaig_integrations.llama_index.growing import read_so_far
from cfaig_integrations.llama_index.outbound import SKELETON

FREE_TEXT = "input"
"""Argument that holds the text of a Responses free-text tool's call."""
_BROKEN = "invalid_arguments"
"""Argument under which broken ones are told."""


def tool_selections(response: ChatResponse, *, error_on_no_tool_call: bool = True) -> list[ToolSelection]:
    """The calls in a response, with the arguments so far while it is streamed.

    Arguments that are no JSON object at the end are never completed: a tool must not run on half of them. They come
    under names that no tool has, so that its error tells the model.

    Args:
        response: The response, or one of a stream's.
        error_on_no_tool_call: Whether a response without calls, or with broken arguments, is an error.

    Raises:
        ValueError: There is no call, or a broken one; only with `error_on_no_tool_call`.
    """
    message = response.message
    ended = finish_reason(response)
    calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if not calls and error_on_no_tool_call:
        raise ValueError(
            f"Expected a tool call, but got none (finish_reason {ended!r}). The model said: {message.content or ''!r}"
        )
    found: list[ToolSelection] = []
    for call in calls:
        arguments = _arguments(call, message, whole=bool(ended))
        if error_on_no_tool_call and _BROKEN in arguments:
            raise ValueError(f"The call of {call.tool_name!r} is broken (finish_reason {ended!r}): {arguments}")
        found.append(ToolSelection(tool_id=call.tool_call_id or "", tool_name=call.tool_name, tool_kwargs=arguments))
    return found


def finish_reason(response: ChatResponse) -> str:
    """Why a whole response ended; empty for one that is still being written."""
    return str(cast("Mapping[str, Any]", response.additional_kwargs).get("finish_reason") or "")  # pyright: ignore[reportUnknownMemberType]


def _arguments(call: ToolCallBlock, message: ChatMessage, *, whole: bool) -> dict[str, Any]:
    given = call.tool_kwargs
    if not isinstance(given, str):
        return deepcopy(given)  # a tool may change its arguments, and the message is the history
    if whole and call.tool_call_id in free_text_calls(message.additional_kwargs.get(SKELETON)):
        return {FREE_TEXT: given}
    if not whole:
        so_far = read_so_far(f"{call.tool_call_id} {call.tool_name}", given)
        return cast("dict[str, Any]", so_far) if isinstance(so_far, dict) else {}
    if not given.strip():
        return {}
    try:
        found = from_json(given)
    except (ValueError, TypeError) as error:
        return {_BROKEN: given, "error": f"The arguments are not JSON: {error}"}
    if isinstance(found, dict):
        return cast("dict[str, Any]", found)
    return {_BROKEN: given, "error": f"The arguments are a JSON {type(found).__name__}, not an object."}


def only_one_call(response: ChatResponse, *, allow_parallel: bool) -> ChatResponse:
    """A response with its first call only, if more are not allowed; the response itself is not changed.

    Not every server keeps to `parallel_tool_calls`, and LlamaIndex's programs refuse a second call.
    """
    message = response.message
    calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if allow_parallel or len(calls) < 2:
        return response
    kept = [block for block in message.blocks if not isinstance(block, ToolCallBlock) or block is calls[0]]
    beside = dict(message.additional_kwargs)
    if "tool_calls" in beside:
        beside["tool_calls"] = beside["tool_calls"][:1]
    if SKELETON in beside:
        beside[SKELETON] = with_one_call(beside[SKELETON])
    told = message.model_copy(update={"blocks": kept, "additional_kwargs": beside})
    return response.model_copy(update={"message": told})
