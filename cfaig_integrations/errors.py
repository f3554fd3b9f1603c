"""All exceptions that this package raises.

GatewayError
    ├── ConfigError                        an argument is not valid; nothing was sent
    │   └── UnsupportedContent             the wire format cannot carry the content
    ├── TransportFault                     no response
    │   ├── ConnectFault                   refused, reset, name not found, TLS
    │   └── TimeoutFault                   connect, read or write took too long, or a stream was idle
    ├── ApiError                           an error response
    │   ├── InvalidRequest                 400 and other 4xx
    │   │   └── ContextOverflow            the conversation does not fit the model
    │   ├── AuthError                      401
    │   ├── PaymentRequired                402
    │   ├── PermissionDenied               403
    │   ├── NotFound                       404
    │   ├── GuardrailBlocked               blocked by guardrails, data-loss prevention or the model's filter
    │   ├── RateLimited                    429: retry later
    │   │   └── QuotaExceeded              a quota is used up: retrying does not help
    │   └── ServerFault                    5xx
    └── ProtocolError                      the response does not follow the wire format
        └── StreamBroken                   a stream ended before its end marker

A `ConfigError` is a `ValueError` in LangChain. In LlamaIndex it is not, because LlamaIndex's engines and extractors
swallow those. An `ApiError` carries `status`, `code`, `message`, `log_id`, `ray_id`, `request_id`, `retryable`,
`retry_after`, `hint` and `body`. Redirects are not followed, because that would send the token to another address: the
error names the target. Credentials (the token in use, bearer values, and keys in the usual forms) are removed from
errors, their causes and their bodies, even where a server echoes the request.

What is sent again
------------------
A model that has received a request runs, and is billed, even if its answer does not arrive. So a request is sent
again, after a pause with exponential backoff and full jitter, only if the model did not run:

- No connection (refused, DNS, TLS, proxy, none free in time), or the request was not written to its end: again.
  asyncio does not report the latter: there the request counts as sent.
- 408, 429, 5xx, and temporary failures that are reported as 400 or 402 (code 2005, timeouts and lack of capacity of
  Workers AI, "wholesale rate limit"), also as an event at the start of a stream: again.
- 409, 504, 524, a provider's timeout: an error; again with `retry_after_send=True`.
- After the request was sent: read timeout, reset, closed or truncated before the end of an answer, or before the first
  visible part of a stream: an error; again with `retry_after_send=True`.
- After the first visible part of a stream; other 4xx; a complete answer that cannot be read: an error.

`Retry-After` is respected up to a minute. Reading logs and giving feedback cost nothing, and are always sent again.
With your own HTTP client, whether the request was sent is known from the exception alone: what is not certain counts
as sent.

On every error, `maybe_billed` says whether the model may have run, and `retryable` whether sending the request again
is useful and cannot be billed twice (or is allowed by `retry_after_send`). LangChain's `is_retryable` only says that a
repetition may succeed, so that a `ModelRetryMiddleware` which you add repeats such calls. All requests of a call carry
the same `cf-aig-event-id`, generated unless you set `GatewayOptions.event_id`. Each request that is sent again is one
line of the logger `cfaig_integrations` with reason, pause, log id and event id, at level WARNING if it may be billed
twice and INFO otherwise. `log_ids`, on every error and on `GatewayInfo`, has the log ids of all requests of the call,
also of one whose connection was reset after its headers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "ApiError",
    "AuthError",
    "ConfigError",
    "ConnectFault",
    "ContextOverflow",
    "GatewayError",
    "GuardrailBlocked",
    "InvalidRequest",
    "NotFound",
    "PaymentRequired",
    "PermissionDenied",
    "ProtocolError",
    "QuotaExceeded",
    "RateLimited",
    "ServerFault",
    "StreamBroken",
    "TimeoutFault",
    "TransportFault",
    "UnsupportedContent",
]

_MAX_SHOWN = 100


class GatewayError(Exception):
    """Base of every error of this package.

    Attributes:
        message: What went wrong, in one or two sentences.
        requests_sent: HTTP requests that the call sent.
        retryable: Whether the same request may succeed later, and sending it again cannot be billed twice, or
            `retry_after_send` allows it.
        maybe_billed: Whether the request was sent completely, and nothing says that the model did not run.
        log_id: `cf-aig-log-id` of the response, if one began: for the logs API, which has the cost.
        log_ids: Those of all requests of the call, the last one included.
    """

    retryable: bool = False
    maybe_billed: bool = False
    log_id: str | None = None
    log_ids: tuple[str, ...] = ()

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.requests_sent = 0

    def __str__(self) -> str:
        """The message, with the log id."""
        text = super().__str__()
        return text if self.log_id is None else f"{text} (log id {self.log_id})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only constructors do not survive the default pickling of exceptions.
        return _revive, (type(self), self.args, self.__dict__.copy())


def _revive(kind: type[GatewayError], args: tuple[Any, ...], state: dict[str, Any]) -> GatewayError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigError(GatewayError):
    """An argument is not valid, and nothing was sent.

    Not a ValueError: LlamaIndex's query engines, selectors and extractors take every ValueError for a bad reply of the
    model, and continue. In LangChain, where invalid arguments are ValueErrors, it is one as well.

    Attributes:
        field: Argument or environment variable that is not valid.
        value: Its value; never a secret.
        remedy: How to fix it.
    """

    def __init__(self, message: str, *, field: str = "", value: object = None, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}" if remedy else message)
        self.field = field
        self.value = value
        self.remedy = remedy


def shown(value: object) -> str:
    """The repr of a user's value, cut to a readable length; never raises."""
    try:
        text = repr(value)
    except Exception:  # an integer of 4,300 digits, a value that is nested too deeply or has a broken repr
        return f"<{type(value).__name__}>"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def invalid(field: str, value: object, problem: str, remedy: str) -> ConfigError:
    """The error of an argument's value: `field=value problem. remedy`."""
    return ConfigError(f"{field}={shown(value)} {problem}.", field=field, value=value, remedy=remedy)


class UnsupportedContent(ConfigError):
    """The wire format cannot carry a part of the conversation."""


class TransportFault(GatewayError):
    """The network returned no usable response.

    Retryable unless the request was sent completely, so that the model may run.
    """

    def __init__(self, message: str, *, maybe_billed: bool = False) -> None:
        super().__init__(message)
        self.maybe_billed = maybe_billed
        self.retryable = not maybe_billed


class ConnectFault(TransportFault):
    """The connection could not be made, or broke before the response."""


class TimeoutFault(TransportFault):
    """The server took longer than the timeout."""


class ApiError(GatewayError):
    """The server returned an error.

    Attributes:
        status: HTTP status; a failure inside a 2xx body keeps its 2xx.
        code: Cloudflare's or the provider's own code, if any.
        retryable: Whether the same request may succeed later, and the model did not run.
        maybe_billed: Whether the model may have run: the status is 409, 504 or 524, or part of the reply came before.
        retry_after: Seconds to wait, if the server sent them.
        hint: How to fix it, if this package knows.
        log_id: `cf-aig-log-id`, for the logs API.
        event_id: `cf-aig-event-id`.
        request_id: The server's own request id.
        ray_id: `cf-ray`, for Cloudflare's support.
        headers: Response headers, lower-cased names.
        body: The decoded body, or its text where it is not JSON.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: int | str | None = None,
        retryable: bool = False,
        maybe_billed: bool = False,
        retry_after: float | None = None,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
        body: object = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retryable = retryable
        self.maybe_billed = maybe_billed
        self.retry_after = retry_after
        self.hint = hint
        self.headers: dict[str, str] = dict(headers or {})
        self.body = body
        self.log_id = self.headers.get("cf-aig-log-id")
        self.event_id = self.headers.get("cf-aig-event-id")
        ids = ("cf-aig-request-id", "x-request-id", "request-id", "cf-ai-req-id")
        self.request_id = next((found for name in ids if (found := self.headers.get(name))), None)
        self.ray_id = self.headers.get("cf-ray")

    def __str__(self) -> str:
        """The message, with the status and the ids to look the error up."""
        facts = [f"status {self.status}"]
        for label, value in (("code", self.code), ("log id", self.log_id), ("ray", self.ray_id)):
            if value is not None:
                facts.append(f"{label} {value}")
        text = f"{self.message} ({', '.join(facts)})"
        return f"{text}. {self.hint}" if self.hint else text


class InvalidRequest(ApiError):
    """The server does not accept the request as it is."""


class ContextOverflow(InvalidRequest):
    """Input and requested output together exceed the model's context window."""


class AuthError(ApiError):
    """The token is missing, wrong, or lacks the permission."""


class PaymentRequired(ApiError):
    """Credits or provider credentials are missing (or Unified Billing throttles, then `retryable`)."""


class PermissionDenied(ApiError):
    """The token lacks the permission."""


class NotFound(ApiError):
    """The account, the gateway path or the model does not exist."""


class GuardrailBlocked(ApiError):
    """Guardrails, data-loss prevention or the model's own filter blocked the prompt or the reply."""


class RateLimited(ApiError):
    """Too many requests."""


class QuotaExceeded(RateLimited):
    """A quota or a spend limit is used up; retrying does not help until it is renewed."""


class ServerFault(ApiError):
    """The server or the provider behind it failed."""


class ProtocolError(GatewayError):
    """The response does not follow the wire format.

    Attributes:
        body: The invalid bytes or value, cut to a readable length.
    """

    maybe_billed = True

    def __init__(self, message: str, *, body: object = None) -> None:
        super().__init__(message)
        self.body = body


class StreamBroken(ProtocolError):
    """A stream ended before its end marker, so that the reply is truncated.

    Attributes:
        partial: The text received so far.
    """

    def __init__(self, message: str, *, body: object = None, partial: str = "") -> None:
        super().__init__(message, body=body)
        self.partial = partial
