"""JSON that is still being written: the value so far, read again with every piece at the cost of the piece.

Knows JSON and nothing else. What is closed is parsed once and shared by all the values given; only what is still open
is copied. Values are for looking at: do not change them.
"""

from __future__ import annotations

import re
from collections import deque
from contextlib import suppress
from threading import Lock
from typing import Any, cast

from pydantic_core import from_json

__all__ = ["GrowingJson", "read_so_far"]

_OUTSIDE = re.compile(r'["{}\[\],]')
_INSIDE = re.compile(r'["\\]')
_NO_JSON = (ValueError, TypeError)
"""What the parser raises; the latter where a text holds half of a surrogate pair."""


class GrowingJson:
    """One value whose text grows. An open string or number is given as far as it goes."""

    __slots__ = ("_broken", "_in_string", "_keys", "_mark", "_open", "_scanned", "text")

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.text = ""
        self._open: list[Any] = [[]]
        """What is open, outermost first; the first is a list around the whole."""
        self._keys: list[str | int] = []
        """Where each but the first stands in the one before."""
        self._mark = 0
        """Begin of what is not parsed yet."""
        self._scanned = 0
        self._in_string = False
        self._broken = False

    def read(self, text: str) -> Any:
        """The value so far, or None if there is none or the text is no JSON.

        Args:
            text: The whole text so far. One that does not begin with that of the last call begins anew.
        """
        if not text.startswith(self.text):
            self._begin()
        self.text = text
        if not self._broken:
            try:
                self._scan()
            except _NO_JSON:
                self._broken = True
        return None if self._broken else self._so_far()

    def _scan(self) -> None:
        text, end = self.text, len(self.text)
        while self._scanned < end:
            found = (_INSIDE if self._in_string else _OUTSIDE).search(text, self._scanned)
            if found is None:
                self._scanned = end
                return
            place, mark = found.start(), found[0]
            if mark == "\\":
                self._scanned = place + 2  # past what it escapes, even if that is still to come
                continue
            self._scanned = place + 1
            if mark == '"':
                self._in_string = not self._in_string
            else:
                self._step(mark, text[self._mark : place])
                self._mark = place + 1

    def _step(self, mark: str, piece: str) -> None:
        """What a bracket or a comma does.

        Raises:
            ValueError: It is out of place, or the piece before it is no JSON.
        """
        top = self._open[-1]
        match mark:
            case "{" | "[":
                child: Any = {} if mark == "{" else []
                self._keys.append(_put(top, piece, child))
                self._open.append(child)
            case ",":
                _settle(top, piece)
            case _:
                if len(self._open) == 1 or isinstance(top, dict) != (mark == "}"):
                    raise ValueError(f"{mark!r} closes nothing")
                _settle(top, piece)
                self._open.pop()
                self._keys.pop()

    def _so_far(self) -> Any:
        value = _with_rest(self._open[-1], self.text[self._mark :])
        for parent, key in zip(reversed(self._open[:-1]), reversed(self._keys), strict=True):
            around = parent.copy()
            around[key] = value
            value = around
        return value[0] if value else None


def _put(top: Any, piece: str, child: Any) -> str | int:
    """Hangs a new container into the one around it."""
    if isinstance(top, dict):
        (key,) = cast("dict[str, Any]", from_json("{" + piece + "null}"))
        top[key] = child
        return key
    if piece.strip():
        raise ValueError(f"{piece!r} stands before a bracket")
    top.append(child)
    return len(top) - 1


def _settle(top: Any, piece: str) -> None:
    """Adds what stands before a comma or a closing bracket; nothing, after a container."""
    if not piece.strip():
        return
    if isinstance(top, dict):
        cast("dict[str, Any]", top).update(from_json("{" + piece + "}"))
    else:
        top.extend(from_json("[" + piece + "]"))


def _with_rest(top: Any, rest: str) -> Any:
    """A copy of the innermost container, with as much of the open end as makes sense."""
    made = top.copy()
    with suppress(*_NO_JSON):
        if isinstance(made, dict):
            made |= from_json("{" + rest, allow_partial="trailing-strings")
        else:
            made += from_json("[" + rest, allow_partial="trailing-strings")
    return cast("Any", made)


_LATE = 4096
_reading: deque[tuple[str, GrowingJson]] = deque(maxlen=64)
_lock = Lock()


def read_so_far(name: str, text: str) -> Any:
    """The value so far of a text that is seen again and again while it grows, or None.

    What was read of the last texts is remembered, so that a stream costs what its text is long. More streams at once
    than are remembered are read anew, but not in Python.

    Args:
        name: Which text it is; several may have the same.
        text: The whole text so far.
    """
    with _lock:
        known = [entry for entry in _reading if entry[0] == name and text.startswith(entry[1].text)]
        entry = max(known, key=lambda each: len(each[1].text), default=None)
        if entry is not None:
            _reading.remove(entry)
    if entry is None:
        if len(text) > _LATE:
            return _read_anew(text)
        entry = name, GrowingJson()
    value = entry[1].read(text)
    with _lock:
        _reading.append(entry)
    return value


def _read_anew(text: str) -> Any:
    try:
        return from_json(text, allow_partial="trailing-strings")
    except _NO_JSON:
        return None
