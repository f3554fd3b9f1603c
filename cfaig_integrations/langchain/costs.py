"""Collects the log ids of the calls of a run, for its cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager, Callbacks
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from langchain_core.runnables import ensure_config

from cfaig_integrations.adapters.costs import LogIds
from cfaig_integrations.errors import GatewayError
from cfaig_integrations.gateway.costs import iter_log_ids
from cfaig_integrations.gateway.info import GatewayInfo


class LogCollector(LogIds, BaseCallbackHandler):
    """Collects the log ids of all calls of a run, for `AIGateway.run_cost`. Thread-safe.

    Calls of chat models and LLMs count, whole and streamed, in chains, tools and agents; so do those of this package's
    embeddings, rerankers, decision models and tools inside them. A failed call counts if the gateway logged it. A
    message from LangChain's own cache is not a call.

    Example:
        >>> collector = LogCollector()
        >>> agent.invoke(question, config={"callbacks": [collector]})  # doctest: +SKIP
        >>> AIGateway().run_cost(collector).total  # doctest: +SKIP
        0.00345
    """

    run_inline = True

    def __init__(self) -> None:
        self._ids = {}

    @property
    def ignore_chain(self) -> bool:
        """Only calls of models are of interest."""
        return True

    @property
    def ignore_agent(self) -> bool:
        """Only calls of models are of interest."""
        return True

    @property
    def ignore_retriever(self) -> bool:
        """Only calls of models are of interest."""
        return True

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """Adds the log id of a call."""
        for generations in response.generations:
            for generation in generations:
                if not _from_cache(generation):
                    self._add_all(iter_log_ids(generation))

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        """Adds the log id of a call that failed, if it has one."""
        self._add_all(iter_log_ids(error))

    def _add_all(self, log_ids: Iterable[str]) -> None:
        for log_id in log_ids:
            self.add(log_id)


def _from_cache(generation: Generation) -> bool:
    """Whether LangChain's cache answered: it sets the cost in the usage to zero."""
    message = generation.message if isinstance(generation, ChatGeneration) else None
    usage: Any = message.usage_metadata if isinstance(message, AIMessage) else None
    return bool(usage) and usage.get("total_cost") == 0


def report(call: GatewayInfo | GatewayError | Mapping[str, Any], callbacks: Callbacks = None) -> None:
    """Tells the collectors of the surrounding run about a call for which LangChain has no callback."""
    callbacks = callbacks or ensure_config().get("callbacks")
    handlers = callbacks.handlers if isinstance(callbacks, BaseCallbackManager) else callbacks or ()
    for handler in handlers:
        if isinstance(handler, LogCollector):
            for log_id in iter_log_ids(call):
                handler.add(log_id)
