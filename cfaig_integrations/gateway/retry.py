"""Whether and after how long a failed request is retried. `failures` decides which errors are retryable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cfaig_integrations.errors import ApiError, GatewayError, ProtocolError, invalid

MAX_RETRIES = 10
MAX_WAIT = 60.0
"""Longest `Retry-After` that is waited for, in seconds; after a longer one the error is final (facts §5.8)."""

_DEFAULT_RETRIES = 2
_RATE_LIMITS = frozenset({"2003", "3021"})
"""Codes of the gateway's own rate limit and of a Workers AI model's (facts §14.1)."""
_WHOLESALE_RATE_LIMIT = "2018"


@dataclass(frozen=True, slots=True)
class _Backoff:
    """Exponential backoff with jitter.

    Attributes:
        base: Seconds before the first retry; doubled for each further one.
        cap: Most seconds.
        fixed: Share of the wait without jitter, 0 to 1; 0 is full jitter.
    """

    base: float
    cap: float
    fixed: float = 0.0

    def wait(self, attempts: int, jitter: float) -> float:
        longest = min(self.cap, self.base * 2.0 ** (attempts - 1))
        return longest * (self.fixed + (1.0 - self.fixed) * jitter)


_DEFAULT = _Backoff(0.5, 8.0)
# A gateway's own limit counts over a window that its owner chooses, and sends no Retry-After (facts §5.7, §8.2).
_GATEWAY_LIMIT = _Backoff(4.0, 30.0, fixed=0.5)
# Unified Billing allows 200 requests in 60 seconds: "back off tens of seconds" (facts §2.3, §5.7).
_WHOLESALE = _Backoff(10.0, 30.0, fixed=0.5)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Whether and when a failed request is sent again.

    Attributes:
        max_retries: Most retries, 0 to 10; None: two, or none if the gateway itself retries.
        gateway_retries: Whether the gateway itself retries: its attempts and ours would multiply (facts §5.8).
        after_send: Whether a request that may have been billed is sent again.

    Raises:
        ConfigError: `max_retries` is out of range.
    """

    max_retries: int | None = None
    gateway_retries: bool = False
    after_send: bool = False

    def __post_init__(self) -> None:
        value = self.max_retries
        if value is not None and (type(value) is not int or not 0 <= value <= MAX_RETRIES):
            raise invalid(
                "max_retries", value, "is out of range", f"Use a whole number from 0 to {MAX_RETRIES}, or None."
            )

    @property
    def limit(self) -> int:
        """Most retries."""
        if self.max_retries is not None:
            return self.max_retries
        return 0 if self.gateway_retries else _DEFAULT_RETRIES

    def repeats(self, error: GatewayError) -> bool:
        """Whether a request that failed like this may be sent again; not if a complete answer cannot be read."""
        return error.retryable or (self.after_send and error.maybe_billed and type(error) is not ProtocolError)

    def delay(self, error: GatewayError, attempts: int, random: Callable[[], float]) -> float | None:
        """Seconds to wait before the next attempt; None if the error is final.

        Args:
            error: Error of the last attempt, of whose response nothing has reached the caller.
            attempts: Attempts made, at least 1.
            random: Returns a number from 0 to 1; `random.random`.
        """
        if attempts > self.limit or not self.repeats(error):
            return None
        if not isinstance(error, ApiError):
            return _DEFAULT.wait(attempts, random())
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= MAX_WAIT else None
        return _backoff(error).wait(attempts, random())


def _backoff(error: ApiError) -> _Backoff:
    code = str(error.code)
    if code == _WHOLESALE_RATE_LIMIT or "wholesale rate limit" in error.message.lower():
        return _WHOLESALE
    return _GATEWAY_LIMIT if code in _RATE_LIMITS else _DEFAULT
