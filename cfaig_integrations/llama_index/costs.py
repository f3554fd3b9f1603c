"""Collects the log ids of the calls of a run, for its cost."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any

from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMCompletionEndEvent
from llama_index_instrumentation import get_dispatcher
from pydantic import PrivateAttr

from cfaig_integrations.adapters.costs import LogIds
from cfaig_integrations.errors import GatewayError
from cfaig_integrations.gateway.costs import iter_log_ids
from cfaig_integrations.gateway.info import GatewayInfo


class LogCollector(LogIds, BaseEventHandler):
    """Collects the log ids of all calls of a run, for `AIGateway.run_cost`. Thread-safe.

    Calls of LLMs count, whole and streamed, in engines, tools, agents and workflows; so do those of this package's
    embeddings, rerankers and tools. A failed call counts if the gateway logged it.

    As a `with` block it collects the calls inside: of its task and of the tasks and threads that LlamaIndex starts in
    it; read a stream inside, too. Added to the dispatcher of `get_dispatcher()`, it collects all calls of the process.

    Example:
        >>> with LogCollector() as collector:  # doctest: +SKIP
        ...     engine.query(question)
        >>> AIGateway().run_cost(collector).total  # doctest: +SKIP
        0.00345
    """

    _ids: dict[str, None] = PrivateAttr(default_factory=dict[str, None])
    _tokens: list[Token[tuple[LogCollector, ...]]] = PrivateAttr(default_factory=list[Any])

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex writes this class down."""
        return "LogCollector"

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        """Adds the log id of a call that has ended."""
        if isinstance(event, LLMChatEndEvent | LLMCompletionEndEvent):
            for log_id in iter_log_ids(event.response):
                self.add(log_id)

    def __enter__(self) -> LogCollector:
        root = get_dispatcher()
        if not any(handler is _LISTENER for handler in root.event_handlers):
            root.add_event_handler(_LISTENER)
        self._tokens.append(_ACTIVE.set((*_ACTIVE.get(), self)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ACTIVE.reset(self._tokens.pop())


_ACTIVE: ContextVar[tuple[LogCollector, ...]] = ContextVar("cfaig_log_collectors", default=())
"""The collectors of the blocks around a call."""


class _Listener(BaseEventHandler):
    """Passes events on to the collectors of the blocks around a call."""

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        for collector in _ACTIVE.get():
            collector.handle(event)


_LISTENER = _Listener()


def report(call: GatewayInfo | GatewayError | Mapping[str, Any]) -> None:
    """Tells the collectors about a call whose log ids are in no event of LlamaIndex."""
    for log_id in iter_log_ids(call):
        for collector in (*_ACTIVE.get(), *get_dispatcher().event_handlers):
            if isinstance(collector, LogCollector):
                collector.add(log_id)


class reported_errors:  # named as the function that it is used as
    """Tells the collectors about a call that fails inside the block."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, GatewayError):
            report(error)
