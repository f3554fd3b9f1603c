"""The LangChain LLM: a prompt is one user turn, and the model's text is the answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack, cast, overload
from uuid import UUID

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    BaseRunManager,
    CallbackManagerForLLMRun,
    Callbacks,
)
from langchain_core.language_models import BaseLLM, LangSmithParams, LanguageModelInput
from langchain_core.outputs import Generation, GenerationChunk, LLMResult
from langchain_core.runnables import RunnableConfig
from pydantic import Field

from cfaig_integrations.adapters.arguments import call_options, chat_request, refuse_several
from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import Text, Turn
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.context import NO_CONTEXT, current, holding
from cfaig_integrations.langchain.arguments import (
    STRICT,
    USE_PREVIOUS,
    digest,
    for_traces,
    hide_secrets,
    identity,
    langchain_arguments,
    to_output,
)
from cfaig_integrations.langchain.base import GatewayModel
from cfaig_integrations.langchain.concurrency import arun_all, run_all
from cfaig_integrations.langchain.errors import langchain_errors
from cfaig_integrations.langchain.generations import GenerationChunkMaker, joined, to_generations, to_llm_result
from cfaig_integrations.langchain.outbound import PROVIDER
from cfaig_integrations.langchain.run_tracking import (
    PROMPT_RUNS,
    awithin_run,
    prompt_runs,
    run_entries,
    track_stream,
    within_run,
)
from cfaig_integrations.langchain.signatures import LLMArguments

_CHAT_PARAMETERS = ("tools", "tool_choice", "parallel_tool_calls", USE_PREVIOUS)
_CALL_ARGUMENTS: ContextVar[Mapping[str, Any] | None] = ContextVar("cfaig_langchain_call_arguments", default=None)
"""The arguments of the call whose prompts core looks up in LangChain's cache."""


class _Prompt(NamedTuple):
    """One prompt as a request, and its run."""

    request: ChatRequest
    options: CallOptions
    run: BaseRunManager | None


class CloudflareAIGatewayLLM(GatewayModel, BaseLLM):
    """Text model for every chat model behind Cloudflare AI Gateway. Tools, media and histories need the chat model.

    Each prompt is one request, with its own run and metadata. Further constructor arguments are those of `ChatFields`
    and `GatewayFields`. Unset arguments are omitted from the request. Those of `ChatFields` can also be given per call,
    where an argument that may be a new body field of a model goes into the request body.

    A generation's `generation_info` holds `finish_reason`, `usage_metadata`, `gateway` (log id, cache status ...) and
    `reasoning_content`. A refusal is the answer's text, and in `refusal`.

    Attributes:
        streaming: Stream in `invoke` too, so that handlers receive each token.
        max_concurrency: Most requests at a time of one `generate`, in threads or tasks; at least 1. `batch` sends each
            prompt by itself, with the `max_concurrency` of its config.

    Raises:
        ConfigError: A constructor argument does not exist, or a connection setting is invalid.
        pydantic.ValidationError: A value has the wrong type or is out of range.

    Example:
        >>> llm = CloudflareAIGatewayLLM(model="openai/gpt-5.4")  # doctest: +SKIP
        >>> llm.invoke("What is Cloudflare?")  # doctest: +SKIP
    """

    if TYPE_CHECKING:

        @overload
        def __init__(self, model: str, **arguments: Unpack[LLMArguments]) -> None: ...
        @overload
        def __init__(self, *, model_name: str, **arguments: Unpack[LLMArguments]) -> None: ...
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    streaming: bool = False
    max_concurrency: int = Field(default=4, ge=1)

    @property
    def _llm_type(self) -> str:
        return "cloudflare-ai-gateway-llm"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        params = identity(self)
        if "stop" in params:  # under its own key, core writes the call's, also None
            params["stop_sequences"] = params.pop("stop")
        if self.extra_headers:
            params["extra_headers"] = digest(sorted(self.extra_headers.items()))
        return params

    def asdict(self) -> dict[str, Any]:
        """The model as traces show it, and as the key of LangChain's cache.

        Core leaves a call's arguments out (langchain-core 1.6 to 1.8), so that a call for another model would get the
        first model's answer. They are added here, and so is the `gateway_context` around the call.
        """
        own, arguments = super().asdict(), dict(_CALL_ARGUMENTS.get() or {})
        shown = for_traces(arguments)
        if shown != arguments:  # secrets are hidden, and still make two calls different
            shown["extra_headers"] = digest((self.extra_headers, sorted(arguments.items())))
        context = current()
        if context != NO_CONTEXT:
            shown["gateway_context"] = digest(context)
        public = own | for_traces({name: value for name, value in own.items() if name != "extra_headers"})
        if public != own:
            public["secrets"] = digest(sorted(own.items()))
        return public | shown

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(self.stop if stop is None else stop, **kwargs)
        params["ls_provider"] = PROVIDER
        return params

    def generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        callbacks: Callbacks | list[Callbacks] | None = None,
        *,
        tags: list[str] | list[list[str]] | None = None,
        metadata: dict[str, Any] | list[dict[str, Any]] | None = None,
        run_name: str | list[str] | None = None,
        run_id: UUID | list[UUID | None] | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Answers prompts, each in a request of its own.

        Args:
            prompts: The prompts.
            stop: Texts at which to stop, in place of the constructor's.
            callbacks: Handlers for all runs, or for each.
            tags: Tags for all runs, or for each.
            metadata: Metadata for all runs, or for each; its `cf_aig_metadata` is for the gateway.
            run_name: Name of all runs, or of each.
            run_id: Id of the first run, or of each.
            **kwargs: Arguments of the constructor that shape the answer, or further body fields.

        Raises:
            ConfigError: An argument is invalid; nothing is sent.
            GatewayError: A request failed. `batch(..., return_exceptions=True)` keeps the other answers.
        """
        runs: dict[str, Any] = {"tags": tags, "metadata": metadata, "run_name": run_name, "run_id": run_id}
        with holding(_CALL_ARGUMENTS, kwargs):
            return super().generate(prompts, stop, callbacks, **runs, **kwargs)

    async def agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        callbacks: Callbacks | list[Callbacks] | None = None,
        *,
        tags: list[str] | list[list[str]] | None = None,
        metadata: dict[str, Any] | list[dict[str, Any]] | None = None,
        run_name: str | list[str] | None = None,
        run_id: UUID | list[UUID | None] | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """The asynchronous form of `generate`."""
        runs: dict[str, Any] = {"tags": tags, "metadata": metadata, "run_name": run_name, "run_id": run_id}
        with holding(_CALL_ARGUMENTS, kwargs):
            return await super().agenerate(prompts, stop, callbacks, **runs, **kwargs)

    def _generate_helper(self, *args: Any, **kwargs: Any) -> LLMResult:
        with holding(PROMPT_RUNS, _managers(*args, **kwargs)):
            return super()._generate_helper(*args, **kwargs)

    async def _agenerate_helper(self, *args: Any, **kwargs: Any) -> LLMResult:
        with holding(PROMPT_RUNS, _managers(*args, **kwargs)):
            return await super()._agenerate_helper(*args, **kwargs)

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[str]:
        """Streams an answer in pieces of text.

        Args:
            input: A prompt, a string or messages.
            config: The run's config; `config["metadata"]["cf_aig_metadata"]` is metadata for the gateway.
            stop: Texts at which to stop, in place of the constructor's.
            **kwargs: As in `generate`.
        """
        config, run = track_stream(config, with_handler=False)
        return within_run(run, super().stream(input, config, stop=stop, **hide_secrets(kwargs)))

    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[str]:
        """The asynchronous form of `stream`."""
        config, run = track_stream(config, with_handler=False)
        return awithin_run(run, super().astream(input, config, stop=stop, **hide_secrets(kwargs)))

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[str]:
        """Answers prompts, each by itself, so that one may fail alone.

        Args:
            inputs: The prompts.
            config: Config of all runs, or of each; its `max_concurrency` is the most requests at a time.
            return_exceptions: Return an error in place of its answer.
            **kwargs: As in `generate`.
        """
        return super(BaseLLM, self).batch(inputs, config, return_exceptions=return_exceptions, **kwargs)

    async def abatch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[str]:
        """The asynchronous form of `batch`."""
        return await super(BaseLLM, self).abatch(inputs, config, return_exceptions=return_exceptions, **kwargs)

    def _prompt(
        self,
        prompt: str,
        stop: list[str] | None,
        run: BaseRunManager | None,
        kwargs: Mapping[str, Any],
        *,
        stream: bool,
    ) -> _Prompt:
        arguments = langchain_arguments(kwargs)
        for name in _CHAT_PARAMETERS:
            if kwargs.get(name):
                raise ConfigError(f"An LLM does not take {name}.", field=name, remedy="Use ChatCloudflareAIGateway.")
        if not isinstance(prompt, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's value
            raise ConfigError(f"prompt {prompt!r} is not text.", field="prompts", value=prompt, remedy="Give a string.")
        turns = (Turn("user", (Text(prompt),)),)
        output = to_output(arguments.recognized.get("response_format"), kwargs.get(STRICT))
        request = chat_request(self, arguments, turns, output=output, stop=stop)
        if stream:
            refuse_several(request, "it cannot be streamed, for LangChain's chunks add up to one text.")
        run_metadata = run_entries(self, run, "completion")
        options = call_options(arguments, self.api, run_metadata, affinity=self.session_affinity)
        return _Prompt(request, options, run)

    def _prompts(
        self, prompts: list[str], stop: list[str] | None, first: BaseRunManager | None, kwargs: Mapping[str, Any]
    ) -> list[_Prompt]:
        """All requests of a call, before one is sent."""
        runs = prompt_runs(prompts, first)
        return [
            self._prompt(prompt, stop, run, kwargs, stream=self.streaming)
            for prompt, run in zip(prompts, runs, strict=True)
        ]

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        with langchain_errors():
            requests = self._prompts(prompts, stop, run_manager, kwargs)
            return self._result(requests, [*run_all(self._answer, requests, self.max_concurrency)])

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        with langchain_errors():
            requests = self._prompts(prompts, stop, run_manager, kwargs)
            return self._result(requests, await arun_all(self._aanswer, requests, self.max_concurrency))

    def _result(self, requests: Sequence[_Prompt], answers: list[list[Generation]]) -> LLMResult:
        return to_llm_result(answers, requests[0].request.model if requests else self.model)

    def _answer(self, prompt: _Prompt) -> list[Generation]:
        if self.streaming:
            return [joined(list(self._chunks(prompt)))]
        reply, info = self._clients.sync.chat(prompt.request, prompt.options)
        return to_generations(reply, info, prompt.request.model)

    async def _aanswer(self, prompt: _Prompt) -> list[Generation]:
        if self.streaming:
            return [joined([chunk async for chunk in self._achunks(prompt)])]
        reply, info = await self._clients.aio.chat(prompt.request, prompt.options)
        return to_generations(reply, info, prompt.request.model)

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        with langchain_errors():
            yield from self._chunks(self._prompt(prompt, stop, run_manager, kwargs, stream=True))

    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        with langchain_errors():
            async with aclosing(self._achunks(self._prompt(prompt, stop, run_manager, kwargs, stream=True))) as chunks:
                async for chunk in chunks:
                    yield chunk

    def _chunks(self, prompt: _Prompt) -> Iterator[GenerationChunk]:
        """The chunks of an answer, which an LLM passes to the handlers itself."""
        run = prompt.run if isinstance(prompt.run, CallbackManagerForLLMRun) else None
        with self._clients.sync.stream(prompt.request, prompt.options) as events:
            maker = GenerationChunkMaker(events.info, prompt.request.model)
            for event in events:
                chunk = maker.make(event)
                if chunk is not None:
                    if run is not None:
                        run.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
            last = maker.last()
            if run is not None:
                run.on_llm_new_token(last.text, chunk=last)
            yield last

    async def _achunks(self, prompt: _Prompt) -> AsyncGenerator[GenerationChunk]:
        run = prompt.run if isinstance(prompt.run, AsyncCallbackManagerForLLMRun) else None
        async with await self._clients.aio.stream(prompt.request, prompt.options) as events:
            maker = GenerationChunkMaker(events.info, prompt.request.model)
            async for event in events:
                chunk = maker.make(event)
                if chunk is not None:
                    if run is not None:
                        await run.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
            last = maker.last()
            if run is not None:
                await run.on_llm_new_token(last.text, chunk=last)
            yield last


def _managers(*args: Any, run_managers: Any = None, **_: Any) -> Sequence[BaseRunManager] | None:
    """The run managers, which core passes as the third argument or by name."""
    managers = args[2] if len(args) > 2 else run_managers
    return cast("Sequence[BaseRunManager]", managers) if isinstance(managers, list) else None
