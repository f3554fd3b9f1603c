"""Tool-call arguments as LangChain wants them: parsed strictly, and called invalid where they are not whole.

LangChain's own parser is lenient: it completes what a cut answer left open, so that half an argument looks like a whole
one (langchain#39275).
"""

from __future__ import annotations

import re
from typing import Any

from langchain_core.messages import InvalidToolCall
from langchain_core.messages import ToolCall as LangChainToolCall

from cfaig_integrations.core.content import ToolCall, Turn
from cfaig_integrations.core.replay import canonical
from cfaig_integrations.core.text import read_arguments

CUSTOM_INPUT = "__arg1"
"""The one argument under which LangChain shows the input of a free-text tool."""


def parsed(call: ToolCall) -> tuple[dict[str, Any], str | None]:
    """A call's arguments, or why they are none."""
    if call.kind == "custom":
        return {CUSTOM_INPUT: call.arguments}, None
    try:
        return read_arguments(call.arguments), None
    except ValueError as error:
        return {}, f"The arguments are not one JSON object: {error}."


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


class StreamedArguments:
    """A call's arguments in pieces that LangChain's lenient parser reads as `read_arguments` reads the whole.

    What begins as an object is passed on as it comes, half surrogate pairs replaced. Anything else (encoded twice, in
    a fence, `null`) is held back, and comes at the end as the object that it means.
    """

    __slots__ = ("_held", "_passes")

    def __init__(self) -> None:
        self._held = ""
        self._passes = False

    def feed(self, piece: str) -> str:
        """What may be shown after this piece."""
        if self._passes and not self._held and "\\" not in piece:
            return piece
        text = self._held + piece
        self._passes = self._passes or text.lstrip().startswith("{")
        end = _settled(text) if self._passes else 0
        self._held = text[end:]
        return _ESCAPE.sub(_without_half, text[:end])

    def close(self, call: ToolCall) -> str:
        """The rest, once the call is whole.

        To broken arguments it adds what closes an open string and then the innermost bracket with the wrong one, after
        which no parser makes sense of the text.

        Args:
            call: The call.
        """
        args, error = parsed(call)
        if error is None:
            return "" if self._passes or not call.arguments else canonical(args)
        open_brackets, in_string, escaped = _state(call.arguments)
        closing = ('"' if not escaped else '\\"') if in_string else ""
        return self._held + closing + ("]" if not open_brackets or open_brackets[-1] == "{" else "}")


_HEX = "[0-9a-fA-F]"
_ESCAPE = re.compile(
    rf"\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}"
    rf"|(?P<half>\\u[dD](?:(?P<high>[89abAB])|[c-fC-F]){_HEX}{{2}})"
    rf"|\\u{_HEX}{{4}}|\\[^u]",
    re.DOTALL,
)
"""An escape of JSON; two that make one character together are one."""


def _settled(text: str) -> int:
    """Up to where the next piece changes nothing: it may complete an escape, or a pair of them."""
    end, waits = 0, None
    for found in _ESCAPE.finditer(text):
        end = found.end()
        waits = found.start() if found["high"] else None
    open_escape = text.find("\\", end)
    if waits is not None and end == (len(text) if open_escape < 0 else open_escape):
        return waits
    return len(text) if open_escape < 0 else open_escape


def _without_half(escape: re.Match[str]) -> str:
    return "\\ufffd" if escape["half"] else escape[0]


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
