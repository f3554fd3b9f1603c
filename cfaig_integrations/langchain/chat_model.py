"""The LangChain chat model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, BaseRunManager, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from pydantic import model_validator

from cfaig_integrations.adapters.arguments import call_options, chat_request, refuse_several
from cfaig_integrations.adapters.secrets import for_traces
from cfaig_integrations.adapters.tools import can_force_tool, choice_among, tools_at_once
from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.errors import invalid
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.context import current, holding
from cfaig_integrations.langchain.arguments import (
    STRICT,
    USE_PREVIOUS,
    digest,
    identity,
    langchain_arguments,
    public_identity,
    to_output,
)
from cfaig_integrations.langchain.base import GatewayModel
from cfaig_integrations.langchain.chat_methods import ChatModelMethods
from cfaig_integrations.langchain.chunks import ChunkMaker
from cfaig_integrations.langchain.errors import langchain_errors
from cfaig_integrations.langchain.inbound import continuation_of, to_turns
from cfaig_integrations.langchain.outbound import combined_llm_output, to_result
from cfaig_integrations.langchain.profile import model_profile
from cfaig_integrations.langchain.run_tracking import CURRENT_RUN, awithin_run, run_entries, track_stream, within_run
from cfaig_integrations.langchain.signatures import ChatModelArguments
from cfaig_integrations.langchain.structured import Method, structured
from cfaig_integrations.langchain.tools import bound, to_choice, to_specs

_Answer = TypeVar("_Answer")


class ChatCloudflareAIGateway(GatewayModel, ChatModelMethods):
    """Chat model for every model behind Cloudflare AI Gateway.

    Arguments that are None are omitted from the request, or have the default that their description states. Each of
    them but the connection settings can also be given for one call, where what may be a new body field of a model goes
    into the body. LangChain's own arguments are `name`, `cache`, `verbose`, `callbacks`, `tags`, `metadata`,
    `custom_get_token_ids`, `rate_limiter`, `disable_streaming`, `output_version` and `profile`.

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
        use_previous_response_id (bool, default False): Send only the messages after the newest reply that the provider
            has stored, in the Responses format, which `api="auto"` then prefers. The whole conversation is sent if its
            stored part was edited, or again if the provider does not find the reply.
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
            raise invalid("output_version", self.output_version, "is unknown", 'Write output_version="v1".')
        super()._connect()

    @property
    def _llm_type(self) -> str:
        return "cloudflare-ai-gateway-chat"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return public_identity(self) | ({} if self.output_version is None else {"output_version": self.output_version})

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The model's key in LangChain's cache: a hash, because headers and tools may hold secrets.

        Whatever shapes an answer is part of it, `gateway_context` included, so that a block with `skip_cache` gets no
        answer from outside. (That option is for the gateway's cache; `cache=False` turns LangChain's off.) A run's
        metadata is not, because its ids would make every key unique.
        """
        headers = sorted((self.extra_headers or {}).items())
        params = {**self._identifying_params, **identity(self), **kwargs}
        return f"{self._llm_type} {digest((sorted(params.items()), headers, stop, current()))}"

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        return {**super()._get_invocation_params(stop), **for_traces(kwargs)}

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
        tools = to_specs(recognized.get("tools") or (), strict=strict)
        choice = recognized.get("tool_choice")
        use_previous = kwargs.get(USE_PREVIOUS, self.use_previous_response_id)
        request = chat_request(
            self,
            arguments,
            turns,
            continues=continuation_of(model, messages, turns) if use_previous else None,
            tools=tools,
            tool_choice=to_choice(choice, tools, model=model, api=recognized.get("api") or self.api),
            parallel_tool_calls=tools_at_once(recognized.get("parallel_tool_calls"), choice),
            output=to_output(recognized.get("response_format"), strict),
            stop=stop,
        )
        if stream:
            refuse_several(request, "cannot be streamed, for LangChain's chunks add up to one message")
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
        arguments: dict[str, Any] = {"stop": stop, **kwargs}
        config, run = track_stream(config, self, self._get_ls_params_with_defaults, arguments)
        return within_run(run, super().stream(input, config, **arguments))

    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: str | list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """The asynchronous form of `stream`."""
        arguments: dict[str, Any] = {"stop": stop, **kwargs}
        config, run = track_stream(config, self, self._get_ls_params_with_defaults, arguments)
        return awithin_run(run, super().astream(input, config, **arguments))

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
            if tool_choice is not None:
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
