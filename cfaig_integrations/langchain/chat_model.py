"""The chat model: LangChain's contract on one side, the client on the other, and nothing but translation between.

Knows LangChain; names no wire format and does no I/O of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, BaseRunManager, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from cfaig_integrations.adapters.arguments import call_options, chat_request, refuse_several
from cfaig_integrations.adapters.tools import choice_among, tools_at_once
from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.langchain.arguments import STRICT, USE_PREVIOUS, for_traces, langchain_arguments, to_output
from cfaig_integrations.langchain.blocks import register_translations
from cfaig_integrations.langchain.chunks import ChunkMaker
from cfaig_integrations.langchain.errors import langchain_errors
from cfaig_integrations.langchain.history import continuation_of
from cfaig_integrations.langchain.inbound import PROVIDER, to_turns
from cfaig_integrations.langchain.outbound import to_result
from cfaig_integrations.langchain.profile import Profiled
from cfaig_integrations.langchain.run_metadata import run_entries
from cfaig_integrations.langchain.run_tracking import TracksRun
from cfaig_integrations.langchain.serialization import Serialised, identity
from cfaig_integrations.langchain.structured import StructuredOutput
from cfaig_integrations.langchain.tokens import TokenCounting
from cfaig_integrations.langchain.tools import bound, forced, to_specs

register_translations()


class ChatCloudflareAIGateway(StructuredOutput, TokenCounting, Serialised, Profiled, TracksRun):
    """Any chat model behind Cloudflare AI Gateway.

    Nothing that is not set is sent. The words that shape an answer are told in `ChatFields`, those that say where the
    gateway is in `GatewayFields`. The former may also be given per call, and an argument that this class does not know
    goes into the request body.

    Attributes:
        streaming: Stream even when invoked.
        use_previous_response_id: Send only what came after the newest reply that the provider keeps, on the Responses
            format, which `api="auto"` then prefers. The whole history is sent where it has changed since, and once
            more if the provider does not know the reply.

    Raises:
        ConfigError: A constructor argument is unknown, or says where the gateway is and cannot be right.
        pydantic.ValidationError: A value is of the wrong type or out of range.

    Example:
        >>> model = ChatCloudflareAIGateway(model="openai/gpt-5.4")  # doctest: +SKIP
        >>> model.invoke("What is Cloudflare?").content  # doctest: +SKIP
    """

    streaming: bool = False
    use_previous_response_id: bool = False

    @property
    def _llm_type(self) -> str:
        return "cloudflare-ai-gateway-chat"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        """All that shapes an answer; no secret."""
        version = {} if self.output_version is None else {"output_version": self.output_version}
        return {**identity(self), **version}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider=PROVIDER, ls_model_name=kwargs.get("model") or self.model, ls_model_type="chat"
        )
        temperature = kwargs.get("temperature", self.temperature)
        if temperature is not None:
            params["ls_temperature"] = temperature
        max_tokens = kwargs.get("max_tokens", self.max_tokens)
        if max_tokens is not None:
            params["ls_max_tokens"] = max_tokens
        stops = self.stop if stop is None else stop
        if stops:
            params["ls_stop"] = stops
        return params

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        return for_traces(super()._get_invocation_params(stop, **kwargs))

    def _ask(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run: BaseRunManager | None,
        kwargs: Mapping[str, Any],
        *,
        stream: bool = False,
    ) -> tuple[ChatRequest, CallOptions]:
        given = langchain_arguments(kwargs)
        words = given.recognized
        tools = to_specs(words.get("tools"), strict=kwargs.get(STRICT))
        turns = to_turns(messages)
        model = words.get("model") or self.model
        continued = kwargs.get(USE_PREVIOUS, self.use_previous_response_id)
        request = chat_request(
            self,
            given,
            turns,
            continues=continuation_of(model, messages, turns) if continued else None,
            tools=tools,
            tool_choice=forced(
                model, words.get("api") or self.api, choice_among(words.get("tool_choice"), tools), tools
            ),
            parallel_tool_calls=tools_at_once(words.get("parallel_tool_calls"), words.get("tool_choice")),
            output=to_output(words.get("response_format"), kwargs.get(STRICT)),
            stop=stop,
        )
        if stream:
            refuse_several(request, "it cannot be streamed, for LangChain's chunks add up to one message.")
        return request, call_options(given, self.api, run_entries(self, run, "chat"), affinity=self.session_affinity)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with langchain_errors():
            request, options = self._ask(messages, stop, run_manager, kwargs)
            reply, info = self._clients.sync.chat(request, options)
            return to_result(reply, info, request.model)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with langchain_errors():
            request, options = self._ask(messages, stop, run_manager, kwargs)
            reply, info = await self._clients.aio.chat(request, options)
            return to_result(reply, info, request.model)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with langchain_errors():
            request, options = self._ask(messages, stop, run_manager, kwargs, stream=True)
            with self._clients.sync.stream(request, options) as events:
                chunks = ChunkMaker(events.info, request.model, as_blocks=self.output_version == "v1")
                for event in events:
                    chunk = chunks.make(event)
                    if chunk is not None:
                        yield chunk
                yield chunks.last()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with langchain_errors():
            request, options = self._ask(messages, stop, run_manager, kwargs, stream=True)
            async with await self._clients.aio.stream(request, options) as events:
                chunks = ChunkMaker(events.info, request.model, as_blocks=self.output_version == "v1")
                async for event in events:
                    chunk = chunks.make(event)
                    if chunk is not None:
                        yield chunk
                yield chunks.last()

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | Literal["auto", "none", "any", "required"] | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools to call.

        Args:
            tools: Functions, tools, pydantic classes, TypedDicts, JSON schemas, OpenAI or Anthropic tool objects, or a
                provider's built-in tools, which are sent as they are.
            tool_choice: `auto`, `none`, `any` or `required`, True, a tool's name, or a provider's own object.
            strict: Whether arguments must match their schema exactly; so must the answer, if `response_format` is
                given as a class or a schema by itself.
            parallel_tool_calls: Whether several tools may be called at once.
            **kwargs: Further arguments for every call.

        Raises:
            ConfigError: A tool is none, or `tool_choice` names one that is not among them.
        """
        with langchain_errors():
            ready = [bound(tool, strict=strict) for tool in tools]
            choice_among(tool_choice, [tool.spec for tool in ready])
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        if strict is not None and kwargs.get("response_format") is not None:
            kwargs[STRICT] = strict
        if parallel_tool_calls is not None:
            kwargs["parallel_tool_calls"] = parallel_tool_calls
        return self.bind(tools=ready, **kwargs)
