"""A request to a body of the Chat Completions format.

Where each field goes:

| request | body |
|---|---|
| `model`, `turns` | `model`, `messages` |
| `tools`, `tool_choice`, `parallel_tool_calls` | the same |
| `output` | `response_format`, or `guided_json` (`Quirks.schema_form`) |
| `max_tokens` | `max_tokens` or `max_completion_tokens` (`Quirks.max_tokens_field`) |
| `temperature`, `top_p`, `top_k`, `stop`, `seed`, `frequency_penalty`, `presence_penalty`, `n`, `logprobs`, \
`top_logprobs`, `service_tier`, `store`, `verbosity`, \
`logit_bias`, `prompt_cache_...` | the same; `top_k` is Workers AI's (facts §9.4) |
| `reasoning_effort`, `reasoning["effort"]` | `reasoning_effort` |
| `thinking` | `chat_template_kwargs` (`Quirks.thinking_switch`) |
| `previous_response_id`, `include`, `truncation`, `context_management`, any other key of `reasoning`, Anthropic's \
arguments | refused by `limits` |
| `stream_usage` | `stream_options`, in a stream |
| `extra_body` | added last (`wire.encoding.add_extra_body`) |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NativeTool, OutputSchema
from cfaig_integrations.core.content import Json, JsonDict
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.chat_completions.limits import limits
from cfaig_integrations.wire.chat_completions.turns import messages_of
from cfaig_integrations.wire.codec import PLAIN, Quirks
from cfaig_integrations.wire.encoding import (
    add_extra_body,
    add_tools,
    answer_schema,
    once_per_tool,
    parameters_of,
    too_deep,
)
from cfaig_integrations.wire.jsonio import objects_among

_SAME_NAME = (
    *("temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty", "n"),
    *("logprobs", "top_logprobs", "service_tier", "store", "verbosity", "logit_bias"),
    *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
)


def encode(request: ChatRequest, *, stream: bool, quirks: Quirks = PLAIN) -> JsonDict:
    """The request body.

    Raises:
        ConfigError: The format cannot carry a part or a value.
    """
    for error in limits(request, quirks):
        raise error
    body: JsonDict = {"model": request.model, "messages": messages_of(request.turns, quirks)}
    if request.tools or "tools" in request.extra_body:
        function = _bare_function if quirks.bare_tools else _function
        add_tools(body, request, quirks, function=function, named_choice=_named_choice)
    for field in _SAME_NAME:
        if (value := getattr(request, field)) is not None:
            body[field] = value
    if request.max_tokens is not None:
        body[quirks.max_tokens_field] = request.max_tokens
    if request.stop:
        body["stop"] = list(request.stop)
    if request.output is not None:
        body.update(_output(request.output, quirks))
    _add_reasoning(body, request, quirks)
    if stream:
        body["stream"] = True
        if request.stream_usage:
            body["stream_options"] = {"include_usage": True}
    add_extra_body(body, request.extra_body)
    return body


def _output(output: OutputSchema, quirks: Quirks) -> JsonDict:
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
            envelope: JsonDict = {"name": output.name, "schema": schema}
            if output.description and quirks.schema_description:
                envelope["description"] = output.description
            if output.strict is not None and quirks.strict_schema:
                envelope["strict"] = output.strict
            return {"response_format": {"type": "json_schema", "json_schema": envelope}}


def _type_only(schema: Json) -> Json:
    """A schema of an object without any other key at its top; its definitions are inlined."""
    definitions: Json = schema.get("$defs") or {}
    whole = {key: value for key, value in schema.items() if key in ("type", "properties")}
    try:
        return cast("Json", _inlined(whole, definitions, ()))
    except RecursionError:
        raise too_deep() from None


def _inlined(value: object, definitions: Json, path: tuple[str, ...]) -> object:
    if isinstance(value, list):
        return [_inlined(each, definitions, path) for each in cast("list[object]", value)]
    if not isinstance(value, Mapping):
        return value
    schema = cast("Json", value)
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    if name not in definitions:
        return {key: _inlined(each, definitions, path) for key, each in schema.items()}
    if name in path:
        raise ConfigError(
            f"The schema {name!r} contains itself, and this model takes no definitions.",
            field="output",
            value=name,
            remedy="Use a schema without recursion, or another model.",
        )
    definition: object = definitions[name]
    if isinstance(definition, Mapping):  # a schema may also be a boolean
        definition = {**cast("Json", definition), **{key: each for key, each in schema.items() if key != "$ref"}}
    return _inlined(definition, definitions, (*path, name))


def _add_reasoning(body: JsonDict, request: ChatRequest, quirks: Quirks) -> None:
    effort = request.reasoning_effort or (request.reasoning or {}).get("effort")
    if effort is not None:
        body["reasoning_effort"] = effort
    if request.thinking is not None:  # facts §9.3, §14.4
        body["chat_template_kwargs"] = {quirks.thinking_switch: request.thinking["type"] == "enabled"}


@once_per_tool
def _function(tool: FunctionTool) -> JsonDict:
    function: JsonDict = {"name": tool.name, "parameters": parameters_of(tool)}
    if tool.description:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function, **tool.extras.get("chat_completions", {})}


def _bare_function(tool: FunctionTool) -> JsonDict:
    function = {"name": tool.name, "description": tool.description, "parameters": parameters_of(tool)}
    return {"type": "function", "function": function}


def _named_choice(name: str, request: ChatRequest) -> JsonDict:
    custom = objects_among([tool.raw.get("custom") for tool in request.tools if isinstance(tool, NativeTool)])
    kind = "custom" if any(each.get("name") == name for each in custom) else "function"
    return {"type": kind, kind: {"name": name}}
