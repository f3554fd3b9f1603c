"""The tool calls of a response as LlamaIndex's selections, whole or still being written."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any, cast

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from pydantic_core import from_json

from cfaig_integrations.core.content import ToolCall
from cfaig_integrations.core.replay import free_text_calls
from cfaig_integrations.core.text import read_arguments
from cfaig_integrations.llama_index.inbound import to_turn
from cfaig_integrations.llama_index.outbound import REPLAY_KEY, to_message

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
    if whole and call.tool_call_id in free_text_calls(message.additional_kwargs.get(REPLAY_KEY)):
        return {FREE_TEXT: given}
    if not whole:
        return object_so_far(given) or {}
    try:
        return read_arguments(given)
    except ValueError as error:
        return {_BROKEN: given, "error": f"The arguments are not a JSON object: {error}"}


def object_so_far(text: str) -> dict[str, Any] | None:
    """The JSON object that is being written in `text`, as far as it goes; None if there is none yet."""
    try:
        found: object = from_json(text, allow_partial="trailing-strings")
    except (ValueError, TypeError):  # the latter of half a surrogate pair
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def only_one_call(response: ChatResponse, *, allow_parallel: bool) -> ChatResponse:
    """A response with its first call only, if more are not allowed; the response itself is not changed.

    Not every server keeps to `parallel_tool_calls`, and LlamaIndex's programs refuse a second call.
    """
    message = response.message
    calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if allow_parallel or len(calls) < 2:
        return response
    turn = to_turn(message)
    kept = tuple([part for part in turn.parts if not isinstance(part, ToolCall) or part is turn.tool_calls[0]])
    return response.model_copy(update={"message": to_message(replace(turn, parts=kept))})
