"""Which entries of a `cf-aig-metadata` header reach the log (facts §4)."""

from __future__ import annotations

import math

from cfaig_integrations.simulator.gateway.log_store import Scalar
from cfaig_integrations.simulator.json_types import is_record, parse_json

MAX_ENTRIES = 5
RESERVED_PREFIX = "cf."


def logged_metadata(header: str | None) -> dict[str, Scalar] | None:
    """The first five entries of a header; never an error, because illegal metadata is dropped silently.

    Returns:
        None when the header is absent, is not a JSON object, or when any value (even one past the fifth) is null, an
        object or an array: then the valid entries are lost as well.
    """
    try:
        entries = parse_json(header or "")
    except ValueError:
        return None
    if not is_record(entries) or not all(map(_is_legal, entries.values())):
        return None
    custom = [(key, value) for key, value in entries.items() if not key.startswith(RESERVED_PREFIX)]
    return dict(custom[:MAX_ENTRIES])


def _is_legal(value: object) -> bool:
    return isinstance(value, Scalar) and not (isinstance(value, float) and not math.isfinite(value))
