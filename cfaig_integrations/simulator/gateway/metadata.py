"""What the gateway keeps of a `cf-aig-metadata` header (wire-facts §4).

Knows no header but that one and never refuses: illegal metadata is lost without a word, as it is at Cloudflare.
"""

from __future__ import annotations

import json
from typing import Any, cast

MOST_ENTRIES = 5
RESERVED_PREFIX = "cf."

Scalar = str | int | float | bool


def kept(header: str | None) -> dict[str, Scalar] | None:
    """The entries that reach the log.

    Args:
        header: The header's value, or None when it was not sent.

    Returns:
        The first five entries of a legal object. None when the text is no JSON object, or when any one value
        (even one past the fifth) is null, an object or an array: then the valid entries are lost as well.
    """
    if header is None:
        return None
    try:
        found: Any = json.loads(header)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    entries = cast("dict[str, Any]", found)
    if not all(isinstance(value, Scalar) for value in entries.values()):
        return None
    custom = [(key, value) for key, value in entries.items() if not key.startswith(RESERVED_PREFIX)]
    return dict(custom[:MOST_ENTRIES])
