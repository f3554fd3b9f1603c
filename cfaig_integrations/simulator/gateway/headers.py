"""Reads request headers: gateway options (facts §3.1 to §3.4), credentials (§2.1, §5.7) and metadata (§4)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, Json, ValidationError

from cfaig_integrations.simulator.gateway.log_store import Scalar
from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.json_types import is_record, parse_json

_MONTH = 2_592_000


def _flag(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("must be true or false")
    return text == "true"


def _digits(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise ValueError("must be an integer")
    return int(text)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ValueError("must be a comma-separated list without empty entries")
    return names


Flag = Annotated[bool, BeforeValidator(_flag)]
Number = Annotated[int, BeforeValidator(_digits)]
Names = Annotated[list[str], BeforeValidator(_names)]
Price = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=-1e9, lt=1e9)]
PriceName = Literal["per_token_in", "per_token_out", "per_cache_read_token", "per_cache_write_token", "total_cost"]


def _from(*names: str, default: Any = None, **limits: Any) -> Any:
    """An option that is read from the first of these headers that was sent."""
    return Field(default, validation_alias=AliasChoices(*names), **limits)


def _text_from(name: str, pattern: str = r"\S") -> Any:
    return _from(name, pattern=pattern)


class Options(BaseModel):
    """The gateway options of one request; None for the gateway's setting.

    The headers of facts §3.1 to §3.3, `cf-skip-cache` and `cf-cache-ttl` under their legacy names.
    """

    gateway_id: str | None = _text_from("cf-aig-gateway-id", "^[A-Za-z0-9_-]{1,64}$")
    skip_cache: Flag = _from("cf-aig-skip-cache", "cf-skip-cache", default=False)
    cache_ttl: Number | None = _from("cf-aig-cache-ttl", "cf-cache-ttl", ge=60, le=_MONTH)
    cache_key: str | None = _text_from("cf-aig-cache-key")
    collect_log: Flag | None = _from("cf-aig-collect-log")
    collect_log_payload: Flag = _from("cf-aig-collect-log-payload", default=True)
    request_timeout: Number | None = _from("cf-aig-request-timeout", ge=1, le=10**9)  # milliseconds
    max_attempts: Number | None = _from("cf-aig-max-attempts", ge=1, le=5)
    retry_delay: Number | None = _from("cf-aig-retry-delay", ge=0, le=60_000)  # milliseconds
    backoff: Literal["constant", "linear", "exponential"] | None = _from("cf-aig-backoff")
    custom_cost: Json[dict[PriceName, Price]] | None = _from("cf-aig-custom-cost", min_length=1)
    event_id: str | None = _text_from("cf-aig-event-id")
    no_wholesale: Flag = _from("cf-aig-no-wholesale", default=False)
    zdr: Flag | None = _from("cf-aig-zdr")
    byok_alias: str | None = _text_from("cf-aig-byok-alias")
    trace_id: str | None = _text_from("cf-aig-otel-trace-id", "^[0-9a-f]{32}$")
    parent_span_id: str | None = _text_from("cf-aig-otel-parent-span-id", "^[0-9a-f]{16}$")
    session_affinity: str | None = _text_from("x-session-affinity")
    session_id: str | None = _text_from("cf-aig-session-id")
    turn_id: str | None = _text_from("cf-aig-turn-id")
    no_session_affinity: Flag = _from("cf-aig-no-session-affinity", default=False)
    allowed_models: Names = _from("cf-aig-allowed-models", default=())
    allowed_providers: Names = _from("cf-aig-allowed-providers", default=())


def read_options(sent: Mapping[str, str]) -> Options:
    """Read every gateway header of a request, and refuse values that are out of range.

    That Cloudflare refuses them is documented for some only (facts §5.7, `cf-aig-allowed-models`); a tolerant simulator
    would hide a mistake of the client.
    """
    try:
        return Options.model_validate(dict(sent))
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        raise ApiError(400, 7001, f"Invalid value for header {first['loc'][0]}: {reason}") from None


def _bearer(value: str | None) -> str | None:
    match = re.fullmatch(r"Bearer\s+(\S+)", value or "", re.IGNORECASE)
    return match[1] if match else None


def admit(headers: Mapping[str, str], token: str) -> None:
    """Check the token of a request to the API host."""
    sent = _bearer(headers.get("authorization"))
    if sent is None:
        raise ApiError(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers", shape="v4", at_edge=True)
    if sent != token:
        raise ApiError(401, 10000, "Authentication error", shape="v4", at_edge=True)


def admit_legacy(headers: Mapping[str, str], token: str, *, unlocked: bool = False) -> str | None:
    """Check the token of a request to the legacy host; returns the provider's key, which only this host accepts.

    While a gateway is `unlocked`, its authentication is off, so that a provider's key is enough (facts §14.6).
    """
    gateway, plain = _bearer(headers.get("cf-aig-authorization")), _bearer(headers.get("authorization"))
    key = headers.get("x-api-key") or plain
    if gateway is None and plain == token:
        return None
    if unlocked and gateway is None and key is not None:
        return key
    if gateway != token:
        raise ApiError(401, 2009, "Unauthorized", shape="gateway", at_edge=True)
    if key == token:  # facts §2.1 (O: FX:57522988492): `Authorization` is then forwarded to the provider
        raise ApiError(401, "invalid_api_key", "Incorrect API key provided.", shape="openai")
    return key


def admit_gateway(headers: Mapping[str, str], token: str) -> None:
    """Check the gateway's token of a request to the universal endpoint, in either header."""
    if token not in (_bearer(headers.get("cf-aig-authorization")), _bearer(headers.get("authorization"))):
        raise ApiError(401, 2009, "Unauthorized", shape="gateway", at_edge=True)


def admit_workers_ai(headers: Mapping[str, str], token: str) -> None:
    """Check the token of a request to `workers-ai/...`, which is always in `Authorization` (facts §2.1)."""
    if _bearer(headers.get("authorization")) != token:
        raise ApiError(401, 10000, "Authentication error", shape="v4", at_edge=True)
    if _bearer(headers.get("cf-aig-authorization")) not in (None, token):
        raise ApiError(401, 2009, "Unauthorized", shape="gateway", at_edge=True)


def check_account(account: str, expected: str, path: str) -> None:
    """Check the account in a path; the error is worded as in recorded/cloudflare.jsonl fca8415089ca."""
    if account != expected:
        message = f"Could not route to {path}, perhaps your object identifier is invalid?"
        raise ApiError(404, 7003, message, shape="v4", at_edge=True)


MAX_ENTRIES = 5
RESERVED_PREFIX = "cf."


def logged_metadata(header: str | None) -> dict[str, Scalar] | None:
    """The first five entries of a header; never an error, because illegal metadata is dropped silently.

    Returns:
        None when the header is absent, is not a JSON object, or when any value (even one past the fifth) is null, an
        object or an array: then the valid entries are lost as well.
    """
    try:
        entries = parse_json(header or "")
    except ValueError:
        return None
    if not is_record(entries) or not all(map(_is_legal_metadata, entries.values())):
        return None
    custom = [(key, value) for key, value in entries.items() if not key.startswith(RESERVED_PREFIX)]
    return dict(custom[:MAX_ENTRIES])


def _is_legal_metadata(value: object) -> bool:
    return isinstance(value, Scalar) and not (isinstance(value, float) and not math.isfinite(value))
