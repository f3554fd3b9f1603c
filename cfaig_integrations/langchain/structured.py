"""Answers that follow a schema: the request for one, and the parser of its message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal, NoReturn, TypeAlias, cast, get_args

from langchain_core import exceptions as lc
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.json import parse_json_markdown
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel

from cfaig_integrations.core.legal import legal_name
from cfaig_integrations.core.replay import canonical
from cfaig_integrations.core.text import find_json, strip_thinking
from cfaig_integrations.errors import ConfigError, invalid
from cfaig_integrations.langchain.errors import SCHEMA_REMEDY, conversion_errors, langchain_errors

Method: TypeAlias = Literal["json_schema", "function_calling", "json_mode"]
Validate: TypeAlias = Callable[[object], Any]
"""Makes an object from a JSON value."""
Structured: TypeAlias = Runnable[LanguageModelInput, dict[str, Any] | BaseModel]

_DEFAULT_NAME = "answer"
_ANNOTATIONS = frozenset({"title", "description"})


def structured(
    model: BaseChatModel,
    schema: dict[str, Any] | type | None,
    method: Method,
    *,
    include_raw: bool,
    strict: bool | None,
    can_force: bool,
    kwargs: dict[str, Any],
) -> Structured:
    """A model whose answers follow a schema, with the arguments of `with_structured_output`.

    Raises:
        ConfigError: The schema or the method is invalid, or the two do not go together.
    """
    with langchain_errors():
        _check(schema, method, strict)
        function = _function(schema, strict) if schema is not None else None
    kwargs["ls_structured_output_format"] = {
        "kwargs": {"method": method} | ({} if strict is None else {"strict": strict}),
        "schema": None if schema is None else _titled_schema(_function(schema, None)),
    }
    validate, is_object = _validator(schema), function is not None and function["parameters"].get("type") == "object"
    if method == "function_calling" and function is not None:
        tool = function["name"] = legal_name(function["name"])
        choice: dict[str, Any] = {"tool_choice": tool if can_force else None, "parallel_tool_calls": False}
        bound = model.bind_tools([{"type": "function", "function": function}], **choice | kwargs)
        parser = AnswerParser(tool=tool, validate_with=validate, is_object=is_object, accepts_text=not can_force)
    else:
        bound = model.bind(response_format=_response_format(function, method), **kwargs)
        parser = AnswerParser(validate_with=validate, is_object=is_object)
    return _with_raw(bound, parser) if include_raw else bound | parser


def _check(schema: object, method: str, strict: bool | None) -> None:
    if method not in get_args(Method):
        raise invalid("method", method, "does not exist", "Use json_schema, function_calling or json_mode.")
    if method == "json_mode" and strict is not None:
        problem = "has no effect with method='json_mode': the server does not check the schema"
        raise invalid("strict", strict, problem, "Use method='json_schema'.")
    if method != "json_mode" and schema is None:
        raise ConfigError(f"method={method!r} needs a schema.", field="schema", remedy=SCHEMA_REMEDY)


def _function(schema: dict[str, Any] | type, strict: bool | None) -> dict[str, Any]:
    """A schema in OpenAI's form of a function: `name`, `parameters`, and perhaps `description` and `strict`."""
    form = _named(schema) if isinstance(schema, dict) else schema
    if strict is not None and isinstance(form, dict) and "strict" in form:
        form = {**form, "strict": strict}
    with conversion_errors(schema, "schema", "a function", SCHEMA_REMEDY):
        function: dict[str, Any] = {**convert_to_openai_tool(form, strict=strict)["function"]}
    function.setdefault("parameters", {"type": "object", "properties": {}})
    return function


def _named(schema: dict[str, Any]) -> dict[str, Any]:
    """A dict that holds a schema in any form, as a function that LangChain converts without loss."""
    inner: dict[str, Any] = schema.get("json_schema") or schema.get("function") or schema
    match inner:
        case {"schema": dict()}:
            named = {"name": inner.get("name") or _DEFAULT_NAME, "parameters": inner["schema"]}
            return named | {key: inner[key] for key in ("description", "strict") if key in inner}
        case {"name": str(), "input_schema": dict()} | {"name": str(), "parameters": dict()}:
            return inner
        case {"type": _} | {"properties": _} | {"anyOf": _} | {"$ref": _}:
            named = {"name": inner.get("title") or _DEFAULT_NAME}
            if "description" in inner:
                named["description"] = inner["description"]
            return named | {"parameters": {key: value for key, value in inner.items() if key not in _ANNOTATIONS}}
        case _:
            return inner


def _titled_schema(function: Mapping[str, Any]) -> dict[str, Any]:
    """A function as a JSON schema, for tracers and for formats without a field for the name."""
    parameters: dict[str, Any] = function["parameters"]
    titled = {"title": function["name"]}
    if "description" in function:
        titled["description"] = function["description"]
    titled |= parameters
    # Core requires the type to be a string.
    return titled if isinstance(titled.get("type", ""), str) else titled | {"type": "object"}


def _response_format(function: Mapping[str, Any] | None, method: Method) -> dict[str, Any]:
    if function is None:
        return {"type": "json_object"}
    if method == "json_mode":
        return {"type": "json_object", "schema": _titled_schema(function)}
    schema = {"name": legal_name(function["name"]), "schema": function["parameters"]}
    schema |= {key: function[key] for key in ("description", "strict") if key in function}
    return {"type": "json_schema", "json_schema": schema}


def _validator(schema: object) -> Validate | None:
    if not isinstance(schema, type) or not is_basemodel_subclass(schema):
        return None
    cls: Any = schema
    if not issubclass(schema, BaseModel):
        return cast("Validate", cls.parse_obj)
    # From text: a strict class accepts a date, an enum or a tuple in another form from JSON than from Python.
    return lambda value: cls.model_validate_json(canonical(value))


def _with_raw(model: Runnable[LanguageModelInput, AIMessage], parser: AnswerParser) -> Structured:
    """The message with its answer or its parsing error, in one chunk: fallbacks cover only a stream's first chunk."""

    def parsed(output: dict[str, Any]) -> dict[str, Any]:
        return {"raw": output["raw"], "parsed": parser.invoke(output["raw"]), "parsing_error": None}

    async def aparsed(output: dict[str, Any]) -> dict[str, Any]:
        return {"raw": output["raw"], "parsed": await parser.ainvoke(output["raw"]), "parsing_error": None}

    def failed(output: dict[str, Any]) -> dict[str, Any]:
        return {"raw": output["raw"], "parsed": None, "parsing_error": output["parsing_error"]}

    parse = RunnableLambda(parsed, aparsed, name="parse").with_fallbacks(
        [RunnableLambda(failed)], exception_key="parsing_error"
    )
    raw: Runnable[LanguageModelInput, dict[str, Any]] = RunnableMap({"raw": model})
    return raw | parse


class AnswerParser(BaseTransformOutputParser[Any]):
    """Parses an answer that follows a schema.

    Attributes:
        tool: Function whose call is the answer; None: the text is the answer.
        validate_with: Makes the result from the JSON value; None: the value is the result.
        is_object: The answer is one object, which models also write as the only item of a list.
        accepts_text: JSON in the text is an answer too, because the call could not be forced.
    """

    tool: str | None = None
    validate_with: Validate | None = None
    is_object: bool = False
    accepts_text: bool = False

    @property
    def OutputType(self) -> Any:
        """A dict, or the schema's class."""
        return Any

    @property
    def _type(self) -> str:
        return "cloudflare-ai-gateway-answer"

    def parse(self, text: str) -> Any:
        """The answer in a text.

        Raises:
            OutputParserException: The text does not follow the schema.
        """
        return self.parse_result([Generation(text=text)])

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """The answer in a message.

        Args:
            result: The model's generations; the first counts.
            partial: Whether the message may be incomplete; what cannot be parsed yet is None.

        Raises:
            ModelRefusalError: The model refused; an OutputParserException before langchain-core 1.7.5.
            OutputParserException: The message does not follow the schema.
        """
        first = result[0]
        message = first.message if isinstance(first, ChatGeneration) else AIMessage(first.text)
        if partial:
            return self._partial(message)
        _raise_if_refused(message)
        value = self._json_of(message)
        item = _only_item(value)
        if self.validate_with is None:
            value = item if self.is_object and item is not None else value
            if self.is_object and not isinstance(value, dict):
                _fail(f"The answer is a JSON {type(value).__name__}, not an object.", message)
            return value  # pyright: ignore[reportUnknownVariableType]  # JSON
        try:
            return self.validate_with(value)
        except (ValueError, RecursionError) as error:  # the errors of both pydantics are ValueErrors
            if item is not None:
                with suppress(ValueError, RecursionError):
                    return self.validate_with(item)
            _fail(f"The answer does not fit the schema: {error}", message, error)

    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[Any]:
        message = previous = None
        for chunk in input:
            message = _added(message, chunk)
            value = self._partial(message)
            if value is not None and value != previous:
                yield (previous := value)
        if message is not None and (value := self.parse_result([ChatGeneration(message=message)])) != previous:
            yield value

    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[Any]:
        message = previous = None
        async for chunk in input:
            message = _added(message, chunk)
            value = self._partial(message)
            if value is not None and value != previous:
                yield (previous := value)
        if message is not None and (value := self.parse_result([ChatGeneration(message=message)])) != previous:
            yield value

    def _partial(self, message: BaseMessage) -> Any:
        """The beginning of an answer; None for a class, whose objects are complete."""
        if self.validate_with is not None:
            return None
        if self.tool is not None:
            calls = message.tool_calls if isinstance(message, AIMessage) else []
            return next((call["args"] for call in calls if call["name"] == self.tool and call["args"]), None)
        text = strip_thinking(message.text).strip()
        if not text or text.startswith("<think>"):
            return None
        try:
            value: Any = parse_json_markdown(text)
        except (ValueError, RecursionError):
            return None
        kinds = (dict,) if self.is_object else (dict, list)
        return value if value and isinstance(value, kinds) else None  # pyright: ignore[reportUnknownVariableType]  # JSON

    def _json_of(self, message: BaseMessage) -> Any:
        """The JSON value of a complete answer."""
        if self.tool is None:
            try:
                return find_json(message.text)
            except ValueError as error:
                _fail(f"The answer is not JSON: {error}", message, error)
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                if call["name"] == self.tool:
                    return call["args"]
            for broken in message.invalid_tool_calls:
                reason = broken["error"] or "The arguments are not one JSON object."  # core gives none in streams
                _fail(f"The call of {broken['name']!r} is invalid: {reason}", message)
            if self.accepts_text and not message.tool_calls:
                with suppress(ValueError):
                    return find_json(message.text)
        remedy = " The call cannot be forced here: use method='json_schema'." if self.accepts_text else ""
        _fail(f"The model did not call {self.tool!r}.{remedy}", message)


def _only_item(value: Any) -> dict[str, Any] | None:
    """The object in a list of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) else None  # pyright: ignore


def _added(message: BaseMessage | None, chunk: str | BaseMessage) -> BaseMessage:
    chunk = AIMessage(chunk) if isinstance(chunk, str) else chunk
    return chunk if message is None else cast("BaseMessage", message + chunk)


def _raise_if_refused(message: BaseMessage) -> None:
    refusal = message.additional_kwargs.get("refusal")
    if not refusal and message.response_metadata.get("finish_reason") != "refusal":
        return
    text = f"The model refused: {refusal or message.text or 'it gave no reason'}"
    error = getattr(lc, "ModelRefusalError", None)  # since langchain-core 1.7.5
    if error is not None:
        raise error(text, raw_message=message)
    raise OutputParserException(text, llm_output=message.text)


def _fail(reason: str, message: BaseMessage, cause: Exception | None = None) -> NoReturn:
    """Raises a parsing error with the finish reason: most broken answers were truncated at `max_tokens`."""
    finish = message.response_metadata.get("finish_reason")
    ending = f" (finish_reason {finish!r})" if finish else ""
    raise OutputParserException(f"{reason}{ending}", llm_output=message.text) from cause
