"""Our errors that are also LangChain's.

Whoever catches `cfaig_integrations` errors and whoever catches `langchain_core.exceptions.ModelError` kinds (retry and
fallback middleware, summarisation) gets the same object.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from langchain_core import exceptions as lc

from cfaig_integrations import errors as ours


class Response:
    """The failed answer in the shape in which core reads it into a failed run's metadata.

    Attributes:
        status_code: HTTP status.
        headers: Lower-cased names.
    """

    def __init__(self, error: ours.ApiError) -> None:
        self.status_code = error.status
        self.headers = error.headers
        self._body = error.body

    @property
    def text(self) -> str:
        """The body as text."""
        return str(self._body)

    def json(self) -> object:
        """The decoded body."""
        return self._body


NOT_CONVERTED = (AttributeError, KeyError, RecursionError, TypeError, ValueError)
"""What LangChain's converters of tools and schemas raise for values that are none."""

_LANGCHAIN_KINDS: Mapping[type[ours.GatewayError], type[lc.ModelError]] = {
    ours.ConfigError: lc.ModelInvalidRequestError,
    ours.UnsupportedContent: lc.ModelInvalidRequestError,
    ours.TransportFault: lc.ModelConnectionError,
    ours.ConnectFault: lc.ModelConnectionError,
    ours.TimeoutFault: lc.ModelTimeoutError,
    ours.ApiError: lc.ModelAPIError,
    ours.InvalidRequest: lc.ModelInvalidRequestError,
    ours.ContextOverflow: lc.ContextOverflowError,
    ours.AuthError: lc.ModelAuthenticationError,
    ours.PaymentRequired: lc.ModelPermissionDeniedError,
    ours.PermissionDenied: lc.ModelPermissionDeniedError,
    ours.NotFound: lc.ModelNotFoundError,
    ours.GuardrailBlocked: lc.ModelInvalidRequestError,
    ours.RateLimited: lc.ModelRateLimitError,
    ours.QuotaExceeded: lc.ModelRateLimitError,
    ours.ServerFault: lc.ModelAPIError,
    ours.GatewayError: lc.ModelError,
    ours.ProtocolError: lc.ModelAPIError,
    ours.StreamBroken: lc.ModelAPIError,
}


def _both(kind: type[ours.GatewayError], langchain_kind: type[lc.ModelError]) -> type[ours.GatewayError]:
    members: dict[str, Any] = {"__doc__": kind.__doc__, "__module__": __name__}
    bases = (kind, langchain_kind, ValueError) if issubclass(kind, ours.ConfigError) else (kind, langchain_kind)
    return type(kind.__name__, bases, members)


_BOTH: Mapping[type[ours.GatewayError], type[ours.GatewayError]] = {
    kind: _both(kind, langchain_kind) for kind, langchain_kind in _LANGCHAIN_KINDS.items()
}
globals().update({kind.__name__: both for kind, both in _BOTH.items()})  # where pickle looks for them


def to_langchain(error: ours.GatewayError) -> ours.GatewayError:
    """The same error, also of LangChain's kind."""
    both = _BOTH.get(type(error))
    if both is None:
        return error
    twin = both.__new__(both)
    twin.args = error.args
    twin.__dict__.update(error.__dict__)
    twin.__dict__["is_retryable"] = error.retryable
    if isinstance(error, ours.ApiError):
        twin.__dict__["response"] = Response(error)
    return twin


@contextmanager
def langchain_errors() -> Generator[None]:
    """Turns our errors into ones that are also LangChain's."""
    try:
        yield
    except ours.GatewayError as error:
        twin = to_langchain(error)
        raise twin.with_traceback(error.__traceback__) from error.__cause__
