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
from cfaig_integrations.client.aio import AsyncClient
from cfaig_integrations.client.sync import Client
from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.models.profiles import profile_of
from cfaig_integrations.llama_index.costs import reported_errors
from cfaig_integrations.llama_index.fields import LlamaFields
from cfaig_integrations.llama_index.inbound import to_turns
from cfaig_integrations.llama_index.outbound import to_completion, to_response
from cfaig_integrations.llama_index.responses import ResponseMaker
from cfaig_integrations.llama_index.run_metadata import run_entries
from cfaig_integrations.llama_index.signatures import LLMArguments
from cfaig_integrations.llama_index.structured import StructuredPredict, to_output
from cfaig_integrations.llama_index.tool_calls import first_call_only, tool_selections
from cfaig_integrations.llama_index.tools import bound_tools, chat_arguments

_Method = TypeVar("_Method", bound=Callable[..., Any])
_log = logging.getLogger(__name__)
_models_warned_about: set[str] = set()


def _observed_chat(method: _Method) -> _Method:
    return cast("_Method", callbacks.llm_chat_callback()(method))  # pyright: ignore[reportUnknownMemberType]


def _observed_completion(method: _Method) -> _Method:
    return cast("_Method", callbacks.llm_completion_callback()(method))  # pyright: ignore[reportUnknownMemberType]


class CloudflareAIGateway(LlamaFields, ChatFields, StructuredPredict):
    """Any chat model behind Cloudflare AI Gateway, with tools.

    Arguments that are None are omitted from the request, or have the default that their description states. Each of
    them but the connection settings may also be passed per call, where what may be a new body field of a model goes
    into the body. A response's `additional_kwargs["cf_aig"]` holds what the gateway reports: log id, cache status, the
    model that answered. LlamaIndex's own arguments are `callback_manager`, `rate_limiter`, `system_prompt`,
    `messages_to_prompt`, `completion_to_prompt`, `output_parser`, `pydantic_program_mode` and `query_wrapper_prompt`.

    Args:
        model (str): Model id: `author/model` such as `openai/gpt-5.4`, or a Workers AI model such as
            `@cf/zai-org/glm-5.2`.
        api (chat_completions | responses | messages | run | auto, default "auto"): Wire format. `auto` takes Responses
            for tools and each model's own format otherwise.
        thinking (dict, default None): Anthropic's `thinking` object.
        structured_output (auto | json_schema | function_calling | prompt, default "auto"): Method. `json_schema`: the
            server enforces the schema. `function_calling`: the answer is a function call, which is forced unless the
            model refuses that. `prompt`: the schema is in the prompt, for models that support neither. `auto`: the
            first of them that the model is known to support, a function only if it can be forced, unless
            `pydantic_program_mode` names one.
        strict (bool, default None): Whether the server must enforce the schema. True also closes the schema's objects
            and requires all their fields, as OpenAI demands. None: the server's default.
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
        bound_metadata (dict, default None): Metadata of `with_gateway`; over `gateway_metadata` and LlamaIndex's
            instrument tags.
        context_window (int, default None): Maximum number of tokens that the model reads. Default: from the table of
            models.
        num_output (int, default None): Tokens to leave for the answer when a prompt is packed. Default: `max_tokens` if
            it is less than half of the window, else -1, unknown.
        is_function_calling_model (bool, default None): Whether the model supports tools. Default: from the table of
            models; True for a model that is not in it. Without tools, LlamaIndex's agents refuse the model and its
            programs ask for text.
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
            has_tools = profile.tools or not profile.is_listed
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
        with reported_errors():
            reply, info = self._clients.sync.chat(request, options)
        return to_response(reply, info)

    async def _achat(
        self, messages: Sequence[ChatMessage], operation: Operation, kwargs: Mapping[str, Any]
    ) -> ChatResponse:
        request, options = self._request(messages, operation, kwargs)
        with reported_errors():
            reply, info = await self._clients.aio.chat(request, options)
        return to_response(reply, info)

    def _stream_chat(
        self, messages: Sequence[ChatMessage], operation: Operation, kwargs: Mapping[str, Any]
    ) -> Generator[ChatResponse]:
        request, options = self._request(messages, operation, kwargs)
        responses = _responses(self._clients.sync, request, options)
        next(responses)
        return responses

    async def _astream_chat(
        self, messages: Sequence[ChatMessage], operation: Operation, kwargs: Mapping[str, Any]
    ) -> AsyncGenerator[ChatResponse]:
        request, options = self._request(messages, operation, kwargs)
        responses = _aresponses(self._clients.aio, request, options)
        await anext(responses)
        return responses

    def _request(
        self, messages: Sequence[ChatMessage], operation: Operation, kwargs: Mapping[str, Any]
    ) -> tuple[ChatRequest, CallOptions]:
        arguments = split_arguments(
            kwargs, remedy="Give it to the constructor, or call llm.model_copy(update={'{name}': ...})."
        )
        recognized = arguments.recognized
        tools = tuple([tool.spec for tool in bound_tools(recognized.get("tools"))])
        choice = recognized.get("tool_choice")
        request = chat_request(
            self,
            arguments,
            to_turns(messages),
            tools=tools,
            tool_choice=choice_among(choice, tools),
            parallel_tool_calls=tools_at_once(recognized.get("parallel_tool_calls"), choice),
            output=to_output(recognized.get("response_format")),
        )
        refuse_several(request, "is not supported, for a response of LlamaIndex holds one answer")
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
        self, response: ChatResponse, tools: Sequence[BaseTool], allow_parallel_tool_calls: bool = False, **kwargs: Any
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
    if not profile.is_listed and model not in _models_warned_about:
        _models_warned_about.add(model)
        _log.warning(
            "The context window of %r is unknown; assuming %d tokens. Set context_window=.", model, profile.max_input
        )
    return profile.max_input


def _responses(client: Client, request: ChatRequest, options: CallOptions) -> Generator[ChatResponse]:
    """The responses of a stream, the first one twice: the caller takes one, so that an error before it raises there."""
    with reported_errors(), client.stream(request, options) as stream:
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


async def _aresponses(client: AsyncClient, request: ChatRequest, options: CallOptions) -> AsyncGenerator[ChatResponse]:
    """The responses of a stream, the first one twice; as `_responses`."""
    with reported_errors():
        async with await client.stream(request, options) as stream:
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
