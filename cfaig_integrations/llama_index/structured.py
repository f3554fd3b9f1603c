"""Answers that are objects of a pydantic class: how to ask for one, and how to read it.

Every question goes through `chat` and its like, so that observers, retries and the run's metadata hold for it, too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass
from typing import Any, Generic, Literal, NoReturn, TypeAlias, cast

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
from cfaig_integrations.adapters.tools import thinks
from cfaig_integrations.core.chat import OutputSchema
from cfaig_integrations.core.legal import legal_name
from cfaig_integrations.core.text import find_json, strip_thinking
from cfaig_integrations.gateway.models.profiles import profile_of
from cfaig_integrations.gateway.models.routes import refuses_force
from cfaig_integrations.llama_index.schemas import ROOT, description_of, is_wrapped, object_schema
from cfaig_integrations.llama_index.tool_selections import finish_reason, object_so_far
from cfaig_integrations.llama_index.tools import bound_class

Way: TypeAlias = Literal["json_schema", "function_calling", "prompt"]

_dispatcher = get_dispatcher(__name__)
_OF_PROGRAMS = frozenset({"tool_choice", "tool_required", "allow_parallel_tool_calls"})
"""Words that LlamaIndex's programs take out of `llm_kwargs`: which tool is called is theirs to say."""
_THINKING = "<think>"
_ASK = "Answer with one JSON object that follows this JSON schema, and with nothing else:\n{schema}"


def to_output(wanted: Any) -> OutputSchema | None:
    """A `response_format`: a pydantic class, or OpenAI's form.

    Raises:
        ConfigError: It is of no known form.
    """
    if isinstance(wanted, type) and issubclass(wanted, BaseModel):
        return OutputSchema(object_schema(wanted), legal_name(wanted.__name__), description_of(wanted))
    return output_schema(wanted)


class StructuredPredict(FunctionCallingLLM):
    """An LLM that can be asked for objects of a pydantic class.

    Attributes:
        structured_output: How. `json_schema`: the server keeps the answer to the schema. `function_calling`: the answer
            is the call of a function; it is forced, except where the model refuses that. `prompt`: the schema is in the
            prompt, for models that have neither. `auto`: the first of them that the model is known to have, a function
            only if it can be forced, or what `pydantic_program_mode` says.
        strict: Whether the server must enforce the schema. True also closes the schema's objects and requires all their
            fields, as OpenAI asks for. None: the server's default.
    """

    model: str
    thinking: dict[str, Any] | None = None
    structured_output: Literal["auto", "json_schema", "function_calling", "prompt"] = "auto"
    strict: bool | None = None

    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """An object of a class.

        Args:
            output_cls: The class. Generic classes and `RootModel` are fine.
            prompt: What to ask.
            llm_kwargs: Further arguments of `chat`; also `strict`.
            **prompt_args: What to put into the prompt.

        Raises:
            ConfigError: The class has no JSON schema or is not pydantic's, or an argument cannot be right; nothing is
            sent.
            ValueError: The model refused, or its answer is no object of the class.
        """
        question = self._question(output_cls, prompt, llm_kwargs, prompt_args)
        if question is None:
            return cast("Model", super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args))
        _dispatcher.event(
            LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=prompt_args)
        )
        answer: Model = question.answer(self.chat(question.messages, **question.words))
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
        question = self._question(output_cls, prompt, llm_kwargs, prompt_args)
        if question is None:
            return cast("Model", await super().astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args))
        _dispatcher.event(
            LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=prompt_args)
        )
        answer: Model = question.answer(await self.achat(question.messages, **question.words))
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
        """Beginnings of an object, then the object; as `structured_predict`.

        LlamaIndex's own sends the request when the first of them is taken, and raises there what goes wrong with it.
        """
        _dispatcher.event(
            LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=prompt_args)
        )
        return _observed(self._structured_stream_call(output_cls, prompt, llm_kwargs, **prompt_args))

    @_dispatcher.span
    async def astream_structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Model | FlexibleModel, None]:
        """Beginnings of an object, then the object; as `stream_structured_predict`."""
        _dispatcher.event(
            LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=prompt_args)
        )
        return _aobserved(await self._structured_astream_call(output_cls, prompt, llm_kwargs, **prompt_args))

    def _structured_stream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Model | list[Model] | FlexibleModel | list[FlexibleModel], None, None]:
        question = self._question(output_cls, prompt, llm_kwargs, prompt_args)
        if question is None:
            return super()._structured_stream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        return _objects(question, self.stream_chat(question.messages, **question.words))

    async def _structured_astream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Model | list[Model] | FlexibleModel | list[FlexibleModel], None]:
        question = self._question(output_cls, prompt, llm_kwargs, prompt_args)
        if question is None:
            return await super()._structured_astream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        return _aobjects(question, await self.astream_chat(question.messages, **question.words))

    def _question(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: Mapping[str, Any] | None,
        prompt_args: Mapping[str, Any],
    ) -> _Question[Model] | None:
        """The question, or None if the program that LlamaIndex has for it is to ask."""
        words = {word: value for word, value in (llm_kwargs or {}).items() if word not in _OF_PROGRAMS}
        strict = words.pop("strict", self.strict)
        way = self._way(words)
        if way is None:
            return None
        said = description_of(output_cls)
        messages = self._get_messages(prompt, **prompt_args)
        name = legal_name(output_cls.__name__)
        tool: str | None = None
        forced = True
        match way:
            case "json_schema":
                held = {"name": name, "schema": object_schema(output_cls, closed=strict is True)}
                held |= {"description": said} if said else {}
                held |= {} if strict is None else {"strict": strict}
                words = {"response_format": {"type": "json_schema", "json_schema": held}, **words}
            case "function_calling":
                tool = name
                bound = bound_class(output_cls, name, said, strict=strict)
                words = {"parallel_tool_calls": False, **words, "tools": [bound]}
                forced = self._can_be_forced(words)
                words |= {"tool_choice": name} if forced else {}
            case "prompt":
                messages = _with_schema(messages, output_cls)
        return _Question(output_cls, messages, words, tool, self.output_parser, forced)

    def _way(self, words: Mapping[str, Any]) -> Way | None:
        if self.structured_output != "auto":
            return self.structured_output
        match self.pydantic_program_mode:
            case PydanticProgramMode.FUNCTION:
                return "function_calling"
            case PydanticProgramMode.LLM:
                return "prompt"
            case PydanticProgramMode.DEFAULT:
                profile = profile_of(words.get("model") or self.model)
                if profile.structured_output or not profile.known:
                    return "json_schema"
                may = self.metadata.is_function_calling_model and self._can_be_forced(words)
                return "function_calling" if may else "prompt"
            case _:
                return None

    def _can_be_forced(self, words: Mapping[str, Any]) -> bool:
        """Whether a call can be forced; Anthropic's models refuse that while they think."""
        model = words.get("model") or self.model
        profile = profile_of(model)
        api: Any = words.get("api") or getattr(self, "api", "auto")
        may = (profile.tool_choice or not profile.known) and not refuses_force(model, api)
        return may and not thinks(words.get("thinking", self.thinking))


def _with_schema(messages: list[ChatMessage], output_cls: type[BaseModel]) -> list[ChatMessage]:
    """A conversation that ends in the wish for JSON."""
    said = description_of(output_cls)
    schema = ({"description": said} if said else {}) | object_schema(output_cls)
    wish = TextBlock(text=_ASK.format(schema=to_json(schema).decode()))
    if not messages or messages[-1].role != MessageRole.USER:
        return [*messages, ChatMessage(role=MessageRole.USER, blocks=[wish])]
    last = messages[-1]
    return [*messages[:-1], last.model_copy(update={"blocks": [*last.blocks, wish]})]


@dataclass(frozen=True, slots=True)
class _Question(Generic[Model]):
    """What to ask for an object, and how to read the answer.

    Attributes:
        tool: Function whose call is the answer; None: the answer is the text.
        parser: What the user lets see the text first.
        forced: Whether the tool is one that the model must call.
    """

    output_cls: type[Model]
    messages: list[ChatMessage]
    words: dict[str, Any]
    tool: str | None
    parser: BaseOutputParser | None
    forced: bool

    def answer(self, response: ChatResponse) -> Model:
        """The object in a whole response.

        Raises:
            ValueError: There is none.
        """
        message = response.message
        refusal = message.additional_kwargs.get("refusal")
        if refusal or finish_reason(response) == "refusal":
            raise ValueError(f"The model refused: {refusal or message.content or 'it gave no reason'}")
        if self.tool is not None:
            found = self._called(response, self.tool)
        else:
            said = message.content or ""
            parsed: object = said if self.parser is None else self.parser.parse(said)
            if isinstance(parsed, self.output_cls):
                return parsed
            found = self._written(response, str(parsed))
        if is_wrapped(self.output_cls) and isinstance(found, dict) and ROOT in found:
            found = cast("dict[str, Any]", found)[ROOT]
        try:
            return self.output_cls.model_validate_json(to_json(found))
        except ValueError as error:
            if isinstance(found, list) and len(alone := cast("list[object]", found)) == 1:  # as models write it, too
                with suppress(ValueError):
                    return self.output_cls.model_validate_json(to_json(alone[0]))
            self._fail(f"The answer is no {self.output_cls.__name__}: {error}", response, error)

    def _called(self, response: ChatResponse, tool: str) -> object:
        for block in response.message.blocks:
            if isinstance(block, ToolCallBlock) and block.tool_name == tool:
                if isinstance(block.tool_kwargs, dict):
                    return block.tool_kwargs
                self._fail(f"The call of {tool!r} is broken: {block.tool_kwargs!r}", response)
        remedy = "" if self.forced else " It cannot be forced to here: use structured_output='json_schema' or 'prompt'."
        self._fail(f"The model did not call {tool!r}.{remedy}", response)

    def _written(self, response: ChatResponse, text: str) -> object:
        try:
            return find_json(text)
        except ValueError as error:
            self._fail(f"The answer is not JSON: {error}", response, error)

    def _fail(self, reason: str, response: ChatResponse, cause: Exception | None = None) -> NoReturn:
        """An error that also says how the answer ended: most broken ones were cut at `max_tokens`."""
        raise ValueError(
            f"{reason} (finish_reason {finish_reason(response)!r}) The model said: {response.message.content or ''!r}"
        ) from cause


_STEP = 256
"""A text is read again once it has grown by this part of it, so that a stream costs what its text is long."""


class _Partials:
    """The beginnings of an object, as a stream of its text or of its call's arguments brings them."""

    def __init__(self, question: _Question[Any]) -> None:
        self._tool = question.tool
        self._kind = create_flexible_model(question.output_cls)
        self._given: object = None
        self._next = 0
        """Length from which the text is read again."""

    def take(self, response: ChatResponse) -> FlexibleModel | None:
        """What a response adds, if it adds something."""
        found = self._read(response.message)
        if not isinstance(found, dict) or not found or found == self._given:
            return None
        self._given = found
        return self._kind.model_validate(found)

    def _read(self, message: ChatMessage) -> object:
        if self._tool is None:
            return self._so_far(message.content or "")
        for block in message.blocks:
            if isinstance(block, ToolCallBlock) and block.tool_name == self._tool:
                given = block.tool_kwargs
                return self._so_far(given) if isinstance(given, str) else given
        return None

    def _so_far(self, text: str) -> object:
        if len(text) < self._next:
            return None
        self._next = len(text) + len(text) // _STEP
        answer = strip_thinking(text)
        start = answer.find("{")
        thinks = answer.lstrip().startswith(_THINKING)
        return object_so_far(answer[start:]) if start >= 0 and not thinks else None


def _observed(objects: Generator[Any, None, None]) -> Generator[Any, None, None]:
    found: Any = None
    with closing(objects):
        for found in objects:
            _dispatcher.event(LLMStructuredPredictInProgressEvent(output=found))
            yield found
    _dispatcher.event(LLMStructuredPredictEndEvent(output=found))


async def _aobserved(objects: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    found: Any = None
    async with aclosing(objects):
        async for found in objects:
            _dispatcher.event(LLMStructuredPredictInProgressEvent(output=found))
            yield found
    _dispatcher.event(LLMStructuredPredictEndEvent(output=found))


def _objects(
    question: _Question[Model], responses: Generator[ChatResponse, None, None]
) -> Generator[Model | FlexibleModel, None, None]:
    """Beginnings of the object, then the object."""
    partials, last = _Partials(question), ChatResponse(message=ChatMessage())
    with closing(responses):
        for response in responses:
            last = response
            partial = partials.take(response)
            if partial is not None:
                yield partial
    yield question.answer(last)


async def _aobjects(
    question: _Question[Model], responses: AsyncGenerator[ChatResponse, None]
) -> AsyncGenerator[Model | FlexibleModel, None]:
    """Beginnings of the object, then the object."""
    partials, last = _Partials(question), ChatResponse(message=ChatMessage())
    async with aclosing(responses):
        async for response in responses:
            last = response
            partial = partials.take(response)
            if partial is not None:
                yield partial
    yield question.answer(last)
