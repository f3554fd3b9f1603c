"""How long until the next try, if there is to be one.

Pure functions; `failures` decides which answers are worth another try.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cfaig_integrations.errors import ApiError, ConfigError, GatewayError, StreamBroken, TransportFault, shown

MOST_RETRIES = 10
LONGEST_WAIT = 60.0
"""Longest `Retry-After` that is waited for, in seconds; a longer one raises (facts §5.8)."""

_DEFAULT_RETRIES = 2
_MINUTE_LIMITS = frozenset({"2003", "3021"})
"""The gateway's own, and that of a Workers AI model (facts §14.1)."""
_WHOLESALE_RATE_LIMIT = 2018


@dataclass(frozen=True, slots=True)
class _Backoff:
    """An exponential wait of which a random share is taken off.

    Attributes:
        base: Seconds before the first retry; doubled for each further one.
        cap: Most seconds.
        fixed: Share of the wait that chance does not shorten, 0 to 1; 0 is full jitter.
    """

    base: float
    cap: float
    fixed: float = 0.0

    def wait(self, tries: int, chance: float) -> float:
        longest = min(self.cap, self.base * 2.0 ** (tries - 1))
        return longest * (self.fixed + (1.0 - self.fixed) * chance)


_USUAL = _Backoff(0.5, 8.0)
# A gateway's own limit counts over a window that its owner chose, and sends no Retry-After (facts §5.7, §8.2).
_GATEWAY_LIMIT = _Backoff(4.0, 30.0, fixed=0.5)
# Unified Billing throttles at 200 requests in 60 seconds: "back off tens of seconds" (facts §2.3, §5.7).
_WHOLESALE = _Backoff(10.0, 30.0, fixed=0.5)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Whether a failed request is sent again, and when.

    Attributes:
        max_retries: Most further tries after the first, 0 to 10; None: two, or none if the gateway retries by itself.
        gateway_retries: Whether the gateway was told to retry; its tries and ours would multiply (facts §5.8).

    Raises:
        ConfigError: `max_retries` is out of range.
    """

    max_retries: int | None = None
    gateway_retries: bool = False

    def __post_init__(self) -> None:
        most = self.max_retries
        if most is None:
            return
        if isinstance(most, bool) or not isinstance(most, int) or not 0 <= most <= MOST_RETRIES:  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
            raise ConfigError(
                f"max_retries={shown(most)} is out of range.",
                field="max_retries",
                value=most,
                remedy=f"Give a whole number from 0 to {MOST_RETRIES}, or None.",
            )

    @property
    def limit(self) -> int:
        """Most further tries after the first."""
        if self.max_retries is not None:
            return self.max_retries
        return 0 if self.gateway_retries else _DEFAULT_RETRIES

    def delay(self, error: GatewayError, tries: int, chance: Callable[[], float]) -> float | None:
        """Seconds to wait before the next try.

        Args:
            error: Why the last try failed. Nothing of its answer may have reached the caller.
            tries: How many were made, at least 1.
            chance: Gives a number from 0 to 1; `random.random`.

        Returns:
            None if the error is final.
        """
        if tries > self.limit:
            return None
        match error:
            case ApiError(retryable=True, retry_after=None):
                return _backoff(error).wait(tries, chance())
            case ApiError(retryable=True, retry_after=float() | int() as asked):
                return asked if asked <= LONGEST_WAIT else None
            case TransportFault() | StreamBroken():
                return _USUAL.wait(tries, chance())
            case _:
                return None


def _backoff(error: ApiError) -> _Backoff:
    if str(error.code) == str(_WHOLESALE_RATE_LIMIT) or "wholesale rate limit" in error.message.lower():
        return _WHOLESALE
    if str(error.code) in _MINUTE_LIMITS:
        return _GATEWAY_LIMIT
    return _USUAL
