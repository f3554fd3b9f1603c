"""This package's errors as subclasses of both `GatewayError` and LangChain's `ModelError`.

Programs that catch `cfaig_integrations` errors and those that catch `langchain_core.exceptions` (retry, fallback and
summarization middleware) get the same object.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from types import TracebackType

from langchain_core import exceptions as lc
from langchain_core.callbacks import Callbacks

from cfaig_integrations import errors as ours
from cfaig_integrations.langchain.costs import report


class Response:
    """An error response with the attributes that core copies into a failed run's metadata."""

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


_LANGCHAIN_CLASSES: Mapping[type[ours.GatewayError], type[lc.ModelError]] = {
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


def _combined(cls: type[ours.GatewayError], langchain_class: type[lc.ModelError]) -> type[ours.GatewayError]:
    bases = (cls, langchain_class, ValueError) if issubclass(cls, ours.ConfigError) else (cls, langchain_class)
    return type(cls.__name__, bases, {"__doc__": cls.__doc__, "__module__": __name__})


_COMBINED: Mapping[type[ours.GatewayError], type[ours.GatewayError]] = {
    cls: _combined(cls, langchain_class) for cls, langchain_class in _LANGCHAIN_CLASSES.items()
}
globals().update({cls.__name__: combined for cls, combined in _COMBINED.items()})  # where pickle looks for them


def to_langchain(error: ours.GatewayError) -> ours.GatewayError:
    """The same error as an instance of LangChain's class too."""
    combined = _COMBINED.get(type(error))
    if combined is None:
        return error
    copy = combined.__new__(combined)
    copy.args = error.args
    copy.__dict__.update(error.__dict__)
    # Core asks whether a repetition may succeed; whether it may be billed twice is for those who add retries to decide.
    copy.__dict__["is_retryable"] = error.retryable or error.maybe_billed
    if isinstance(error, ours.ApiError):
        copy.__dict__["response"] = Response(error)
    return copy


class langchain_errors:  # named as the function that it is used as
    """Raises this package's errors as instances of LangChain's classes too, and reports their log ids to collectors.

    Args:
        callbacks: Those of the run, if they are known.
    """

    __slots__ = ("callbacks",)

    def __init__(self, callbacks: Callbacks = None) -> None:
        self.callbacks = callbacks

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ours.GatewayError):
            report(error, self.callbacks)
            raise to_langchain(error).with_traceback(trace) from error.__cause__


SCHEMA_REMEDY = "Give a pydantic class, a TypedDict or a JSON schema."


@contextmanager
def conversion_errors(value: object, field: str, kind: str, remedy: str) -> Generator[None]:
    """Raises what LangChain's converters raise for values that are not tools or schemas as a `ConfigError`.

    Args:
        value: The value that is converted.
        field: The argument that holds it.
        kind: What it should be, with an article.
        remedy: How to correct it.
    """
    try:
        yield
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        text = f"{field}={ours.shown(value)} cannot be converted to {kind}: {error}"
        raise ours.ConfigError(text, field=field, value=value, remedy=remedy) from error
