"""Reads the request headers of facts §3.1 to §3.4, each with its legal values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.json_types import is_record, parse_json

Backoff = Literal["constant", "linear", "exponential"]

_SLUG = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_COST = 1e9
_COST_FIELDS = {"per_token_in", "per_token_out", "per_cache_read_token", "per_cache_write_token", "total_cost"}


@dataclass(slots=True)
class Options:
    """The gateway options of one request; None for the gateway's setting."""

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
        prices = parse_json(text)
    except ValueError:
        raise ValueError("must be a JSON object") from None
    if not is_record(prices) or not prices or not prices.keys() <= _COST_FIELDS:
        raise ValueError(f"must be a JSON object with keys among {', '.join(sorted(_COST_FIELDS))}")
    if not all(type(price) in (int, float) and abs(price) < _MAX_COST for price in prices.values()):
        raise ValueError("must contain only numbers")
    return {name: float(price) for name, price in prices.items()}


@dataclass(frozen=True, slots=True)
class Header:
    """One header: its option, and how it is read."""

    name: str
    option: str | None
    """None for a header that is only checked."""
    read: Callable[[str], Any]


_MONTH = 2_592_000

HEADERS: tuple[Header, ...] = (
    Header("cf-aig-gateway-id", "gateway_id", _slug),
    Header("cf-aig-skip-cache", "skip_cache", _flag),
    Header("cf-skip-cache", "skip_cache", _flag),
    Header("cf-aig-cache-ttl", "cache_ttl", _number(60, _MONTH)),
    Header("cf-cache-ttl", "cache_ttl", _number(60, _MONTH)),
    Header("cf-aig-cache-key", "cache_key", _text),
    Header("cf-aig-collect-log", "collect_log", _flag),
    Header("cf-aig-collect-log-payload", "collect_log_payload", _flag),
    Header("cf-aig-request-timeout", "request_timeout", _number(1, 10**9)),
    Header("cf-aig-max-attempts", "max_attempts", _number(1, 5)),
    Header("cf-aig-retry-delay", "retry_delay", _number(0, 60_000)),
    Header("cf-aig-backoff", "backoff", _pattern("constant|linear|exponential", "constant, linear or exponential")),
    Header("cf-aig-custom-cost", "custom_cost", _cost),
    Header("cf-aig-event-id", "event_id", _text),
    Header("cf-aig-no-wholesale", "no_wholesale", _flag),
    Header("cf-aig-zdr", None, _flag),
    Header("cf-aig-byok-alias", None, _text),
    Header("cf-aig-otel-trace-id", None, _pattern("[0-9a-f]{32}", "32 hex digits")),
    Header("cf-aig-otel-parent-span-id", None, _pattern("[0-9a-f]{16}", "16 hex digits")),
    Header("x-session-affinity", None, _text),
    Header("cf-aig-session-id", "session_id", _text),
    Header("cf-aig-turn-id", "turn_id", _text),
    Header("cf-aig-no-session-affinity", "no_session_affinity", _flag),
    Header("cf-aig-allowed-models", "allowed_models", _names),
    Header("cf-aig-allowed-providers", "allowed_providers", _names),
)
"""The headers of facts §3.1 to §3.3, `cf-skip-cache` and `cf-cache-ttl` under their legacy names."""


def read(sent: Mapping[str, str]) -> Options:
    """Read every gateway header of a request.

    Raises:
        ApiError: 400/7001 when a value is out of range. That Cloudflare rejects it is documented for some only
            (facts §5.7, `cf-aig-allowed-models`); a tolerant simulator would hide a mistake of the client.
    """
    options = Options()
    for header in HEADERS:
        text = sent.get(header.name)
        if text is None:
            continue
        try:
            value = header.read(text)
        except ValueError as error:
            raise ApiError(400, 7001, f"Invalid value for header {header.name}: {error}") from None
        if header.option is not None:
            setattr(options, header.option, value)
    return options
