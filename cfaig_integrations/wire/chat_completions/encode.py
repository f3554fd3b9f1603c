"""A request to a body.

Where each field goes:

| request | body |
|---|---|
| `model`, `turns` | `model`, `messages` |
| `tools`, `tool_choice`, `parallel_tool_calls` | the same |
| `output` | `response_format`, or `guided_json` (`Quirks.schema_form`) |
| `max_tokens` | `max_tokens` or `max_completion_tokens` (`Quirks.max_tokens_word`) |
| `temperature`, `top_p`, `top_k`, `stop`, `seed`, `frequency_penalty`, `presence_penalty`, `n`, `logprobs`, \
`top_logprobs`, `service_tier`, `store` | the same; `top_k` is Workers AI's (facts §9.4) |
| `reasoning_effort`, `reasoning["effort"]` | `reasoning_effort` |
| any other key of `reasoning` | ConfigError |
| `thinking` | `chat_template_kwargs` (`Quirks.thinking_switch`), else ConfigError |
| `previous_response_id`, and what `Quirks.refused` names | ConfigError |
| `stream_usage` | `stream_options`, in a stream |
| `extra_body` | added last (`wire.legal.add_extra`) |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from cfaig_integrations.core.chat import ChatRequest, OutputSchema
from cfaig_integrations.core.content import Json
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.chat_completions.tools import add_tools
from cfaig_integrations.wire.chat_completions.turns import messages_of
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.legal import add_extra, answer_schema, require_taken, too_deep

_AS_THEY_ARE = (
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "n",
    "logprobs",
    "top_logprobs",
    "service_tier",
    "store",
)


def encode(request: ChatRequest, *, stream: bool, quirks: Quirks) -> dict[str, Any]:
    """The request body.

    Raises:
        UnsupportedContent: The wire cannot carry a part.
        ConfigError: A value cannot be right on this wire.
    """
    require_taken(request, quirks)
    body: dict[str, Any] = {"model": request.model, "messages": messages_of(request.turns, quirks)}
    add_tools(body, request, quirks)
    for field in _AS_THEY_ARE:
        value = getattr(request, field)
        if value is not None:
            body[field] = value
    if request.max_tokens is not None:
        body[quirks.max_tokens_word] = request.max_tokens
    if request.stop:
        body["stop"] = list(request.stop)
    if request.output is not None:
        body.update(_output(request.output, quirks))
    _add_reasoning(body, request, quirks)
    if request.previous_response_id is not None:
        raise ConfigError(
            "Chat completions cannot continue a stored response.",
            field="previous_response_id",
            value=request.previous_response_id,
            remedy='Use api="responses", or send the whole conversation.',
        )
    if stream:
        body["stream"] = True
        if request.stream_usage:
            body["stream_options"] = {"include_usage": True}
    add_extra(body, request.extra_body)
    return body


def _output(output: OutputSchema, quirks: Quirks) -> dict[str, Any]:
    """The fields that ask for JSON (facts §9.1)."""
    if quirks.schema_form == "guided_json" and output.schema is None:  # there is no response_format
        return {"guided_json": {}}
    if output.schema is None or (output.loose and quirks.json_object and quirks.schema_form != "guided_json"):
        return {"response_format": {"type": "json_object"}}
    schema = answer_schema(output.schema)
    match quirks.schema_form:
        case "guided_json":
            return {"guided_json": schema}
        case "bare":
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        case "envelope":
            if quirks.schema_type_only:
                schema = _type_only(schema)
            envelope: dict[str, Any] = {"name": output.name, "schema": schema}
            if output.description and quirks.schema_description:
                envelope["description"] = output.description
            if output.strict is not None and quirks.strict_schema:
                envelope["strict"] = output.strict
            return {"response_format": {"type": "json_schema", "json_schema": envelope}}


def _type_only(schema: Json) -> Json:
    """A schema of an object without any other key at its top; its definitions are written out where they are used."""
    definitions: Json = schema.get("$defs") or {}
    whole = {key: value for key, value in schema.items() if key in ("type", "properties")}
    try:
        return cast("Json", _written_out(whole, definitions, ()))
    except RecursionError:
        raise too_deep("output") from None


def _written_out(value: object, definitions: Json, inside: tuple[str, ...]) -> object:
    if isinstance(value, list):
        return [_written_out(each, definitions, inside) for each in cast("list[object]", value)]
    if not isinstance(value, Mapping):
        return value
    named = cast("Json", value)
    name = str(named.get("$ref", "")).removeprefix("#/$defs/")
    if name not in definitions:
        return {key: _written_out(each, definitions, inside) for key, each in named.items()}
    if name in inside:
        raise ConfigError(
            f"The schema {name!r} holds itself, and this model takes no definitions.",
            field="output",
            value=name,
            remedy="Use a schema without recursion, or another model.",
        )
    beside = {key: each for key, each in named.items() if key != "$ref"}
    return _written_out({**definitions[name], **beside}, definitions, (*inside, name))


def _add_reasoning(body: dict[str, Any], request: ChatRequest, quirks: Quirks) -> None:
    effort = request.reasoning_effort
    if request.reasoning is not None:
        unknown = sorted(request.reasoning.keys() - {"effort"})
        if unknown:
            raise ConfigError(
                f"Chat completions have no place for reasoning's {', '.join(map(repr, unknown))}.",
                field="reasoning",
                value=unknown,
                remedy='Use api="responses", or only reasoning_effort.',
            )
        effort = effort or request.reasoning.get("effort")
    if effort is not None:
        body["reasoning_effort"] = effort
    if request.thinking is not None:
        if quirks.thinking_switch == "none" or request.thinking not in ({"type": "enabled"}, {"type": "disabled"}):
            raise ConfigError(
                "This model's thinking cannot be set this way on chat completions.",
                field="thinking",
                value=dict(request.thinking),
                remedy='Use reasoning_effort, or api="messages" with a model that takes a thinking object.',
            )
        # facts §9.3, §14.4
        body["chat_template_kwargs"] = {quirks.thinking_switch: request.thinking["type"] == "enabled"}
