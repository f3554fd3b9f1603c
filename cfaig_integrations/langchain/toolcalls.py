"""Tool-call arguments as LangChain wants them: parsed strictly, and called invalid where they are not whole.

Knows no message and no wire. LangChain's own parser is lenient: it completes what a cut answer left open, so that half
an argument looks like a whole one (langchain#39275).
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import InvalidToolCall
from langchain_core.messages import ToolCall as LangChainToolCall
from pydantic_core import from_json

from cfaig_integrations.core.content import ToolCall, Turn
from cfaig_integrations.langchain.inbound import CUSTOM_INPUT


def parsed(call: ToolCall) -> tuple[dict[str, Any], str | None]:
    """A call's arguments, or why they are none."""
    if call.kind == "custom":
        return {CUSTOM_INPUT: call.arguments}, None
    if not call.arguments.strip():
        return {}, None
    try:
        found = from_json(call.arguments)
    except (ValueError, TypeError) as error:  # the latter of half a surrogate pair
        return {}, f"The arguments are not JSON: {error}."
    if not isinstance(found, dict):
        return {}, f"The arguments are a JSON {type(found).__name__}, not an object."
    return found, None  # pyright: ignore[reportUnknownVariableType]  # keys of JSON objects are strings


def sorted_calls(turn: Turn) -> tuple[list[LangChainToolCall], list[InvalidToolCall]]:
    """The valid and the invalid calls of a turn."""
    good: list[LangChainToolCall] = []
    bad: list[InvalidToolCall] = []
    for call in turn.tool_calls:
        args, error = parsed(call)
        if error is None:
            good.append({"name": call.name, "args": args, "id": call.id, "type": "tool_call"})
        else:
            bad.append(
                {"name": call.name, "args": call.arguments, "id": call.id, "error": error, "type": "invalid_tool_call"}
            )
    return good, bad


def tail(call: ToolCall) -> str:
    """What to append to a streamed call's arguments so that LangChain's lenient parser sees them for what they are.

    Nothing to whole arguments, and an empty object to white space. To broken ones, what closes an open string and then
    the innermost bracket with the wrong one, after which no parser makes sense of the text.
    """
    _, error = parsed(call)
    if error is None:
        return "{}" if call.arguments.isspace() else ""
    open_brackets, in_string, escaped = _state(call.arguments)
    closing = ('"' if not escaped else '\\"') if in_string else ""
    return closing + ("]" if not open_brackets or open_brackets[-1] == "{" else "}")


def _state(text: str) -> tuple[list[str], bool, bool]:
    open_brackets: list[str] = []
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "{[":
            open_brackets.append(character)
        elif character in "}]" and open_brackets:
            open_brackets.pop()
    return open_brackets, in_string, escaped
