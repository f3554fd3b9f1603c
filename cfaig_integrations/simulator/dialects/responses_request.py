"""Reads the body of a Responses request."""

from __future__ import annotations

from typing import Any

from cfaig_integrations.simulator.catalogue import is_workers_ai
from cfaig_integrations.simulator.dialects import shapes
from cfaig_integrations.simulator.dialects.chat_request import call_of
from cfaig_integrations.simulator.dialects.shapes import Check, Shape, anything, fields, filled, flag, one_of, tagged
from cfaig_integrations.simulator.dialects.validation import JsonPath, OpenAIValidator, Validator
from cfaig_integrations.simulator.json_types import Record, as_record
from cfaig_integrations.simulator.types import Message, ModelRequest, Tool, ToolResult, custom_tool

_OPAQUE = (
    "additional_tools", "apply_patch_call", "apply_patch_call_output", "code_interpreter_call", "compaction",
    "compaction_trigger", "computer_call", "computer_call_output", "file_search_call", "image_generation_call",
    "item_reference", "local_shell_call", "local_shell_call_output", "mcp_approval_request", "mcp_approval_response",
    "mcp_call", "mcp_list_tools", "program", "program_output", "shell_call", "shell_call_output", "tool_search_call",
    "tool_search_output", "web_search_call",
)  # fmt: skip
"""Items of built-in tools, which are not checked."""
_MARK: Shape = {"prompt_cache_breakpoint": anything}
_IMAGE: Shape = {
    "type": anything, "detail": anything, "file_id": anything, "image_url": shapes.url("image/"), **_MARK,
}  # fmt: skip
_FILE: Shape = {
    "type": anything, "detail": anything, "file_id": anything, "file_data": shapes.url(), "file_url": shapes.url(),
    "filename": filled, **_MARK,
}  # fmt: skip
_AUDIO = fields({"input_audio!": fields({"data!": shapes.encoded}, closed=False)}, closed=False)
_INPUT_PARTS: dict[str, Shape | Check] = {
    "input_text": {"text!": shapes.text, **_MARK},
    "input_image": shapes.file_of(_IMAGE, "image_url", "file_id"),
    "input_file": shapes.file_of(_FILE, "file_id", "file_data", "file_url"),
}
_OUTPUT_PARTS: dict[str, Shape | Check] = {
    "output_text": {"text!": shapes.text, "annotations": anything, "logprobs": anything},
    "refusal": {"refusal!": shapes.text},
}


def _content(parts: dict[str, Shape | Check]) -> Check:
    return shapes.text_or_list(tagged(parts), "one of an array of objects or string")


_ITEM: Shape = {"type": anything, "id": shapes.text, "status": one_of("in_progress", "completed", "incomplete")}
_MESSAGE: Shape = {**_ITEM, "role": anything, "phase": anything, "name": anything}
_INPUT_MESSAGE = fields({**_MESSAGE, "content!": _content({**_INPUT_PARTS, "input_audio": _AUDIO})})
_ROLES = {
    "assistant": fields({**_MESSAGE, "content!": _content(_OUTPUT_PARTS)}),
    "system": _INPUT_MESSAGE,
    "developer": _INPUT_MESSAGE,
    "user": _INPUT_MESSAGE,
}


def _check_message(validator: Validator, item: Any, path: JsonPath) -> None:
    role = validator.one_of(validator.required(item, "role", path), (*path, "role"), tuple(_ROLES))
    _ROLES[role](validator, item, path)


_REASONING_PARTS = {
    "summary!": shapes.list_of(tagged({"summary_text": {"text!": shapes.text}}, closed=False)),
    "content": shapes.list_of(tagged({"reasoning_text": {"text!": shapes.text}}, closed=False)),
}
_CALL: Shape = {"call_id!": shapes.call_id, "name!": shapes.tool_name}
_OUTPUT: Shape = {"call_id!": shapes.call_id, "output!": _content(_INPUT_PARTS)}
_ITEMS = tagged(
    {
        "message": _check_message,
        "function_call": {
            **_ITEM, **_CALL, "arguments!": shapes.text, "namespace": anything, "caller": anything,
            "thought_signature": anything,
        },
        "function_call_output": {**_ITEM, **_OUTPUT, "caller": anything},
        "custom_tool_call": fields({**_CALL, "input!": shapes.text}, closed=False),
        "custom_tool_call_output": fields(_OUTPUT, closed=False),
        "reasoning": {**_ITEM, **_REASONING_PARTS, "encrypted_content": shapes.text},
        **dict.fromkeys(_OPAQUE, fields({"id": shapes.text, "call_id": shapes.text}, closed=False)),
    },
    default="message",
)  # fmt: skip
_PREFIXES = {"function_call": "fc", "reasoning": "rs", "message": "msg"}
"""How OpenAI's ids of the model's own items begin."""
_SEARCH = ("web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11", "x_search")
_BUILT_IN = (
    *_SEARCH, "apply_patch", "computer", "computer_use_preview", "image_generation", "local_shell", "namespace",
    "shell", "tool_search",
)  # fmt: skip
_NAMED: Shape = {"name!": shapes.tool_name, "description": shapes.text}
_TOOLS: dict[str, Shape | Check] = {
    "function": {
        **_NAMED, "parameters": anything, "strict": flag, "defer_loading": anything, "output_schema": anything,
    },
    "custom": fields(_NAMED, closed=False),
    "mcp": fields({"server_label!": anything}, closed=False),
    "file_search": fields({"vector_store_ids!": anything}, closed=False),
    "code_interpreter": fields({"container!": anything}, closed=False),
    **dict.fromkeys(_BUILT_IN, fields({}, closed=False)),
}  # fmt: skip
_CHOICE = tagged(
    {
        **dict.fromkeys(_TOOLS, fields({}, closed=False)),
        "function": {"name!": filled},
        "custom": {"name!": filled},
        "allowed_tools": {"tools!": shapes.of_type(list), "mode!": one_of("auto", "required")},
    },
    closed=False,
)
_SCHEMA = {"name!": shapes.tool_name, "schema!": shapes.of_type(dict), "strict": flag, "description": anything}
_FORMAT = tagged({"json_object": fields({}, closed=False), "json_schema": _SCHEMA, "text": fields({}, closed=False)})
_SUMMARY = one_of("auto", "concise", "detailed")
_REASONING: Shape = {
    "effort": one_of(*shapes.EFFORTS), "summary": _SUMMARY, "generate_summary": _SUMMARY, "context": anything,
    "mode": anything,
}  # fmt: skip
_INCLUDE = (
    "code_interpreter_call.outputs", "computer_call_output.output.image_url", "file_search_call.results",
    "message.input_image.image_url", "message.output_text.logprobs", "reasoning.encrypted_content",
    "web_search_call.action.sources", "web_search_call.results",
)  # fmt: skip
_UNCHECKED = (
    "context_management", "conversation", "input", "max_output_tokens", "moderation", "options",
    "previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
    "safety_identifier", "service_tier", "tool_choice",
)  # fmt: skip
_BODY = fields(
    {
        **dict.fromkeys(_UNCHECKED, anything), "model!": filled, "background": flag,
        "include": shapes.list_of(one_of(*_INCLUDE)), "instructions": shapes.text, "max_tool_calls": shapes.integer(),
        "metadata": shapes.of_type(dict), "parallel_tool_calls": flag, "reasoning": fields(_REASONING), "store": flag,
        "stream": flag, "stream_options": fields({"include_obfuscation": anything}),
        "temperature": shapes.number(0, 2), "text": fields({"format": _FORMAT, "verbosity": anything}),
        "tools": shapes.list_of(tagged(_TOOLS)), "top_logprobs": shapes.integer(0, 20), "top_p": shapes.number(0, 1),
        "truncation": one_of("auto", "disabled"), "user": shapes.text,
    }
)  # fmt: skip
_LEAST_TOKENS = 16  # OpenAI's floor for `max_output_tokens` (facts §5.3 e)
_NO_INPUT = "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided."


def read(body: Record, previous_items: list[Any]) -> ModelRequest:
    """Validate a body."""
    validator, model = OpenAIValidator(), str(body.get("model"))
    _BODY(validator, body, ())
    sent: list[Record] = body.get("tools") or []
    tools = [_tool(validator, tool, i) for i, tool in enumerate(sent) if tool["type"] in ("function", "custom")]
    schema = _schema(validator, body)
    messages = _messages(validator, body, previous_items, is_openai=model.startswith("openai/"))
    if schema == {} and "json" not in f"{body.get('input')}{body.get('instructions')}".lower():
        message = "Response input messages must contain the word 'json' in some form"
        validator.fail(f"{message} to use 'text.format' of type 'json_object'.", ("input",))
    if body.get("stream_options") is not None and not body.get("stream"):
        validator.fail("The 'stream_options' parameter is only allowed when 'stream' is enabled.", ("stream_options",))
    reasoning: Record | None = body.get("reasoning")
    return ModelRequest(
        model=model,
        messages=messages,
        tools=tools,
        choice=_choice(validator, body, tools),
        parallel=body.get("parallel_tool_calls") is not False,
        schema=schema,
        reason=is_workers_ai(model) if reasoning is None else reasoning.get("effort") != "none",
        max_tokens=validator.integer(body, "max_output_tokens", least=_LEAST_TOKENS),
        stream=body.get("stream") is True,
        searchable=any(tool["type"] in _SEARCH for tool in sent),
        echo=body,
    )


def _messages(validator: Validator, body: Record, previous: list[Any], *, is_openai: bool) -> list[Message]:
    value: Any = body.get("input")
    if value in (None, []) and not previous:
        validator.fail(_NO_INPUT, ("input",))
    shapes.text_or_list(_ITEMS, "one of a string or array of input items")(validator, value or [], ("input",))
    items: list[Record] = [{"role": "user", "content": value}] if isinstance(value, str) else value or []
    items = [*previous, *items]
    messages = _Reader(validator, is_partial=body.get("conversation") is not None).read(items)
    if is_openai:
        _check_ids(validator, items)
        _check_reasoning(validator, items)
    instructions = body.get("instructions")
    return [Message("system", instructions), *messages] if instructions else messages


class _Reader:
    """Reads the items in order, and tracks the calls without an output."""

    def __init__(self, validator: Validator, *, is_partial: bool) -> None:
        self.validator = validator
        self.is_partial = is_partial
        self.messages: list[Message] = []
        self.calls: dict[str, bool] = {}

    def read(self, items: list[Record]) -> list[Message]:
        for item in items:
            self._read(item, item.get("type") or "message")
        for call, answered in self.calls.items():
            if not answered:
                self.validator.fail(f"No tool output found for function call {call}.", ("input",))
        return self.messages

    def _read(self, item: Record, kind: str) -> None:
        match kind:
            case "message":
                text, media = shapes.content_of(item["content"])
                if item["role"] == "assistant":
                    turn = self._assistant()
                    turn.text = f"{turn.text}\n{text}".strip() if text else turn.text
                else:
                    is_user = item["role"] == "user"
                    self.messages.append(Message("user" if is_user else "system", text, media=media))
            case "function_call" | "custom_tool_call":
                self.calls[item["call_id"]] = False
                text = item["arguments" if kind == "function_call" else "input"]
                self._assistant().calls.append(call_of(item["call_id"], item["name"], text))
            case "function_call_output" | "custom_tool_call_output":
                self._output(item, "function call output" if kind.startswith("function") else "custom tool call output")
            case "reasoning":
                pass
            case _:
                if item.get("call_id") and kind.endswith("_call"):
                    self.calls.setdefault(item["call_id"], True)

    def _assistant(self) -> Message:
        """The assistant's message, which may consist of several items."""
        if not self.messages or self.messages[-1].role != "assistant":
            self.messages.append(Message("assistant"))
        return self.messages[-1]

    def _output(self, item: Record, what: str) -> None:
        identity = item["call_id"]
        if identity not in self.calls and not self.is_partial:
            self.validator.fail(f"No tool call found for {what} with call_id {identity}.", ("input",))
        self.calls[identity] = True
        text, media = shapes.content_of(item["output"])
        self.messages.append(Message("tool", results=[ToolResult(identity, text)], media=media))


def _check_ids(validator: Validator, items: list[Record]) -> None:
    for i, item in enumerate(items):
        identity, prefix = item.get("id"), _PREFIXES.get(item.get("type") or "message")
        is_input = prefix == "msg" and item["role"] != "assistant"
        if prefix is not None and not is_input and identity is not None and not identity.startswith(prefix):
            message = f"Invalid 'input[{i}].id': '{identity}'. Expected an ID that begins with '{prefix}'."
            validator.fail(message, ("input", i, "id"))


def _check_reasoning(validator: Validator, items: list[Record]) -> None:
    """Check that each reasoning item is followed by the model's output."""
    for i, item in enumerate(items):
        if item.get("type") != "reasoning":
            continue
        after = next((each for each in items[i + 1 :] if each.get("type") != "reasoning"), {"role": "user"})
        if after.get("role") in ("user", "system", "developer") or str(after.get("type")).endswith("_output"):
            message = f"Item '{item.get('id', '')}' of type 'reasoning' was provided without its required following"
            validator.fail(f"{message} item.", ("input",))


def _tool(validator: Validator, tool: Record, number: int) -> Tool:
    name, description = tool["name"], tool.get("description") or ""
    if tool["type"] == "custom":
        return custom_tool(name, description)
    return Tool(name, description, shapes.parameters(validator, tool, "parameters", ("tools", number)))


def _choice(validator: Validator, body: Record, offered: list[Tool]) -> str:
    """`auto`, `none`, `required` or the name of one tool."""
    value, path = body.get("tool_choice"), ("tool_choice",)
    if value is None:
        return "auto"
    if isinstance(value, str):
        chosen = validator.one_of(value, path, ("none", "auto", "required"))
        if chosen == "required" and not body.get("tools"):
            validator.fail("Tool choice 'required' must be specified with 'tools' parameter.", path)
        return chosen
    _CHOICE(validator, value, path)
    kind: str = value["type"]
    if kind == "allowed_tools":
        return str(value["mode"])
    if kind not in ("function", "custom"):
        return "auto"
    name = str(value["name"])
    if name not in {tool.name for tool in offered if tool.custom is (kind == "custom")}:
        validator.fail(f"Tool choice '{kind}' with name '{name}' not found in 'tools' parameter.", path)
    return name


def _schema(validator: Validator, body: Record) -> Record | None:
    """The schema of the answer; `{}` for any JSON object, None for plain text."""
    form: Record = as_record(body.get("text")).get("format") or {"type": "text"}
    if form["type"] != "json_schema":
        return {} if form["type"] == "json_object" else None
    return shapes.json_schema(validator, form, "schema", f"response_format '{form['name']}'", ("text", "format"))
