"""Layers of metadata to the header `cf-aig-metadata`: at most five valid entries.

The gateway keeps the first five entries and drops the rest, and discards all of them if one value is null or nested,
without an error (facts §4). So a user's entries are validated, and automatic ones are trimmed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date
from enum import Enum
from types import MappingProxyType
from typing import TypeAlias
from uuid import UUID

from cfaig_integrations.core.text import repair_surrogates
from cfaig_integrations.errors import ConfigError, shown

MOST_ENTRIES = 5
MAX_LENGTH = 200
RESERVED_PREFIX = "cf."

Scalar: TypeAlias = str | int | float | bool

_NOTHING: Mapping[str, object] = MappingProxyType({})
# Beyond this an integer is not exact in JavaScript, in which the gateway reads it; its own types turn a bigint into
# a string (facts §4).
_MAX_EXACT = 2**53 - 1
_MAX_BITS = 600
"""Bits of an integer that is short enough as a string."""
_dump = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def encode_metadata(
    *layers: Mapping[str, object] | None, automatic: Mapping[str, object] = _NOTHING, most: int = MOST_ENTRIES
) -> str | None:
    """The value of the header; None if there are no entries.

    Args:
        layers: A user's entries, the highest layer first: it overrides the others, and its entries come first.
        automatic: Further entries for the places that are left, in order; one that is not valid is skipped.
        most: Most entries.

    Returns:
        A JSON object in ASCII. Strings are cut at 200 characters; UUIDs, enum members and dates become strings, and so
        do integers that JSON readers round.

    Raises:
        ConfigError: The layers together have more than `most` entries, or one of them is not valid.
    """
    entries: dict[str, Scalar] = {}
    for layer in layers:
        if layer:
            _add(entries, layer)
    if len(entries) > most:
        raise ConfigError(
            f"Metadata has {len(entries)} entries: {', '.join(entries)}.",
            field="gateway_metadata",
            value=dict(entries),
            remedy=f"AI Gateway keeps {most} here and drops the rest: leave some out.",
        )
    _fill(entries, automatic, most)
    return _dump(entries) if entries else None


def can_be_kept(key: object, value: object) -> bool:
    """Whether an entry is valid: its key is, and its value is a scalar or becomes one."""
    return not _key_error(key) and _scalar(value) is not None


def _add(entries: dict[str, Scalar], layer: Mapping[str, object]) -> None:
    for key, value in layer.items():
        if key in entries:
            continue
        if error := _key_error(key):
            raise ConfigError(
                f"Metadata key {shown(key)} {error}.",
                field="gateway_metadata",
                value=key,
                remedy=f"Use a non-empty string that does not start with {RESERVED_PREFIX!r}.",
            )
        scalar = _scalar(value)
        if scalar is None:
            raise ConfigError(
                f"Metadata {key}={shown(value)} is a {type(value).__name__}.",
                field=f"gateway_metadata.{key}",
                value=value,
                remedy="Use a string, a boolean, a finite number, a UUID, an enum member or a date, or leave it out.",
            )
        entries[repair_surrogates(key)] = scalar


def _fill(entries: dict[str, Scalar], automatic: Mapping[str, object], most: int) -> None:
    for key, value in automatic.items():
        if len(entries) >= most:
            return
        if key not in entries and not _key_error(key) and (scalar := _scalar(value)) is not None:
            entries[repair_surrogates(key)] = scalar


def _key_error(key: object) -> str:
    """The error of a key; empty if it is valid."""
    if not isinstance(key, str):
        return f"is a {type(key).__name__}"
    if not key.strip():
        return "is empty"
    return "is reserved, and dropped by the gateway" if key.startswith(RESERVED_PREFIX) else ""


def _scalar(value: object) -> Scalar | None:
    """The value that is sent; None if the gateway would not keep it."""
    match value:
        case Enum():
            return _scalar(value.value)
        case bool():
            return value
        case str():
            return repair_surrogates(value[:MAX_LENGTH])
        case int():
            return value if abs(value) <= _MAX_EXACT else str(value) if value.bit_length() < _MAX_BITS else None
        case float():
            return value if math.isfinite(value) else None
        case UUID():
            return str(value)
        case date():  # a datetime is one
            return value.isoformat()
        case _:
            return None
