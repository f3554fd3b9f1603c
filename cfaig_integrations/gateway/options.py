"""What the gateway is asked to do with a call: one table of field, header and range.

A field that is None is not sent; whoever says False says it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails

from cfaig_integrations.errors import ConfigError, shown
from cfaig_integrations.gateway.option_types import (
    COST,
    FLAG,
    LINE,
    NAMES,
    SLUG,
    Host,
    Kind,
    Row,
    choice,
    digits,
    number,
)

__all__ = ["TABLE", "CustomCost", "GatewayOptions"]

_MONTH = 30 * 24 * 3600
_MOST_DOLLARS = 1e12

TABLE: tuple[Row, ...] = (
    Row("gateway_id", "cf-aig-gateway-id", SLUG, "§3.1, §2.2", only="rest"),
    Row("skip_cache", "cf-aig-skip-cache", FLAG, "§3.1"),
    Row("cache_ttl", "cf-aig-cache-ttl", number("s", 60, _MONTH), "§3.1, §7"),
    Row("cache_key", "cf-aig-cache-key", LINE, "§3.1, §7"),
    Row("collect_log", "cf-aig-collect-log", FLAG, "§3.1"),
    Row("collect_log_payload", "cf-aig-collect-log-payload", FLAG, "§3.1"),
    Row("request_timeout", "cf-aig-request-timeout", number("ms", 1, None), "§3.1, §8.1"),
    Row("max_attempts", "cf-aig-max-attempts", number("", 1, 5), "§3.1"),
    Row("retry_delay", "cf-aig-retry-delay", number("ms", 0, 60_000), "§3.1: 60000 since October 2026"),
    Row("backoff", "cf-aig-backoff", choice("constant", "linear", "exponential"), "§3.1"),
    Row("zdr", "cf-aig-zdr", FLAG, "§3.1"),
    Row("no_wholesale", "cf-aig-no-wholesale", FLAG, "§2.3, §3.1"),
    Row("byok_alias", "cf-aig-byok-alias", LINE, "§2.3: other hosts look at the alias `default` only", only="legacy"),
    Row("custom_cost", "cf-aig-custom-cost", COST, "§3.1"),
    Row("event_id", "cf-aig-event-id", LINE, "§3.1"),
    Row("otel_trace_id", "cf-aig-otel-trace-id", digits(32), "§3.1"),
    Row("otel_parent_span_id", "cf-aig-otel-parent-span-id", digits(16), "§3.1"),
    Row("session_affinity", "x-session-affinity", LINE, "§3.2"),
    Row("session_id", "cf-aig-session-id", LINE, "§3.3"),
    Row("turn_id", "cf-aig-turn-id", LINE, "§3.3"),
    Row("no_session_affinity", "cf-aig-no-session-affinity", FLAG, "§3.3"),
    Row("allowed_models", "cf-aig-allowed-models", NAMES, "§3.3"),
    Row("allowed_providers", "cf-aig-allowed-providers", NAMES, "§3.3"),
)
"""Every option that is a header; sections of facts."""

_BODY: Mapping[str, str] = {"reject_if_busy": "rejectIfBusy"}
"""Options that stand in the body's `options` (facts §1.2)."""
_KINDS: Mapping[str, Kind] = {row.field: row.kind for row in TABLE} | dict.fromkeys(_BODY, FLAG)


class _Strict(BaseModel):
    """Frozen, and names the nearest field when it is given one that it has not."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, data: Any) -> Any:
        for name in cast("Mapping[str, Any]", data) if isinstance(data, Mapping) else ():
            if name not in cls.model_fields:
                near = difflib.get_close_matches(str(name), cls.model_fields, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(f"{shown(name)} is no field of {cls.__name__}{hint}")
        return cast("Any", data)


class CustomCost(_Strict):
    """What the log is to reckon with instead of Cloudflare's price list, in US dollars: by token, or in total.

    Attributes:
        per_token_in: Of an input token.
        per_token_out: Of an output token.
        per_cache_read_token: Of an input token read from the provider's cache. If only one of the two cache rates is
            given, the other is taken to be `per_token_in`; with neither, cached tokens are not counted apart.
        per_cache_write_token: Of an input token written to it.
        total_cost: Of the whole call, instead of the four.
    """

    per_token_in: float | None = None
    per_token_out: float | None = None
    per_cache_read_token: float | None = None
    per_cache_write_token: float | None = None
    total_cost: float | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _dollars(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None or (type(value) in (int, float) and 0 <= value < _MOST_DOLLARS):
            return value
        raise ValueError(f"{info.field_name} is a number of dollars, 0 or more, not {shown(value)}")

    @model_validator(mode="after")
    def _one_way(self) -> CustomCost:
        given = self.model_dump(exclude_none=True)
        if not given or ("total_cost" in given and len(given) > 1):
            raise ValueError(f"custom_cost takes rates by token or total_cost, and one of them, not {given}")
        return self

    def __str__(self) -> str:
        return json.dumps(self.model_dump(exclude_none=True), separators=(",", ":"))


class GatewayOptions(_Strict):
    """What AI Gateway is asked to do: per model, or per call, where the call wins field by field.

    Every field is None unless set, and what is None is not sent. Restrictions of the gateway itself can be tightened,
    never loosened (facts §3.6). Durations may be a `timedelta`.

    Attributes:
        gateway_id: Another gateway for this call; at most 64 of `[A-Za-z0-9_-]`. `cf-aig-gateway-id`, REST only.
        skip_cache: Neither read nor write the gateway's cache. `cf-aig-skip-cache`.
        cache_ttl: Seconds that the answer stays cached, 60 to 2,592,000 (30 days). `cf-aig-cache-ttl`.
        cache_key: Key of the answer instead of the computed one, shared by all who send it. `cf-aig-cache-key`.
        collect_log: Whether to keep a log entry. `cf-aig-collect-log`.
        collect_log_payload: Whether the entry keeps the bodies. `cf-aig-collect-log-payload`.
        request_timeout: Milliseconds until the first part of the answer. `cf-aig-request-timeout`.
        max_attempts: How often the gateway itself tries, 1 to 5. `cf-aig-max-attempts`.
        retry_delay: Milliseconds between its tries, 0 to 60,000. `cf-aig-retry-delay`.
        backoff: How that delay grows. `cf-aig-backoff`.
        zdr: Zero data retention; Unified Billing with OpenAI and Anthropic only. `cf-aig-zdr`.
        no_wholesale: Refuse, rather than fall back to Unified Billing. `cf-aig-no-wholesale`.
        byok_alias: Which stored provider key to use; the legacy host only. `cf-aig-byok-alias`.
        custom_cost: What the log reckons with. `cf-aig-custom-cost`.
        event_id: Ties several calls together. `cf-aig-event-id`.
        otel_trace_id: 32 hex digits. `cf-aig-otel-trace-id`.
        otel_parent_span_id: 16 hex digits. `cf-aig-otel-parent-span-id`.
        session_affinity: Stable id of a conversation; sends Workers AI calls where its prefix is cached.
            `x-session-affinity`.
        session_id: Conversation, for the Auto Router. `cf-aig-session-id`.
        turn_id: Turn of it. `cf-aig-turn-id`.
        no_session_affinity: The Auto Router may change the model within a conversation. `cf-aig-no-session-affinity`.
        allowed_models: Candidates of the Auto Router; `*` does not cross `/`. `cf-aig-allowed-models`.
        allowed_providers: Their authors. `cf-aig-allowed-providers`.
        reject_if_busy: Fail at once with 429 instead of waiting for capacity; body field `options.rejectIfBusy`.

    Raises:
        ValidationError: A field is unknown or out of range; a ValueError that says which, what and why.
    """

    gateway_id: str | None = None
    skip_cache: bool | None = None
    cache_ttl: int | timedelta | None = None
    cache_key: str | None = None
    collect_log: bool | None = None
    collect_log_payload: bool | None = None
    request_timeout: int | timedelta | None = None
    max_attempts: int | None = None
    retry_delay: int | timedelta | None = None
    backoff: Literal["constant", "linear", "exponential"] | None = None
    zdr: bool | None = None
    no_wholesale: bool | None = None
    byok_alias: str | None = None
    custom_cost: CustomCost | None = None
    event_id: str | None = None
    otel_trace_id: str | None = None
    otel_parent_span_id: str | None = None
    session_affinity: str | None = None
    session_id: str | None = None
    turn_id: str | None = None
    no_session_affinity: bool | None = None
    allowed_models: tuple[str, ...] | None = None
    allowed_providers: tuple[str, ...] | None = None
    reject_if_busy: bool | None = None

    @field_validator(*_KINDS, mode="before")
    @classmethod
    def _in_range(cls, value: Any, info: ValidationInfo) -> Any:
        return None if value is None else _KINDS[str(info.field_name)].checked(str(info.field_name), value)

    @classmethod
    def of(cls, value: GatewayOptions | Mapping[str, Any] | None) -> GatewayOptions:
        """Options from what a user may give for them.

        Raises:
            ConfigError: A field is unknown or out of range, or `value` is something else.
        """
        if isinstance(value, GatewayOptions):
            return value
        if value is not None and not isinstance(value, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(
                f"gateway={shown(value)} is a {type(value).__name__}.",
                field="gateway",
                value=value,
                remedy="Give GatewayOptions or a mapping of its fields.",
            )
        try:
            return cls.model_validate(dict(value or {}))
        except ValidationError as error:
            raise _explained(error.errors()[0]) from error

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, whose headers are those of its own fields.

        Args:
            update: Fields that are others in the copy; checked as those of the constructor.
            deep: Whether values are copied, too.
        """
        if not update:
            return super().model_copy(deep=deep)
        return type(self)(**{name: getattr(self, name) for name in self.model_fields_set} | dict(update))

    def over(self, base: GatewayOptions | None) -> GatewayOptions:
        """These options, and those of `base` where these say nothing."""
        if base is None:
            return self
        mine = {name: value for name, value in self if value is not None}
        return GatewayOptions(**{**dict(base), **mine}) if mine else base

    def headers(self, *, legacy: bool) -> dict[str, str]:
        """The headers that say it: ASCII, one line each.

        Raises:
            ConfigError: An option does not exist on that host.
        """
        return self._legacy_headers.copy() if legacy else self._rest_headers.copy()

    def body_options(self) -> dict[str, Any]:
        """What belongs into the body's `options`: on run and on chat completions (facts §1.2)."""
        return {word: value for name, word in _BODY.items() if (value := getattr(self, name)) is not None}

    @cached_property
    def _rest_headers(self) -> dict[str, str]:
        return self._built("rest")

    @cached_property
    def _legacy_headers(self) -> dict[str, str]:
        return self._built("legacy")

    def _built(self, host: Host) -> dict[str, str]:
        return {row.header: row.sent(value, host) for row in TABLE if (value := getattr(self, row.field)) is not None}


def _explained(details: ErrorDetails) -> ConfigError:
    field = ".".join(str(step) for step in details["loc"])
    message = details["msg"].removeprefix("Value error, ")
    return ConfigError(
        message if message[-1] in ".?" else f"{message}.",
        field=f"gateway.{field}" if field else "gateway",
        value=details["input"],
        remedy="See GatewayOptions for the fields and their ranges.",
    )
