"""What a block of code tells the gateway with every call that is made inside it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Any, TypeVar

from cfaig_integrations.errors import ConfigError, shown
from cfaig_integrations.gateway.metadata import encode_metadata
from cfaig_integrations.gateway.options import GatewayOptions

__all__ = ["NO_CONTEXT", "Context", "current", "gateway_context", "holding", "within"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Context:
    """What the blocks around a call say together.

    Attributes:
        metadata: Layers of metadata, the innermost block's first.
        options: Gateway options, an inner block's over an outer one's field by field.
        outer: What holds again when the block ends.
        block: Whose context it is.
    """

    metadata: tuple[Mapping[str, Any], ...] = ()
    options: GatewayOptions | None = None
    outer: Context | None = field(default=None, repr=False, compare=False)
    block: object = field(default=None, repr=False, compare=False)


NO_CONTEXT = Context()
"""What holds outside of all blocks."""
_CURRENT: ContextVar[Context] = ContextVar("cfaig_gateway_context", default=NO_CONTEXT)


def current() -> Context:
    """What holds here and now."""
    return _CURRENT.get()


@contextmanager
def holding(variable: ContextVar[T], value: T) -> Generator[None]:
    """Gives a context variable a value inside the block."""
    token = variable.set(value)
    try:
        yield
    finally:
        # A coroutine that nobody awaits any longer is closed in its collector's context, where nothing was set.
        with suppress(ValueError):
            variable.reset(token)


def within(context: Context) -> AbstractContextManager[None]:
    """Makes what held elsewhere hold inside the block."""
    return holding(_CURRENT, context)


class gateway_context:  # named as the function that it is used as
    """Metadata and options for every call inside a `with` block, whichever model, thread pool or task makes it.

    Blocks may be nested: an inner one's entries and options win. What a call is given itself wins over both, and both
    win over what the model was constructed with. Follows `contextvars`: tasks and LangChain's thread pools see it; a
    bare `threading.Thread` does not. A stream takes what holds when it is asked for, not when it is read.

    Args:
        metadata: Entries of `cf-aig-metadata`.
        options: `GatewayOptions`, or a dict of its fields.

    Raises:
        ConfigError: An entry or an option can never be sent.

    Example:
        >>> with gateway_context(metadata={"user_id": "u1"}, options={"cache_ttl": 300}):
        ...     ...  # chain.invoke(question)
        Ellipsis
    """

    __slots__ = ("_metadata", "_options")

    def __init__(
        self,
        *,
        metadata: Mapping[str, Any] | None = None,
        options: GatewayOptions | Mapping[str, Any] | None = None,
    ) -> None:
        if metadata is not None and not isinstance(metadata, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
            raise ConfigError(
                f"metadata={shown(metadata)} is not a dict.", field="metadata", value=metadata, remedy="Give a dict."
            )
        self._metadata = MappingProxyType(dict(metadata or {}))
        encode_metadata(self._metadata)
        self._options = None if options is None else GatewayOptions.of(options)

    def __enter__(self) -> Context:
        outer = _CURRENT.get()
        metadata = (self._metadata, *outer.metadata) if self._metadata else outer.metadata
        options = outer.options if self._options is None else self._options.over(outer.options)
        context = Context(metadata, options, outer, self)
        _CURRENT.set(context)
        return context

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The way back is in the context itself, so that any number of tasks may be inside the same block; a coroutine
        # that nobody awaits any longer is closed in its collector's context, where the block never began.
        context = _CURRENT.get()
        if context.block is self and context.outer is not None:
            _CURRENT.set(context.outer)
