"""Counts tokens and cuts texts.

A token is a run of at most six letters or digits, one CJK character, or one mark, each with the blanks before it: about
four characters of English, for every model.
"""

from __future__ import annotations

import re

_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_PIECE = re.compile(rf"\s*(?:[{_CJK}]|(?:(?![{_CJK}])\w){{1,6}}|[^\w\s])|\s+")


def pieces(text: str) -> list[str]:
    """The tokens of `text`; joined they are `text` again."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """The number of tokens in `text`; 0 for the empty string."""
    return len(pieces(text))


def cut(text: str, limit: int) -> str:
    """The first `limit` tokens of `text`."""
    return "".join(pieces(text)[: max(limit, 0)])
