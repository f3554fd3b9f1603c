"""The connection of a model object, what one call changes of it, and the headers and timeouts of the call."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

from pydantic import SecretStr

from cfaig_integrations._version import __version__
from cfaig_integrations.core.records import record
from cfaig_integrations.errors import ConfigError, invalid, shown
from cfaig_integrations.gateway.failures.redaction import Hidden, HiddenText, names_a_credential
from cfaig_integrations.gateway.metadata import MOST_ENTRIES, encode_metadata
from cfaig_integrations.gateway.models.routes import Api
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.gateway.retry import RetryPolicy
from cfaig_integrations.gateway.settings import Secret, Settings

Pairs: TypeAlias = list[tuple[bytes, bytes]]
"""Header names and values, encoded."""

USER_AGENT = f"cfaig-integrations/{__version__}"
CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 600.0
"""Seconds without a byte after which a whole response is given up: reasoning models think for minutes."""
STREAM_IDLE_TIMEOUT = 300.0
"""Seconds without a byte after which a stream is given up, as in Cloudflare's own client (facts §5.3 g)."""
_MARGIN = 30.0
_MAX_SECONDS = 1e9
"""Clocks and sockets overflow beyond it."""

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")
_PUBLIC = frozenset({"accept", "accept-encoding", "content-type", "user-agent", "x-session-affinity"})
"""Headers that may be shown, as may those of the gateway; any other is the user's own, and may be a key."""
_FEATURES = b"anthropic-beta"
"""A list of names: those that the request needs are added to the user's own."""
# The HTTP library derives these from URL and body; others in their place break the connection.
_FRAMING = frozenset({"connection", "content-length", "host", "transfer-encoding"})


@runtime_checkable
class TimeoutLike(Protocol):
    """The attributes that `httpx.Timeout` and `httpx2.Timeout` share; None is no limit."""

    connect: float | None
    read: float | None


Timeout: TypeAlias = float | tuple[float | None, float | None] | TimeoutLike
"""Seconds for reading; or (connect, read), where None is no limit; or an HTTP library's own timeout object."""


@record
class Timeouts:
    """Timeouts in seconds; None is no limit.

    Attributes:
        connect: Until a connection is made, TLS included.
        read: Between two pieces of a response.
    """

    connect: float | None = CONNECT_TIMEOUT
    read: float | None = READ_TIMEOUT


def timeouts(value: Timeout | None) -> Timeouts:
    """The timeouts that a user's value stands for; None is the default.

    Raises:
        ConfigError: It is of another type, or not above zero.
    """
    match value:
        case None:
            return Timeouts()
        case (connect, read) | TimeoutLike(connect=connect, read=read):
            return Timeouts(*(None if each is None else _seconds("timeout", each) for each in (connect, read)))
        case _:
            return Timeouts(read=_seconds("timeout", value))


def _seconds(field_name: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _MAX_SECONDS:
        return float(value)
    raise invalid(
        field_name,
        value,
        "is not a duration",
        "Use seconds above zero; timeout also takes (connect, read) or an httpx.Timeout.",
    )


@record
class CallOptions:
    """What one call changes of its connection.

    Attributes:
        api: Format to use; None: the connection's.
        options: Gateway options, whose fields override those of the connection.
        metadata: Layers of metadata above the connection's, the highest first.
        automatic: Metadata added automatically, the most important first; trimmed where it does not fit.
        extra_headers: Further headers, which override those of the connection.
        conversation: Id of the conversation, for hosts that keep the calls of one conversation together.
    """

    api: Api | None = None
    options: GatewayOptions | None = None
    metadata: tuple[Mapping[str, Any], ...] = ()
    automatic: Mapping[str, Any] = field(default_factory=dict[str, Any])
    extra_headers: Mapping[str, str | SecretStr] = field(default_factory=dict[str, str], repr=False)
    timeout: Timeout | None = None
    conversation: object = None


NO_CALL_OPTIONS = CallOptions()


@dataclass(kw_only=True, eq=False)  # frozen would cost each model object another microsecond
class Connection:
    """How a model object reaches the gateway. Creating one does no I/O.

    Attributes:
        api: Format to use; `auto` selects it by model and request.
        metadata: Entries of `cf-aig-metadata` for every call; the lowest explicit layer.
        timeout: Seconds for reading (default 600), or (connect, read); connecting takes 10 at most by default.
        stream_idle_timeout: Most seconds between two pieces of a stream.
        max_retries: Most retries, 0 to 10; None: two, or none if the gateway itself retries.
        retry_after_send: Whether a request that may have been billed is sent again (facts §5.8).

    Raises:
        ConfigError: A timeout, `max_retries`, `retry_after_send`, a header or the metadata is not valid.
    """

    settings: Settings
    options: GatewayOptions | None = None
    api: Api = "auto"
    metadata: Mapping[str, Any] | None = None
    extra_headers: Mapping[str, str | SecretStr] = field(default_factory=dict[str, str], repr=False)
    timeout: Timeout | None = None
    stream_idle_timeout: float = STREAM_IDLE_TIMEOUT
    max_retries: int | None = None
    retry_after_send: bool = False
    framework: str = ""

    def __post_init__(self) -> None:
        if self.stream_idle_timeout != STREAM_IDLE_TIMEOUT:
            _seconds("stream_idle_timeout", self.stream_idle_timeout)
        if self.timeout is not None:
            timeouts(self.timeout)
        if self.max_retries is not None:
            RetryPolicy(self.max_retries)
        if not isinstance(self.retry_after_send, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
            raise invalid("retry_after_send", self.retry_after_send, "is not a bool", "Use True or False.")
        if self.extra_headers:
            checked_headers(self.extra_headers, provider_key=self._takes_provider_key)
        if self.metadata:
            encode_metadata(self.metadata, most=self._most_entries)

    def __getstate__(self) -> dict[str, Any]:
        # The cached headers hold the token, which must not get into a pickle.
        return {name: value for name, value in self.__dict__.items() if name != "_cached_headers"}

    @cached_property
    def _cached_headers(self) -> dict[bool, Pairs]:
        """Headers of calls that change none, by whether they stream."""
        return {}

    @property
    def _takes_provider_key(self) -> bool:
        """Whether `Authorization` may hold a provider's key: on the legacy host only."""
        return self.settings.legacy and not self.settings.custom

    @property
    def _most_entries(self) -> int:
        """Cloudflare Access adds the user's id to the metadata, which takes one place (facts §14.6)."""
        return MOST_ENTRIES - 1 if self.settings.custom else MOST_ENTRIES

    def url(self, path: str) -> str:
        """The URL of a route's path."""
        settings = self.settings
        root = settings.base_url if settings.legacy else f"{settings.base_url}/accounts/{settings.account_id}"
        return root + path

    def options_of(self, call: CallOptions) -> GatewayOptions | None:
        """The gateway options of a call."""
        return self.options if call.options is None else call.options.over(self.options)

    def policy_of(self, call: CallOptions) -> RetryPolicy:
        """When a call is retried."""
        options = self.options_of(call)
        gateway_retries = options is not None and (options.max_attempts or 1) > 1
        return RetryPolicy(self.max_retries, gateway_retries, self.retry_after_send)

    def timeouts_of(self, call: CallOptions, *, stream: bool) -> Timeouts:
        """The timeouts of a call; for a stream, `read` is the shorter of the two that apply."""
        timeout = self.timeout if call.timeout is None else call.timeout
        limits = timeouts(timeout)
        if stream:
            idle = self.stream_idle_timeout
            return Timeouts(limits.connect, idle if timeout is None or limits.read is None else min(limits.read, idle))
        options = self.options_of(call)
        if timeout is not None or options is None or options.request_timeout is None:
            return limits
        # The gateway's own limit is in milliseconds for each of its attempts, and ours must be longer (facts §13.9).
        gateway_limit = cast("int", options.request_timeout) / 1000 * (options.max_attempts or 1)
        return Timeouts(limits.connect, max(READ_TIMEOUT, gateway_limit + _MARGIN))

    def headers_of(
        self, call: CallOptions, wire_headers: Mapping[str, str], *, stream: bool, event_id: str | None = None
    ) -> Pairs:
        """The headers of a call, without a token that a function supplies; the user's override those of the arguments.

        Raises:
            ConfigError: A header or the metadata is not valid, or an option does not exist on this host.
        """
        if call.options is None and not call.extra_headers:
            headers = self._cached_headers.get(stream)
            if headers is None:
                headers = self._cached_headers[stream] = _encoded(self._headers(call, stream=stream))
        else:
            headers = _encoded(self._headers(call, stream=stream))
        names = dict(headers)
        headers = (
            headers + self._metadata_header(call, has_header=b"cf-aig-metadata" in names) + self._trace_headers(call)
        )
        if event_id is not None and b"cf-aig-event-id" not in names:
            headers.append((b"cf-aig-event-id", event_id.encode("ascii")))
        if wire_headers:
            names = dict(headers)
            if names.get(_FEATURES) and (required := wire_headers.get(_FEATURES.decode())):
                features = dict.fromkeys(each.strip() for each in f"{names[_FEATURES].decode()},{required}".split(","))
                headers = [pair for pair in headers if pair[0] != _FEATURES]
                headers += _encoded({_FEATURES.decode(): ",".join(features)})
            headers += [header for header in _encoded(wire_headers) if header[0] not in names]
        return headers

    def _trace_headers(self, call: CallOptions) -> Pairs:
        """The ids of OpenTelemetry's active span, if the program uses it; this package does not depend on it."""
        options = self.options_of(call)
        if options is None or not options.otel_active_span or options.otel_trace_id or options.otel_parent_span_id:
            return []
        trace: Any = sys.modules.get("opentelemetry.trace")  # without it, no span can be active
        span = None if trace is None else trace.get_current_span().get_span_context()
        if span is None or not span.is_valid:
            return []
        return [
            (b"cf-aig-otel-trace-id", b"%032x" % span.trace_id),
            (b"cf-aig-otel-parent-span-id", b"%016x" % span.span_id),
        ]

    def _headers(self, call: CallOptions, *, stream: bool) -> dict[str, str]:
        settings, options = self.settings, self.options_of(call)
        headers = {
            "user-agent": f"{USER_AGENT} {self.framework}".rstrip(),
            "content-type": "application/json",
            "accept": "text/event-stream, application/json" if stream else "application/json",
            # A compressed stream waits in the compressor's buffer; a whole response is worth compressing.
            "accept-encoding": "identity" if stream else "gzip, deflate",
        }
        if settings.gateway_id is not None and not settings.legacy:
            headers["cf-aig-gateway-id"] = settings.gateway_id
        if options is not None:
            headers |= options.headers(legacy=settings.legacy)
        headers |= checked_headers(self.extra_headers, provider_key=self._takes_provider_key)
        headers |= checked_headers(call.extra_headers, provider_key=self._takes_provider_key)
        if isinstance(settings.api_token, Secret):
            headers |= settings.auth_header(settings.api_token)
        return headers

    def auth(self, token: object) -> Pairs:
        """The header that carries a token, a `str` or a `Secret`.

        Raises:
            ConfigError: The token is not valid in a header.
        """
        return _encoded(self.settings.auth_header(token))

    def _metadata_header(self, call: CallOptions, *, has_header: bool) -> Pairs:
        layers = call.metadata if self.metadata is None else (*call.metadata, self.metadata)
        if not (layers or call.automatic):
            return []
        if has_header:
            if any(layers):
                raise ConfigError(
                    "Metadata is given twice, as metadata and as the header cf-aig-metadata.",
                    field="extra_headers",
                    remedy="Remove the header, and use gateway_metadata alone.",
                )
            return []
        value = encode_metadata(*layers, automatic=call.automatic, most=self._most_entries)
        return [] if value is None else [(b"cf-aig-metadata", value.encode("ascii"))]


def _encoded(headers: Mapping[str, str]) -> Pairs:
    pairs: Pairs = []
    for name, text in headers.items():
        public = name in _PUBLIC or (name.startswith("cf-aig-") and not names_a_credential(name))
        value = text.encode("ascii")
        pairs.append((name.encode("ascii"), value if public else Hidden(value)))
    return pairs


def carries_provider_key(headers: Mapping[str, object]) -> bool:
    """Whether a user's own headers hold a provider's key, which only the legacy host forwards (facts §2.3)."""
    return not {"authorization", "x-api-key"}.isdisjoint(str(name).lower() for name in headers)


def checked_headers(headers: Mapping[str, str | SecretStr], *, provider_key: bool) -> dict[str, str]:
    """A user's own headers with lower-case names.

    Args:
        headers: The headers; a value may be a secret.
        provider_key: Whether `Authorization` may hold a provider's key (facts §2.3).

    Raises:
        ConfigError: A name or a value is not valid, or would replace the token or the framing.
    """
    checked: dict[str, str] = {}
    if not isinstance(headers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
        raise ConfigError(f"extra_headers is a {type(headers).__name__}.", field="extra_headers", remedy="Use a dict.")
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _invalid_header(shown(name), "is not a header name", "Use letters, digits and hyphens.")
        lower = name.lower()
        if lower == "cf-aig-authorization" or (lower == "authorization" and not provider_key):
            raise _invalid_header(repr(name), "carries the token", "Pass the token as api_token.")
        if lower in _FRAMING:
            raise _invalid_header(repr(name), "is derived from URL and body", "Leave it out.")
        text = HiddenText(value.get_secret_value()) if isinstance(value, SecretStr) else value
        if not isinstance(text, str) or not _VALUE.fullmatch(text):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
            raise _invalid_header(repr(name), "has an invalid value", "Use one line of ASCII without spaces around it.")
        checked[lower] = text
    return checked


def _invalid_header(name: str, fault: str, remedy: str) -> ConfigError:
    # The value may be a key, so it is not shown.
    return ConfigError(f"extra_headers: {name} {fault}.", field="extra_headers", value=name, remedy=remedy)
