"""A request to a body of Anthropic's Messages format.

Where each field of a `ChatRequest` goes:

| field | body |
|---|---|
| model, temperature, top_p, top_k, service_tier, thinking | the same |
| turns | `system` (one string), `messages` |
| tools | `tools` |
| tool_choice, parallel_tool_calls | `tool_choice`, with `disable_parallel_tool_use` |
| max_tokens | `max_tokens`, required: else the most that the model can write, if it is known |
| stop | `stop_sequences` |
| container, inference_geo, context_management, mcp_servers | the same |
| betas | header `anthropic-beta` (`betas.py`) |
| reasoning_effort, output_config | `output_config.effort`, `output_config` |
| output | `output_config.format`; the server always enforces it; its name is a label and is not sent |
| stream_usage | nothing: a stream always reports usage |
| extra_body | added last (`wire.encoding.add_extra_body`) |
| seed, frequency_penalty, presence_penalty, n > 1, logprobs, top_logprobs, reasoning, store, previous_response_id, \
verbosity, logit_bias, include, truncation, prompt_cache_... | refused by `limits` |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NamedTool, NativeTool, OutputSchema
from cfaig_integrations.core.content import Json, JsonDict
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.codec import PLAIN, Quirks
from cfaig_integrations.wire.encoding import (
    add_extra_body,
    answer_schema,
    effective_tool_choice,
    once_per_tool,
    parameters_of,
    too_deep,
)
from cfaig_integrations.wire.limits import has_tools
from cfaig_integrations.wire.messages.limits import limits
from cfaig_integrations.wire.messages.turns import conversation

_SAME_NAME = (
    *("temperature", "top_p", "top_k", "service_tier"),
    *("container", "context_management", "inference_geo", "mcp_servers"),
)


def encode(request: ChatRequest, *, stream: bool, quirks: Quirks = PLAIN) -> JsonDict:
    """The request body.

    Raises:
        ConfigError: The format cannot carry a part or a value.
    """
    for error in limits(request, quirks):
        raise error
    system, messages = conversation(request.turns)
    body: JsonDict = {"model": request.model, "max_tokens": _max_tokens(request, quirks), "messages": messages}
    if system:
        body["system"] = system
    if request.tools or "tools" in request.extra_body:
        _add_tools(body, request, quirks)
    for field in _SAME_NAME:
        if (value := getattr(request, field)) is not None:
            body[field] = value
    if request.thinking is not None:
        body["thinking"] = dict(request.thinking)
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if config := _output_config(request):
        body["output_config"] = config
    if stream:
        body["stream"] = True
    add_extra_body(body, request.extra_body)
    return body


def _max_tokens(request: ChatRequest, quirks: Quirks) -> int:
    if request.max_tokens is not None:
        return request.max_tokens
    if quirks.max_output is not None:
        return quirks.max_output
    budget = (request.thinking or {}).get("budget_tokens")  # must be less than max_tokens (official SDK)
    return quirks.default_max_tokens + (budget if isinstance(budget, int) else 0)


def _output_config(request: ChatRequest) -> JsonDict:
    config: JsonDict = {}
    if request.reasoning_effort is not None:
        config["effort"] = request.reasoning_effort
    if request.output is not None:
        config["format"] = {"type": "json_schema", "schema": _schema(request.output)}
    if request.output_config is None:
        return config
    for key in config.keys() & request.output_config.keys():
        if config[key] != request.output_config[key]:
            raise ConfigError(
                f"{key!r} of output_config contradicts another argument.",
                field="output_config",
                value=request.output_config[key],
                remedy="Pass one of them.",
            )
    return {**request.output_config, **config}


def _schema(output: OutputSchema) -> JsonDict:
    try:
        schema = _closed(answer_schema(output.schema or {}))
    except RecursionError:
        raise too_deep() from None
    if output.description:
        schema.setdefault("description", output.description)
    return schema


def _closed(schema: Json) -> JsonDict:
    """A schema whose objects are closed unless they set `additionalProperties`: the official SDK closes every one."""
    closed = dict(schema)
    if closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    for key in ("properties", "$defs", "definitions"):
        if isinstance(schemas := closed.get(key), Mapping):
            closed[key] = {name: _closed_or_boolean(inner) for name, inner in cast("Json", schemas).items()}
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(schemas := closed.get(key), list):
            closed[key] = [_closed_or_boolean(inner) for inner in cast("Sequence[object]", schemas)]
    if "items" in closed:
        closed["items"] = _closed_or_boolean(closed["items"])
    return closed


def _closed_or_boolean(schema: object) -> object:
    """A schema may also be a boolean."""
    return _closed(cast("Json", schema)) if isinstance(schema, Mapping) else schema


def _add_tools(body: JsonDict, request: ChatRequest, quirks: Quirks) -> None:
    """Writes the tools and the `tool_choice` object, which also says whether several may be called at once."""
    if request.tools:
        body["tools"] = [dict(tool.raw) if isinstance(tool, NativeTool) else _function(tool) for tool in request.tools]
    choice, parallel = _tool_choice(request, quirks), request.parallel_tool_calls
    if parallel is not None and has_tools(request):
        choice = choice or {"type": "auto"}
        if choice["type"] != "none":  # nothing is called then (official SDK: `ToolChoiceNoneParam` has no such key)
            choice["disable_parallel_tool_use"] = not parallel
    if choice is not None:
        body["tool_choice"] = choice


@once_per_tool
def _function(tool: FunctionTool) -> JsonDict:
    form: JsonDict = {"name": tool.name, "input_schema": parameters_of(tool)}
    if tool.description:
        form["description"] = tool.description
    if tool.strict is not None:
        form["strict"] = tool.strict
    form.update(tool.extras.get("messages", {}))
    return form


def _tool_choice(request: ChatRequest, quirks: Quirks) -> JsonDict | None:
    match effective_tool_choice(request, quirks):
        case None:
            return None
        case NamedTool(name):
            return {"type": "tool", "name": name}
        case mode:
            return {"type": "any" if mode == "required" else mode}
