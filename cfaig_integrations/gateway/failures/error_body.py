"""The message and the codes of an error body in any of the shapes of facts §5.5, all of which any endpoint may send."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any

from cfaig_integrations.core.text import read_int, repair_surrogates
from cfaig_integrations.gateway.failures.redaction import redacted
from cfaig_integrations.wire.jsonio import excerpt

_MAX_MESSAGE = 4000
_MAX_CODE = 100
_MAX_TEXT = 64 * 1024
"""Characters kept of a body that is not JSON."""
_MAX_DEPTH = 4
"""Levels of nested errors that are searched."""
_MAX_DIGITS = 12
"""Digits of a code; Python refuses to read or print a number of 4,300."""

_REQUEST_ID = re.compile(r"\(([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8})\)$")
_PREFIXES = re.compile(r"^(?:AiError:\s*|Ai:\s+)+")
_NUMBERED = re.compile(r"^(\d{4,5}):\s+")


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """The contents of an error body.

    Attributes:
        message: Message; empty if there is none.
        code: Code, as a number if it is one.
        provider_codes: Strings in `code`, `type` and `status`, in lower case.
        status: HTTP status in the body.
        retryable: Field `retryable` of the body.
        request_id: Request id in the body.
        body: The decoded body, or its text.
    """

    message: str = ""
    code: int | str | None = None
    provider_codes: tuple[str, ...] = ()
    status: int | None = None
    retryable: bool | None = None
    request_id: str | None = None
    body: object = None


def of_bytes(data: bytes) -> ErrorDetails:
    """The details of a response body, JSON or not."""
    text = data.decode("utf-8", "replace").strip().lstrip("\ufeff")
    try:
        body = json.loads(text, strict=False, parse_int=read_int)
    except (ValueError, RecursionError):
        text = redacted(text[:_MAX_TEXT])
        return ErrorDetails(excerpt(text), body=text)
    return of_body(body)


def of_body(body: object) -> ErrorDetails:
    """The details of a decoded body or event."""
    return _read(redacted(body))


def title_of(page: bytes) -> str:
    """The title of an HTML page."""
    page = page[:_MAX_TEXT]
    lower = page.lower()
    start = lower.find(b">", lower.find(b"<title")) + 1 if b"<title" in lower else 0
    end = lower.find(b"</title", start) if start else -1
    text = unescape(page[start:end].decode("utf-8", "replace")) if end > 0 else ""
    return str(redacted(repair_surrogates(" ".join(text.split())[:200])))


def _read(body: Any) -> ErrorDetails:
    whole = _object(_first(body))  # Google's errors are lists
    if whole is None:
        return ErrorDetails(excerpt(body if isinstance(body, str) else json.dumps(body)), body=body)
    entry, text = _entry(whole)
    text = repair_surrogates(text or _text(entry, "code", "type") or _text(whole, *_MESSAGES))
    message, inner = _unwrapped(text)
    parts = (entry, inner, whole)
    code = _code(parts, "code", "internalCode")
    numbered = _NUMBERED.match(message)
    if code is None and numbered:
        code, message = int(numbered[1]), message[numbered.end() :]
    if code is None:
        code = _code(parts, "type")
    request = _REQUEST_ID.search(text[-60:].rstrip())
    return ErrorDetails(
        message if len(message) <= _MAX_MESSAGE else message[:_MAX_MESSAGE] + " ...",
        code,
        tuple(dict.fromkeys(code for part in parts for code in _provider_codes(part))),
        next((s for s in map(_status, parts) if s is not None), None),
        next((part["retryable"] for part in (entry, whole) if isinstance(part.get("retryable"), bool)), None),
        _text(whole, "requestId", "request_id") or (request[1] if request else None),
        whole,
    )


def _first(value: Any) -> Any:
    """The first item of a list that is not empty."""
    if not isinstance(value, list):
        return value
    return next((each for each in value if each and isinstance(each, dict | str)), value)  # pyright: ignore


def _object(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) and value else None  # pyright: ignore[reportUnknownVariableType]


_MESSAGES = ("message", "description", "detail", "error", "msg")


def _entry(body: Mapping[str, Any], depth: int = 0) -> tuple[Mapping[str, Any], str]:
    """The object that holds the error, and its message; in the order of facts §5.5."""
    for candidate in _candidates(body):
        first = _first(candidate)
        if isinstance(first, str) and first.strip():
            return {}, first
        entry = _object(first)
        if entry is not None:
            message = _text(entry, *_MESSAGES)
            if message or depth >= _MAX_DEPTH:
                return entry, message
            inner, deeper = _entry(entry, depth + 1)
            return {**entry, **inner}, deeper
    return {}, ""


def _candidates(body: Mapping[str, Any]) -> Iterator[Any]:
    """Fields that may hold an error; nested ones are those of a failed response and of an envelope (facts §14.5)."""
    yield from (body.get("error"), body.get("errors"))
    yield from (inner.get("error") for name in ("response", "result") if (inner := _object(body.get(name))))
    yield from (value for name in ("message", "detail") if not isinstance(value := body.get(name), str))
    if "state" in body:
        yield body.get("result")


def _text(body: Mapping[str, Any], *names: str) -> str:
    return next((value for name in names if isinstance(value := body.get(name), str) and value.strip()), "")


def _unwrapped(message: str) -> tuple[str, Mapping[str, Any]]:
    """The message without prefixes, request id and JSON around it, and the JSON object, if there is one."""
    text = _PREFIXES.sub("", message).strip()
    text = text[:-60] + _REQUEST_ID.sub("", text[-60:]).rstrip()
    if not text.startswith(("{", "[")):
        return text, {}
    try:
        whole = _object(_first(redacted(json.loads(text, strict=False, parse_int=read_int)))) or {}
    except (ValueError, RecursionError):
        return text, {}
    entry, inner = _entry(whole)
    return repair_surrogates(inner or _text(whole, *_MESSAGES)) or text, entry or whole


def _code(parts: Iterable[Mapping[str, Any]], *names: str) -> int | str | None:
    for value in (part.get(name) for part in parts for name in names):
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**_MAX_DIGITS:
            return value
        if isinstance(value, str) and value and value != "error":
            code = repair_surrogates(value[:_MAX_CODE])
            return int(code) if code.isascii() and code.isdigit() and len(code) <= _MAX_DIGITS else code
    return None


def _provider_codes(part: Mapping[str, Any]) -> list[str]:
    values = (part.get(name) for name in ("code", "type", "status"))
    return [value.lower() for value in values if isinstance(value, str) and 0 < len(value) <= _MAX_CODE]


def _status(part: Mapping[str, Any]) -> int | None:
    values = (part.get(name) for name in ("httpCode", "status_code", "status", "code"))
    return next((value for value in values if isinstance(value, int) and 400 <= value < 600), None)
