"""The LangChain LLM: a prompt is one user turn, and the model's text is the answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack, cast, overload
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, BaseRunManager, CallbackManagerForLLMRun, Callbacks
from langchain_core.language_models import BaseLLM, LanguageModelInput
from langchain_core.outputs import Generation, GenerationChunk, LLMResult
from langchain_core.runnables import RunnableConfig, ensure_config
from pydantic import Field

from cfaig_integrations.adapters.arguments import call_options, chat_request, refuse_several
from cfaig_integrations.adapters.secrets import for_traces
from cfaig_integrations.client.concurrency import arun_all, run_all
from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import Text, Turn
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.context import NO_CONTEXT, current, holding
from cfaig_integrations.langchain.arguments import (
    STRICT,
    USE_PREVIOUS,
    digest,
    hide_secrets,
    langchain_arguments,
    public_identity,
    to_output,
)
from cfaig_integrations.langchain.base import GatewayModel
from cfaig_integrations.langchain.errors import langchain_errors
from cfaig_integrations.langchain.generations import GenerationChunkMaker, joined, to_generations, to_llm_result
from cfaig_integrations.langchain.run_tracking import (
    PROMPT_RUNS,
    StreamRun,
    awithin_run,
    prompt_runs,
    run_entries,
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

    Each prompt is one request, with its own run and metadata. Arguments that are None are omitted from the request, or
    have the default that their description states. Each of them but the connection settings can also be given for one
    call, where what may be a new body field of a model goes into the body. LangChain's own arguments are `name`,
    `cache`, `verbose`, `callbacks`, `tags`, `metadata` and `custom_get_token_ids`.

    A generation's `generation_info` holds `finish_reason`, `usage_metadata`, `gateway` (log id, cache status ...) and
    `reasoning_content`. A refusal is the answer's text, and in `refusal`.

    Args:
        model (str): Model id: `author/model` such as `openai/gpt-5.4`, or a Workers AI model such as
            `@cf/zai-org/glm-5.2`.
        api (chat_completions | responses | messages | run | auto, default "auto"): Wire format. `auto` takes Responses
            for tools and each model's own format otherwise.
        temperature (float, default None): Randomness, 0 to 2 for most models.
        max_tokens (int, default None): Maximum number of tokens to generate, reasoning included. Default: the server's,
            which is 256 for many Workers AI models; for Anthropic's, which require one, the model's output limit, or
            8192 if unknown.
        top_p (float, default None): Nucleus sampling, 0 to 1.
        top_k (int, default None): Sample from the k likeliest tokens.
        stop (list of str, default None): Texts at which to stop.
        seed (int, default None): Seed for sampling.
        frequency_penalty (float, default None): -2 to 2.
        presence_penalty (float, default None): -2 to 2.
        n (int, default None): Number of answers; not in streams.
        logprobs (bool, default None): Whether to return log probabilities.
        top_logprobs (int, default None): Alternatives per token, 0 to 20.
        reasoning_effort (str, default None): As the provider names it: `minimal`, `low`, `medium`, `high` ...
        reasoning (dict, default None): The Responses format's `reasoning` object.
        thinking (dict, default None): Anthropic's `thinking` object.
        service_tier (str, default None): As the provider names it.
        store (bool, default None): Whether the provider keeps the response for `previous_response_id`.
        verbosity (str, default None): How long the answer is to be: `low`, `medium`, `high`. OpenAI's formats.
        logit_bias (dict, default None): Token id -> -100 to 100. Chat Completions.
        prompt_cache_key (str, default None): Requests with the same key share a cached prefix. OpenAI's formats.
        prompt_cache_retention (str, default None): How long OpenAI keeps the prefix: `in_memory`, `24h`.
        prompt_cache_options (dict, default None): OpenAI's object of cache options, such as `{"mode": "explicit"}`.
        include (list of str, default None): Further data for the response, such as `web_search_call.action.sources`.
            Responses.
        truncation (str, default None): `auto` lets the server drop the beginning of a conversation that is too long.
            Responses.
        context_management (list of dict | dict, default None): What the server does with a long context: a list on
            Responses, an object on Messages.
        output_config (dict, default None): Anthropic's object, such as `{"effort": "low", "task_budget": {...}}`.
        mcp_servers (list of dict, default None): Anthropic's MCP servers. Serialized unchanged, keys included.
        container (str | dict, default None): Anthropic's container for code execution: its id, or an object with
            skills.
        inference_geo (str, default None): Where Anthropic runs the model: `us`, `global`.
        betas (list of str, default None): Anthropic's beta features, beside those that the tools and arguments of a
            request need.
        extra_body (dict, default None): Further body fields, unchanged.
        stream_usage (bool, default True): Whether streams report token counts.
        session_affinity (bool | str, default True): Conversation that a call belongs to, with which a Workers AI model
            finds its prompt cached (`x-session-affinity`) and the Auto Router keeps its model (`cf-aig-session-id`).
            True: the run's thread, session or conversation id; a string: that id; False: none.
        streaming (bool, default False): Stream in `invoke` too, so that handlers receive each token.
        max_concurrency (int, default 4): Most requests at a time of one `generate`, in threads or tasks; at least 1.
            `batch` sends each prompt by itself, with the `max_concurrency` of its config.
        account_id (str, default None): Cloudflare account, 32 hex digits. None reads `CLOUDFLARE_ACCOUNT_ID`.
        api_token (str | function, default None): Token with the permission Account > Workers AI > Read: a string, or a
            function, async or not, that returns one. By default `CLOUDFLARE_API_TOKEN` of the environment. On a custom
            domain, a Cloudflare Access token. None on the legacy host, together with a provider's key in
            `extra_headers`, is for a gateway without authentication. Alias `api_key`.
        gateway_id (str, default None): Gateway, at most 64 characters. By default `CLOUDFLARE_AI_GATEWAY_ID` of the
            environment, else `default`. With an explicit None, Workers AI models bypass the gateway and its log, cache
            and limits.
        base_url (str, default None): Another root than `https://api.cloudflare.com/client/v4`, a gateway's legacy
            `.../compat` address, or a custom domain's `https://host/compat`, which contains neither account nor
            gateway.
        gateway (GatewayOptions, default None): Options of the gateway, one per header. Alias `gateway_options`.
        gateway_metadata (dict, default None): At most five entries for the gateway's log, `cf-aig-metadata`.
        run_metadata (bool, default True): Whether data of the run fill the remaining entries: user, thread, agent, run
            ids.
        metadata_keys (list of str, default None): Which data of the run instead of the default ones; any key of the
            run's metadata is allowed.
        metadata_mapper (function, default None): Takes a `RunInfo` and returns the entries, in place of the two before.
        extra_headers (dict, default None): Further request headers.
        timeout (float | tuple of float | httpx.Timeout, default None): Seconds without progress of an answer, or
            (seconds to connect, seconds without progress), or an `httpx.Timeout`. None is (10, 600).
        stream_idle_timeout (float, default 300.0): Maximum seconds between two pieces of a streamed answer, pings not
            counted.
        max_retries (int, default None): Retries per call, 0 to 10. None is 2, or 0 if the gateway itself is to retry
            (`max_attempts`).
        retry_after_send (bool, default False): Whether a request that the model may have answered, and that may be
            billed, is sent again: after a timeout, a broken connection, a truncated answer, 409, 504 or 524.
        http_client (object, default None): An `httpx.Client` to use; it is never closed here.
        http_async_client (object, default None): An `httpx.AsyncClient` to use; it is never closed here.

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
        params = public_identity(self)
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
        params, arguments = super().asdict(), dict(_CALL_ARGUMENTS.get() or {})
        traced = for_traces(arguments)
        if traced != arguments:  # secrets are hidden, and still make two calls different
            traced["extra_headers"] = digest((self.extra_headers, sorted(arguments.items())))
        context = current()
        if context != NO_CONTEXT:
            traced["gateway_context"] = digest(context)
        return params | traced

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
        config = ensure_config(config)
        return within_run(StreamRun(config), super().stream(input, config, stop=stop, **hide_secrets(kwargs)))

    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[str]:
        """The asynchronous form of `stream`."""
        config = ensure_config(config)
        return awithin_run(StreamRun(config), super().astream(input, config, stop=stop, **hide_secrets(kwargs)))

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
            refuse_several(request, "cannot be streamed, for LangChain's chunks add up to one text")
        run_metadata = run_entries(self, run, "completion")
        options = call_options(arguments, self.api, run_metadata, affinity=self.session_affinity)
        return _Prompt(request, options, run)

    def _prompts(
        self, prompts: list[str], stop: list[str] | None, first: BaseRunManager | None, kwargs: Mapping[str, Any]
    ) -> list[_Prompt]:
        """All requests of a call, before one is sent."""
        return [
            self._prompt(prompt, stop, run, kwargs, stream=self.streaming)
            for prompt, run in zip(prompts, prompt_runs(prompts, first), strict=True)
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

    def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        with langchain_errors():
            return self._achunks(self._prompt(prompt, stop, run_manager, kwargs, stream=True))

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
        with langchain_errors():
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
