"""When a failed request is sent again (facts §5.7, §5.8, §8.1)."""

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
        StreamBroken("cut before it said anything"),
        busy(),
        ServerFault("oops", status=502, retryable=True),
        InvalidRequest("Failed to get response from provider", status=400, code=2005, retryable=True),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_is_tried_again(error: GatewayError) -> None:
    assert RetryPolicy().delay(error, 1, lambda: 1.0) is not None


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("bad", status=400),
        QuotaExceeded("Spend limit exceeded", status=429, code=2045),
        ProtocolError("not JSON"),
        ConfigError("wrong"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_will_not_pass_is_final(error: GatewayError) -> None:
    assert MANY.delay(error, 1, lambda: 1.0) is None


@pytest.mark.parametrize(("tries", "longest"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 8.0), (10, 8.0)])
def test_the_wait_doubles_up_to_eight_seconds_with_full_jitter(tries: int, longest: float) -> None:
    assert MANY.delay(busy(), tries, lambda: 1.0) == longest
    assert MANY.delay(busy(), tries, lambda: 0.5) == longest / 2
    assert MANY.delay(busy(), tries, lambda: 0.0) == 0.0


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
def test_unified_billing_is_given_tens_of_seconds(error: ApiError) -> None:
    assert [MANY.delay(error, tries, lambda: 1.0) for tries in (1, 2, 3)] == [10.0, 20.0, 30.0]
    assert MANY.delay(error, 1, lambda: 0.0) == 5.0


def test_a_gateways_own_limit_is_given_longer_than_the_rest() -> None:
    assert [MANY.delay(busy(2003), tries, lambda: 1.0) for tries in (1, 2, 3, 4)] == [4.0, 8.0, 16.0, 30.0]
    assert MANY.delay(busy(2003), 1, lambda: 0.0) == 2.0


@pytest.mark.parametrize("asked", [0.0, 1.5, 59.0, MAX_WAIT])
def test_what_the_server_asks_for_is_waited(asked: float) -> None:
    assert MANY.delay(busy(2003, retry_after=asked), 3, lambda: 0.7) == asked


def test_a_server_that_asks_for_too_long_is_not_asked_again() -> None:
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
def test_how_often(policy: RetryPolicy, limit: int) -> None:
    assert policy.limit == limit
    assert policy.delay(busy(), limit + 1, lambda: 1.0) is None
    if limit:
        assert policy.delay(busy(), limit, lambda: 1.0) is not None


@pytest.mark.parametrize("value", [-1, 11, 2.0, "2", True])
def test_an_impossible_number_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="max_retries") as caught:
        RetryPolicy(value)  # type: ignore[arg-type]
    assert (caught.value.field, caught.value.value) == ("max_retries", value)


@given(st.integers(1, 10), st.floats(0, 1), st.sampled_from([None, 2003, 2018, 3040]))
def test_no_wait_is_negative_or_over_half_a_minute(tries: int, chance: float, code: int | None) -> None:
    wait = MANY.delay(busy(code), tries, lambda: chance)
    assert wait is not None
    assert 0 <= wait <= 30
