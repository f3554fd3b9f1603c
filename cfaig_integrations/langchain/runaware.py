"""A chat model base that knows on every path which run calls it.

LangChain hands the run to `_generate` but not to `_stream` (langchain-core 1.6 to 1.8), so it is caught on the way:
where `generate` turns into a stream on behalf of an observer, and with a handler of our own where `stream` begins. A
core that no longer calls what is overridden here costs run ids on some paths and breaks nothing. Knows no message.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, closing
from typing import Any, cast

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager, Callbacks
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatResult
from langchain_core.runnables import RunnableConfig, ensure_config

from cfaig_integrations.gateway.context import Context, current, holding, within
from cfaig_integrations.langchain.fields import GatewayFields
from cfaig_integrations.langchain.runinfo import SEEN, Watch


class RunAware(GatewayFields, BaseChatModel):
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
        return self._streamed(current(), input, config, stop=stop, **kwargs)

    def _streamed(
        self, context: Context, input: LanguageModelInput, config: RunnableConfig | None, **kwargs: Any
    ) -> Generator[AIMessageChunk]:
        watch, config = self._watched(config)
        inner = cast("Generator[AIMessageChunk]", super().stream(input, config, **kwargs))
        with closing(inner):
            # The request is sent when the first chunk is asked for, and only until then is anything set: a generator
            # runs in its reader's context, which an abandoned one would leave changed.
            with within(context), holding(SEEN, watch):
                first = next(inner, None)
            if first is not None:
                yield first
                yield from inner

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
        return self._astreamed(current(), input, config, stop=stop, **kwargs)

    async def _astreamed(
        self, context: Context, input: LanguageModelInput, config: RunnableConfig | None, **kwargs: Any
    ) -> AsyncGenerator[AIMessageChunk]:
        watch, config = self._watched(config)
        inner = cast("AsyncGenerator[AIMessageChunk]", super().astream(input, config, **kwargs))
        async with aclosing(inner):
            with within(context), holding(SEEN, watch):
                first = await anext(inner, None)
            if first is not None:
                yield first
                async for chunk in inner:
                    yield chunk

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
