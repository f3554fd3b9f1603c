"""A request to a body of OpenAI's Responses format.

Unset fields are omitted, except `strict` of tools.

| request | body |
|---|---|
| `model` | `model` |
| `turns` | `input` (see `turns.py`); system turns stay in place, `instructions` is left to `extra_body` |
| `tools`, `tool_choice`, `parallel_tool_calls` | the same |
| `output`, `verbosity` | `text.format`, `text.verbosity` |
| `max_tokens` | `max_output_tokens`, at least 16 (facts §5.3) |
| `temperature`, `top_p`, `top_logprobs`, `service_tier`, `store`, `previous_response_id`, `truncation`, \
`context_management`, `prompt_cache_...` | the same |
| `reasoning`, `reasoning_effort` | `reasoning`, `reasoning.effort` |
| `include` | `include`, with what the next two rows add |
| `logprobs` | `include: ["message.output_text.logprobs"]` |
| replies are not stored, and reasoning in play | `include: ["reasoning.encrypted_content"]`, or it could not go back |
| `stream_usage` | nothing: this format always reports usage |
| `extra_body` | added last (`wire.encoding.add_extra_body`) |
| `stop`, `seed`, `n` > 1, `top_k`, `frequency_penalty`, `presence_penalty`, `logit_bias`, `thinking`, \
Anthropic's arguments | refused by `limits` |
"""

from __future__ import annotations

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NativeTool, OutputSchema
from cfaig_integrations.core.content import Json, JsonDict, Reasoning
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.codec import PLAIN, Quirks
from cfaig_integrations.wire.encoding import add_extra_body, add_tools, answer_schema, once_per_tool, parameters_of
from cfaig_integrations.wire.responses.limits import limits
from cfaig_integrations.wire.responses.turns import input_items, was_not_stored

_SAME_NAME = (
    *("temperature", "top_p", "top_logprobs", "service_tier", "store", "previous_response_id", "truncation"),
    *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
)


def encode(request: ChatRequest, *, stream: bool, quirks: Quirks = PLAIN) -> JsonDict:
    """The request body.

    Raises:
        ConfigError: The format cannot carry a part or a value.
    """
    for error in limits(request, quirks):
        raise error
    stored = request.items_by_id and request.extra_body.get("store", request.store) is not False
    body: JsonDict = {"model": request.model, "input": input_items(request.turns, stored=stored)}
    if request.tools or "tools" in request.extra_body:
        add_tools(body, request, quirks, function=_function, named_choice=_named_choice)
    if text := _text(request):
        body["text"] = text
    if request.context_management is not None:
        body["context_management"] = list(request.context_management)
    if request.max_tokens is not None:
        body["max_output_tokens"] = request.max_tokens
    for field in _SAME_NAME:
        if (value := getattr(request, field)) is not None:
            body[field] = value
    body |= _reasoning(request)
    if "store" not in quirks.refused:  # a closed schema without it has no `include` either (facts §14.3)
        unstored = any(was_not_stored(turn) for turn in request.turns if turn.extras)
        body |= _include(request, stored=stored and not unstored)
    if stream:
        body["stream"] = True
    add_extra_body(body, request.extra_body)
    return body


def _text(request: ChatRequest) -> JsonDict:
    text: JsonDict = {} if request.output is None else {"format": _output_format(request.output)}
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    return text


def _reasoning(request: ChatRequest) -> Json:
    effort, reasoning = request.reasoning_effort, request.reasoning or {}
    if effort is None:
        return {} if request.reasoning is None else {"reasoning": reasoning}
    if (other := reasoning.get("effort", effort)) != effort:
        raise ConfigError(
            f"reasoning_effort={effort!r} contradicts reasoning={{'effort': {other!r}}}.",
            field="reasoning_effort",
            value=effort,
            remedy="Pass one of them.",
        )
    return {"reasoning": {**reasoning, "effort": effort}}


def _include(request: ChatRequest, *, stored: bool) -> Json:
    include = list(request.include or ())
    if request.logprobs:
        include.append("message.output_text.logprobs")
    if not stored and _reasons(request):
        include.append("reasoning.encrypted_content")
    return {"include": [*dict.fromkeys(include)]} if include else {}


def _reasons(request: ChatRequest) -> bool:
    """Whether reasoning is asked for, or was answered with before."""
    if request.reasoning_effort not in (None, "none") or request.reasoning:
        return True
    return any(
        isinstance(part, Reasoning) and "responses" in part.extras for turn in request.turns for part in turn.parts
    )


@once_per_tool
def _function(tool: FunctionTool) -> JsonDict:
    """A tool's object, with `strict` in any case.

    Where it is missing, this API rewrites the schema into a strict one and makes optional arguments mandatory, unlike
    Chat Completions (OpenAI's guide "Function calling", strict mode; the official type `FunctionToolParam` requires the
    key too).
    """
    body: JsonDict = {"type": "function", "name": tool.name}
    if tool.description:
        body["description"] = tool.description
    return {**body, "parameters": parameters_of(tool), "strict": bool(tool.strict), **tool.extras.get("responses", {})}


def _named_choice(name: str, request: ChatRequest) -> JsonDict:
    """A function by its name, and a native tool by the key that identifies it."""
    for raw in (tool.raw for tool in request.tools if isinstance(tool, NativeTool)):
        kind = raw.get("type")
        if kind == "custom" and raw.get("name") == name:
            return {"type": "custom", "name": name}
        if kind == "mcp" and raw.get("server_label") == name:
            return {"type": "mcp", "server_label": name}
        if kind == name:
            return {"type": name}
    return {"type": "function", "name": name}


def _output_format(output: OutputSchema) -> JsonDict:
    if output.schema is None or output.loose:
        return {"type": "json_object"}
    form: JsonDict = {"type": "json_schema", "name": output.name, "schema": answer_schema(output.schema)}
    if output.description:
        form["description"] = output.description
    if output.strict is not None:
        form["strict"] = output.strict
    return form
