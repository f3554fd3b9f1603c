"""Streamed tool-call arguments, passed on so that LangChain's lenient parser finds what a strict one finds.

LangChain's parser completes what a truncated stream left open, so that half of the arguments look like all of them
(langchain#39275).
"""

from __future__ import annotations

import re

from cfaig_integrations.core.content import ToolCall
from cfaig_integrations.core.replay import canonical
from cfaig_integrations.langchain.outbound import parsed_arguments

_HEX = "[0-9a-fA-F]"
_ESCAPE = re.compile(
    rf"\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}"
    rf"|(?P<half>\\u[dD](?:(?P<high>[89abAB])|[c-fC-F]){_HEX}{{2}})"
    rf"|\\u{_HEX}{{4}}|\\[^u]",
    re.DOTALL,
)
"""A JSON escape. The two halves of a surrogate pair count as one."""


class StreamedArguments:
    """The arguments of one call in pieces.

    An object is passed on as it arrives, with unpaired surrogates replaced. Anything else (encoded twice, in a code
    fence, `null`) is buffered, and passed on at the end as the object that it stands for.
    """

    __slots__ = ("_buffer", "_is_object")

    def __init__(self) -> None:
        self._buffer = ""
        self._is_object = False

    def feed(self, piece: str) -> str:
        """The text that can be shown after this piece."""
        if self._is_object and not self._buffer and "\\" not in piece:
            return piece
        text = self._buffer + piece
        self._is_object = self._is_object or text.lstrip().startswith("{")
        end = _complete_until(text) if self._is_object else 0
        self._buffer = text[end:]
        return _ESCAPE.sub(lambda escape: "\\ufffd" if escape["half"] else escape[0], text[:end])

    def close(self, call: ToolCall) -> str:
        """The rest of the text. Broken arguments get a bracket that does not match, so that no parser accepts them."""
        arguments, error = parsed_arguments(call)
        if error is None:
            return "" if self._is_object or not call.arguments else canonical(arguments)
        open_brackets, in_string, escaped = _parser_state(call.arguments)
        quote = ('\\"' if escaped else '"') if in_string else ""
        return self._buffer + quote + ("]" if not open_brackets or open_brackets[-1] == "{" else "}")


def _complete_until(text: str) -> int:
    """Where the escape, or pair of escapes, begins that the next piece may complete; else the end of the text."""
    end, half_pair = 0, None
    for escape in _ESCAPE.finditer(text):
        end = escape.end()
        half_pair = escape.start() if escape["high"] else None
    incomplete = text.find("\\", end)
    incomplete = len(text) if incomplete < 0 else incomplete
    return half_pair if half_pair is not None and end == incomplete else incomplete


def _parser_state(text: str) -> tuple[list[str], bool, bool]:
    """The brackets that are open at the end of a JSON text; whether it ends in a string, and after a backslash."""
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
