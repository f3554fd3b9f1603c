"""Removes credentials from what is kept of a request: headers by name, and their values in the bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MASK = "***"

_ANYWHERE = "authorization|cookie|(?:api|auth|access|subscription)[-_]?key|secret|password"
_SECRET_NAME = re.compile(rf"{_ANYWHERE}|token$|credential|signature", re.IGNORECASE)
_SECRET_FIELD = re.compile(rf'("[^"\\]{{0,64}}(?:{_ANYWHERE})[^"\\]{{0,64}}"\s*:\s*)"(?:[^"\\]|\\.)*"', re.IGNORECASE)
_SHORTEST = 8


class HiddenText(str):
    """A credential that no repr of its holder shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


def is_secret(name: str) -> bool:
    """Whether a header carries a credential, judging by its name."""
    return _SECRET_NAME.search(name) is not None


def redact_query(query: Mapping[str, str]) -> dict[str, str]:
    """A query string with `***` for every credential, such as the `key` of Google's API."""
    return {name: MASK if name.lower() == "key" or is_secret(name) else value for name, value in query.items()}


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with `***` for every credential."""
    return {name: MASK if is_secret(name) else value for name, value in headers.items()}


def secrets_of(headers: Mapping[str, str]) -> list[str]:
    """The credentials that a request carries, without the word `Bearer`."""
    values = [value.rpartition(" ")[2] for name, value in headers.items() if is_secret(name)]
    return [value for value in values if len(value) >= _SHORTEST]


def redact_text(text: str, secrets: Iterable[str], *, fields: bool = False) -> str:
    """A body without these credentials.

    Args:
        text: The body.
        secrets: Replaced wherever they occur.
        fields: Replace the values of JSON fields that are named like credentials too, such as the headers in a step of
            the universal endpoint.
    """
    for secret in secrets:
        text = text.replace(secret, MASK)
    return _SECRET_FIELD.sub(rf'\1"{MASK}"', text) if fields else text
