"""An error response to an exception: its class, whether it is retryable, and a hint."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cfaig_integrations.errors import ApiError, GatewayError, ProtocolError, ServerFault
from cfaig_integrations.gateway.failures import error_body
from cfaig_integrations.gateway.failures.codes import (
    CODES,
    MESSAGE_PATTERNS,
    PAYMENT_HINT,
    PROVIDER_CODES,
    UNCERTAIN,
    Code,
    MessagePattern,
    ProviderCode,
    kind_of_status,
    retryable_status,
)
from cfaig_integrations.gateway.failures.error_body import ErrorDetails
from cfaig_integrations.gateway.failures.redaction import names_a_credential, redacted
from cfaig_integrations.wire.sniff import sniff

_MAX_LOCATION = 300
_MAX_SEARCHED = 2000
"""Characters of a message in which patterns are searched for."""
_MAX_PAGE = 64 * 1024
"""Bytes of a page of HTML that are read."""
_RAY = re.compile(rb"Ray ID:?\s{0,20}(?:<[^<>]{0,200}>\s{0,20})?([0-9a-f]{12,20})\b")


def from_response(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The exception for a response that is not 2xx: its header names are in lower case, its body in any form."""
    if 300 <= status < 400 and "location" in headers:
        return _from_redirect(status, headers)
    if sniff(body) == "html":
        return _from_error_page(status, headers, body)
    return _error(error_body.of_bytes(body), status, headers)


def from_embedded(body: object, headers: Mapping[str, str], status: int = 200) -> ApiError:
    """The exception for an error inside a 2xx response, whose status it keeps, or in a stream (facts §5.1, §5.3)."""
    return _error(error_body.of_body(body), status, headers)


def from_html(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """The exception for a page of HTML, which comes from a proxy, a login or a firewall."""
    if not 200 <= status < 300:
        return _from_error_page(status, headers, body)
    message, _, ray = _page(headers, body)
    facts = f"status {status}{f', ray {ray}' if ray else ''}"
    text = f"{message} ({facts}). Check base_url, proxies and logins on the way."
    error = ProtocolError(text, body=redacted(body[:_MAX_PAGE]))
    error.maybe_billed = False
    return error


def _from_error_page(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    message, title, ray = _page(headers, body)
    error = _error(ErrorDetails(title, body=redacted(body[:_MAX_PAGE])), status, headers)
    error.message, error.args, error.ray_id = message, (message,), ray or None
    return error


def _page(headers: Mapping[str, str], body: bytes) -> tuple[str, str, str]:
    """The message for a page, its title, and its ray id, which is in the page if it is not in the headers."""
    title = error_body.title_of(body)
    ray = headers.get("cf-ray") or (match[1].decode() if (match := _RAY.search(body[:_MAX_PAGE])) else "")
    kind = str(redacted(headers.get("content-type") or "no content type"))[:100]
    return f"The response is an HTML page{f', titled {title!r}' if title else ''} ({kind})", title, ray


def _from_redirect(status: int, headers: Mapping[str, str]) -> ApiError:
    location = str(redacted(headers["location"]))[:_MAX_LOCATION].partition("?")[0].partition("#")[0]
    details = ErrorDetails(f"The server redirects to {location!r}")
    error = _error(details, status, {**headers, "location": location})
    error.hint = "Redirects are not followed, because they would receive the token: correct base_url."
    return error


def _error(details: ErrorDetails, status: int, headers: Mapping[str, str]) -> ApiError:
    kind, retryable, maybe_billed, hint = _classify(details, status)
    error = kind(
        details.message or f"The server answered {status} without an explanation",
        status=status,
        code=details.code,
        retryable=retryable,
        maybe_billed=maybe_billed,
        retry_after=_retry_after(headers),
        hint=hint or (PAYMENT_HINT if "payment-required" in headers else ""),
        headers={name: value for name, value in redacted(headers).items() if not names_a_credential(name)},
        body=details.body,
    )
    error.request_id = error.request_id or details.request_id
    return error


def _classify(details: ErrorDetails, http_status: int) -> tuple[type[ApiError], bool, bool, str]:
    """Class, whether it is retryable, whether the model may have run all the same, and hint.

    The message takes precedence over Cloudflare's code, that over the provider's code, and that over the status.
    """
    status = http_status if http_status >= 300 else details.status
    code = _cloudflare_code(details.code, status)
    provider = _provider_code(details, status)
    status = status or (code.status if code else None) or (provider.status if provider else None)
    pattern = _message_pattern(details.message[:_MAX_SEARCHED].lower(), status)
    rows: tuple[MessagePattern | Code | ProviderCode | None, ...] = (pattern, code, provider)
    kind = next((row.kind for row in rows if row and row.kind), None)
    retryable = next((row.retryable for row in rows if row and row.retryable is not None), details.retryable)
    if provider and provider.overrides and not code:
        status = provider.status
    return (
        kind or (kind_of_status(status) if status else ServerFault),
        retryable_status(status or 0) if retryable is None else retryable,
        retryable is None and status in UNCERTAIN,
        (pattern.hint if pattern else "") or (code.hint if code else ""),
    )


def _cloudflare_code(code: int | str | None, status: int | None) -> Code | None:
    rows = [row for row in CODES if row.code == code]
    return next((row for row in rows if row.status == status), rows[0] if rows else None)


def _provider_code(details: ErrorDetails, status: int | None) -> ProviderCode | None:
    """A provider's code that overrides the status; without a status, the first one in the table."""
    rows = [PROVIDER_CODES[code] for code in details.provider_codes if code in PROVIDER_CODES]
    return next((row for row in rows if row.overrides), None) or (rows[0] if rows and status is None else None)


def _message_pattern(message: str, status: int | None) -> MessagePattern | None:
    for row in MESSAGE_PATTERNS:
        if (not row.statuses or status is None or status in row.statuses) and re.search(row.pattern, message):
            return row
    return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a number or from an HTTP date (facts §3.5)."""
    text = headers.get("retry-after")
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            when = parsedate_to_datetime(text)
            seconds = ((when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, IndexError, OverflowError):  # not a date
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
