"""How one gateway option is checked, and written as a header."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from cfaig_integrations.errors import ConfigError, shown

__all__ = ["COST", "FLAG", "LINE", "NAMES", "SLUG", "Host", "Kind", "Row", "choice", "digits", "number"]

Host: TypeAlias = Literal["rest", "legacy"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What values an option takes.

    Attributes:
        takes: The same in words.
        read: The value as it is kept; None if it is not taken.
        write: The value as the header carries it.
    """

    takes: str
    read: Callable[[Any], Any]
    write: Callable[[Any], str] = str

    def checked(self, name: str, value: Any) -> Any:
        """The value as it is kept.

        Raises:
            ValueError: It is not taken; names the field, the value and what is.
        """
        kept = self.read(value)
        if kept is None:
            raise ValueError(f"{name} is {self.takes}, not {shown(value)}")
        return kept


def _matching(pattern: str) -> Callable[[Any], str | None]:
    compiled = re.compile(pattern)
    return lambda value: value if isinstance(value, str) and compiled.fullmatch(value) else None


def _names(value: Any) -> tuple[str, ...] | None:
    given: Iterable[Any] = [one.strip() for one in value.split(",")] if isinstance(value, str) else value
    read = _matching(r"[!-+\--~]+")
    try:
        names = tuple(map(read, given))
    except TypeError:  # not iterable
        return None
    return tuple(name for name in names if name) if names and all(names) else None


FLAG = Kind(
    "True or False",
    lambda value: value if value is True or value is False else None,
    lambda value: "true" if value else "false",
)
"""Nothing that merely looks like a boolean is one."""
LINE = Kind("one line of ASCII without spaces around it (hash anything else)", _matching("[!-~](?:[ -~]*[!-~])?"))
SLUG = Kind("1 to 64 of the characters A-Z, a-z, 0-9, _ and -", _matching("[A-Za-z0-9_-]{1,64}"))
NAMES = Kind("a list of one or more names of visible ASCII, without commas", _names, ",".join)
COST = Kind("a CustomCost", lambda value: value)
"""A model that checks and writes itself."""


def digits(count: int) -> Kind:
    """So many hex digits, kept in lower case."""
    read = _matching(f"[0-9a-f]{{{count}}}")
    return Kind(f"{count} hex digits", lambda value: read(value.lower()) if isinstance(value, str) else None)


def choice(*words: str) -> Kind:
    """One of a few words."""
    return Kind(f"one of {', '.join(words)}", lambda value: value if value in words else None)


_MOST = 2**53 - 1
"""Beyond this an integer is not exact in JavaScript, in which the gateway reads it."""
_UNITS = {"s": ("seconds", timedelta(seconds=1)), "ms": ("milliseconds", timedelta(milliseconds=1))}


def number(unit: Literal["s", "ms", ""], least: int, most: int | None) -> Kind:
    """A whole number; one with a unit is a duration, and may come as a `timedelta`."""
    name, one = _UNITS.get(unit, ("", None))
    takes = f"a whole number{f' of {name} (or a timedelta)' if name else ''} "

    def read(value: Any) -> int | None:
        if isinstance(value, timedelta) and one is not None:
            count, rest = divmod(value, one)
            value = None if rest else count
        return value if type(value) is int and least <= value <= (most or _MOST) else None

    return Kind(takes + (f"of at least {least}" if most is None else f"from {least} to {most}"), read)


@dataclass(frozen=True, slots=True)
class Row:
    """One option.

    Attributes:
        field: Its name in `GatewayOptions`.
        header: The header that carries it.
        kind: What it takes.
        source: Where this is known from: sections of facts.
        only: The one host on which it exists, if it does not exist on both.
    """

    field: str
    header: str
    kind: Kind
    source: str
    only: Host | None = None

    def sent(self, value: Any, host: Host) -> str:
        """The header's value.

        Raises:
            ConfigError: The option does not exist on that host.
        """
        if self.only in (None, host):
            return self.kind.write(value)
        if host == "rest":
            where, remedy = "the REST API", "Leave it out, or use the legacy host: base_url='.../v1/.../compat'."
        else:
            where, remedy = "the legacy host", "There the gateway stands in the address: use another base_url."
        raise ConfigError(
            f"{self.field}={shown(value)} has no effect on {where}.", field=self.field, value=value, remedy=remedy
        )
