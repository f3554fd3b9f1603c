"""When a failed request is retried (facts §5.7, §5.8, §8.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfaig_integrations.errors import (
    ApiError,
    ConfigError,
    ConnectFault,
    GatewayError,
    InvalidRequest,
    ProtocolError,
    QuotaExceeded,
    RateLimited,
    ServerFault,
    StreamBroken,
    TimeoutFault,
)
from cfaig_integrations.gateway.failures import from_embedded
from cfaig_integrations.gateway.retry import MAX_WAIT, RetryPolicy

MANY = RetryPolicy(10)


def busy(code: int | None = None, message: str = "busy", retry_after: float | None = None) -> ApiError:
    return RateLimited(message, status=429, code=code, retryable=True, retry_after=retry_after)


@pytest.mark.parametrize(
    "error",
    [
        ConnectFault("refused"),
        TimeoutFault("slow"),
        busy(),
        ServerFault("oops", status=502, retryable=True),
        InvalidRequest("Failed to get response from provider", status=400, code=2005, retryable=True),
    ],
    ids=lambda error: type(error).__name__,
)
def test_transient_errors_are_retried(error: GatewayError) -> None:
    assert RetryPolicy().delay(error, 1, lambda: 1.0) is not None


MAYBE_BILLED = [
    ConnectFault("reset", maybe_billed=True),
    TimeoutFault("slow", maybe_billed=True),
    StreamBroken("cut before it said anything"),
    ServerFault("timeout", status=504, maybe_billed=True),
]


@pytest.mark.parametrize("error", MAYBE_BILLED, ids=lambda error: type(error).__name__)
def test_what_may_be_billed_is_repeated_only_if_the_user_says_so(error: GatewayError) -> None:
    assert RetryPolicy(after_send=True).delay(error, 1, lambda: 1.0) == 0.5
    assert RetryPolicy(after_send=True).delay(error, 3, lambda: 1.0) is None


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("bad", status=400),
        QuotaExceeded("Spend limit exceeded", status=429, code=2045),
        ProtocolError("not JSON"),
        ConfigError("wrong"),
        *MAYBE_BILLED,
    ],
    ids=lambda error: type(error).__name__,
)
def test_permanent_errors_are_final(error: GatewayError) -> None:
    assert MANY.delay(error, 1, lambda: 1.0) is None


@pytest.mark.parametrize(
    ("attempts", "longest"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 8.0), (10, 8.0)]
)
def test_the_wait_doubles_up_to_eight_seconds_with_full_jitter(attempts: int, longest: float) -> None:
    assert MANY.delay(busy(), attempts, lambda: 1.0) == longest
    assert MANY.delay(busy(), attempts, lambda: 0.5) == longest / 2
    assert MANY.delay(busy(), attempts, lambda: 0.0) == 0.0


@pytest.mark.parametrize(
    "error",
    [
        busy(2018, "Wholesale Rate limited"),
        from_embedded(
            {
                "success": False,
                "errors": [{"code": 2021, "message": "Wholesale rate limit exceeded for this gateway."}],
            },
            {},
            402,
        ),
    ],
    ids=["2018", "402/2021"],
)
def test_unified_billing_waits_tens_of_seconds(error: ApiError) -> None:
    assert [MANY.delay(error, attempts, lambda: 1.0) for attempts in (1, 2, 3)] == [10.0, 20.0, 30.0]
    assert MANY.delay(error, 1, lambda: 0.0) == 5.0


def test_the_gateways_own_limit_waits_longer() -> None:
    assert [MANY.delay(busy(2003), attempts, lambda: 1.0) for attempts in (1, 2, 3, 4)] == [4.0, 8.0, 16.0, 30.0]
    assert MANY.delay(busy(2003), 1, lambda: 0.0) == 2.0


@pytest.mark.parametrize("seconds", [0.0, 1.5, 59.0, MAX_WAIT])
def test_retry_after_sets_the_delay(seconds: float) -> None:
    assert MANY.delay(busy(2003, retry_after=seconds), 3, lambda: 0.7) == seconds


def test_a_long_retry_after_is_final() -> None:
    assert MANY.delay(busy(retry_after=MAX_WAIT + 1), 1, lambda: 0.7) is None


@pytest.mark.parametrize(
    ("policy", "limit"),
    [
        (RetryPolicy(), 2),
        (RetryPolicy(gateway_retries=True), 0),
        (RetryPolicy(3, gateway_retries=True), 3),
        (RetryPolicy(0), 0),
        (RetryPolicy(10), 10),
    ],
)
def test_number_of_retries(policy: RetryPolicy, limit: int) -> None:
    assert policy.limit == limit
    assert policy.delay(busy(), limit + 1, lambda: 1.0) is None
    if limit:
        assert policy.delay(busy(), limit, lambda: 1.0) is not None


@pytest.mark.parametrize("value", [-1, 11, 2.0, "2", True])
def test_an_invalid_number_is_rejected(value: object) -> None:
    with pytest.raises(ConfigError, match="max_retries") as caught:
        RetryPolicy(value)  # type: ignore[arg-type]
    assert (caught.value.field, caught.value.value) == ("max_retries", value)


@given(st.integers(1, 10), st.floats(0, 1), st.sampled_from([None, 2003, 2018, 3040]))
def test_no_wait_is_negative_or_over_half_a_minute(attempts: int, jitter: float, code: int | None) -> None:
    wait = MANY.delay(busy(code), attempts, lambda: jitter)
    assert wait is not None
    assert 0 <= wait <= 30
