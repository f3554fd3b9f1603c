"""Answers that follow a schema: how to ask for one, and how to read it.

which words ask for JSON is the codecs' business.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal, NoReturn, TypeAlias, cast

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

from cfaig_integrations.adapters.tools import can_force_tool
from cfaig_integrations.core.legal import legal_name
from cfaig_integrations.core.replay import canonical
from cfaig_integrations.core.text import find_json, strip_thinking
from cfaig_integrations.errors import ConfigError, shown
from cfaig_integrations.gateway.connection import Api
from cfaig_integrations.langchain.errors import NOT_CONVERTED, langchain_errors

Method: TypeAlias = Literal["json_schema", "function_calling", "json_mode"]
Validate: TypeAlias = Callable[[object], Any]
"""Makes an object of a JSON value."""

_NAMELESS = "answer"


class StructuredOutput(BaseChatModel):
    """A chat model that can be asked for answers of a certain form."""

    model: str
    api: Api = "auto"
    thinking: dict[str, Any] | None = None

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """The model with answers that follow a schema.

        Streams of a pydantic class bring one object, at the end; of any other schema, dicts that grow. A truncated
        answer is an error, never a short object.

        Args:
            schema: A pydantic class (2 or 1), which validates the answer; or a TypedDict, a JSON schema, or a function
                or a `response_format` in OpenAI's form, which give dicts. None only with `json_mode`.
            method: `json_schema`: the server keeps the answer to the schema. `function_calling`: the answer is the
                call of a function; it is forced, except of models that refuse that, such as Anthropic's while they
                think: then JSON in the text is taken as well. `json_mode`:
                any JSON object, whose form the prompt must describe; in a format that has no such mode, the schema.
            include_raw: Give a dict of `raw`, the message; `parsed`, or None; and `parsing_error`, or None.
            strict: Whether the server must enforce the schema. True also closes the schema's objects and requires all
                their fields, as OpenAI asks for.
            **kwargs: Further arguments for every call.

        Raises:
            ConfigError: The schema, the method or both together cannot be right.
        """
        with langchain_errors():
            _check(schema, method, strict)
            function = _function(schema, strict) if schema is not None else None
        is_object = function is not None and function["parameters"].get("type") == "object"
        kwargs["ls_structured_output_format"] = {
            "kwargs": {"method": method} | ({} if strict is None else {"strict": strict}),
            "schema": None if schema is None else _shown(_function(schema, None)),
        }
        if method == "function_calling" and function is not None:
            name = function["name"] = legal_name(function["name"])
            forced = self._can_be_forced(kwargs)
            tool = {"type": "function", "function": function}
            words: dict[str, Any] = {"tool_choice": name if forced else None, "parallel_tool_calls": False, **kwargs}
            model = self.bind_tools([tool], **words)
            parser = AnswerParser(
                tool=name, validate_with=_validator(schema), an_object=is_object, may_write=not forced
            )
        else:
            model = self.bind(response_format=_response_format(function, method), **kwargs)
            parser = AnswerParser(validate_with=_validator(schema), an_object=is_object)
        return _with_raw(model, parser) if include_raw else model | parser

    def _can_be_forced(self, kwargs: Mapping[str, Any]) -> bool:
        """Whether a call can be forced: some models refuse it, and Anthropic's do while they think."""
        model, api = kwargs.get("model") or self.model, kwargs.get("api") or self.api
        return can_force_tool(model, api, kwargs.get("thinking", self.thinking))


def _check(schema: object, method: str, strict: bool | None) -> None:
    match method:
        case "json_mode":
            if strict is not None:
                raise ConfigError(
                    f"strict={strict} has no meaning with method='json_mode': the server does not check the schema.",
                    field="strict",
                    value=strict,
                    remedy="Use method='json_schema'.",
                )
        case "json_schema" | "function_calling":
            if schema is None:
                raise ConfigError(
                    f"method={method!r} needs a schema.",
                    field="schema",
                    remedy="Give a pydantic class, a TypedDict or a JSON schema.",
                )
        case _:
            raise ConfigError(
                f"method={method!r} is not known.",
                field="method",
                value=method,
                remedy="Use json_schema, function_calling or json_mode.",
            )


def _function(schema: dict[str, Any] | type, strict: bool | None) -> dict[str, Any]:
    """A schema of any kind as OpenAI's function: `name`, `parameters`, and perhaps `description` and `strict`."""
    form = _named(schema) if isinstance(schema, dict) else schema
    if strict is not None and isinstance(form, dict) and "strict" in form:
        form = {**form, "strict": strict}
    try:
        function: dict[str, Any] = {**convert_to_openai_tool(form, strict=strict)["function"]}
    except NOT_CONVERTED as error:
        raise ConfigError(
            f"{shown(schema)} is not a schema: {error}",
            field="schema",
            value=schema,
            remedy="Give a pydantic class, a TypedDict or a JSON schema.",
        ) from error
    function.setdefault("parameters", {"type": "object", "properties": {}})
    return function


def _named(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema in a dict of any form, as a function that LangChain converts without loss."""
    held: dict[str, Any] = schema.get("json_schema") or schema.get("function") or schema
    match held:
        case {"schema": dict()}:
            named = {"name": held.get("name") or _NAMELESS, "parameters": held["schema"]}
            return named | {key: held[key] for key in ("description", "strict") if key in held}
        case {"name": str(), "input_schema": dict()} | {"name": str(), "parameters": dict()}:
            return held
        case {"type": _} | {"properties": _} | {"anyOf": _} | {"$ref": _}:
            beside = {"title", "description"}
            made: dict[str, Any] = {"name": held.get("title") or _NAMELESS}
            if "description" in held:
                made["description"] = held["description"]
            return made | {"parameters": {key: value for key, value in held.items() if key not in beside}}
        case _:
            return held


def _shown(function: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as tracers show it."""
    described = {"description": function["description"]} if "description" in function else {}
    parameters: dict[str, Any] = function["parameters"]
    # Core reads the type as a word, for tracers and outside of a call.
    kind = {} if isinstance(parameters.get("type", ""), str) else {"type": "object"}
    return {"title": function["name"], **described, **parameters, **kind}


def _response_format(function: Mapping[str, Any] | None, method: Method) -> dict[str, Any]:
    if function is None:
        return {"type": "json_object"}
    if method == "json_mode":
        return {"type": "json_object", "schema": _shown(function)}
    held = {"name": legal_name(function["name"]), "schema": function["parameters"]}
    held |= {key: function[key] for key in ("description", "strict") if key in function}
    return {"type": "json_schema", "json_schema": held}


def _validator(schema: object) -> Validate | None:
    if not isinstance(schema, type) or not is_basemodel_subclass(schema):
        return None
    kind: Any = schema
    if not issubclass(schema, BaseModel):
        return cast("Validate", kind.parse_obj)
    # From text: a strict class takes a date, an enum or a tuple from JSON in another form than from Python.
    return lambda found: kind.model_validate_json(canonical(found))


def _with_raw(
    model: Runnable[LanguageModelInput, AIMessage], parser: AnswerParser
) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
    """The message, and what was made of it or why nothing was: in one piece, so that no error comes after the first."""

    def good(found: dict[str, Any]) -> dict[str, Any]:
        return {"raw": found["raw"], "parsed": parser.invoke(found["raw"]), "parsing_error": None}

    async def agood(found: dict[str, Any]) -> dict[str, Any]:
        return {"raw": found["raw"], "parsed": await parser.ainvoke(found["raw"]), "parsing_error": None}

    def bad(found: dict[str, Any]) -> dict[str, Any]:
        return {"raw": found["raw"], "parsed": None, "parsing_error": found["parsing_error"]}

    parse = RunnableLambda(good, agood, name="parse").with_fallbacks(
        [RunnableLambda(bad)], exception_key="parsing_error"
    )
    asked: Runnable[LanguageModelInput, dict[str, Any]] = RunnableMap({"raw": model})
    return asked | parse


class AnswerParser(BaseTransformOutputParser[Any]):
    """Reads an answer that follows a schema.

    Attributes:
        tool: Function whose call is the answer; None: the answer is the text.
        validate_with: Makes the final object; None: the JSON value itself.
        an_object: The answer is one object, which models also write as the only item of a list.
        may_write: The call was not forced: an answer in JSON counts as well.
    """

    tool: str | None = None
    validate_with: Validate | None = None
    an_object: bool = False
    may_write: bool = False

    @property
    def OutputType(self) -> Any:
        """A dict, or what the schema's class makes."""
        return Any

    @property
    def _type(self) -> str:
        return "cloudflare-ai-gateway-answer"

    def parse(self, text: str) -> Any:
        """The answer in a text.

        Raises:
            OutputParserException: It is not what was asked for.
        """
        return self.parse_result([Generation(text=text)])

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """The answer in a whole message.

        Args:
            result: What the model gave; the first counts.
            partial: Take what there is so far, or None.

        Raises:
            ModelRefusalError: The model refused; an OutputParserException before langchain-core 1.7.5.
            OutputParserException: It is not what was asked for.
        """
        first = result[0]
        message = first.message if isinstance(first, ChatGeneration) else AIMessage(first.text)
        if partial:
            return self._so_far(message)
        _raise_if_refused(message)
        found = self._written(message) if self.tool is None else self._called(message, self.tool)
        alone = _only_item(found)
        if self.validate_with is None:
            answer: Any = alone if self.an_object and alone is not None else found
            if self.an_object and not isinstance(answer, dict):
                _fail(f"The answer is a JSON {type(answer).__name__}, not an object.", message)
            return answer  # pyright: ignore[reportUnknownVariableType]  # JSON
        try:
            return self.validate_with(found)
        except (ValueError, RecursionError) as error:  # the errors of both pydantics are ValueErrors
            if alone is not None:
                with suppress(ValueError, RecursionError):
                    return self.validate_with(alone)
            _fail(f"The answer does not fit the schema: {error}", message, error)

    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[Any]:
        whole = given = None
        for piece in input:
            whole = _sum(whole, piece)
            found = self._so_far(whole)
            if found is not None and found != given:
                yield (given := found)
        if whole is not None and (found := self.parse_result([ChatGeneration(message=whole)])) != given:
            yield found

    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[Any]:
        whole = given = None
        async for piece in input:
            whole = _sum(whole, piece)
            found = self._so_far(whole)
            if found is not None and found != given:
                yield (given := found)
        if whole is not None and (found := self.parse_result([ChatGeneration(message=whole)])) != given:
            yield found

    def _so_far(self, message: BaseMessage) -> Any:
        """The beginning of an answer; a class's objects have none."""
        if self.validate_with is not None:
            return None
        if self.tool is not None:
            calls = message.tool_calls if isinstance(message, AIMessage) else []
            return next((call["args"] for call in calls if call["name"] == self.tool and call["args"]), None)
        text = strip_thinking(message.text).strip()
        if not text or text.startswith("<think>"):
            return None
        try:
            found: Any = parse_json_markdown(text)
        except (ValueError, RecursionError):
            return None
        kinds = (dict,) if self.an_object else (dict, list)
        return found if found and isinstance(found, kinds) else None  # pyright: ignore[reportUnknownVariableType]

    def _written(self, message: BaseMessage) -> object:
        try:
            return find_json(message.text)
        except ValueError as error:
            _fail(f"The answer is not JSON: {error}", message, error)

    def _called(self, message: BaseMessage, tool: str) -> object:
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                if call["name"] == tool:
                    return call["args"]
            for broken in message.invalid_tool_calls:
                _fail(f"The call of {broken['name']!r} is broken: {broken['error']}", message)
            if self.may_write and not message.tool_calls:
                with suppress(ValueError):
                    return find_json(message.text)
        remedy = " It cannot be forced to here: use method='json_schema'." if self.may_write else ""
        _fail(f"The model did not call {tool!r}.{remedy}", message)


def _only_item(found: object) -> dict[str, Any] | None:
    """The object in a list of one."""
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], dict):  # pyright: ignore[reportUnknownArgumentType]
        return None
    return cast("dict[str, Any]", found[0])


def _sum(whole: BaseMessage | None, piece: str | BaseMessage) -> BaseMessage:
    message = AIMessage(piece) if isinstance(piece, str) else piece
    return message if whole is None else cast("BaseMessage", whole + message)


def _raise_if_refused(message: BaseMessage) -> None:
    said = message.additional_kwargs.get("refusal")
    if not said and message.response_metadata.get("finish_reason") != "refusal":
        return
    text = f"The model refused: {said or message.text or 'it gave no reason'}"
    refused = getattr(lc, "ModelRefusalError", None)  # since langchain-core 1.7.5
    if refused is not None:
        raise refused(text, raw_message=message)
    raise OutputParserException(text, llm_output=message.text)


def _fail(reason: str, message: BaseMessage, cause: Exception | None = None) -> NoReturn:
    """A parsing error that also says how the answer ended: most broken ones were cut at `max_tokens`."""
    ended = message.response_metadata.get("finish_reason")
    ending = f" (finish_reason {ended!r})" if ended else ""
    raise OutputParserException(f"{reason}{ending}", llm_output=message.text) from cause
