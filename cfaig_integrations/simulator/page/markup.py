"""Builds HTML from nested calls; every text and every attribute value is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TypeAlias

Child: TypeAlias = "str | int | Iterable[Child] | None"
Attribute: TypeAlias = "str | int | float | bool | None"

_VISIBLE = {
    code: f"\\u{code:04x}" for code in (*range(9), 11, *range(14, 32), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
"""Control characters, which would vanish or reorder the text around them, as escapes."""
_VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "rect"})


class Markup(str):
    """HTML that needs no escaping, because `tag` made it."""

    __slots__ = ()


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """An element.

    Args:
        name: Its name.
        *children: Text, which is escaped; other elements; None for nothing; lists of these.
        **attributes: A trailing underscore is dropped (`class_`), the others stand for dashes (`aria_label`). None and
            False leave an attribute out, True gives it no value.
    """
    opening = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{opening}>" if name != "rect" else f"<{opening}/>")
    return Markup(f"<{opening}>{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """Several children, one after the other."""
    return Markup("".join(_render(child) for child in children))


def _render(child: Child) -> str:
    match child:
        case None:
            return ""
        case Markup():
            return child
        case str():
            return html.escape(child.translate(_VISIBLE))
        case int():
            return str(child)
        case _:
            return join(child)


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'
