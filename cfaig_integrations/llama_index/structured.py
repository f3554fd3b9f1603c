"""Answers that are objects of a pydantic class: how to ask for one, and how to read it.

Every request goes through `chat` and the other public methods, so that observers, retries and run metadata apply.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, TypeAlias, cast

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, TextBlock, ToolCallBlock
from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictInProgressEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.program.utils import FlexibleModel, create_flexible_model
from llama_index.core.prompts import PromptTemplate
from llama_index.core.types import BaseOutputParser, Model, PydanticProgramMode
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel
from pydantic_core import to_json

from cfaig_integrations.adapters.arguments import output_schema
from cfaig_integrations.adapters.tools import can_force_tool
from cfaig_integrations.core.chat import OutputSchema
from cfaig_integrations.core.legal import legal_name
from cfaig_integrations.core.text import find_json, strip_thinking
from cfaig_integrations.gateway.models.profiles import profile_of
from cfaig_integrations.gateway.models.routes import Api
from cfaig_integrations.llama_index.schemas import ROOT, description_of, is_wrapped, object_schema
from cfaig_integrations.llama_index.tool_calls import finish_reason, partial_object
from cfaig_integrations.llama_index.tools import bound_class

Method: TypeAlias = Literal["json_schema", "function_calling", "prompt"]

_dispatcher = get_dispatcher(__name__)
_PROGRAM_ARGUMENTS = frozenset({"tool_choice", "tool_required", "allow_parallel_tool_calls"})
"""Arguments that LlamaIndex's programs remove from `llm_kwargs`: they choose the tool themselves."""
_INSTRUCTION = "Answer with one JSON object that follows this JSON schema, and with nothing else:\n{schema}"


def to_output(response_format: Any) -> OutputSchema | None:
    """A `response_format`: a pydantic class, or OpenAI's form.

    Raises:
        ConfigError: It has an unknown form.
    """
    if isinstance(response_format, type) and issubclass(response_format, BaseModel):
        name = legal_name(response_format.__name__)
        return OutputSchema(object_schema(response_format), name, description_of(response_format))
    return output_schema(response_format)


class StructuredPredict(FunctionCallingLLM):
    """An LLM that can be asked for objects of a pydantic class.

    Attributes:
        structured_output: Method. `json_schema`: the server enforces the schema. `function_calling`: the answer is a
            function call, which is forced unless the model refuses that. `prompt`: the schema is in the prompt, for
            models that support neither. `auto`: the first of them that the model is known to support, a function only
            if it can be forced, unless `pydantic_program_mode` names one.
        strict: Whether the server must enforce the schema. True also closes the schema's objects and requires all their
            fields, as OpenAI demands. None: the server's default.
    """

    model: str
    thinking: dict[str, Any] | None = None
    structured_output: Literal["auto", "json_schema", "function_calling", "prompt"] = "auto"
    strict: bool | None = None

    if TYPE_CHECKING:
        api: Api  # a field of `ChatFields`

    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """An object of a class.

        Args:
            output_cls: The class. Generic classes and `RootModel` are supported.
            prompt: The prompt.
            llm_kwargs: Further arguments of `chat`; also `strict`.
            **prompt_args: Values of the prompt's variables.

        Raises:
            ConfigError: The class has no JSON schema or is not pydantic's, or an argument is invalid; nothing was sent.
            ValueError: The model refused, or its answer is not an object of the class.
        """
        call = self._structured_call(output_cls, prompt, llm_kwargs, prompt_args)
        if call is None:
            return cast("Model", super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args))
        _emit_start(output_cls, prompt, prompt_args)
        answer: Model = call.parse(self.chat(call.messages, **call.arguments))
        _dispatcher.event(LLMStructuredPredictEndEvent(output=answer))
        return answer

    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """An object of a class; as `structured_predict`."""
        call = self._structured_call(output_cls, prompt, llm_kwargs, prompt_args)
        if call is None:
            return cast("Model", await super().astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args))
        _emit_start(output_cls, prompt, prompt_args)
        answer: Model = call.parse(await self.achat(call.messages, **call.arguments))
        _dispatcher.event(LLMStructuredPredictEndEvent(output=answer))
        return answer

    @_dispatcher.span
    def stream_structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Model | FlexibleModel, None, None]:
        """Partial objects, then the object; as `structured_predict`.

        The request is sent at once, and not, as by LlamaIndex's own method, when the first object is read.
        """
        _emit_start(output_cls, prompt, prompt_args)
        return _observed(self._structured_stream_call(output_cls, prompt, llm_kwargs, **prompt_args))

    @_dispatcher.span
    async def astream_structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Model | FlexibleModel, None]:
        """Partial objects, then the object; as `stream_structured_predict`."""
        _emit_start(output_cls, prompt, prompt_args)
        return _aobserved(await self._structured_astream_call(output_cls, prompt, llm_kwargs, **prompt_args))

    def _structured_stream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Model | list[Model] | FlexibleModel | list[FlexibleModel], None, None]:
        call = self._structured_call(output_cls, prompt, llm_kwargs, prompt_args)
        if call is None:
            return super()._structured_stream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        return _objects(call, self.stream_chat(call.messages, **call.arguments))

    async def _structured_astream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Model | list[Model] | FlexibleModel | list[FlexibleModel], None]:
        call = self._structured_call(output_cls, prompt, llm_kwargs, prompt_args)
        if call is None:
            return await super()._structured_astream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        return _aobjects(call, await self.astream_chat(call.messages, **call.arguments))

    def _structured_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: Mapping[str, Any] | None,
        prompt_args: Mapping[str, Any],
    ) -> _StructuredCall[Model] | None:
        """The call for an object, or None if LlamaIndex's program for `pydantic_program_mode` is to make it."""
        arguments = {name: value for name, value in (llm_kwargs or {}).items() if name not in _PROGRAM_ARGUMENTS}
        strict = arguments.pop("strict", self.strict)
        method = self._method(arguments)
        if method is None:
            return None
        description = description_of(output_cls)
        messages = self._get_messages(prompt, **prompt_args)
        name = legal_name(output_cls.__name__)
        tool: str | None = None
        forced = True
        match method:
            case "json_schema":
                schema = {"name": name, "schema": object_schema(output_cls, closed=strict is True)}
                schema |= {"description": description} if description else {}
                schema |= {} if strict is None else {"strict": strict}
                arguments = {"response_format": {"type": "json_schema", "json_schema": schema}, **arguments}
            case "function_calling":
                tool = name
                bound = bound_class(output_cls, name, description, strict=strict)
                arguments = {"parallel_tool_calls": False, **arguments, "tools": [bound]}
                forced = self._can_force(arguments)
                arguments |= {"tool_choice": name} if forced else {}
            case "prompt":
                messages = _with_schema(messages, output_cls)
        return _StructuredCall(output_cls, messages, arguments, tool, self.output_parser, forced)

    def _method(self, arguments: Mapping[str, Any]) -> Method | None:
        if self.structured_output != "auto":
            return self.structured_output
        match self.pydantic_program_mode:
            case PydanticProgramMode.FUNCTION:
                return "function_calling"
            case PydanticProgramMode.LLM:
                return "prompt"
            case PydanticProgramMode.DEFAULT:
                profile = profile_of(arguments.get("model") or self.model)
                if profile.structured_output or not profile.is_listed:
                    return "json_schema"
                can_call = self.metadata.is_function_calling_model and self._can_force(arguments)
                return "function_calling" if can_call else "prompt"
            case _:
                return None

    def _can_force(self, arguments: Mapping[str, Any]) -> bool:
        model, api = arguments.get("model") or self.model, arguments.get("api") or self.api
        return can_force_tool(model, api, arguments.get("thinking", self.thinking))


def _with_schema(messages: list[ChatMessage], output_cls: type[BaseModel]) -> list[ChatMessage]:
    """A conversation that ends in a request for JSON."""
    description = description_of(output_cls)
    schema = ({"description": description} if description else {}) | object_schema(output_cls)
    instruction = TextBlock(text=_INSTRUCTION.format(schema=to_json(schema).decode()))
    if not messages or messages[-1].role != MessageRole.USER:
        return [*messages, ChatMessage(role=MessageRole.USER, blocks=[instruction])]
    last = messages[-1]
    return [*messages[:-1], last.model_copy(update={"blocks": [*last.blocks, instruction]})]


@dataclass(frozen=True, slots=True)
class _StructuredCall(Generic[Model]):
    """How to ask for an object, and how to read the answer.

    Attributes:
        tool: Function whose call is the answer; None: the answer is the text.
        parser: The user's parser, which gets the text first.
    """

    output_cls: type[Model]
    messages: list[ChatMessage]
    arguments: dict[str, Any]
    tool: str | None
    parser: BaseOutputParser | None
    forced: bool

    def parse(self, response: ChatResponse) -> Model:
        """The object in a whole response.

        Raises:
            ValueError: There is none.
        """
        message = response.message
        refusal = message.additional_kwargs.get("refusal")
        if refusal or finish_reason(response) == "refusal":
            raise ValueError(f"The model refused: {refusal or message.content or 'it gave no reason'}")
        if self.tool is not None:
            value = self._tool_arguments(response, self.tool)
        else:
            text = message.content or ""
            parsed: object = text if self.parser is None else self.parser.parse(text)
            if isinstance(parsed, self.output_cls):
                return parsed
            try:
                value = find_json(str(parsed))
            except ValueError as error:
                self._fail(f"The answer is not JSON: {error}", response, error)
        if is_wrapped(self.output_cls) and isinstance(value, dict) and ROOT in value:
            value = cast("dict[str, Any]", value)[ROOT]
        try:
            return self.output_cls.model_validate_json(to_json(value))
        except ValueError as error:
            if isinstance(value, list) and len(items := cast("list[object]", value)) == 1:  # as models write it, too
                with suppress(ValueError):
                    return self.output_cls.model_validate_json(to_json(items[0]))
            self._fail(f"The answer is not a {self.output_cls.__name__}: {error}", response, error)

    def _tool_arguments(self, response: ChatResponse, tool: str) -> object:
        for block in response.message.blocks:
            if isinstance(block, ToolCallBlock) and block.tool_name == tool:
                if isinstance(block.tool_kwargs, dict):
                    return block.tool_kwargs
                self._fail(f"The call of {tool!r} is broken: {block.tool_kwargs!r}", response)
        remedy = "" if self.forced else " It cannot be forced to: use structured_output='json_schema' or 'prompt'."
        self._fail(f"The model did not call {tool!r}.{remedy}", response)

    def _fail(self, reason: str, response: ChatResponse, cause: Exception | None = None) -> NoReturn:
        """Raises an error that also says how the answer ended: most broken ones were truncated at `max_tokens`."""
        raise ValueError(
            f"{reason} (finish_reason {finish_reason(response)!r}) The model said: {response.message.content or ''!r}"
        ) from cause


_GROWTH = 256
"""A text is parsed again after it grew by 1/256, so that a stream takes time proportional to its length."""


class _PartialObjects:
    """The partial objects in a stream of text or of a call's arguments."""

    def __init__(self, call: _StructuredCall[Any]) -> None:
        self._tool = call.tool
        self._class = create_flexible_model(call.output_cls)
        self._last: object = None
        self._next_length = 0
        """Length at which the text is parsed again."""

    def take(self, response: ChatResponse) -> FlexibleModel | None:
        """The object in a response, if it has grown."""
        value = self._value(response.message)
        if not isinstance(value, dict) or not value or value == self._last:
            return None
        self._last = value
        return self._class.model_validate(value)

    def _value(self, message: ChatMessage) -> object:
        if self._tool is None:
            return self._parse(message.content or "")
        for block in message.blocks:
            if isinstance(block, ToolCallBlock) and block.tool_name == self._tool:
                arguments = block.tool_kwargs
                return self._parse(arguments) if isinstance(arguments, str) else arguments
        return None

    def _parse(self, text: str) -> object:
        if len(text) < self._next_length:
            return None
        self._next_length = len(text) + len(text) // _GROWTH
        answer = strip_thinking(text)
        start = answer.find("{")
        is_thinking = answer.lstrip().startswith("<think>")
        return partial_object(answer[start:]) if start >= 0 and not is_thinking else None


def _emit_start(output_cls: type[Any], prompt: PromptTemplate, prompt_args: dict[str, Any]) -> None:
    _dispatcher.event(LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=prompt_args))


def _observed(objects: Generator[Any, None, None]) -> Generator[Any, None, None]:
    output: Any = None
    with closing(objects):
        for output in objects:
            _dispatcher.event(LLMStructuredPredictInProgressEvent(output=output))
            yield output
    _dispatcher.event(LLMStructuredPredictEndEvent(output=output))


async def _aobserved(objects: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    output: Any = None
    async with aclosing(objects):
        async for output in objects:
            _dispatcher.event(LLMStructuredPredictInProgressEvent(output=output))
            yield output
    _dispatcher.event(LLMStructuredPredictEndEvent(output=output))


def _objects(
    call: _StructuredCall[Model], responses: Generator[ChatResponse, None, None]
) -> Generator[Model | FlexibleModel, None, None]:
    partials, response = _PartialObjects(call), ChatResponse(message=ChatMessage())
    with closing(responses):
        for response in responses:
            if (partial := partials.take(response)) is not None:
                yield partial
    yield call.parse(response)


async def _aobjects(
    call: _StructuredCall[Model], responses: AsyncGenerator[ChatResponse, None]
) -> AsyncGenerator[Model | FlexibleModel, None]:
    partials, response = _PartialObjects(call), ChatResponse(message=ChatMessage())
    async with aclosing(responses):
        async for response in responses:
            if (partial := partials.take(response)) is not None:
                yield partial
    yield call.parse(response)
