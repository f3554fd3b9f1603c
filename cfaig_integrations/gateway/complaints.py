"""What an error answer says, whichever of its eight shapes it has: message, code, words.

The shapes are those of wire-facts §5.5, and any of them may come from any endpoint. Knows not what a code means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cfaig_integrations.wire.jsonio import excerpt

__all__ = ["Complaint", "of_body", "of_bytes", "without_credentials"]

_REQUEST_ID = re.compile(r"\s*\(([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8})\)\s*$")
_PREFIXES = re.compile(r"^(?:AiError:\s*|Ai:\s+)+")
_NUMBERED = re.compile(r"^(\d{4,5}):\s+")
_TITLE = re.compile(r"<title>\s*(.*?)\s*</title>", re.IGNORECASE | re.DOTALL)
_CREDENTIAL = re.compile(
    r"""(\bBearer\s+|\bapi[ _]key(?:\ provided)?:\s*)[^\s"'\\,<>]+|\bsk-[\w-]{8,}""", re.IGNORECASE | re.VERBOSE
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an answer complains about.

    Attributes:
        message: For people; empty if it says nothing.
        code: A number where it can be read as one, else the provider's word.
        words: Its `code`, `type` and `status` words, in lower case.
        status: HTTP status that the body itself names.
        retryable: Whether the body itself says so.
        request_id: Request id that the body names.
        body: The decoded body, or its text.
    """

    message: str = ""
    code: int | str | None = None
    words: tuple[str, ...] = ()
    status: int | None = None
    retryable: bool | None = None
    request_id: str | None = None
    body: object = None


def without_credentials(text: str) -> str:
    """The text without bearer tokens and API keys."""
    return _CREDENTIAL.sub(lambda found: f"{found[1] or ''}***", text)


def of_bytes(data: bytes) -> Complaint:
    """The complaint of a response body; JSON or not."""
    text = without_credentials(data.decode("utf-8", "replace")).strip()
    try:
        body = json.loads(text)
    except ValueError:
        title = _TITLE.search(text)
        return Complaint(title[1] if title else excerpt(text), body=text)
    return _read(body)


def of_body(body: Mapping[str, Any]) -> Complaint:
    """The complaint of a decoded body or event."""
    return _read(json.loads(without_credentials(json.dumps(body, default=dict))))


def _read(body: Any) -> Complaint:
    whole = _object(_first(body))  # Google's streams are lists
    if whole is None:
        return Complaint(excerpt(str(body)), body=body)
    entry, said = _entry(whole)
    message, inner = _plain(said or _text(whole, "message", "description", "detail"))
    code = next((c for c in map(_code, (entry, inner, whole)) if c is not None), None)
    numbered = _NUMBERED.match(message)
    if code is None and numbered:
        code, message = int(numbered[1]), message[numbered.end() :]
    request = _REQUEST_ID.search(said)
    return Complaint(
        message,
        code,
        tuple(dict.fromkeys(word for part in (entry, inner, whole) for word in _words(part))),
        next((s for s in map(_status, (entry, inner, whole)) if s is not None), None),
        next((part["retryable"] for part in (entry, whole) if isinstance(part.get("retryable"), bool)), None),
        _text(whole, "requestId", "request_id") or (request[1] if request else None),
        whole,
    )


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value  # pyright: ignore[reportUnknownVariableType]


def _object(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) and value else None  # pyright: ignore[reportUnknownVariableType]


def _entry(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The object that tells of the error, and its message; in the order of wire-facts §5.5."""
    nested = _object(body.get("response")) or {}  # response.failed
    for found in (body.get("error"), body.get("errors"), nested.get("error")):
        first = _first(found)
        if isinstance(first, str) and first:
            return {}, first
        entry = _object(first)
        if entry is not None:
            return entry, _text(entry, "message", "description", "error", "code", "type")
    return {}, ""


def _text(body: Mapping[str, Any], *names: str) -> str:
    return next((value for name in names if isinstance(value := body.get(name), str) and value), "")


def _plain(message: str) -> tuple[str, Mapping[str, Any]]:
    """The message without its wrapping, and the JSON object that it was, if it was one."""
    text = _REQUEST_ID.sub("", _PREFIXES.sub("", message)).strip()
    if not text.startswith("{"):
        return text, {}
    try:
        whole = _object(json.loads(text)) or {}
    except ValueError:
        return text, {}
    entry, said = _entry(whole)
    return said or _text(whole, "message") or text, entry or whole


def _code(part: Mapping[str, Any]) -> int | str | None:
    for name in ("code", "internalCode", "type"):
        value = part.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and value and value != "error":
            return int(value) if value.isascii() and value.isdigit() else value
    return None


def _words(part: Mapping[str, Any]) -> list[str]:
    found = (part.get(name) for name in ("code", "type", "status"))
    return [value.lower() for value in found if isinstance(value, str) and value]


def _status(part: Mapping[str, Any]) -> int | None:
    found = (part.get(name) for name in ("httpCode", "status_code", "status", "code"))
    return next((value for value in found if isinstance(value, int) and 400 <= value < 600), None)
