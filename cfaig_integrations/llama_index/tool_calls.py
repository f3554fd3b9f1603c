"""The tool calls of a response as LlamaIndex's selections, whole or still being streamed."""

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

_FREE_TEXT = "input"
"""Argument that holds the text of a Responses free-text tool's call."""
_INVALID = "invalid_arguments"
"""Argument that holds the text of arguments that are not a JSON object."""


def tool_selections(response: ChatResponse, *, error_on_no_tool_call: bool = True) -> list[ToolSelection]:
    """The calls in a response, with the arguments so far while it is streamed.

    Arguments that are not a JSON object at the end are never completed: a tool must not run on truncated ones. They are
    returned under names that no tool has, so that its error tells the model.

    Raises:
        ValueError: There is no call, or a broken one; only with `error_on_no_tool_call`.
    """
    message, finish = response.message, finish_reason(response)
    calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if not calls and error_on_no_tool_call:
        raise ValueError(
            f"Expected a tool call, but got none (finish_reason {finish!r}). The model said: {message.content or ''!r}"
        )
    selections: list[ToolSelection] = []
    for call in calls:
        arguments = _arguments(call, message, is_complete=bool(finish))
        if error_on_no_tool_call and _INVALID in arguments:
            raise ValueError(f"The call of {call.tool_name!r} is broken (finish_reason {finish!r}): {arguments}")
        id_ = call.tool_call_id or ""
        selections.append(ToolSelection(tool_id=id_, tool_name=call.tool_name, tool_kwargs=arguments))
    return selections


def finish_reason(response: ChatResponse) -> str:
    """Why a response ended; empty for one that is still being streamed."""
    return str(cast("Mapping[str, Any]", response.additional_kwargs).get("finish_reason") or "")  # pyright: ignore[reportUnknownMemberType]


def _arguments(call: ToolCallBlock, message: ChatMessage, *, is_complete: bool) -> dict[str, Any]:
    arguments = call.tool_kwargs
    if not isinstance(arguments, str):
        return deepcopy(arguments)  # a tool may change its arguments, and the message is the history
    if not is_complete:
        return partial_object(arguments) or {}
    if call.tool_call_id in free_text_calls(message.additional_kwargs.get(REPLAY_KEY)):
        return {_FREE_TEXT: arguments}
    try:
        return read_arguments(arguments)
    except ValueError as error:
        return {_INVALID: arguments, "error": f"The arguments are not a JSON object: {error}"}


def partial_object(text: str) -> dict[str, Any] | None:
    """The JSON object that `text` is the beginning of, as far as it goes; None if there is none yet."""
    try:
        value: object = from_json(text, allow_partial="trailing-strings")
    except (ValueError, TypeError):  # the latter for half a surrogate pair
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def first_call_only(response: ChatResponse) -> ChatResponse:
    """A copy of the response without the calls after the first; the response itself if it has at most one.

    Not every server respects `parallel_tool_calls`, and LlamaIndex's programs refuse a second call.
    """
    if len([block for block in response.message.blocks if isinstance(block, ToolCallBlock)]) < 2:
        return response
    turn = to_turn(response.message)
    first = turn.tool_calls[0]
    parts = tuple([part for part in turn.parts if part is first or not isinstance(part, ToolCall)])
    return response.model_copy(update={"message": to_message(replace(turn, parts=parts))})
