"""Layers of metadata to the one header `cf-aig-metadata`: at most five legal entries.

The gateway keeps the first five entries and drops the rest, and loses all of them on one null or nested value, without
telling (facts §4). So what a user says is checked here and raises; what was added automatically is trimmed.
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

__all__ = ["HEADER", "MOST_ENTRIES", "Scalar", "can_be_kept", "encode_metadata"]

HEADER = "cf-aig-metadata"
MOST_ENTRIES = 5
LONGEST_TEXT = 200
RESERVED = "cf."

Scalar: TypeAlias = str | int | float | bool

_NOTHING: Mapping[str, object] = MappingProxyType({})
# Beyond this an integer is not exact in JavaScript, in which the gateway reads it; its own types turn a bigint into
# a string (facts §4).
_EXACT = 2**53 - 1
_PRINTED = 600
"""Bits of an integer whose digits fit."""
_dump = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def encode_metadata(
    *layers: Mapping[str, object] | None, automatic: Mapping[str, object] = _NOTHING, most: int = MOST_ENTRIES
) -> str | None:
    """The header's value; None if there is nothing to say.

    Args:
        layers: What users said, the highest layer first: it wins a key, and the first places.
        automatic: What nobody asked for: takes the places that are left, in order; an illegal entry is skipped.

        most: How many entries there is a place for.

    Returns:
        A JSON object in ASCII, of at most `most` entries. Strings are cut at 200 characters; UUIDs, enum members and
        dates become strings, and so do integers that JSON readers round.

    Raises:
        ConfigError: The layers together have more entries, or one of them is illegal.
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
    """Whether an entry would come through: a legal key, and a value that is a scalar or becomes one."""
    return not _key_fault(key) and _scalar(value) is not None


def _add(entries: dict[str, Scalar], layer: Mapping[str, object]) -> None:
    for key, value in layer.items():
        if key in entries:
            continue
        fault = _key_fault(key)
        if fault:
            raise ConfigError(
                f"Metadata key {shown(key)} {fault}.",
                field="gateway_metadata",
                value=key,
                remedy=f"Use a string that is not empty and does not start with {RESERVED!r}.",
            )
        scalar = _scalar(value)
        if scalar is None:
            raise ConfigError(
                f"Metadata {key}={shown(value)} is a {type(value).__name__}.",
                field=f"gateway_metadata.{key}",
                value=value,
                remedy="Use a string, a boolean, a finite number, a UUID, an enum member or a date, or leave it out: "
                "one null or nested value loses all metadata.",
            )
        entries[repair_surrogates(key)] = scalar


def _fill(entries: dict[str, Scalar], automatic: Mapping[str, object], most: int) -> None:
    for key, value in automatic.items():
        if len(entries) >= most:
            return
        if key not in entries and not _key_fault(key):
            scalar = _scalar(value)
            if scalar is not None:
                entries[repair_surrogates(key)] = scalar


def _key_fault(key: object) -> str:
    """What is wrong with a key; empty if nothing is."""
    if not isinstance(key, str):
        return f"is a {type(key).__name__}"
    if not key.strip():
        return "is empty"
    return "is reserved: the gateway strips it" if key.startswith(RESERVED) else ""


def _scalar(value: object) -> Scalar | None:
    """The value as the gateway keeps it; None if it would not."""
    match value:
        case Enum():
            return _scalar(value.value)
        case bool():
            return value
        case str():
            return repair_surrogates(value[:LONGEST_TEXT])
        case int():
            return value if abs(value) <= _EXACT else str(value) if value.bit_length() < _PRINTED else None
        case float():
            return value if math.isfinite(value) else None
        case UUID():
            return str(value)
        case date():  # a datetime is one
            return value.isoformat()
        case _:
            return None
