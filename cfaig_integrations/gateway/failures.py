"""An error answer to an exception: which class, whether to try again, and what to do about it.

Knows no HTTP library and no retry policy. What codes and words mean stands in `codes`, what bodies look like in
`complaints`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cfaig_integrations.core.content import Json
from cfaig_integrations.errors import ApiError, GatewayError, ProtocolError, ServerFault
from cfaig_integrations.gateway import complaints
from cfaig_integrations.gateway.codes import (
    CODES,
    PAYMENT_HINT,
    SENTENCES,
    WORDS,
    Code,
    Sentence,
    Word,
    kind_of_status,
    retryable_status,
)
from cfaig_integrations.gateway.complaints import Complaint
from cfaig_integrations.wire.jsonio import excerpt

__all__ = ["from_html", "from_refused", "from_response"]

_PRIVATE = frozenset({"set-cookie", "authorization", "cf-aig-authorization"})


@dataclass(frozen=True, slots=True)
class _Verdict:
    kind: type[ApiError]
    retryable: bool
    hint: str


def from_response(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The exception for an answer that is not 2xx.

    Args:
        status: HTTP status.
        headers: Names in lower case.
        body: As it came, in any of the shapes of wire-facts §5.5, JSON or not.
    """
    return _error(complaints.of_bytes(body), status, headers)


def from_refused(body: Json, headers: Mapping[str, str], status: int = 200) -> ApiError:
    """The exception for an error inside an answer that is 2xx, or inside a stream (wire-facts §5.1, §5.3).

    Args:
        body: The body or event that says error.
        headers: Names in lower case.
        status: HTTP status of the answer; the exception keeps it.
    """
    return _error(complaints.of_body(body), status, headers)


def from_html(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """The exception for an HTML page where JSON was expected."""
    if status >= 300:
        return from_response(status, headers, body)
    kind, ray = headers.get("content-type", ""), headers.get("cf-ray", "")
    return ProtocolError(f"The answer is an HTML page (status {status}, {kind}, ray {ray}).", body=excerpt(body))


def _error(complaint: Complaint, status: int, headers: Mapping[str, str]) -> ApiError:
    verdict = _judged(complaint, status)
    error = verdict.kind(
        complaint.message or f"The server answered {status} and did not say why",
        status=status,
        code=complaint.code,
        retryable=verdict.retryable,
        retry_after=_retry_after(headers),
        hint=verdict.hint or (PAYMENT_HINT if "payment-required" in headers else ""),
        headers={name: value for name, value in headers.items() if name not in _PRIVATE},
        body=complaint.body,
    )
    error.request_id = error.request_id or complaint.request_id
    return error


def _judged(complaint: Complaint, status: int) -> _Verdict:
    """The sentence says more than the code, the code more than a provider's word, the word more than the status."""
    told = status if status >= 300 else complaint.status  # what the HTTP layer says, or the body for it
    code = _row(complaint.code, told)
    word = _word(complaint, told)
    meant = told or (code.status if code else None) or (word.status if word else None)
    sentence = _sentence(complaint.message.lower(), meant)
    rows: tuple[Sentence | Code | Word | None, ...] = (sentence, code, word)
    kind = next((row.kind for row in rows if row and row.kind), None)
    sure = next((row.retryable for row in rows if row and row.retryable is not None), None)
    if word and word.rules and not code:
        meant = word.status
    if sure is None:
        sure = complaint.retryable
    return _Verdict(
        kind or (kind_of_status(meant) if meant else ServerFault),
        retryable_status(meant or 0) if sure is None else sure,
        (sentence.hint if sentence else "") or (code.hint if code else ""),
    )


def _row(code: int | str | None, status: int | None) -> Code | None:
    rows = [row for row in CODES if row.code == code]
    return next((row for row in rows if row.status == status), rows[0] if rows else None)


def _word(complaint: Complaint, told: int | None) -> Word | None:
    """The word that counts: one that rules over the status, or the first that is known if there is no status."""
    known = [WORDS[word] for word in complaint.words if word in WORDS]
    return next((word for word in known if word.rules), None) or (known[0] if known and told is None else None)


def _sentence(message: str, status: int | None) -> Sentence | None:
    for row in SENTENCES:
        if (not row.statuses or status is None or status in row.statuses) and re.search(row.pattern, message):
            return row
    return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a number or from an HTTP date (wire-facts §3.5)."""
    text = headers.get("retry-after")
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            when = parsedate_to_datetime(text)
        except ValueError:
            return None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        seconds = (when - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
