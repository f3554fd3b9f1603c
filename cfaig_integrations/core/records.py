"""The decorator of the immutable dataclasses that every call creates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[_T], /) -> type[_T]:
    """A dataclass that type checkers treat as frozen.

    At run time it is not: a frozen dataclass sets each field with a call of `object.__setattr__`, which takes 25 times
    as long as an assignment, and a request has 40 fields. Classes that users hold are frozen dataclasses.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
