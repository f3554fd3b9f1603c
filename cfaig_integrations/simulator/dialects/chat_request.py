"""Reads the body of a Chat Completions request."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from cfaig_integrations.simulator.catalogue import is_workers_ai
from cfaig_integrations.simulator.dialects import shapes
from cfaig_integrations.simulator.dialects.shapes import Check, Shape, anything, fields, filled, flag, one_of, tagged
from cfaig_integrations.simulator.dialects.validation import JsonPath, OpenAIValidator, Validator, WorkersAIValidator
from cfaig_integrations.simulator.json_types import Record, as_record, is_record, records
from cfaig_integrations.simulator.types import Call, InvalidBody, Message, ModelRequest, Tool, ToolResult, custom_tool

_CACHED: Shape = {"cache_control": anything, "prompt_cache_breakpoint": anything}
_IMAGE = fields({"url!": shapes.url("image/"), "detail": one_of("auto", "low", "high", "original")})
_FILE = shapes.file_of({"file_data": shapes.url(), "file_id": anything, "filename": filled}, "file_data", "file_id")
_PARTS: dict[str, Shape] = {
    "text": {"text!": shapes.text, **_CACHED},
    "refusal": {"refusal!": filled},
    "image_url": {"image_url!": _IMAGE, **_CACHED},
    "video_url": {"video_url!": fields({"url!": shapes.url()}, closed=False)},
    "input_audio": {"input_audio!": fields({"data!": shapes.encoded, "format!": one_of("wav", "mp3")}), **_CACHED},
    "file": {"file!": _FILE, **_CACHED},
}


def _content(*kinds: str) -> Check:
    parts = tagged({kind: _PARTS[kind] for kind in kinds})
    return shapes.text_or_list(parts, "one of a string or array of objects", empty=False)


_FUNCTION = fields({"name!": shapes.tool_name, "arguments!": shapes.text}, closed=False)
_CUSTOM = fields({"name!": shapes.tool_name, "input!": shapes.text}, closed=False)
_CALL: Shape = {"id!": shapes.call_id, "index": anything, "extra_content": anything}
_CALLS = tagged({"function": {**_CALL, "function!": _FUNCTION}, "custom": {**_CALL, "custom!": _CUSTOM}})
_SPEAKER = shapes.matching(r"[^\s<|\\/>]+")  # facts §14.3
_MESSAGE: Shape = {"role": anything, "name": _SPEAKER, "cache_control": anything}
_ASSISTANT: Shape = {
    **_MESSAGE, "content": _content("text", "refusal"), "tool_calls": shapes.list_of(_CALLS, empty=False),
    "refusal": anything, "audio": anything, "annotations": anything,
}  # fmt: skip
_REASONING = ("reasoning_content", "reasoning", "reasoning_details", "reasoning_text")
_ROLES: dict[str, Check] = {
    "system": fields({**_MESSAGE, "content!": _content("text")}),
    "assistant": fields(_ASSISTANT),
    "user": fields({**_MESSAGE, "content!": _content("text", "image_url", "input_audio", "file", "video_url")}),
    "tool": fields({**_MESSAGE, "content!": _content("text"), "tool_call_id!": shapes.call_id}),
    "developer": fields({**_MESSAGE, "content!": _content("text")}),
}
_WITH_REASONING = {**_ROLES, "assistant": fields({**_ASSISTANT, **dict.fromkeys(_REASONING, anything)})}
"""`openai/` models refuse reasoning in the history (facts §9.3: it is replayed to `@cf/` models only)."""


def _check_description(validator: Validator, value: Any, path: JsonPath) -> None:
    if isinstance(value, bool) and not isinstance(validator, OpenAIValidator):
        # facts §5.6: `description: false` gives 8001 on Workers AI
        raise InvalidBody("AiError: Invalid input", param=validator.format_path(path), code=8001)
    validator.text(value, path)


_NAMED: Shape = {"name!": shapes.tool_name, "description": _check_description}
_TOOLS = {
    "function": {"function!": fields({**_NAMED, "parameters": anything, "strict": flag}), "cache_control": anything},
    "custom": {"custom!": fields({**_NAMED, "format": anything}), "cache_control": anything},
}
_CHOICES = ("none", "auto", "required")
_CHOICE = tagged(
    {
        "function": {"function!": fields({"name!": filled}, closed=False)},
        "custom": {"custom!": fields({"name!": filled}, closed=False)},
        "allowed_tools": {"allowed_tools!": fields({"mode!": one_of("auto", "required")}, closed=False)},
    },
    closed=False,
)
_SCHEMA = fields({"name!": shapes.tool_name, "schema!": shapes.of_type(dict), "strict": flag}, closed=False)
_FORMAT = tagged({"json_object": {}, "json_schema": {"json_schema!": _SCHEMA}, "text": {}}, closed=False)
_UNCHECKED = (
    "audio", "max_completion_tokens", "max_tokens", "messages!", "modalities", "moderation", "n", "options",
    "prediction", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier",
    "service_tier", "stop", "tool_choice", "verbosity", "web_search_options",
)  # fmt: skip
_PENALTY = shapes.number(-2, 2)
_OPENAI_FIELDS: Shape = {
    **dict.fromkeys(_UNCHECKED, anything), "model!": filled, "frequency_penalty": _PENALTY,
    "presence_penalty": _PENALTY, "logit_bias": shapes.of_type(dict), "logprobs": flag,
    "metadata": shapes.of_type(dict),
    "parallel_tool_calls": flag, "reasoning_effort": one_of(*shapes.EFFORTS), "response_format": _FORMAT,
    "seed": shapes.integer(-(2**63)), "store": flag, "stream": flag,
    "stream_options": fields({"include_usage": flag, "include_obfuscation": anything}),
    "temperature": shapes.number(0, 2), "tools": shapes.list_of(tagged(_TOOLS), empty=False),
    "top_logprobs": shapes.integer(0, 20), "top_p": shapes.number(0, 1), "user": shapes.text,
}  # fmt: skip
_OTHER_FIELDS = (
    "enable_search", "enable_thinking", "guided_json", "include_reasoning", "lora", "min_p", "raw", "reasoning",
    "repetition_penalty", "search_parameters", "thinking", "extra_body",
)  # fmt: skip
_OPENAI = fields(_OPENAI_FIELDS)
_OTHER = fields(
    {
        **_OPENAI_FIELDS, **dict.fromkeys(_OTHER_FIELDS, anything), "chat_template_kwargs": shapes.of_type(dict),
        "top_k": shapes.integer(0),
    }
)  # fmt: skip
_ALWAYS_REASON = ("@cf/moonshotai/", "@cf/openai/", "@cf/zai-org/glm-5.3-flash")
_SWITCHED = "@cf/moonshotai/kimi-k2.6"  # the only one of them whose reasoning can be disabled (facts §9.3, §14.4)
_JSON_MODE = re.compile(r"@(?:cf|hf)/(?:meta/llama-3|nousresearch/hermes-2-pro|thebloke/deepseek-coder)")
_GUIDED = re.compile(r"@cf/(?:mistral(?:ai)?/|qwen/qwq-|qwen/qwen2\.5-coder|google/gemma-3-|meta/llama-4-)")
_UNANSWERED = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
    "The following tool_call_ids did not have response messages: {}"
)
_STRAY = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."


def read(body: Record) -> ModelRequest:
    """Validate a body."""
    model = str(body.get("model", ""))
    is_openai, is_cloudflare = model.startswith("openai/"), is_workers_ai(model)
    validator = WorkersAIValidator() if is_cloudflare else OpenAIValidator()
    if is_cloudflare:
        body = enveloped(body)
    (_OPENAI if is_openai else _OTHER)(validator, body, ())
    messages = _messages(validator, body["messages"], _ROLES if is_openai else _WITH_REASONING)
    tools = [_tool(validator, tool, ("tools", i)) for i, tool in enumerate(body.get("tools") or [])]
    schema = _schema(validator, body)
    if schema == {} and is_openai and "json" not in str(body["messages"]).lower():
        text = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        validator.fail(text, ("messages",))
    if body.get("stream_options") is not None and not body.get("stream"):
        validator.fail("The 'stream_options' parameter is only allowed when 'stream' is enabled.", ("stream_options",))
    older, newer = (validator.integer(body, name) for name in ("max_tokens", "max_completion_tokens"))
    if older is not None and newer is not None and not is_cloudflare:
        validator.fail("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
    return ModelRequest(
        model=model,
        messages=messages,
        tools=tools,
        choice=_choice(validator, body, tools),
        parallel=body.get("parallel_tool_calls") is not False,
        schema=schema,
        reason=_reasons(body, model),
        max_tokens=newer if newer is not None else older,
        stop=validator.text_list(body, "stop", 4),
        stream=body.get("stream") is True,
        usage_in_stream=bool(as_record(body.get("stream_options")).get("include_usage")),
        choices=validator.integer(body, "n", most=128) or 1,
        echo=body,
    )


def _messages(validator: Validator, value: Any, roles: dict[str, Check]) -> list[Message]:
    """The messages, of which each call must be followed by its result."""
    messages: list[Message] = []
    waiting: list[str] = []
    shapes.list_of(anything, empty=False)(validator, value, ("messages",))

    def check_answered(path: JsonPath) -> None:
        if waiting:
            validator.fail(_UNANSWERED.format(", ".join(waiting)), (*path, "role"))

    for i, entry in enumerate(value):
        path: JsonPath = ("messages", i)
        message = validator.record(entry, path)
        role = validator.one_of(validator.required(message, "role", path), (*path, "role"), tuple(roles))
        roles[role](validator, message, path)
        if role == "tool":
            turn = next((m for m in reversed(messages) if m.role != "tool"), Message("user"))
            if message["tool_call_id"] not in [call.id for call in turn.calls]:
                validator.fail(_STRAY, (*path, "role"))
            waiting = [identity for identity in waiting if identity != message["tool_call_id"]]
        else:
            check_answered(path)
        messages.append(_message(validator, message, path))
        waiting = [call.id for call in messages[-1].calls] if role == "assistant" else waiting
    check_answered(("messages", len(value) - 1))
    return messages


def _message(validator: Validator, message: Record, path: JsonPath) -> Message:
    text, media = shapes.content_of(message.get("content") or "")
    match message["role"]:
        case "tool":
            return Message("tool", results=[ToolResult(message["tool_call_id"], text)], media=media)
        case "assistant":
            is_empty = not any(message.get(name) for name in ("tool_calls", "refusal", "audio"))
            if is_empty and message.get("content") is None:
                validator.wrong_type((*path, "content"), "string", None)
            return Message("assistant", text, [_call(call) for call in records(message.get("tool_calls"))])
        case role:
            return Message("user" if role == "user" else "system", text, media=media)


def _call(call: Record) -> Call:
    kind, key = ("function", "arguments") if call["type"] == "function" else ("custom", "input")
    return call_of(call["id"], call[kind]["name"], call[kind][key])


def call_of(identity: str, name: str, text: str) -> Call:
    """A call in the history; arguments that are not a JSON object are kept as text."""
    try:
        value: Any = json.loads(text or "{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        return Call(identity, name, {}, raw=text)
    return Call(identity, name, cast("dict[str, Any]", value))


def _tool(validator: Validator, tool: Record, path: JsonPath) -> Tool:
    kind = tool["type"]
    inner = tool[kind]
    name, description = inner["name"], inner.get("description") or ""
    if kind == "custom":
        return custom_tool(name, description)
    return Tool(name, description, shapes.parameters(validator, inner, "parameters", (*path, kind)))


def _choice(validator: Validator, body: Record, offered: list[Tool]) -> str:
    """`auto`, `none`, `required` or the name of one tool."""
    for key in ("tool_choice", "parallel_tool_calls"):
        if body.get(key) is not None and not body.get("tools"):
            validator.fail(f"'{key}' is only allowed when 'tools' are specified.", (key,))
    value: Any = body.get("tool_choice")
    if value is None:
        return "auto"
    path = ("tool_choice",)
    if isinstance(value, str):
        if value not in _CHOICES and not isinstance(validator, OpenAIValidator):
            text = "tool_choice: Input should be 'auto', 'none' or 'required'"
            raise InvalidBody(text, param="tool_choice", code=8001)  # facts §9.2: "any" is refused with it (O: LC)
        return validator.one_of(value, path, _CHOICES)
    _CHOICE(validator, value, path)
    kind: str = value["type"]
    if kind == "allowed_tools":
        return str(value[kind]["mode"])
    name = str(value[kind]["name"])
    if name not in {tool.name for tool in offered if tool.custom is (kind == "custom")}:
        validator.fail(f"Tool choice '{name}' not found in 'tools' parameter.", (*path, kind, "name"))
    return name


def _schema(validator: Validator, body: Record) -> Record | None:
    """The schema of the answer; `{}` for any JSON object, None for plain text; a bare one fails (facts §9.1)."""
    form: Record = body.get("response_format") or {"type": "text"}
    if form["type"] != "json_schema":
        return {} if form["type"] == "json_object" else None
    inner = form["json_schema"]
    path = ("response_format", "json_schema")
    return shapes.json_schema(validator, inner, "schema", f"response_format '{inner['name']}'", path)


def _reasons(body: Record, model: str) -> bool:
    template: Record = body.get("chat_template_kwargs") or {}
    if model.startswith(_SWITCHED) and template.get("thinking") is False:
        return False
    thinking: Any = body.get("thinking") or body.get("enable_thinking") or template.get("enable_thinking")
    on = bool(thinking) and not (is_record(thinking) and "disabled" in str(thinking))
    return model.startswith(_ALWAYS_REASON) or on or body.get("reasoning_effort") not in (None, "none")


def enveloped(body: Record) -> Record:
    """A body of Workers AI with its output schema in OpenAI's envelope.

    The models of the documented JSON mode take the bare schema, and read an envelope as a schema without rules; newer
    models take either. Only some models have `guided_json`; others ignore it. A model has one input schema, on
    `/ai/run` and on chat completions (facts §9.1).
    """
    model, form = str(body.get("model", "")), body.get("response_format")
    if is_record(form) and form.get("type") == "json_schema":
        schema = form.get("json_schema")
        if _JSON_MODE.match(model) and is_record(schema) and is_record(schema.get("schema")):
            return {**body, "response_format": {"type": "json_object"}}
        return {**body, "response_format": {**form, "json_schema": _enveloped(form.get("json_schema"))}}
    guided = body.get("guided_json")
    if form is None and is_record(guided) and _GUIDED.match(model):
        any_object = {"type": "json_object"}
        form = {"type": "json_schema", "json_schema": _enveloped(guided)} if guided else any_object
        return {**body, "response_format": form}
    return body


def _enveloped(schema: Any) -> Any:
    if is_record(schema) and "schema" not in schema:
        return {"name": "response", "schema": schema}
    return {"name": "response", **schema} if is_record(schema) else schema
