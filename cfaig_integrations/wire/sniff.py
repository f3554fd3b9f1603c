"""The type of a body by its first bytes, because the header Content-Type is not reliable (facts §14.2)."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Content: TypeAlias = Literal["json", "html", "events", "text"]

_BLANK = b"\xef\xbb\xbf \t\r\n"
_EVENT_LINE = re.compile(rb"(?:data|event|id|retry)\b|:")


def sniff(data: bytes) -> Content | None:
    """What `data` begins as: a JSON document, an HTML page, server-sent events, or other text.

    Returns:
        None if it is blank so far: some servers send blanks while a model works.
    """
    start = data[:64].lstrip(_BLANK) or data.lstrip(_BLANK)[:64]
    if not start:
        return None
    if start[:1] in b"{[":
        return "json"
    if start[:1] == b"<":
        return "html"
    return "events" if _EVENT_LINE.match(start) else "text"
