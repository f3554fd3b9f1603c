"""Metadata and options for every call inside a `with` block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import field
from types import MappingProxyType, TracebackType
from typing import Any, Generic, TypeVar

from cfaig_integrations.core.records import record
from cfaig_integrations.errors import invalid
from cfaig_integrations.gateway.metadata import encode_metadata
from cfaig_integrations.gateway.options import GatewayOptions

T = TypeVar("T")


@record
class Context:
    """The metadata and options of all blocks around a call.

    Attributes:
        metadata: Layers of metadata, the innermost block's first.
        options: Gateway options; those of an inner block override those of an outer one.
        automatic: Entries of a run, for the calls of an `AIGateway`; as many of them as there is room for.
        outer: Context outside of the innermost block.
        block: The innermost block.
    """

    metadata: tuple[Mapping[str, Any], ...] = ()
    options: GatewayOptions | None = None
    automatic: Mapping[str, object] = field(default_factory=dict[str, object])
    outer: Context | None = field(default=None, repr=False, compare=False)
    block: object = field(default=None, repr=False, compare=False)


NO_CONTEXT = Context()
"""The context outside of all blocks."""
_CURRENT: ContextVar[Context] = ContextVar("cfaig_gateway_context", default=NO_CONTEXT)

current: Callable[[], Context] = _CURRENT.get
"""The context of the running code."""


class holding(Generic[T]):  # named as the function that it is used as
    """Sets a context variable inside the block."""

    def __init__(self, variable: ContextVar[T], value: T) -> None:
        self._variable, self._value = variable, value

    def __enter__(self) -> None:
        self._token = self._variable.set(self._value)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._variable.reset(self._token)
        except ValueError:
            return  # a dropped coroutine is closed in the context of the garbage collector, where it was not set


def within(context: Context) -> holding[Context]:
    """Makes a context the current one inside the block."""
    return holding(_CURRENT, context)


class gateway_context:  # named as the function that it is used as
    """Metadata and options for every call inside a `with` block, whichever model, thread pool or task makes it.

    Blocks can be nested: the entries and options of an inner block override those of an outer one, arguments of a call
    override both, and both override those of the model's constructor. Follows `contextvars`: tasks and LangChain's
    thread pools inherit it, a bare `threading.Thread` does not. A stream uses the context in which it is created, not
    that in which it is read.

    Args:
        metadata: Entries of `cf-aig-metadata`.
        options: `GatewayOptions`, or a dict of its fields.

    Raises:
        ConfigError: An entry or an option is not valid.

    Example:
        >>> with gateway_context(metadata={"user_id": "u1"}, options={"cache_ttl": 300}):
        ...     ...  # chain.invoke(question)
        Ellipsis
    """

    def __init__(
        self, *, metadata: Mapping[str, Any] | None = None, options: GatewayOptions | Mapping[str, Any] | None = None
    ) -> None:
        if metadata is not None and not isinstance(metadata, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
            raise invalid("metadata", metadata, "is not a dict", "Use a dict.")
        self._metadata = MappingProxyType(dict(metadata or {}))
        encode_metadata(self._metadata)
        self._options = None if options is None else GatewayOptions.of(options)

    def __enter__(self) -> Context:
        outer = _CURRENT.get()
        metadata = (self._metadata, *outer.metadata) if self._metadata else outer.metadata
        options = outer.options if self._options is None else self._options.over(outer.options)
        context = Context(metadata, options, outer.automatic, outer, self)
        _CURRENT.set(context)
        return context

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The outer context is part of the context, so that several tasks can be inside the same block. A dropped
        # coroutine is closed in the context of the garbage collector, in which the block never began.
        context = _CURRENT.get()
        if context.block is self and context.outer is not None:
            _CURRENT.set(context.outer)
