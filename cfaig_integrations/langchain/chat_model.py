"""The LangChain chat model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, BaseRunManager, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from pydantic import model_validator

from cfaig_integrations.adapters.arguments import call_options, chat_request, refuse_several
from cfaig_integrations.adapters.tools import can_force_tool, choice_among
from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.context import current, holding
from cfaig_integrations.langchain.arguments import (
    STRICT,
    USE_PREVIOUS,
    digest,
    for_traces,
    identity,
    langchain_arguments,
    to_output,
)
from cfaig_integrations.langchain.base import GatewayModel
from cfaig_integrations.langchain.chat_methods import ChatModelArguments, ChatModelMethods
from cfaig_integrations.langchain.chunks import ChunkMaker
from cfaig_integrations.langchain.errors import langchain_errors
from cfaig_integrations.langchain.inbound import continuation_of, to_turns
from cfaig_integrations.langchain.outbound import PROVIDER, combined_llm_output, to_result
from cfaig_integrations.langchain.outbound_blocks import register_translations
from cfaig_integrations.langchain.profile import model_profile
from cfaig_integrations.langchain.run_tracking import CURRENT_RUN, awithin_run, run_entries, track_stream, within_run
from cfaig_integrations.langchain.structured import Method, structured
from cfaig_integrations.langchain.tools import ToolArguments, bound, tool_arguments

register_translations()

_Answer = TypeVar("_Answer")

_TOOL_PARAMETERS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})


class ChatCloudflareAIGateway(GatewayModel, ChatModelMethods):
    """Chat model for every model behind Cloudflare AI Gateway.

    Further constructor arguments are those of `ChatFields` (model, API format, sampling parameters) and of
    `GatewayFields` (account, token, gateway, metadata, timeouts). Unset arguments are omitted from the request. Those
    of `ChatFields` can also be given per call, where what may be a new body field of a model goes into the body.

    Attributes:
        streaming: Stream in `invoke` too, so that handlers receive each token.
        use_previous_response_id: Send only the messages after the newest reply that the provider has stored, in the
            Responses format, which `api="auto"` then prefers. The whole conversation is sent if its stored part was
            edited, or again if the provider does not find the reply.

    Raises:
        ConfigError: A constructor argument does not exist, or a connection setting is invalid.
        pydantic.ValidationError: A value has the wrong type or is out of range.

    Example:
        >>> model = ChatCloudflareAIGateway(model="openai/gpt-5.4")  # doctest: +SKIP
        >>> model.invoke("What is Cloudflare?").content  # doctest: +SKIP
    """

    if TYPE_CHECKING:

        @overload
        def __init__(self, model: str, **arguments: Unpack[ChatModelArguments]) -> None: ...
        @overload
        def __init__(self, *, model_name: str, **arguments: Unpack[ChatModelArguments]) -> None: ...
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    streaming: bool = False
    use_previous_response_id: bool = False
    _connection_fields = frozenset({"output_version"})

    def _connect(self) -> None:
        if self.output_version not in (None, "v0", "v1"):
            what, remedy = f"output_version={self.output_version!r} is unknown.", 'Write output_version="v1".'
            raise ConfigError(what, field="output_version", value=self.output_version, remedy=remedy)
        super()._connect()

    @property
    def _llm_type(self) -> str:
        return "cloudflare-ai-gateway-chat"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        version = {} if self.output_version is None else {"output_version": self.output_version}
        return {**identity(self), **version}

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The model's key in LangChain's cache: a hash, because headers and tools may hold secrets.

        Whatever shapes an answer is part of it, `gateway_context` included, so that a block with `skip_cache` gets no
        answer from outside. (That option is for the gateway's cache; `cache=False` turns LangChain's off.) A run's
        metadata is not, because its ids would make every key unique.
        """
        headers = sorted((self.extra_headers or {}).items())
        params = {**self._identifying_params, **kwargs}
        return f"{self._llm_type} {digest((sorted(params.items()), headers, stop, current()))}"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(self.stop if stop is None else stop, **kwargs)
        params["ls_provider"] = PROVIDER
        return params

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        return for_traces(super()._get_invocation_params(stop, **kwargs))

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        return combined_llm_output(llm_outputs)

    def _model_params(self, config: object = None) -> dict[str, str]:
        """The model's provider, where langchain's `ProviderToolSearchMiddleware` looks for it."""
        return {"model_provider": self.model.partition("/")[0]}

    def _resolve_model_profile(self) -> ModelProfile | None:
        profile = model_profile(self.model)
        return None if profile is None else profile.copy()

    # Core's validators of these names would take longer than all the rest of the constructor: one assigns with
    # validation, and the other reads the annotations of its TypedDict again (langchain-core 1.6 to 1.7).
    @model_validator(mode="after")
    def _set_model_profile(self) -> Self:
        fields = vars(self)
        if fields["profile"] is None:
            fields["profile"] = self._resolve_model_profile()
        return self

    @model_validator(mode="after")
    def _check_profile_keys(self) -> Self:
        """Core's validator, for a profile that the user gave."""
        check = getattr(super(), "_check_profile_keys", None)
        return self if check is None or "profile" not in self.model_fields_set else check()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "model":
            self._update_profile()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with its own connection; if `model` is updated, with that model's profile.

        Args:
            update: Fields to change.
            deep: Copy the fields' values too.

        Raises:
            ConfigError: A field does not exist, or its value is invalid.
        """
        copied = super().model_copy(update=update, deep=deep)
        if copied.model != self.model:
            copied._update_profile()
        return copied

    def _update_profile(self) -> None:
        if "profile" not in self.model_fields_set:
            vars(self)["profile"] = self._resolve_model_profile()

    def _request(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run: BaseRunManager | None,
        kwargs: Mapping[str, Any],
        *,
        stream: bool = False,
    ) -> tuple[ChatRequest, CallOptions]:
        arguments = langchain_arguments(kwargs)
        recognized = arguments.recognized
        model, strict = recognized.get("model") or self.model, kwargs.get(STRICT)
        turns = to_turns(messages)
        tools = ToolArguments()
        if not _TOOL_PARAMETERS.isdisjoint(recognized):
            tools = tool_arguments(recognized, model=model, api=recognized.get("api") or self.api, strict=strict)
        use_previous = kwargs.get(USE_PREVIOUS, self.use_previous_response_id)
        request = chat_request(
            self,
            arguments,
            turns,
            continues=continuation_of(model, messages, turns) if use_previous else None,
            tools=tools.tools,
            tool_choice=tools.choice,
            parallel_tool_calls=tools.parallel,
            output=to_output(recognized.get("response_format"), strict),
            stop=stop,
        )
        if stream:
            refuse_several(request, "it cannot be streamed, for LangChain's chunks add up to one message.")
        run_metadata = run_entries(self, run, "chat")
        return request, call_options(arguments, self.api, run_metadata, affinity=self.session_affinity)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with langchain_errors():
            request, options = self._request(messages, stop, run_manager, kwargs)
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
            request, options = self._request(messages, stop, run_manager, kwargs)
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
            request, options = self._request(messages, stop, run_manager, kwargs, stream=True)
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
            request, options = self._request(messages, stop, run_manager, kwargs, stream=True)
            async with await self._clients.aio.stream(request, options) as events:
                chunks = ChunkMaker(events.info, request.model, as_blocks=self.output_version == "v1")
                async for event in events:
                    chunk = chunks.make(event)
                    if chunk is not None:
                        yield chunk
                yield chunks.last()

    def _generate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        with holding(CURRENT_RUN, kwargs.get("run_manager")):
            return super()._generate_with_cache(*args, **kwargs)

    async def _agenerate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        with holding(CURRENT_RUN, kwargs.get("run_manager")):
            return await super()._agenerate_with_cache(*args, **kwargs)

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: str | list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Streams an answer in chunks that add up to one message.

        Args:
            input: A prompt, a string or messages.
            config: The run's config; `config["metadata"]["cf_aig_metadata"]` is metadata for the gateway.
            stop: Texts at which to stop, in place of the constructor's.
            **kwargs: Arguments of the constructor that shape the answer, or further body fields.
        """
        config, run = track_stream(config, with_handler=self.run_metadata)
        return within_run(run, super().stream(input, config, stop=stop, **kwargs))

    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: str | list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """The asynchronous form of `stream`."""
        config, run = track_stream(config, with_handler=self.run_metadata)
        return awithin_run(run, super().astream(input, config, stop=stop, **kwargs))

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
            tools: Functions, LangChain tools, pydantic classes, TypedDicts, JSON schemas, OpenAI's or Anthropic's tool
                objects, or a provider's built-in tools, which are sent unchanged.
            tool_choice: `auto`, `none`, `any` or `required`, True, the name of a tool, or a provider's own object.
            strict: Whether a call's arguments must match the tool's schema exactly; so must the answer if
                `response_format` is a class or a schema.
            parallel_tool_calls: Whether the model may call several tools at once.
            **kwargs: Further arguments of every call.

        Raises:
            ConfigError: An item of `tools` is not a valid tool, or `tool_choice` names a tool that is not in `tools`.
        """
        with langchain_errors():
            bound_tools = [bound(tool, strict=strict) for tool in tools]
            choice_among(tool_choice, [tool.spec for tool in bound_tools])
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        if strict is not None and kwargs.get("response_format") is not None:
            kwargs[STRICT] = strict
        if parallel_tool_calls is not None:
            kwargs["parallel_tool_calls"] = parallel_tool_calls
        return self.bind(tools=bound_tools, **kwargs)

    @overload
    def with_structured_output(  # pyright: ignore[reportOverlappingOverload]  # the first that fits counts
        self, schema: type[_Answer], *, method: Method = ..., include_raw: Literal[False] = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, _Answer]: ...
    @overload
    def with_structured_output(
        self, schema: dict[str, Any] | type | None = None, *, method: Method = ..., **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any]]: ...
    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """The model with answers that follow a schema.

        A stream yields one object of a pydantic class at its end, and growing dicts for any other schema. A truncated
        answer is an error, never an incomplete object.

        Args:
            schema: A pydantic class (version 2 or 1), which validates the answer; or a TypedDict, a JSON schema, or a
                function or a `response_format` in OpenAI's form, which give dicts. None only with `json_mode`.
            method: `json_schema`: the server makes the answer follow the schema. `function_calling`: the answer is a
                function call, which is forced; models that refuse that, such as Anthropic's while they think, may also
                answer in JSON. `json_mode`: any JSON object, which the prompt must describe; formats without such a
                mode use the schema.
            include_raw: Return a dict of `raw`, the message; `parsed`, or None; and `parsing_error`, or None.
            strict: Whether the server must enforce the schema. True also forbids further keys in the schema's objects
                and requires all their fields, as OpenAI demands.
            **kwargs: Further arguments of every call.

        Raises:
            ConfigError: The schema or the method is invalid, or the two do not go together.
        """
        api, thinking = kwargs.get("api") or self.api, kwargs.get("thinking", self.thinking)
        return structured(
            self,
            schema,
            method,
            include_raw=include_raw,
            strict=strict,
            can_force=can_force_tool(kwargs.get("model") or self.model, api, thinking),
            kwargs=kwargs,
        )

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """The approximate number of tokens in a conversation.

        Args:
            messages: The conversation.
            tools: Tools that are sent with it, in any form that `bind_tools` accepts.

        Returns:
            Tokens; with `custom_get_token_ids`, those of text, tool calls and tools.

        Raises:
            ConfigError: An item of `tools` is not a valid tool.
        """
        with langchain_errors():
            forms: list[dict[str, Any]] = [dict(bound(tool)) for tool in tools or ()]
        if self.custom_get_token_ids is None:
            return count_tokens_approximately(messages, tools=[*forms])
        count = super().get_num_tokens_from_messages(messages)  # which counts no tools
        return count + sum(len(self.custom_get_token_ids(json.dumps(form))) for form in forms)
