"""What stays the same from call to call, what one call changes, and the header block that both add up to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from cfaig_integrations._version import __version__
from cfaig_integrations.core.content import Wire
from cfaig_integrations.errors import ConfigError, shown
from cfaig_integrations.gateway.failures.redaction import Hidden, names_a_credential
from cfaig_integrations.gateway.metadata import MOST_ENTRIES, encode_metadata
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.gateway.retry import RetryPolicy
from cfaig_integrations.gateway.settings import Secret, Settings

Api: TypeAlias = Wire | Literal["auto"]
Pairs: TypeAlias = list[tuple[bytes, bytes]]
"""Header names and values as they are sent."""

USER_AGENT = f"cfaig-integrations/{__version__}"
CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 600.0
"""Seconds without a byte after which a whole answer is given up: reasoning models think for minutes."""
STREAM_IDLE_TIMEOUT = 300.0
"""Seconds without a byte after which a stream is given up, as in Cloudflare's own client (facts §5.3 g)."""
_GRACE = 30.0
_LONGEST_WAIT = 1e9
"""Seconds; clocks and sockets overflow beyond."""

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")
_PLAIN = frozenset({"accept", "accept-encoding", "content-type", "user-agent", "x-session-affinity"})
"""Headers that may be seen, as may those of the gateway; any other is the user's own, and may be a key."""
# The HTTP library derives these from address and body; a second opinion breaks the connection.
_FRAMING = frozenset({"connection", "content-length", "host", "transfer-encoding"})


@runtime_checkable
class TimeoutLike(Protocol):
    """What `httpx.Timeout` and `httpx2.Timeout` have in common; None is no limit."""

    connect: float | None
    read: float | None


Timeout: TypeAlias = float | tuple[float | None, float | None] | TimeoutLike
"""Seconds for reading, or (connect, read), where None is no limit, or an HTTP library's own timeout object."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds; None is no limit.

    Attributes:
        connect: For a connection, TLS included.
        read: Between two pieces of an answer.
    """

    connect: float | None = CONNECT_TIMEOUT
    read: float | None = READ_TIMEOUT


def timeouts(value: Timeout | None) -> Timeouts:
    """The timeouts that a user's word for them means; None is the default.

    Raises:
        ConfigError: It is none of the forms, or not above zero.
    """
    match value:
        case None:
            return Timeouts()
        case (connect, read):
            return Timeouts(_limit(connect), _limit(read))
        case TimeoutLike():
            return Timeouts(_limit(value.connect), _limit(value.read))
        case _:
            return Timeouts(read=_seconds("timeout", value))


def _limit(value: float | None) -> float | None:
    return None if value is None else _seconds("timeout", value)


def _seconds(field_name: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _LONGEST_WAIT:
        return float(value)
    raise ConfigError(
        f"{field_name}={shown(value)} is not a duration.",
        field=field_name,
        value=value,
        remedy="Give seconds above zero; timeout also takes (connect, read) or an httpx.Timeout.",
    )


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What one call changes.

    Attributes:
        api: Wire to use; None: the connection's.
        options: Gateway options, over the connection's field by field.
        metadata: Layers of metadata above the connection's, the highest first.
        automatic: Metadata that is known without being given, in the order of its worth; trimmed, never refused.
        extra_headers: Further headers, over the connection's.
        timeout: As the connection's.
        conversation: Id of the conversation that the call belongs to, for the host of a model that can make use of it.
    """

    api: Api | None = None
    options: GatewayOptions | None = None
    metadata: tuple[Mapping[str, Any], ...] = ()
    automatic: Mapping[str, Any] = field(default_factory=dict[str, Any])
    extra_headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout: Timeout | None = None
    conversation: object = None


NO_CALL_OPTIONS = CallOptions()


@dataclass(kw_only=True, eq=False)  # frozen would cost each model object another microsecond
class Connection:
    """How a model object reaches the gateway. Making one does no I/O and checks what can be checked.

    Attributes:
        settings: Account, token, gateway and host.
        options: What the gateway is asked to do with every call.
        api: Wire to use; `auto` lets the route table decide.
        metadata: For `cf-aig-metadata` of every call; the lowest explicit layer.
        extra_headers: Further headers of every call.
        timeout: Seconds for reading (default 600), or (connect, read); connecting takes 10 at most by default.
        stream_idle_timeout: Most seconds between two pieces of a stream.
        max_retries: Most further tries, 0 to 10; None: two, or none if the gateway is told to retry.
        event_limit: Most bytes of one event of a stream.

    Raises:
        ConfigError: A timeout, `max_retries` or a header cannot be right.
    """

    settings: Settings
    options: GatewayOptions | None = None
    api: Api = "auto"
    metadata: Mapping[str, Any] | None = None
    extra_headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout: Timeout | None = None
    stream_idle_timeout: float = STREAM_IDLE_TIMEOUT
    max_retries: int | None = None
    event_limit: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.stream_idle_timeout != STREAM_IDLE_TIMEOUT:
            _seconds("stream_idle_timeout", self.stream_idle_timeout)
        if self.timeout is not None:
            timeouts(self.timeout)
        if self.max_retries is not None:
            RetryPolicy(self.max_retries)
        if self.extra_headers:
            checked_headers(self.extra_headers, legacy=self._own_key)

    def __getstate__(self) -> dict[str, Any]:
        # The built blocks hold the token, which must not get into a pickle.
        return {name: value for name, value in self.__dict__.items() if name != "_blocks"}

    @cached_property
    def _blocks(self) -> dict[bool, Pairs]:
        """Header blocks of calls that change nothing, by whether they stream."""
        return {}

    @property
    def _own_key(self) -> bool:
        """Whether `Authorization` is the user's, for a provider's key: on the legacy host only."""
        return self.settings.legacy and not self.settings.custom

    def options_of(self, call: CallOptions) -> GatewayOptions | None:
        """The gateway options of a call."""
        return self.options if call.options is None else call.options.over(self.options)

    def policy_of(self, call: CallOptions) -> RetryPolicy:
        """When a call is tried again."""
        options = self.options_of(call)
        return RetryPolicy(self.max_retries, options is not None and (options.max_attempts or 1) > 1)

    def timeouts_of(self, call: CallOptions, *, stream: bool) -> Timeouts:
        """How long a call waits; a stream for each piece, the first one too, the shorter of its limits."""
        given = self.timeout if call.timeout is None else call.timeout
        limits = timeouts(given)
        if stream:
            idle = self.stream_idle_timeout
            return Timeouts(limits.connect, idle if given is None or limits.read is None else min(limits.read, idle))
        options = self.options_of(call)
        if given is not None or options is None or options.request_timeout is None:
            return limits
        # The gateway's own limit counts per attempt, in milliseconds, and ours must be longer (facts §13.9).
        told = options.request_timeout
        each = told.total_seconds() if isinstance(told, timedelta) else told / 1000
        return Timeouts(limits.connect, max(READ_TIMEOUT, each * (options.max_attempts or 1) + _GRACE))

    def headers_of(self, call: CallOptions, wire_headers: Mapping[str, str], *, stream: bool) -> Pairs:
        """The headers of a call, all but those that carry a token from a callable.

        Raises:
            ConfigError: A header or the metadata is illegal, or an option does not exist on this host.
        """
        if call.options is None and not call.extra_headers:
            block = self._blocks.get(stream)
            if block is None:
                block = self._blocks[stream] = _pairs(self._built(call, stream=stream))
        else:
            block = _pairs(self._built(call, stream=stream))
        block = [*block, *self._metadata(call, block)]
        if wire_headers:
            named = {name for name, _ in block}
            block += [pair for pair in _pairs(wire_headers) if pair[0] not in named]
        return block

    def _built(self, call: CallOptions, *, stream: bool) -> dict[str, str]:
        settings, options = self.settings, self.options_of(call)
        headers = {
            "user-agent": USER_AGENT,
            "content-type": "application/json",
            "accept": "text/event-stream, application/json" if stream else "application/json",
            # A compressed stream waits in the compressor's buffer; a whole answer is worth compressing.
            "accept-encoding": "identity" if stream else "gzip, deflate",
        }
        if settings.gateway_id is not None and not settings.legacy:
            headers["cf-aig-gateway-id"] = settings.gateway_id
        if options is not None:
            headers |= {name.lower(): value for name, value in options.headers(legacy=settings.legacy).items()}
        headers |= checked_headers(self.extra_headers, legacy=self._own_key)
        headers |= checked_headers(call.extra_headers, legacy=self._own_key)
        if isinstance(settings.api_token, Secret):
            headers |= self._auth(settings.api_token)
        return headers

    def _auth(self, token: object) -> dict[str, str]:
        return {name.lower(): value for name, value in self.settings.auth_headers(token).items()}

    def auth(self, token: object) -> Pairs:
        """The header that carries a token, a text or a `Secret`.

        Raises:
            ConfigError: The token cannot stand in a header.
        """
        return _pairs(self._auth(token))

    def _metadata(self, call: CallOptions, block: Pairs) -> Pairs:
        given = () if self.metadata is None else (self.metadata,)
        if not (given or call.metadata or call.automatic):
            return []
        if any(name == b"cf-aig-metadata" for name, _ in block):
            if any(given) or any(call.metadata):
                raise ConfigError(
                    "Metadata is given twice, as metadata and as the header cf-aig-metadata.",
                    field="extra_headers",
                    remedy="Take the header out, and give all of it as gateway_metadata.",
                )
            return []
        # Access adds the user's id, which takes a place (facts §14.6).
        most = MOST_ENTRIES - 1 if self.settings.custom else MOST_ENTRIES
        value = encode_metadata(*call.metadata, *given, automatic=call.automatic, most=most)
        return [] if value is None else [(b"cf-aig-metadata", value.encode("ascii"))]


def _pairs(headers: Mapping[str, str]) -> Pairs:
    return [
        (name.encode("ascii"), value.encode("ascii") if _may_be_seen(name) else Hidden(value.encode("ascii")))
        for name, value in headers.items()
    ]


def _may_be_seen(name: str) -> bool:
    return name in _PLAIN or (name.startswith("cf-aig-") and not names_a_credential(name))


def carries_provider_key(headers: Mapping[str, str]) -> bool:
    """Whether a user's own headers hold a provider's key, which only the legacy host hands on (facts §2.3)."""
    return not {"authorization", "x-api-key"}.isdisjoint(str(name).lower() for name in headers)


def checked_headers(headers: Mapping[str, str], *, legacy: bool) -> dict[str, str]:
    """A user's own headers with lower-case names, if they can be sent.

    On the legacy host `Authorization` is the provider's key, which is the user's to give (facts §2.3).

    Raises:
        ConfigError: A name or a value is illegal, or would replace the token or the framing.
    """
    checked: dict[str, str] = {}
    if not isinstance(headers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
        raise ConfigError(f"extra_headers is a {type(headers).__name__}.", field="extra_headers", remedy="Give a dict.")
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _illegal(shown(name), "is no header name", "Use letters, digits and hyphens.")
        lower = name.lower()
        if lower == "cf-aig-authorization" or (lower == "authorization" and not legacy):
            raise _illegal(f"{name!r}", "carries the token", "Give the token as api_token.")
        if lower in _FRAMING:
            raise _illegal(f"{name!r}", "is derived from address and body", "Leave it out.")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
            raise _illegal(f"{name!r}", "has an illegal value", "Give one line of ASCII text without spaces around it.")
        checked[lower] = value
    return checked


def _illegal(name: str, what: str, remedy: str) -> ConfigError:
    # The value may be a key, so it is not shown.
    return ConfigError(f"extra_headers: {name} {what}.", field="extra_headers", value=name, remedy=remedy)
