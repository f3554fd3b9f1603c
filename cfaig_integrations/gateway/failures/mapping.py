"""An error answer to an exception: which class, whether to try again, and what to do about it.

What codes and words mean stands in `codes`, what bodies look like in `error_body`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cfaig_integrations.errors import ApiError, GatewayError, ProtocolError, ServerFault
from cfaig_integrations.gateway.failures import error_body
from cfaig_integrations.gateway.failures.codes import (
    CODES,
    MESSAGE_PATTERNS,
    PAYMENT_HINT,
    PROVIDER_CODES,
    Code,
    MessagePattern,
    ProviderCode,
    kind_of_status,
    retryable_status,
)
from cfaig_integrations.gateway.failures.error_body import ErrorDetails
from cfaig_integrations.gateway.failures.redaction import names_a_credential, redacted
from cfaig_integrations.wire.sniff import sniff

__all__ = ["from_html", "from_refused", "from_response"]

_LONGEST_LOCATION = 300
_LONGEST_SENTENCE = 2000
_PAGE = 64 * 1024
"""Bytes of a page that are looked at."""
_RAY = re.compile(rb"Ray ID:?\s{0,20}(?:<[^<>]{0,200}>\s{0,20})?([0-9a-f]{12,20})\b")


@dataclass(frozen=True, slots=True)
class _Classification:
    kind: type[ApiError]
    retryable: bool
    hint: str


def from_response(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The exception for an answer that is not 2xx.

    Args:
        status: HTTP status.
        headers: Names in lower case.
        body: As it came, in any of the shapes of facts §5.5, JSON or not.
    """
    if 300 <= status < 400 and "location" in headers:
        return _redirected(status, headers)
    if sniff(body) == "html":
        return _of_page(status, headers, body)
    return _error(error_body.of_bytes(body), status, headers)


def from_refused(body: object, headers: Mapping[str, str], status: int = 200) -> ApiError:
    """The exception for an error inside an answer that is 2xx, or inside a stream (facts §5.1, §5.3).

    Args:
        body: The body or event that says error.
        headers: Names in lower case.
        status: HTTP status of the answer; the exception keeps it.
    """
    return _error(error_body.of_body(body), status, headers)


def from_html(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """The exception for a page of HTML, which no API sends: a proxy does, a login or a firewall.

    Args:
        status: HTTP status; of an error page it says whether to try again, as it does without a page.
        headers: Names in lower case.
        body: The page.
    """
    if not 200 <= status < 300:
        return _of_page(status, headers, body)
    said, _, ray = _page(headers, body)
    facts = f"status {status}{f', ray {ray}' if ray else ''}"
    return ProtocolError(
        f"{said} ({facts}). Check base_url, proxies and logins on the way.", body=redacted(body[:_PAGE])
    )


def _of_page(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    said, title, ray = _page(headers, body)
    error = _error(ErrorDetails(title, body=redacted(body[:_PAGE])), status, headers)
    error.message, error.args, error.ray_id = said, (said,), ray or None
    return error


def _page(headers: Mapping[str, str], body: bytes) -> tuple[str, str, str]:
    """What is said of a page, its title, and its ray id, which stands in the page where no header has it."""
    title = error_body.title_of(body)
    ray = headers.get("cf-ray") or (found[1].decode() if (found := _RAY.search(body[:_PAGE])) else "")
    kind = str(redacted(headers.get("content-type") or "no content type"))[:100]
    return f"An HTML page came instead of an answer{f', titled {title!r}' if title else ''} ({kind})", title, ray


def _redirected(status: int, headers: Mapping[str, str]) -> ApiError:
    where = str(redacted(headers["location"]))[:_LONGEST_LOCATION].partition("?")[0].partition("#")[0]
    error = _error(ErrorDetails(f"The server redirects to {where!r}"), status, {**headers, "location": where})
    error.hint = "Redirects are not followed, for the token would go along: correct base_url."
    return error


def _error(details: ErrorDetails, status: int, headers: Mapping[str, str]) -> ApiError:
    verdict = _classified(details, status)
    error = verdict.kind(
        details.message or f"The server answered {status} and did not say why",
        status=status,
        code=details.code,
        retryable=verdict.retryable,
        retry_after=_retry_after(headers),
        hint=verdict.hint or (PAYMENT_HINT if "payment-required" in headers else ""),
        headers={name: value for name, value in redacted(headers).items() if not names_a_credential(name)},
        body=details.body,
    )
    error.request_id = error.request_id or details.request_id
    return error


def _classified(details: ErrorDetails, status: int) -> _Classification:
    """The sentence says more than the code, the code more than a provider's word, the word more than the status."""
    told = status if status >= 300 else details.status  # what the HTTP layer says, or the body for it
    code = _row(details.code, told)
    word = _word(details, told)
    meant = told or (code.status if code else None) or (word.status if word else None)
    sentence = _sentence(details.message[:_LONGEST_SENTENCE].lower(), meant)
    rows: tuple[MessagePattern | Code | ProviderCode | None, ...] = (sentence, code, word)
    kind = next((row.kind for row in rows if row and row.kind), None)
    sure = next((row.retryable for row in rows if row and row.retryable is not None), None)
    if word and word.rules and not code:
        meant = word.status
    if sure is None:
        sure = details.retryable
    return _Classification(
        kind or (kind_of_status(meant) if meant else ServerFault),
        retryable_status(meant or 0) if sure is None else sure,
        (sentence.hint if sentence else "") or (code.hint if code else ""),
    )


def _row(code: int | str | None, status: int | None) -> Code | None:
    rows = [row for row in CODES if row.code == code]
    return next((row for row in rows if row.status == status), rows[0] if rows else None)


def _word(details: ErrorDetails, told: int | None) -> ProviderCode | None:
    """The word that counts: one that rules over the status, or the first that is known if there is no status."""
    known = [PROVIDER_CODES[word] for word in details.words if word in PROVIDER_CODES]
    return next((word for word in known if word.rules), None) or (known[0] if known and told is None else None)


def _sentence(message: str, status: int | None) -> MessagePattern | None:
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
        except (ValueError, TypeError, IndexError, OverflowError):  # what is no date
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
