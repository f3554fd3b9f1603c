"""Tells objects and lists among parsed JSON, for people and for type checkers.

Knows no field and no rule.
"""

from __future__ import annotations

from typing import Any, TypeGuard


def is_record(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a parsed value is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a parsed value is a list."""
    return isinstance(value, list)
