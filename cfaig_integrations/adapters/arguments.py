"""One call of a model: its constructor arguments and those of the call become a request and the gateway's options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import cache
from typing import Annotated, Any, cast, get_args

from pydantic import TypeAdapter, ValidationError

from cfaig_integrations.adapters.fields import CONNECTION_PARAMETERS, ChatFields, EmbedFields
from cfaig_integrations.adapters.run_metadata import RunEntries
from cfaig_integrations.adapters.tools import closed_schema
from cfaig_integrations.core.chat import ChatRequest, Continuation, OutputSchema, ToolChoice, ToolSpec
from cfaig_integrations.core.content import Json, Turn, Wire
from cfaig_integrations.core.records import record
from cfaig_integrations.core.vectors import EmbedRequest, Side, checked_texts
from cfaig_integrations.errors import ConfigError, invalid
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.context import current
from cfaig_integrations.gateway.migration import ALIASES, BODY_FIELDS, remedy_of_call
from cfaig_integrations.gateway.models.routes import Api
from cfaig_integrations.gateway.options import GatewayOptions

_REQUEST_PARAMETERS = tuple(
    name
    for name in ChatFields.__annotations__
    if name in ChatRequest.__dataclass_fields__ and name not in {"model", "stop", "extra_body"}
)
"""Fields of the model that a call may override and that the request has under the same name."""
MODEL_PARAMETERS = (*_REQUEST_PARAMETERS, "model", "stop", "extra_body")
"""Fields of the model that shape an answer."""
CALL_PARAMETERS = frozenset(
    {
        *MODEL_PARAMETERS,
        "api",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "previous_response_id",
        "gateway",
        "gateway_metadata",
        "extra_headers",
        "timeout",
        "session_affinity",
    }
)
"""Arguments that a call may have; any other may be a body field."""
_CONSTRUCTOR_PARAMETERS = CONNECTION_PARAMETERS - CALL_PARAMETERS
"""Arguments that a call cannot change; one of them is the token, which must never appear in a body."""
_NAMES = (*sorted(CALL_PARAMETERS | _CONSTRUCTOR_PARAMETERS), *ALIASES, *sorted(BODY_FIELDS))
"""What a misspelt argument of a call may stand for."""
_APIS: tuple[str, ...] = ("auto", *get_args(Wire))


@record
class CallArguments:
    """The arguments of one call.

    Attributes:
        recognized: Those of `CALL_PARAMETERS`, under these names.
        extra_body: All others; they go into the request body unchanged.
    """

    recognized: Mapping[str, Any] = field(repr=False)
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any])


def split_arguments(kwargs: Mapping[str, Any], *, remedy: str = "Give it to the constructor.") -> CallArguments:
    """Separates the arguments of a call from body fields; `{name}` in `remedy` stands for an argument's name.

    Raises:
        ConfigError: One of them belongs to the constructor, is that of another package, or is misspelt.
    """
    recognized: dict[str, Any] = {}
    body: dict[str, Any] = {}
    for argument, value in kwargs.items():
        name = ALIASES.get(argument, argument)
        if name in CALL_PARAMETERS:
            recognized[name] = value
        elif name in _CONSTRUCTOR_PARAMETERS:
            if name == "gateway_id":
                remedy = "Write gateway_options={'gateway_id': ...}."
            raise ConfigError(
                f"{argument!r} cannot be changed for one call.", field=argument, remedy=remedy.replace("{name}", name)
            )
        elif argument not in BODY_FIELDS and (advice := remedy_of_call(argument, _NAMES)) is not None:
            raise ConfigError(f"{argument!r} is not an argument of a call.", field=argument, remedy=advice)
        else:
            body[argument] = value
    return CallArguments(recognized, body)


def chat_request(
    fields: ChatFields,
    arguments: CallArguments,
    turns: tuple[Turn, ...],
    *,
    continues: Continuation | None = None,
    tools: tuple[ToolSpec, ...] = (),
    tool_choice: ToolChoice | None = None,
    parallel_tool_calls: bool | None = None,
    output: OutputSchema | None = None,
    stop: Sequence[str] | None = None,
) -> ChatRequest:
    """The request of a call.

    An explicit `previous_response_id` overrides `continues`, the part of the conversation that the server may remember.
    `stop` overrides the stop texts of `arguments` and `fields`; an empty list means none at all.

    Raises:
        ConfigError: A value is invalid.
    """
    recognized = arguments.recognized
    for name in ("model", "previous_response_id"):
        if not isinstance(recognized.get(name), str | None):
            raise _wrong_type(name, recognized[name], "Give a str.")
    values = vars(fields)
    parameters = {name: value for name in _REQUEST_PARAMETERS if (value := values[name]) is not None}
    for name, value in recognized.items():
        if name in _REQUEST_PARAMETERS:
            parameters[name] = _validated(name, value)
    extra_body = _extra_body(fields, arguments)
    if "betas" in extra_body:  # which are sent in a header
        betas = _validated("betas", extra_body.pop("betas"))
        parameters["betas"] = [*(parameters.get("betas") or ()), *(betas or ())]
    return ChatRequest(
        model=recognized.get("model") or fields.model,
        turns=turns,
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=parallel_tool_calls,
        output=output,
        stop=_stop_texts(stop, recognized.get("stop"), fields.stop),
        previous_response_id=recognized.get("previous_response_id"),
        continues=None if recognized.get("previous_response_id") else continues,
        extra_body=extra_body,
        **parameters,
    )


def _extra_body(fields: ChatFields, arguments: CallArguments) -> dict[str, Any]:
    """The further body fields of a call: those of the constructor that it does not replace, and its own."""
    recognized = arguments.recognized
    body = fields.extra_body or {}
    if not recognized.keys().isdisjoint(body):  # encoders merge lists and objects
        body = {name: value for name, value in body.items() if name not in recognized or isinstance(value, dict | list)}
    return {**body, **arguments.extra_body, **_mapping(recognized, "extra_body")}


def call_options(arguments: CallArguments, api: Api, run: RunEntries, *, affinity: bool | str = False) -> CallOptions:
    """The gateway's options and metadata of a call: its own, those of the contexts around it, and those of its run.

    Raises:
        ConfigError: A value is invalid.
    """
    recognized = arguments.recognized
    metadata = _mapping(recognized, "gateway_metadata")
    chosen = recognized.get("api") or api
    if chosen not in _APIS:
        raise invalid("api", chosen, "is not a wire format", f"Use one of {', '.join(_APIS)}.")
    session: object = recognized.get("session_affinity", affinity)
    if not isinstance(session, bool | str) or session == "":
        remedy = "Give a string, True for the id of the run's conversation, or False."
        raise invalid("session_affinity", session, "is not a valid id", remedy)
    context, options = current(), recognized.get("gateway")
    return CallOptions(
        api=chosen,
        options=context.options if options is None else GatewayOptions.of(options).over(context.options),
        metadata=(metadata, *context.metadata, run.explicit),
        automatic=run.automatic,
        extra_headers=_mapping(recognized, "extra_headers"),
        timeout=recognized.get("timeout"),
        conversation=run.conversation if session is True else session or None,
    )


def run_options(run: RunEntries) -> CallOptions:
    """The options and metadata of a call without arguments: of the contexts around it, and of its run."""
    context = current()
    return CallOptions(options=context.options, metadata=(*context.metadata, run.explicit), automatic=run.automatic)


def refuse_several(request: ChatRequest, problem: str) -> None:
    """Refuses a request for several answers, which must not be mixed into one.

    Raises:
        ConfigError: The request asks for more than one.
    """
    answers: object = request.extra_body.get("n", request.n)
    if isinstance(answers, int) and answers > 1:
        raise invalid("n", answers, problem, "Leave n out, and call once per answer.")


def embed_requests(
    fields: EmbedFields, texts: Sequence[str], side: Side, *, model: str, size: int
) -> list[EmbedRequest]:
    """The requests that embed texts, in the order of the texts.

    Raises:
        ConfigError: A text is empty; the message contains its index.
    """
    checked = checked_texts(texts)
    return [
        EmbedRequest(
            model=model,
            texts=checked[start : start + size],
            side=side,
            dimensions=fields.dimensions,
            pooling=fields.pooling,
            instruction=fields.instruction,
            truncate=fields.truncate_inputs,
            extra_body=fields.extra_body or {},
        )
        for start in range(0, len(checked), size)
    ]


def _mapping(recognized: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value: object = recognized.get(name) or {}
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    raise _wrong_type(name, value, "Give a dict.")


def _wrong_type(name: str, value: object, remedy: str) -> ConfigError:
    kind = type(value).__name__
    if name == "extra_headers":  # which may contain a key
        return ConfigError(f"{name} is a {kind}.", field=name, remedy=remedy)
    return invalid(name, value, f"is a {kind}", remedy)


@cache
def _type_of(name: str) -> TypeAdapter[Any]:
    field = ChatFields.model_fields[name]
    return TypeAdapter(
        cast("Any", Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation)
    )


def _validated(name: str, value: object) -> Any:
    """The value of a call's argument, of the type that the constructor takes.

    Raises:
        ConfigError: It is of another type.
    """
    try:
        return _type_of(name).validate_python(value, strict=isinstance(value, str))
    except ValidationError as error:
        reason = error.errors(include_url=False, include_context=False)[0]["msg"]
        if name == "mcp_servers":  # which may contain a key
            value = type(value).__name__
        raise invalid(name, value, f"has the wrong type: {reason}", "Give what the constructor takes.") from None


def _stop_texts(*layers: Sequence[str] | str | None) -> tuple[str, ...]:
    for layer in layers:
        if isinstance(layer, str):
            return (layer,) if layer else ()
        if layer is not None:
            return tuple(_validated("stop", layer))
    return ()


def output_schema(response_format: Any) -> OutputSchema | None:
    """A `response_format` in OpenAI's form; a strict schema is closed, because the usual generators leave it open.

    Raises:
        ConfigError: It has another form.
    """
    match response_format:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return OutputSchema(response_format.get("schema"), loose=True)
        case {"type": "json_schema", "json_schema": {"schema": schema} as form}:
            strict = form.get("strict")
            ready = closed_schema(cast("Json", schema)) if strict and isinstance(schema, Mapping) else schema
            return OutputSchema(ready, str(form.get("name") or "answer"), str(form.get("description") or ""), strict)
        case _:
            remedy = 'Use {"type": "json_object"} or {"type": "json_schema", "json_schema": {"name", "schema"}}.'
            raise invalid("response_format", response_format, "has an unknown form", remedy)
