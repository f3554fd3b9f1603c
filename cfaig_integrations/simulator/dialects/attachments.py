"""Checks of attachments: data URLs, base64 and web addresses; nothing is fetched or decoded as an image."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection

from cfaig_integrations.simulator.dialects.validation import JsonPath, Validator

_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=-]+)*;base64,(.+)", re.DOTALL)
_WEB = re.compile(r"https?://[^\s/]+\S*")


def encoded(validator: Validator, value: str, path: JsonPath) -> None:
    """Non-empty base64."""
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded:
        validator.fail(f"Invalid '{validator.format_path(path)}': expected a base64-encoded value.", path)


def url(validator: Validator, value: str, path: JsonPath, kinds: Collection[str] = ()) -> None:
    """A data URL with base64 in it, of one of the kinds (`image`, `application/pdf`), or an http(s) address."""
    m = _DATA.fullmatch(value)
    if m is None and _WEB.fullmatch(value):
        return
    if m is None:
        validator.fail(
            f"Invalid '{validator.format_path(path)}': expected a base64-encoded data URL or a valid URL.", path
        )
    mime = m[1] or "text/plain"
    if kinds and not mime.startswith(tuple(kinds)):
        validator.fail(
            f"Invalid MIME type '{mime}' in '{validator.format_path(path)}'. Expected {' or '.join(kinds)}.", path
        )
    encoded(validator, m[2], path)
