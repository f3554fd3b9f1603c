"""The LLM: a prompt as one turn of a user, and the model's text as the answer.

Knows LangChain's contract for text models; names no wire format and does no I/O of its own. For programs that go from
text to text: tools, media and histories are the chat model's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, NamedTuple
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
from cfaig_integrations.adapters.fields import ChatFields
from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import Text, Turn
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.context import NO_CONTEXT, current, holding
from cfaig_integrations.langchain.arguments import STRICT, USE_PREVIOUS, for_traces, langchain_arguments, to_output
from cfaig_integrations.langchain.concurrency import arun_all, run_all
from cfaig_integrations.langchain.errors import langchain_errors
from cfaig_integrations.langchain.generations import PieceMaker, in_one, to_generations, to_llm_result
from cfaig_integrations.langchain.inbound import PROVIDER
from cfaig_integrations.langchain.run_metadata import run_entries
from cfaig_integrations.langchain.run_tracking import TracksRuns
from cfaig_integrations.langchain.serialization import Written, digest, identity
from cfaig_integrations.langchain.tokens import token_ids

_FOR_CHATS = ("tools", "tool_choice", "parallel_tool_calls", USE_PREVIOUS)
_GIVEN: ContextVar[Mapping[str, Any] | None] = ContextVar("cfaig_langchain_given", default=None)
"""The arguments of the call whose prompts are looked up in LangChain's cache."""


class _Ask(NamedTuple):
    """One prompt, ready to be sent, and the run that it belongs to."""

    request: ChatRequest
    options: CallOptions
    run: BaseRunManager | None


class CloudflareAIGatewayLLM(Written, TracksRuns, ChatFields):
    """Any chat model behind Cloudflare AI Gateway, for programs that go from text to text.

    Each prompt is one request, with a run and with metadata of its own. Nothing that is not set is sent. Every field
    that shapes an answer may also be given per call, and an argument that this class does not know goes into the
    request body. A generation's `generation_info` holds what an `AIMessage` holds beside its text: `finish_reason`,
    `usage_metadata`, `gateway` (log id, cache status ...), `reasoning_content`. A refusal is the text of its answer,
    and stands under `refusal` too.

    Attributes:
        streaming: Stream even when invoked, so that handlers hear of each piece.
        max_concurrency: Most requests at a time of one `generate`, threads or tasks. `batch` asks for each prompt by
            itself, and takes its own `max_concurrency` from the config.

    Raises:
        ConfigError: A constructor argument is unknown, or says where the gateway is and cannot be right.
        pydantic.ValidationError: A value is of the wrong type or out of range.

    Example:
        >>> llm = CloudflareAIGatewayLLM(model="openai/gpt-5.4")  # doctest: +SKIP
        >>> llm.invoke("What is Cloudflare?")  # doctest: +SKIP
    """

    streaming: bool = False
    max_concurrency: int = Field(default=4, ge=1)

    @property
    def _llm_type(self) -> str:
        return "cloudflare-ai-gateway-llm"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        """All that shapes an answer; no secret."""
        known = identity(self)
        if "stop" in known:  # where core writes the call's own, None as well
            known["stop_sequences"] = known.pop("stop")
        headers = {} if not self.extra_headers else {"extra_headers": digest(sorted(self.extra_headers.items()))}
        return known | headers

    def asdict(self) -> dict[str, Any]:
        """What stands in traces and, as a text, names the model in LangChain's cache.

        Core leaves the arguments of a call out (langchain-core 1.6 to 1.8), so that a call for another model would be
        answered with the first one's answer. What the blocks around a call tell the gateway counts, too.
        """
        own, given = super().asdict(), dict(_GIVEN.get() or {})
        shown = for_traces(given)
        if shown != given:  # secrets are hidden, and still tell two calls apart
            shown["extra_headers"] = digest((self.extra_headers, sorted(given.items())))
        around = current()
        if around != NO_CONTEXT:
            shown["gateway_context"] = digest(around)
        known = own | for_traces({word: value for word, value in own.items() if word != "extra_headers"})
        if known != own:
            known["secrets"] = digest(sorted(own.items()))
        return known | shown

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(self.stop if stop is None else stop, **kwargs)
        params["ls_provider"] = PROVIDER
        return params

    def get_token_ids(self, text: str) -> list[int]:
        """The tokens of a text: those of `custom_get_token_ids`, or one number for each four characters.

        Args:
            text: The text.
        """
        return token_ids(text, self.custom_get_token_ids)

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
        """Answers to prompts, in their order.

        Args:
            prompts: The prompts; each is one request, of which `max_concurrency` are under way at a time.
            stop: Texts at which to stop.
            callbacks: Handlers of all the runs, or of each.
            tags: Tags of all the runs, or of each.
            metadata: Metadata of all the runs, or of each; its `cf_aig_metadata` is for the gateway.
            run_name: Name of all the runs, or of each.
            run_id: Id of the first run, or of each.
            **kwargs: As of every call.

        Raises:
            ConfigError: An argument cannot be right; nothing is sent.
            GatewayError: One of the prompts failed. `batch(..., return_exceptions=True)` keeps the other answers.
        """
        runs: dict[str, Any] = {"tags": tags, "metadata": metadata, "run_name": run_name, "run_id": run_id}
        with holding(_GIVEN, kwargs):
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
        """Answers to prompts, in their order; as `generate`."""
        runs: dict[str, Any] = {"tags": tags, "metadata": metadata, "run_name": run_name, "run_id": run_id}
        with holding(_GIVEN, kwargs):
            return await super().agenerate(prompts, stop, callbacks, **runs, **kwargs)

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[str]:
        """Answers to prompts, each asked for by itself and in the same time, so that one may fail alone.

        Args:
            inputs: The prompts.
            config: Config of all, or of each; `max_concurrency` is the most requests at a time.
            return_exceptions: Give an error in its answer's place.
            **kwargs: As of every call.
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
        """Answers to prompts, each asked for by itself and in the same time; as `batch`."""
        return await super(BaseLLM, self).abatch(inputs, config, return_exceptions=return_exceptions, **kwargs)

    def _ask(
        self,
        prompt: str,
        stop: list[str] | None,
        run: BaseRunManager | None,
        kwargs: Mapping[str, Any],
        *,
        stream: bool,
    ) -> _Ask:
        given = langchain_arguments(kwargs)
        for word in _FOR_CHATS:
            if kwargs.get(word):
                raise ConfigError(f"{word}= is for chats.", field=word, remedy="Use ChatCloudflareAIGateway.")
        if not isinstance(prompt, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
            raise ConfigError(f"prompt {prompt!r} is not text.", field="prompts", value=prompt, remedy="Give a string.")
        turns = (Turn("user", (Text(prompt),)),)
        output = to_output(given.recognized.get("response_format"), kwargs.get(STRICT))
        request = chat_request(self, given, turns, output=output, stop=stop)
        if stream:
            refuse_several(request, "it cannot be streamed, for LangChain's pieces add up to one text.")
        return _Ask(
            request,
            call_options(given, self.api, run_entries(self, run, "completion"), affinity=self.session_affinity),
            run,
        )

    def _asks(
        self, prompts: list[str], stop: list[str] | None, first: BaseRunManager | None, kwargs: Mapping[str, Any]
    ) -> list[_Ask]:
        """All the requests of a call, before any is sent."""
        runs = self._runs(prompts, first)
        return [
            self._ask(prompt, stop, run, kwargs, stream=self.streaming)
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
            asks = self._asks(prompts, stop, run_manager, kwargs)
            return self._told(asks, [*run_all(self._one, asks, self.max_concurrency)])

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        with langchain_errors():
            asks = self._asks(prompts, stop, run_manager, kwargs)
            return self._told(asks, await arun_all(self._aone, asks, self.max_concurrency))

    def _told(self, asks: Sequence[_Ask], answers: list[list[Generation]]) -> LLMResult:
        return to_llm_result(answers, asks[0].request.model if asks else self.model)

    def _one(self, ask: _Ask) -> list[Generation]:
        if self.streaming:
            return [in_one(list(self._pieces(ask)))]
        reply, info = self._clients.sync.chat(ask.request, ask.options)
        return to_generations(reply, info, ask.request.model)

    async def _aone(self, ask: _Ask) -> list[Generation]:
        if self.streaming:
            return [in_one([piece async for piece in self._apieces(ask)])]
        reply, info = await self._clients.aio.chat(ask.request, ask.options)
        return to_generations(reply, info, ask.request.model)

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        with langchain_errors():
            yield from self._pieces(self._ask(prompt, stop, run_manager, kwargs, stream=True))

    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        with langchain_errors():
            async with aclosing(self._apieces(self._ask(prompt, stop, run_manager, kwargs, stream=True))) as pieces:
                async for piece in pieces:
                    yield piece

    def _pieces(self, ask: _Ask) -> Iterator[GenerationChunk]:
        """The pieces of an answer; core leaves it to an LLM to tell the handlers."""
        with self._clients.sync.stream(ask.request, ask.options) as events:
            maker = PieceMaker(events.info, ask.request.model)
            for event in events:
                piece = maker.make(event)
                if piece is not None:
                    _tell(ask.run, piece)
                    yield piece
            last = maker.last()
            _tell(ask.run, last)
            yield last

    async def _apieces(self, ask: _Ask) -> AsyncGenerator[GenerationChunk]:
        async with await self._clients.aio.stream(ask.request, ask.options) as events:
            maker = PieceMaker(events.info, ask.request.model)
            async for event in events:
                piece = maker.make(event)
                if piece is not None:
                    await _atell(ask.run, piece)
                    yield piece
            last = maker.last()
            await _atell(ask.run, last)
            yield last


def _tell(run: BaseRunManager | None, piece: GenerationChunk) -> None:
    if isinstance(run, CallbackManagerForLLMRun):
        run.on_llm_new_token(piece.text, chunk=piece)


async def _atell(run: BaseRunManager | None, piece: GenerationChunk) -> None:
    if isinstance(run, AsyncCallbackManagerForLLMRun):
        await run.on_llm_new_token(piece.text, chunk=piece)
