"""The LLM: LlamaIndex's contract on one side, the client on the other, and nothing but translation between.

Knows LlamaIndex; names no wire format and does no I/O of its own. Each public method is observed by LlamaIndex once: it
calls a private one that is not, so that a completion is one event and takes one token of a rate limiter.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from typing import Any, TypeVar, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.llms import callbacks
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.types import BaseTool
from pydantic import Field

from cfaig_integrations.adapters.arguments import call_options, chat_request, refuse_several, split_arguments
from cfaig_integrations.adapters.fields import ChatFields
from cfaig_integrations.adapters.run_metadata import Operation
from cfaig_integrations.adapters.tools import choice_among, tools_at_once
from cfaig_integrations.client.aio import AsyncChatStream
from cfaig_integrations.client.sync import ChatStream
from cfaig_integrations.core.chat import ChatRequest, FinishReason
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.models.profiles import profile_of
from cfaig_integrations.llama_index.fields import LlamaFields
from cfaig_integrations.llama_index.inbound import to_turns
from cfaig_integrations.llama_index.outbound import to_completion, to_response
from cfaig_integrations.llama_index.responses import Cumulation
from cfaig_integrations.llama_index.run_metadata import run_entries
from cfaig_integrations.llama_index.structured import StructuredPredict, to_output
from cfaig_integrations.llama_index.tool_selections import only_one_call, tool_selections
from cfaig_integrations.llama_index.tools import bound_tools, prepared, to_specs

_Method = TypeVar("_Method", bound=Callable[..., Any])
_log = logging.getLogger(__name__)
_warned: set[str] = set()


def _observed_chat(method: _Method) -> _Method:
    return cast("_Method", callbacks.llm_chat_callback()(method))  # pyright: ignore[reportUnknownMemberType]


def _observed_completion(method: _Method) -> _Method:
    return cast("_Method", callbacks.llm_completion_callback()(method))  # pyright: ignore[reportUnknownMemberType]


class CloudflareAIGateway(LlamaFields, ChatFields, StructuredPredict):
    """Any chat model behind Cloudflare AI Gateway, with tools.

    Nothing that is not set is sent. Every field that shapes an answer may also be given per call, and an argument that
    this class does not know goes into the request body. A response's `additional_kwargs["cf_aig"]` says what the
    gateway said: log id, cache status, the model that answered.

    Attributes:
        context_window: Tokens that the model reads at most; else what is known of the model.
        num_output: Tokens to leave for the answer when a prompt is packed; else `max_tokens` where it is less than half
            of the window, and -1, unknown, where it is not.
        is_function_calling_model: Whether the model has tools; else what is known of it, and yes if nothing is. Without
            tools, LlamaIndex's agents refuse it and its programs ask for text.

    Raises:
        ConfigError: A constructor argument is unknown, or says where the gateway is and cannot be right.
        pydantic.ValidationError: A value is of the wrong type or out of range.

    Example:
        >>> llm = CloudflareAIGateway(model="openai/gpt-5.4")  # doctest: +SKIP
        >>> llm.complete("What is Cloudflare?").text  # doctest: +SKIP
    """

    context_window: int | None = Field(default=None, ge=1)
    num_output: int | None = None
    is_function_calling_model: bool | None = None

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex writes this class down."""
        return "cloudflare_ai_gateway_llm"

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex wants to know of the model. Does no I/O, and never raises."""
        window = self.context_window or _window_of(self.model)
        outputs = self.num_output
        if outputs is None:
            # A prompt is packed into what this leaves of the window: nothing, if it were all.
            outputs = self.max_tokens if self.max_tokens is not None and self.max_tokens < window / 2 else -1
        return LLMMetadata(
            context_window=window,
            num_output=outputs,
            is_chat_model=True,
            is_function_calling_model=self._has_tools(),
            model_name=self.model,
        )

    def _has_tools(self) -> bool:
        if self.is_function_calling_model is not None:
            return self.is_function_calling_model
        profile = profile_of(self.model)
        return profile.tools or not profile.known

    def to_payload(self) -> dict[str, Any]:
        """What observers are shown of this object; without a secret."""
        return {**super().to_payload(), "model": self.model}

    @_observed_chat
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The model's answer to a conversation.

        Args:
            messages: The conversation.
            **kwargs: `gateway_metadata`, `gateway`, `api`, `model`, `extra_headers`, `timeout`, any field that shapes
                an answer, and further body fields. Observers see them: secrets belong into the constructor.

        Raises:
            ConfigError: An argument or a message cannot be right; nothing is sent.
            GatewayError: The gateway or the model refuses, or cannot be reached.
        """
        return self._chat(messages, "chat", kwargs)

    @_observed_chat
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The model's answer to a conversation; as `chat`."""
        return await self._achat(messages, "chat", kwargs)

    @_observed_chat
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """The model's answer as it is written: each response holds the whole message so far.

        The request is sent at once, and read as the responses are taken; what goes wrong before the first piece of the
        answer is raised here.
        """
        return self._stream_chat(messages, "chat", kwargs)

    @_observed_chat
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """The model's answer as it is written; as `stream_chat`."""
        return await self._astream_chat(messages, "chat", kwargs)

    @_observed_completion
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The model's answer to a prompt, as one message of a user.

        Args:
            prompt: The prompt.
            formatted: Whether it went through `completion_to_prompt` before.
            **kwargs: As of `chat`.

        Raises:
            ConfigError: As of `chat`, or the prompt is not text.
            GatewayError: As of `chat`.
        """
        return to_completion(self._chat(self._prompt(prompt, formatted), "completion", kwargs))

    @_observed_completion
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The model's answer to a prompt; as `complete`."""
        return to_completion(await self._achat(self._prompt(prompt, formatted), "completion", kwargs))

    @_observed_completion
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """The model's answer to a prompt as it is written; as `stream_chat`."""
        responses = self._stream_chat(self._prompt(prompt, formatted), "completion", kwargs)
        return (to_completion(response) for response in responses)

    @_observed_completion
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """The model's answer to a prompt as it is written; as `stream_chat`."""
        responses = await self._astream_chat(self._prompt(prompt, formatted), "completion", kwargs)
        return (to_completion(response) async for response in responses)

    def _prompt(self, prompt: str, formatted: bool) -> list[ChatMessage]:
        if not isinstance(prompt, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # which a message would leave out
            raise ConfigError(
                f"The prompt is a {type(prompt).__name__}, not a text.",
                field="prompt",
                value=prompt,
                remedy="Give a str; messages go to chat, and a PromptTemplate to predict.",
            )
        text = prompt if formatted or self.completion_to_prompt is None else self.completion_to_prompt(prompt)
        return [ChatMessage(role=MessageRole.USER, content=text)]

    def _chat(self, messages: Sequence[ChatMessage], operation: Operation, kwargs: Mapping[str, Any]) -> ChatResponse:
        request, options = self._ask(messages, operation, kwargs)
        reply, info = self._clients.sync.chat(request, options)
        _tell_of_a_cut(request, reply.finish)
        return to_response(reply, info)

    async def _achat(
        self, messages: Sequence[ChatMessage], operation: Operation, kwargs: Mapping[str, Any]
    ) -> ChatResponse:
        request, options = self._ask(messages, operation, kwargs)
        reply, info = await self._clients.aio.chat(request, options)
        _tell_of_a_cut(request, reply.finish)
        return to_response(reply, info)

    def _stream_chat(
        self, messages: Sequence[ChatMessage], operation: Operation, kwargs: Mapping[str, Any]
    ) -> Generator[ChatResponse]:
        request, options = self._ask(messages, operation, kwargs)
        responses = _responses(self._clients.sync.stream(request, options), request)
        next(responses)
        return responses

    async def _astream_chat(
        self, messages: Sequence[ChatMessage], operation: Operation, kwargs: Mapping[str, Any]
    ) -> AsyncGenerator[ChatResponse]:
        request, options = self._ask(messages, operation, kwargs)
        responses = _aresponses(await self._clients.aio.stream(request, options), request)
        await anext(responses)
        return responses

    def _ask(
        self, messages: Sequence[ChatMessage], operation: Operation, kwargs: Mapping[str, Any]
    ) -> tuple[ChatRequest, CallOptions]:
        given = split_arguments(
            kwargs, remedy="Give it to the constructor, or call llm.model_copy(update={'{name}': ...})."
        )
        words = given.recognized
        specs = to_specs(bound_tools(words.get("tools")))
        request = chat_request(
            self,
            given,
            to_turns(messages),
            tools=specs,
            tool_choice=choice_among(words.get("tool_choice"), specs),
            parallel_tool_calls=tools_at_once(words.get("parallel_tool_calls"), words.get("tool_choice")),
            output=to_output(words.get("response_format")),
        )
        refuse_several(request, "a response of LlamaIndex holds one answer.")
        return request, call_options(given, self.api, run_entries(self, operation), affinity=self.session_affinity)

    def predict_and_call(self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any) -> AgentChatResponse:
        """What the tool gives that the model calls.

        Programs and selectors require a call with `tool_required`; a model that refuses to be forced is only asked.
        """
        return super().predict_and_call(tools, *args, **self._unforced(kwargs))

    async def apredict_and_call(self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any) -> AgentChatResponse:
        """What the tool gives that the model calls; as `predict_and_call`."""
        return await super().apredict_and_call(tools, *args, **self._unforced(kwargs))

    def _unforced(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        forced = kwargs.get("tool_required") and self._can_be_forced(kwargs)
        return kwargs if forced else {word: value for word, value in kwargs.items() if word != "tool_required"}

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        return prepared(
            tools,
            user_msg=user_msg,
            chat_history=chat_history,
            allow_parallel_tool_calls=allow_parallel_tool_calls,
            tool_required=tool_required,
            **{"strict": self.strict, **kwargs},
        )

    def _validate_chat_with_tools_response(
        self,
        response: ChatResponse,
        tools: Sequence[BaseTool],
        allow_parallel_tool_calls: bool = False,
        **kwargs: Any,
    ) -> ChatResponse:
        return only_one_call(response, allow_parallel=allow_parallel_tool_calls)

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The calls in a response; of a stream's, with the arguments so far.

        Raises:
            ValueError: There is none, and there must be.
        """
        return tool_selections(response, error_on_no_tool_call=error_on_no_tool_call)


def _window_of(model: str) -> int:
    """Tokens of a question: of some models fewer than of question and answer together."""
    profile = profile_of(model)
    if not profile.known and model not in _warned:
        _warned.add(model)
        _log.warning(
            "The context window of %r is not known, and taken to be %d tokens. Give context_window=.",
            model,
            profile.max_input,
        )
    return profile.max_input


def _tell_of_a_cut(request: ChatRequest, finish: FinishReason) -> None:
    """Logs that an answer was cut at a limit that the caller did not set: engines show the text alone.

    Many Workers AI models stop at 256 tokens by default (facts §9.2).
    """
    if finish == "length" and request.max_tokens is None:
        _log.warning(
            "The answer of %r was cut at the server's own limit of tokens (finish_reason 'length'). Give max_tokens=.",
            request.model,
        )


def _responses(events: ChatStream, request: ChatRequest) -> Generator[ChatResponse]:
    """The responses of a stream, the first one twice: once for the call, where what goes wrong before it is raised."""
    with events:
        cumulation, shown = Cumulation(events.info), False
        for event in events:
            response = cumulation.add(event)
            if response is not None:
                if not shown:
                    shown = True
                    yield response
                yield response
        last = cumulation.last()
        _tell_of_a_cut(request, cumulation.finish)
        if not shown:
            yield last
        yield last


async def _aresponses(events: AsyncChatStream, request: ChatRequest) -> AsyncGenerator[ChatResponse]:
    """The responses of a stream, the first one twice; as `_responses`."""
    async with events:
        cumulation, shown = Cumulation(events.info), False
        async for event in events:
            response = cumulation.add(event)
            if response is not None:
                if not shown:
                    shown = True
                    yield response
                yield response
        last = cumulation.last()
        _tell_of_a_cut(request, cumulation.finish)
        if not shown:
            yield last
        yield last
