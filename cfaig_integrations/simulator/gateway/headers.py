"""The request headers of wire-facts §3.1 to §3.4, each with its range, read into one value.

Knows neither bodies nor models, and does not read `cf-aig-metadata`, whose faults are silent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from cfaig_integrations.simulator.http.bodies import ApiError

Backoff = Literal["constant", "linear", "exponential"]

_SLUG = re.compile(r"[A-Za-z0-9_-]{1,64}")
_COST_FIELDS = {"per_token_in", "per_token_out", "per_cache_read_token", "per_cache_write_token", "total_cost"}


@dataclass(slots=True)
class Options:
    """The gateway features that one request asks for; None stands for "as the gateway is set"."""

    gateway_id: str | None = None
    skip_cache: bool = False
    cache_ttl: int | None = None
    cache_key: str | None = None
    collect_log: bool | None = None
    collect_log_payload: bool = True
    request_timeout: int | None = None
    """Milliseconds."""
    max_attempts: int | None = None
    retry_delay: int | None = None
    """Milliseconds."""
    backoff: Backoff | None = None
    custom_cost: dict[str, float] | None = None
    event_id: str | None = None
    no_wholesale: bool = False
    zdr: bool | None = None
    byok_alias: str | None = None
    otel_trace_id: str | None = None
    otel_parent_span_id: str | None = None
    session_affinity: str | None = None
    session_id: str | None = None
    turn_id: str | None = None
    no_session_affinity: bool = False
    allowed_models: list[str] = field(default_factory=list[str])
    allowed_providers: list[str] = field(default_factory=list[str])


def _flag(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("must be true or false")
    return text == "true"


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,10}", text, re.ASCII) or not low <= int(text) <= high:
            raise ValueError(f"must be an integer from {low} to {high}")
        return int(text)

    return read


def _pattern(pattern: str, words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must be {words}")
        return text

    return read


def _slug(text: str) -> str:
    if not _SLUG.fullmatch(text):
        raise ValueError("must be a gateway id of at most 64 letters, digits, dashes and underscores")
    return text


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ValueError("must be a comma-separated list without empty entries")
    return names


def _cost(text: str) -> dict[str, float]:
    try:
        found: Any = json.loads(text)
    except ValueError:
        raise ValueError("must be a JSON object") from None
    if not isinstance(found, dict) or not found or not found.keys() <= _COST_FIELDS:
        raise ValueError(f"must be a JSON object with keys out of {', '.join(sorted(_COST_FIELDS))}")
    prices = cast("dict[str, Any]", found)
    if not all(isinstance(price, int | float) and not isinstance(price, bool) for price in prices.values()):
        raise ValueError("must hold numbers only")
    return {name: float(price) for name, price in prices.items()}


@dataclass(frozen=True, slots=True)
class Header:
    """One header: where its value goes, and how it is read."""

    name: str
    option: str
    read: Callable[[str], Any]
    source: str


_MONTH = 2_592_000

HEADERS: tuple[Header, ...] = (
    Header("cf-aig-gateway-id", "gateway_id", _slug, "wire-facts §3.1, at most 64 characters"),
    Header("cf-aig-skip-cache", "skip_cache", _flag, "wire-facts §3.1"),
    Header("cf-skip-cache", "skip_cache", _flag, "wire-facts §3.1, legacy name"),
    Header("cf-aig-cache-ttl", "cache_ttl", _number(60, _MONTH), "wire-facts §3.1, seconds up to one month"),
    Header("cf-cache-ttl", "cache_ttl", _number(60, _MONTH), "wire-facts §3.1, legacy name"),
    Header("cf-aig-cache-key", "cache_key", _text, "wire-facts §3.1"),
    Header("cf-aig-collect-log", "collect_log", _flag, "wire-facts §3.1"),
    Header("cf-aig-collect-log-payload", "collect_log_payload", _flag, "wire-facts §3.1"),
    Header("cf-aig-request-timeout", "request_timeout", _number(1, 10**9), "wire-facts §3.1, milliseconds"),
    Header("cf-aig-max-attempts", "max_attempts", _number(1, 5), "wire-facts §3.1"),
    Header("cf-aig-retry-delay", "retry_delay", _number(0, 60_000), "wire-facts §3.1, newest maximum"),
    Header(
        "cf-aig-backoff",
        "backoff",
        _pattern("constant|linear|exponential", "constant, linear or exponential"),
        "wire-facts §3.1",
    ),
    Header("cf-aig-custom-cost", "custom_cost", _cost, "wire-facts §3.1"),
    Header("cf-aig-event-id", "event_id", _text, "wire-facts §3.1"),
    Header("cf-aig-no-wholesale", "no_wholesale", _flag, "wire-facts §3.1"),
    Header("cf-aig-zdr", "zdr", _flag, "wire-facts §3.1"),
    Header("cf-aig-byok-alias", "byok_alias", _text, "wire-facts §3.1"),
    Header("cf-aig-otel-trace-id", "otel_trace_id", _pattern("[0-9a-f]{32}", "32 hex digits"), "wire-facts §3.1"),
    Header(
        "cf-aig-otel-parent-span-id",
        "otel_parent_span_id",
        _pattern("[0-9a-f]{16}", "16 hex digits"),
        "wire-facts §3.1",
    ),
    Header("x-session-affinity", "session_affinity", _text, "wire-facts §3.2"),
    Header("cf-aig-session-id", "session_id", _text, "wire-facts §3.3"),
    Header("cf-aig-turn-id", "turn_id", _text, "wire-facts §3.3"),
    Header("cf-aig-no-session-affinity", "no_session_affinity", _flag, "wire-facts §3.3"),
    Header("cf-aig-allowed-models", "allowed_models", _names, "wire-facts §3.3"),
    Header("cf-aig-allowed-providers", "allowed_providers", _names, "wire-facts §3.3"),
)


def read(sent: Mapping[str, str]) -> Options:
    """Read every gateway header of a request.

    Args:
        sent: The request's headers, names in lower case.

    Raises:
        ApiError: 400/7001 when a value is out of range. That Cloudflare refuses is documented for some only
            (wire-facts §5.7, `cf-aig-allowed-models`); a simulator that forgives would hide a client's mistake.
    """
    options = Options()
    for header in HEADERS:
        text = sent.get(header.name)
        if text is None:
            continue
        try:
            setattr(options, header.option, header.read(text))
        except ValueError as wrong:
            raise ApiError(400, 7001, f"Invalid value for header {header.name}: {wrong}") from None
    return options
