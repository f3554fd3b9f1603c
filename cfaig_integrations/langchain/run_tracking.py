"""Bases of the chat model and of the LLM that know on every path which run calls them.

LangChain hands the run to a chat model's `_generate` but not to its `_stream` (langchain-core 1.6 to 1.8), so it is
caught on the way: where `generate` turns into a stream on behalf of an observer, and with a handler of our own where
`stream` begins. Of an LLM's prompts it hands over the first one's run alone, so all are caught where they are told
apart. A core that no longer calls what is overridden here costs run ids on some paths and breaks nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from contextlib import aclosing, closing
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager, BaseRunManager, Callbacks
from langchain_core.language_models import BaseLLM, LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatResult, LLMResult
from langchain_core.runnables import RunnableConfig, ensure_config

from cfaig_integrations.gateway.context import Context, current, holding, within
from cfaig_integrations.langchain.arguments import sealed
from cfaig_integrations.langchain.fields import LangChainFields
from cfaig_integrations.langchain.run_metadata import SEEN, Watch

T = TypeVar("T")


def begun(context: Context, watch: Watch, inner: Generator[T]) -> Generator[T]:
    """A stream that is asked for in a context and for a run, whoever reads it.

    Args:
        context: What held when the stream was asked for.
        watch: Its run.
        inner: The stream; closed at the end.
    """
    with closing(inner):
        # The request is sent when the first chunk is asked for, and only until then is anything set: a generator
        # runs in its reader's context, which an abandoned one would leave changed.
        with within(context), holding(SEEN, watch):
            first = next(inner, None)
        if first is not None:
            yield first
            yield from inner


async def abegun(context: Context, watch: Watch, inner: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """A stream that is asked for in a context and for a run; as `begun`."""
    async with aclosing(inner):
        with within(context), holding(SEEN, watch):
            first = await anext(inner, None)
        if first is not None:
            yield first
            async for chunk in inner:
                yield chunk


class TracksRun(LangChainFields, BaseChatModel):
    """A chat model that knows on every path which run calls it."""

    def _generate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        token = SEEN.set(kwargs.get("run_manager"))
        try:
            return super()._generate_with_cache(*args, **kwargs)
        finally:
            SEEN.reset(token)

    async def _agenerate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        with holding(SEEN, kwargs.get("run_manager")):
            return await super()._agenerate_with_cache(*args, **kwargs)

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """An answer as it is written, in chunks that add up to a message.

        Args:
            input: A prompt, a text or messages.
            config: The run's config; `config["metadata"]["cf_aig_metadata"]` is metadata for the gateway.
            stop: Texts at which to stop.
            **kwargs: As of every call.
        """
        watch, config = self._watched(config)
        return begun(
            current(), watch, cast("Generator[AIMessageChunk]", super().stream(input, config, stop=stop, **kwargs))
        )

    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """An answer as it is written, in chunks that add up to a message.

        Args:
            input: A prompt, a text or messages.
            config: The run's config; `config["metadata"]["cf_aig_metadata"]` is metadata for the gateway.
            stop: Texts at which to stop.
            **kwargs: As of every call.
        """
        watch, config = self._watched(config)
        return abegun(
            current(),
            watch,
            cast("AsyncGenerator[AIMessageChunk]", super().astream(input, config, stop=stop, **kwargs)),
        )

    def _watched(self, config: RunnableConfig | None) -> tuple[Watch, RunnableConfig]:
        full = ensure_config(config)
        watch = Watch(full)
        if self.run_metadata:
            full["callbacks"] = _joined(full.get("callbacks"), watch)
        return watch, full


def _joined(callbacks: Callbacks, handler: BaseCallbackHandler) -> Callbacks:
    if isinstance(callbacks, BaseCallbackManager):
        both = callbacks.copy()
        both.add_handler(handler, inherit=False)
        return both
    return [*(callbacks or ()), handler]


_RUNS: ContextVar[Sequence[BaseRunManager] | None] = ContextVar("cfaig_langchain_prompts", default=None)
"""The runs of the prompts that are being asked, in their order."""


class TracksRuns(LangChainFields, BaseLLM):
    """An LLM that knows on every path which run each of its prompts belongs to."""

    def _generate_helper(self, *args: Any, **kwargs: Any) -> LLMResult:
        with holding(_RUNS, _managers(*args, **kwargs)):
            return super()._generate_helper(*args, **kwargs)

    async def _agenerate_helper(self, *args: Any, **kwargs: Any) -> LLMResult:
        with holding(_RUNS, _managers(*args, **kwargs)):
            return await super()._agenerate_helper(*args, **kwargs)

    @staticmethod
    def _runs(prompts: Sequence[str], first: BaseRunManager | None) -> Sequence[BaseRunManager | None]:
        """The run of each prompt; None where only the run around it is known.

        Args:
            prompts: The prompts of one call.
            first: The run that LangChain handed over.
        """
        caught = _RUNS.get()
        if caught and len(caught) == len(prompts) and caught[0] is first:
            return caught
        return [first] if len(prompts) == 1 else [None] * len(prompts)

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[str]:
        """An answer as it is written, in pieces.

        Args:
            input: A prompt, a text or messages.
            config: The run's config; `config["metadata"]["cf_aig_metadata"]` is metadata for the gateway.
            stop: Texts at which to stop.
            **kwargs: As of every call.
        """
        full = ensure_config(config)
        inner = cast("Generator[str]", super().stream(input, full, stop=stop, **sealed(kwargs)))
        return begun(current(), Watch(full), inner)

    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[str]:
        """An answer as it is written, in pieces; as `stream`."""
        full = ensure_config(config)
        inner = cast("AsyncGenerator[str]", super().astream(input, full, stop=stop, **sealed(kwargs)))
        return abegun(current(), Watch(full), inner)


def _managers(*args: Any, run_managers: Any = None, **_: Any) -> Sequence[BaseRunManager] | None:
    """What core gives its helper third, or by name."""
    found = args[2] if len(args) > 2 else run_managers
    return cast("Sequence[BaseRunManager]", found) if isinstance(found, list) else None
