"""Counts tokens and cuts texts.

A token is a run of at most six letters or digits, one CJK character, or one mark, each with the blanks before it: about
four characters of English, for every model.
"""

from __future__ import annotations

import re

EXACT_LENGTH = 1_000_000
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_PIECE = re.compile(rf"\s*(?:[{_CJK}]|(?:(?![{_CJK}])\w){{1,6}}|[^\w\s])|\s+")


def pieces(text: str) -> list[str]:
    """The tokens of `text`; joined they are `text` again."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """The number of tokens in `text`; 0 for the empty string. Beyond a million characters it is estimated."""
    if len(text) > EXACT_LENGTH:
        return len(pieces(text[:EXACT_LENGTH])) * len(text) // EXACT_LENGTH
    return len(pieces(text))


def cut(text: str, limit: int) -> str:
    """The first `limit` tokens of `text`."""
    return "".join(pieces(text)[: max(limit, 0)])
