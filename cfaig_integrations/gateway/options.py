"""Options of the gateway: fields of `GatewayOptions`, their ranges, and the headers that carry them.

A new option is a field of `GatewayOptions`, its line in the docstring, and a row in `simulator/gateway/headers.py`.
Sources: facts §3.1 to §3.3; §1.2 for the body, §2.3 for keys and prices, §7 for the cache, §8.1 for timeouts.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self, TypeAlias, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic.types import Strict
from pydantic_core import ErrorDetails

from cfaig_integrations.errors import ConfigError, invalid, shown


def _count_of(unit: timedelta) -> BeforeValidator:
    """Converts a `timedelta` to a whole number of units."""

    def convert(value: object) -> object:
        if not isinstance(value, timedelta):
            return value
        count, rest = divmod(value, unit)
        if rest:
            raise ValueError("not a whole number")
        return count

    return BeforeValidator(convert)


_Flag: TypeAlias = Annotated[StrictBool | None, Field(description="True or False")]
_Line: TypeAlias = Annotated[
    StrictStr | None,
    Field(
        pattern="^[!-~]([ -~]*[!-~])?$",
        description="one line of ASCII without spaces around it (use a hash of anything else)",
    ),
]
_Slug: TypeAlias = Annotated[
    StrictStr | None,
    Field(pattern="^[A-Za-z0-9_-]{1,64}$", description="1 to 64 of the characters A-Z, a-z, 0-9, _ and -"),
]
_Names: TypeAlias = Annotated[
    tuple[Annotated[StrictStr, Field(pattern=r"^[!-+\--~]+$")], ...] | None,
    BeforeValidator(
        lambda value: [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value
    ),
    Field(min_length=1, description="a list of one or more names of visible ASCII, without commas"),
]
_Duration: TypeAlias = StrictInt | Annotated[timedelta, Strict()] | None
_Dollars: TypeAlias = Annotated[StrictFloat | None, Field(ge=0, lt=1e12, description="a number of dollars, 0 or more")]
_LOWER = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)

_ONLY_HOST: Mapping[str, Literal["rest", "legacy"]] = {"gateway_id": "rest", "byok_alias": "legacy"}
"""Options that exist on one host only; the REST API uses the stored key with the alias `default` (facts §2.3)."""
_BODY_FIELDS: Mapping[str, str] = {"reject_if_busy": "rejectIfBusy"}
"""Options that are sent in the body's `options`."""
_WITHOUT_HEADER = frozenset({*_BODY_FIELDS, "otel_active_span"})


def header_name(option: str) -> str:
    """The header that carries an option."""
    return "x-session-affinity" if option == "session_affinity" else f"cf-aig-{option.replace('_', '-')}"


class _Options(BaseModel):
    """Frozen, with errors that name the value, what is valid, and the nearest name of an unknown field."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _reject_unknown(cls, data: Any) -> Any:
        for name in cast("Mapping[str, Any]", data) if isinstance(data, Mapping) else ():
            if name not in cls.model_fields:
                near = difflib.get_close_matches(str(name), cls.model_fields, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(f"{cls.__name__} has no field {shown(name)}{hint}")
        return cast("Any", data)

    @field_validator("*", mode="wrap")
    @classmethod
    def _explain(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        try:
            return None if value is None else handler(value)
        except ValidationError as error:
            valid = cls.model_fields[str(info.field_name)].description
            if valid is None:  # a model, whose own errors say more
                raise
            raise ValueError(f"{info.field_name} must be {valid}, not {shown(value)}") from error


class CustomCost(_Options):
    """Prices for the log in place of Cloudflare's, in US dollars: per token, or in total.

    Attributes:
        per_token_in (float, default None): Per input token.
        per_token_out (float, default None): Per output token.
        per_cache_read_token (float, default None): Per input token read from the provider's cache. If only one of the
            two cache prices is set, the other is `per_token_in`; with neither, cached tokens are not counted
            separately.
        per_cache_write_token (float, default None): Per input token written to it.
        total_cost (float, default None): For the whole call, in place of the other four.
    """

    per_token_in: _Dollars = None
    per_token_out: _Dollars = None
    per_cache_read_token: _Dollars = None
    per_cache_write_token: _Dollars = None
    total_cost: _Dollars = None

    @model_validator(mode="after")
    def _per_token_or_total(self) -> CustomCost:
        prices = self.model_dump(exclude_none=True)
        if not prices or ("total_cost" in prices and len(prices) > 1):
            raise ValueError(f"custom_cost must have either prices per token or total_cost, not {prices}")
        return self

    def __str__(self) -> str:
        return json.dumps(self.model_dump(exclude_none=True), separators=(",", ":"))


class GatewayOptions(_Options):
    """Options of AI Gateway, for a model or for one call, whose fields override those of the model.

    Unset options are omitted from the request. An option can tighten the gateway's own restrictions, but not loosen
    them. Durations may be a `timedelta`.

    Attributes:
        skip_cache (bool, default None): Neither read nor write the gateway's cache. `cf-aig-skip-cache`.
        cache_ttl (int | timedelta, default None): Seconds that the response stays cached, 60 to 2,592,000 (30 days).
            `cf-aig-cache-ttl`.
        cache_key (str, default None): Cache key in place of the computed one, shared by all requests that send it.
            `cf-aig-cache-key`.
        collect_log (bool, default None): Whether to keep a log entry. `cf-aig-collect-log`.
        collect_log_payload (bool, default None): Whether the entry keeps the bodies. `cf-aig-collect-log-payload`.
        request_timeout (int | timedelta, default None): Milliseconds until the first part of the response.
            `cf-aig-request-timeout`.
        max_attempts (int, default None): Attempts that the gateway itself makes, 1 to 5. `cf-aig-max-attempts`.
        retry_delay (int | timedelta, default None): Milliseconds between those attempts, 0 to 60,000.
            `cf-aig-retry-delay`.
        backoff (constant | linear | exponential, default None): How that delay grows. `cf-aig-backoff`.
        zdr (bool, default None): Zero data retention; Unified Billing with OpenAI and Anthropic only. `cf-aig-zdr`.
        no_wholesale (bool, default None): Refuse, rather than fall back to Unified Billing. `cf-aig-no-wholesale`.
        byok_alias (str, default None): Stored provider key to use, legacy host only. `cf-aig-byok-alias`.
        custom_cost (CustomCost, default None): Prices for the log in place of Cloudflare's. `cf-aig-custom-cost`.
        event_id (str, default None): Id that several calls share. `cf-aig-event-id`.
        otel_trace_id (str, default None): 32 hex digits. `cf-aig-otel-trace-id`.
        otel_parent_span_id (str, default None): 16 hex digits. `cf-aig-otel-parent-span-id`.
        otel_active_span (bool, default None): Set these two from OpenTelemetry's active span, if there is one and both
            are unset.
        session_affinity (str, default None): Stable id of a conversation, which keeps its Workers AI calls on the
            instance that cached its prefix. `x-session-affinity`.
        session_id (str, default None): Id of a conversation, for the Auto Router. `cf-aig-session-id`.
        turn_id (str, default None): Id of a turn in it. `cf-aig-turn-id`.
        no_session_affinity (bool, default None): The Auto Router may change the model within a conversation.
            `cf-aig-no-session-affinity`.
        allowed_models (tuple of str, default None): Candidates of the Auto Router; `*` does not cross `/`.
            `cf-aig-allowed-models`.
        allowed_providers (tuple of str, default None): Authors of the candidates. `cf-aig-allowed-providers`.
        reject_if_busy (bool, default None): Fail at once with 429 instead of waiting for capacity; body field
            `options.rejectIfBusy`.
        gateway_id (str, default None): Gateway to use, up to 64 of `[A-Za-z0-9_-]`. `cf-aig-gateway-id`, REST API only.

    Raises:
        ValidationError: A field is unknown, or its value is out of range.
    """

    gateway_id: _Slug = None
    skip_cache: _Flag = None
    cache_ttl: Annotated[
        _Duration,
        _count_of(timedelta(seconds=1)),
        Field(ge=60, le=2_592_000, description="a whole number of seconds (or a timedelta) from 60 to 2592000"),
    ] = None
    cache_key: _Line = None
    collect_log: _Flag = None
    collect_log_payload: _Flag = None
    request_timeout: Annotated[
        _Duration,
        _count_of(timedelta(milliseconds=1)),
        # Beyond 2**53 an integer is not exact in JavaScript, in which the gateway reads it.
        Field(ge=1, lt=2**53, description="a whole number of milliseconds (or a timedelta) of at least 1"),
    ] = None
    max_attempts: Annotated[StrictInt | None, Field(ge=1, le=5, description="a whole number from 1 to 5")] = None
    retry_delay: Annotated[
        _Duration,
        _count_of(timedelta(milliseconds=1)),
        Field(ge=0, le=60_000, description="a whole number of milliseconds (or a timedelta) from 0 to 60000"),
    ] = None
    backoff: Annotated[
        Literal["constant", "linear", "exponential"] | None, Field(description="constant, linear or exponential")
    ] = None
    zdr: _Flag = None
    no_wholesale: _Flag = None
    byok_alias: _Line = None
    custom_cost: CustomCost | None = None
    event_id: _Line = None
    otel_trace_id: Annotated[StrictStr | None, _LOWER, Field(pattern="^[0-9a-f]{32}$", description="32 hex digits")] = (
        None
    )
    otel_parent_span_id: Annotated[
        StrictStr | None, _LOWER, Field(pattern="^[0-9a-f]{16}$", description="16 hex digits")
    ] = None
    otel_active_span: _Flag = None
    session_affinity: _Line = None
    session_id: _Line = None
    turn_id: _Line = None
    no_session_affinity: _Flag = None
    allowed_models: _Names = None
    allowed_providers: _Names = None
    reject_if_busy: _Flag = None

    @classmethod
    def of(cls, value: GatewayOptions | Mapping[str, Any] | None) -> GatewayOptions:
        """The options that a user's value stands for.

        Raises:
            ConfigError: A field is unknown or out of range, or `value` is of another type.
        """
        if isinstance(value, GatewayOptions):
            return value
        if value is not None and not isinstance(value, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise invalid(
                "gateway", value, f"is a {type(value).__name__}", "Use GatewayOptions or a mapping of its fields."
            )
        try:
            return cls.model_validate(dict(value or {}))
        except ValidationError as error:
            raise _config_error(error.errors()[0]) from error

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy.

        Args:
            update: Fields to change in the copy, validated as those of the constructor.
            deep: Whether values are copied, too.
        """
        if not update:
            return super().model_copy(deep=deep)
        return type(self)(**{name: getattr(self, name) for name in self.model_fields_set} | dict(update))

    def over(self, base: GatewayOptions | None) -> GatewayOptions:
        """These options, and those of `base` where these are unset."""
        if base is None:
            return self
        values = {name: value for name, value in self if value is not None}
        return GatewayOptions.model_construct(**{**dict(base), **values}) if values else base

    def headers(self, *, legacy: bool) -> dict[str, str]:
        """The headers that carry the options: ASCII, one line each.

        Raises:
            ConfigError: An option does not exist on that host.
        """
        headers: dict[str, str] = {}
        host = "legacy" if legacy else "rest"
        for option, value in self:
            if value is None or option in _WITHOUT_HEADER:
                continue
            if _ONLY_HOST.get(option, host) != host:
                raise _wrong_host(option, value, legacy=legacy)
            match value:
                case bool():
                    headers[header_name(option)] = "true" if value else "false"
                case tuple():
                    headers[header_name(option)] = ",".join(cast("tuple[str, ...]", value))
                case _:
                    headers[header_name(option)] = str(value)
        return headers

    def body_options(self) -> dict[str, Any]:
        """The fields of the body's `options`, on run and on chat completions."""
        return {field: value for name, field in _BODY_FIELDS.items() if (value := getattr(self, name)) is not None}


def _wrong_host(option: str, value: object, *, legacy: bool) -> ConfigError:
    if legacy:
        host, remedy = "the legacy host", "There the gateway is part of base_url: change that."
    else:
        host, remedy = "the REST API", "Leave it out, or use the legacy host: base_url='.../v1/.../compat'."
    return invalid(option, value, f"has no effect on {host}", remedy)


def _config_error(details: ErrorDetails) -> ConfigError:
    field = ".".join(str(step) for step in details["loc"])
    message = details["msg"].removeprefix("Value error, ")
    return ConfigError(
        message if message[-1] in ".?" else f"{message}.",
        field=f"gateway.{field}" if field else "gateway",
        value=details["input"],
        remedy="See GatewayOptions for the fields and their ranges.",
    )
