"""The LLM: converts between LlamaIndex's interface and the client.

LlamaIndex observes each public method once: it calls a private one that is not observed, so that a completion is one
event and takes one token of a rate limiter.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast, overload

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

from cfaig_integrations.adapters.arguments import call_options, chat_request, refuse_several, split_arguments
from cfaig_integrations.adapters.fields import ChatFields, Count
from cfaig_integrations.adapters.run_metadata import Operation
from cfaig_integrations.adapters.tools import choice_among, tools_at_once
from cfaig_integrations.client.aio import AsyncChatStream
from cfaig_integrations.client.sync import ChatStream
from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.models.profiles import profile_of
from cfaig_integrations.llama_index.fields import LlamaFields
from cfaig_integrations.llama_index.inbound import to_turns
from cfaig_integrations.llama_index.outbound import to_completion, to_response
from cfaig_integrations.llama_index.responses import ResponseMaker
from cfaig_integrations.llama_index.run_metadata import run_entries
from cfaig_integrations.llama_index.signatures import LLMArguments
from cfaig_integrations.llama_index.structured import StructuredPredict, to_output
from cfaig_integrations.llama_index.tool_calls import first_call_only, tool_selections
from cfaig_integrations.llama_index.tools import chat_arguments, to_specs

_Method = TypeVar("_Method", bound=Callable[..., Any])
_log = logging.getLogger(__name__)
_models_warned_about: set[str] = set()


def _observed_chat(method: _Method) -> _Method:
    return cast("_Method", callbacks.llm_chat_callback()(method))  # pyright: ignore[reportUnknownMemberType]


def _observed_completion(method: _Method) -> _Method:
    return cast("_Method", callbacks.llm_completion_callback()(method))  # pyright: ignore[reportUnknownMemberType]


class CloudflareAIGateway(LlamaFields, ChatFields, StructuredPredict):
    """Any chat model behind Cloudflare AI Gateway, with tools.

    Unset arguments are omitted from the request. Every field that shapes an answer may also be passed per call, and an
    argument that may be a new body field of a model goes into the request body. A response's
    `additional_kwargs["cf_aig"]` holds what the gateway reports: log id, cache status, the model that answered.

    Attributes:
        context_window: Maximum number of tokens that the model reads. Default: from the table of models.
        num_output: Tokens to leave for the answer when a prompt is packed. Default: `max_tokens` if it is less than
            half of the window, else -1, unknown.
        is_function_calling_model: Whether the model supports tools. Default: from the table of models; True for a model
            that is not in it. Without tools, LlamaIndex's agents refuse the model and its programs ask for text.

    Raises:
        ConfigError: A constructor argument is unknown, or an address, id, token, header or limit is invalid.
        pydantic.ValidationError: A value is of the wrong type or out of range.

    Example:
        >>> llm = CloudflareAIGateway(model="openai/gpt-5.4")  # doctest: +SKIP
        >>> llm.complete("What is Cloudflare?").text  # doctest: +SKIP
    """

    if TYPE_CHECKING:

        @overload
        def __init__(self, model: str, **arguments: Unpack[LLMArguments]) -> None: ...
        @overload
        def __init__(self, *, model_name: str, **arguments: Unpack[LLMArguments]) -> None: ...
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    context_window: Count = None
    num_output: int | None = None
    is_function_calling_model: bool | None = None

    @classmethod
    def class_name(cls) -> str:
        """The name of this class in LlamaIndex's serialized form."""
        return "cloudflare_ai_gateway_llm"

    @property
    def metadata(self) -> LLMMetadata:
        """The model's limits and abilities, from the constructor and the table of models. Never raises."""
        window = self.context_window or _context_window(self.model)
        outputs = self.num_output
        if outputs is None:
            # A prompt is packed into the rest of the window, which must not be empty.
            outputs = self.max_tokens if self.max_tokens is not None and self.max_tokens < window / 2 else -1
        has_tools = self.is_function_calling_model
        if has_tools is None:
            profile = profile_of(self.model)
            has_tools = profile.tools or not profile.known
        return LLMMetadata(
            context_window=window,
            num_output=outputs,
            is_chat_model=True,
            is_function_calling_model=has_tools,
            model_name=self.model,
        )

    def to_payload(self) -> dict[str, Any]:
        """What observers see of this object; without secrets."""
        return {**super().to_payload(), "model": self.model}

    @_observed_chat
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The model's answer to a conversation.

        Args:
            messages: The conversation.
            **kwargs: `gateway_metadata`, `gateway`, `api`, `model`, `extra_headers`, `timeout`, any field that shapes
                an answer, and further body fields. Observers see them: pass secrets to the constructor.

        Raises:
            ConfigError: An argument or a message is invalid; nothing was sent.
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

        The request is sent at once, and an error before the first piece of the answer is raised here.
        """
        return self._stream_chat(messages, "chat", kwargs)

    @_observed_chat
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """The model's answer as it is written; as `stream_chat`."""
        return await self._astream_chat(messages, "chat", kwargs)

    @_observed_completion
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The model's answer to a prompt, which is sent as one user message.

        Args:
            prompt: The prompt.
            formatted: Whether `completion_to_prompt` was already applied.
            **kwargs: As of `chat`.

        Raises:
            ConfigError: As of `chat`, or the prompt is not a string.
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
        if not isinstance(prompt, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # a message would drop it
            raise ConfigError(
                f"The prompt is a {type(prompt).__name__}.",
                field="prompt",
                value=prompt,
                remedy="Give a str; pass messages to chat, and a PromptTemplate to predict.",
            )
        text = prompt if formatted or self.completion_to_prompt is None else self.completion_to_prompt(prompt)
        return [ChatMessage(role=MessageRole.USER, content=text)]

    def _chat(self, messages: Sequence[ChatMessage], operation: Operation, kwargs: Mapping[str, Any]) -> ChatResponse:
        request, options = self._request(messages, operation, kwargs)
        reply, info = self._clients.sync.chat(request, options)
        return to_response(reply, info)

    async def _achat(
        self, messages: Sequence[ChatMessage], operation: Operation, kwargs: Mapping[str, Any]
    ) -> ChatResponse:
        request, options = self._request(messages, operation, kwargs)
        reply, info = await self._clients.aio.chat(request, options)
        return to_response(reply, info)

    def _stream_chat(
        self, messages: Sequence[ChatMessage], operation: Operation, kwargs: Mapping[str, Any]
    ) -> Generator[ChatResponse]:
        request, options = self._request(messages, operation, kwargs)
        responses = _responses(self._clients.sync.stream(request, options))
        next(responses)
        return responses

    async def _astream_chat(
        self, messages: Sequence[ChatMessage], operation: Operation, kwargs: Mapping[str, Any]
    ) -> AsyncGenerator[ChatResponse]:
        request, options = self._request(messages, operation, kwargs)
        responses = _aresponses(await self._clients.aio.stream(request, options))
        await anext(responses)
        return responses

    def _request(
        self, messages: Sequence[ChatMessage], operation: Operation, kwargs: Mapping[str, Any]
    ) -> tuple[ChatRequest, CallOptions]:
        arguments = split_arguments(
            kwargs, remedy="Give it to the constructor, or call llm.model_copy(update={'{name}': ...})."
        )
        recognized = arguments.recognized
        tools, choice = to_specs(recognized.get("tools")), recognized.get("tool_choice")
        request = chat_request(
            self,
            arguments,
            to_turns(messages),
            tools=tools,
            tool_choice=choice_among(choice, tools),
            parallel_tool_calls=tools_at_once(recognized.get("parallel_tool_calls"), choice),
            output=to_output(recognized.get("response_format")),
        )
        refuse_several(request, "a response of LlamaIndex holds one answer.")
        run = run_entries(self, operation)
        return request, call_options(arguments, self.api, run, affinity=self.session_affinity)

    def predict_and_call(self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any) -> AgentChatResponse:
        """The output of the tool that the model calls.

        Programs and selectors require a call with `tool_required`, which is dropped for models that refuse it.
        """
        return super().predict_and_call(tools, *args, **self._without_refused_force(kwargs))

    async def apredict_and_call(self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any) -> AgentChatResponse:
        """The output of the tool that the model calls; as `predict_and_call`."""
        return await super().apredict_and_call(tools, *args, **self._without_refused_force(kwargs))

    def _without_refused_force(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        if kwargs.get("tool_required") and self._can_force(kwargs):
            return kwargs
        return {name: value for name, value in kwargs.items() if name != "tool_required"}

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
        return chat_arguments(
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
        return response if allow_parallel_tool_calls else first_call_only(response)

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The tool calls in a response; in one of a stream, with the arguments so far.

        Raises:
            ValueError: There is none, or a broken one; only with `error_on_no_tool_call`.
        """
        return tool_selections(response, error_on_no_tool_call=error_on_no_tool_call)


def _context_window(model: str) -> int:
    """Tokens of a question: for some models fewer than of question and answer together."""
    profile = profile_of(model)
    if not profile.known and model not in _models_warned_about:
        _models_warned_about.add(model)
        _log.warning(
            "The context window of %r is unknown; assuming %d tokens. Set context_window=.", model, profile.max_input
        )
    return profile.max_input


def _responses(stream: ChatStream) -> Generator[ChatResponse]:
    """The responses of a stream, the first one twice: the caller takes one, so that an error before it raises there."""
    with stream:
        maker, started = ResponseMaker(stream.info), False
        for event in stream:
            response = maker.make(event)
            if response is not None:
                if not started:
                    started = True
                    yield response
                yield response
        last = maker.last()
        if not started:
            yield last
        yield last


async def _aresponses(stream: AsyncChatStream) -> AsyncGenerator[ChatResponse]:
    """The responses of a stream, the first one twice; as `_responses`."""
    async with stream:
        maker, started = ResponseMaker(stream.info), False
        async for event in stream:
            response = maker.make(event)
            if response is not None:
                if not started:
                    started = True
                    yield response
                yield response
        last = maker.last()
        if not started:
            yield last
        yield last
