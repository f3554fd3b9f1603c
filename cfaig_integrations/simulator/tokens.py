"""How long a text is in tokens, and where to cut it.

Knows no model's vocabulary: a token is a run of at most six letters or digits, one CJK character, or one mark, each
with the blanks before it. That is close to four characters a token for English, and the same everywhere.
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
