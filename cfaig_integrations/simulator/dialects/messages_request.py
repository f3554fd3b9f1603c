"""Reads the body of a Messages request; unknown top-level fields are accepted (facts §1.4)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from cfaig_integrations.simulator.dialects import shapes
from cfaig_integrations.simulator.dialects.shapes import Check, Shape, anything, fields, filled, one_of, tagged
from cfaig_integrations.simulator.dialects.validation import AnthropicValidator, JsonPath, Validator, type_name
from cfaig_integrations.simulator.json_types import Record, as_record
from cfaig_integrations.simulator.types import Call, Message, ModelRequest, Tool, ToolResult

_SERVER = (
    "advisor_tool_result", "bash_code_execution_tool_result", "code_execution_tool_result", "compaction",
    "container_upload", "mcp_tool_result", "mcp_tool_use", "server_tool_use",
    "text_editor_code_execution_tool_result", "tool_search_tool_result", "web_fetch_tool_result",
    "web_search_tool_result",
)  # fmt: skip
"""Blocks of server tools, which are not checked."""
_SERVER_TOOL = re.compile(
    r"(?:web_search|web_fetch|code_execution|bash|text_editor|computer|memory|tool_search_tool_(?:bm25|regex)|advisor"
    r"|mcp_toolset|browser)(?:_\d{8})?"
)
_LEAST_BUDGET, _CACHE_MARKS = 1024, 4


def _check_id(validator: Validator, value: Any, path: JsonPath) -> None:
    if not re.fullmatch(r"[a-zA-Z0-9_-]+", validator.text(value, path, empty=False)):
        validator.fail(f"{validator.format_path(path)}: String should match pattern '^[a-zA-Z0-9_-]+$'", path)


def _check_text(validator: Validator, value: Any, path: JsonPath) -> None:
    if not validator.text(value, path):
        validator.fail("messages: text content blocks must be non-empty", path)


def _check_user_text(validator: Validator, value: Any, path: JsonPath) -> None:
    _check_text(validator, value, path)
    if not value.strip():
        validator.fail("messages: text content blocks must contain non-whitespace text", path)


def _source_of(*kinds: str, mimes: tuple[str, ...]) -> Check:
    sources: dict[str, Shape] = {
        "base64": {"media_type!": one_of(*mimes), "data!": shapes.encoded},
        "url": {"url!": shapes.url()},
        "file": {"file_id!": anything},
        "text": {"media_type!": one_of("text/plain"), "data!": filled},
        "content": {"content!": anything},
    }
    return tagged({kind: sources[kind] for kind in kinds}, closed=False)


_MARK: Shape = {"cache_control": fields({"type!": one_of("ephemeral")}, closed=False)}
_IMAGE = _source_of("base64", "url", "file", mimes=("image/jpeg", "image/png", "image/gif", "image/webp"))
_DOCUMENT = _source_of("base64", "text", "content", "url", "file", mimes=("application/pdf",))
_SEARCH_CONTENT = shapes.list_of(fields({"text!": filled}, closed=False))
_OPAQUE = fields({}, closed=False)
_INPUT_BLOCKS: dict[str, Shape | Check] = {
    "text": {"text!": _check_user_text, "citations": anything, **_MARK},
    "image": {"source!": _IMAGE, **_MARK},
    "document": {"source!": _DOCUMENT, "citations": anything, "context": anything, "title": anything, **_MARK},
    "search_result": fields({"source!": filled, "title!": filled, "content!": _SEARCH_CONTENT}, closed=False),
}
_TEXT: Shape = {"text!": _check_text, "citations": anything, **_MARK}
_RESULT = tagged({**_INPUT_BLOCKS, "text": _TEXT, "tool_reference": _OPAQUE})
_BLOCKS = {
    "user": tagged(
        {
            **_INPUT_BLOCKS,
            "tool_result": {
                "tool_use_id!": _check_id, "content": shapes.text_or_list(_RESULT, "string"), "is_error": shapes.flag,
                **_MARK,
            },
            "container_upload": _OPAQUE,
        }
    ),
    "assistant": tagged(
        {
            "text": _TEXT,
            "thinking": {"thinking!": shapes.text, "signature!": filled},
            "redacted_thinking": {"data!": filled},
            "tool_use": {
                "id!": _check_id, "name!": shapes.tool_name, "input!": shapes.of_type(dict), "caller": anything,
                **_MARK,
            },
            **dict.fromkeys(_SERVER, _OPAQUE),
        }
    ),
}  # fmt: skip
_THINKING = tagged({"enabled": {"budget_tokens!": shapes.of_type(int)}, "disabled": {}, "adaptive": {}}, closed=False)
_SCHEMA = tagged({"json_schema": {"schema!": shapes.of_type(dict)}}, closed=False)
_TOOL = fields(
    {
        "type": anything, "name!": shapes.tool_name, "description": shapes.text,
        "input_schema!": fields({"type!": anything}, closed=False), "cache_control": anything, "strict": shapes.flag,
        "defer_loading": anything, "allowed_callers": anything, "input_examples": anything,
        "eager_input_streaming": anything,
    }
)  # fmt: skip
_CHOICE_FIELDS: Shape = {"type!": one_of("auto", "any", "tool", "none"), "disable_parallel_tool_use": shapes.flag}
_BODY = fields(
    {
        "model!": filled, "max_tokens!": shapes.integer(), "messages!": shapes.of_type(list), "thinking": _THINKING,
        "output_config": fields({"format": _SCHEMA}, closed=False), "output_format": _SCHEMA, "stream": shapes.flag,
        "temperature": shapes.number(0, 1), "top_p": shapes.number(0, 1), "top_k": shapes.integer(0),
        "metadata": fields({"user_id": anything}), "stop_sequences": shapes.of_type(list),
        "tools": shapes.list_of(shapes.of_type(dict)), "tool_choice": fields({**_CHOICE_FIELDS, "name": filled}),
    },
    closed=False,
)  # fmt: skip
_UNANSWERED = (
    "messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {ids}. Each `tool_use` "
    "block must have a corresponding `tool_result` block in the next message."
)
_STRAY = (
    "messages.{at}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block "
    "must have a corresponding `tool_use` block in the previous message."
)
_UNTHOUGHT = (
    "messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` is "
    "enabled, a final `assistant` message must start with a thinking block."
)
_SYSTEM_ROLE = (
    'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" as an '
    "input message role."
)


@dataclass(slots=True)
class _Turn:
    """The content of consecutive messages of one role, which the real server merges too."""

    role: str = "user"
    texts: list[str] = field(default_factory=list[str])
    calls: list[Call] = field(default_factory=list[Call])
    results: list[ToolResult] = field(default_factory=list[ToolResult])
    media: list[str] = field(default_factory=list[str])
    kinds: list[str] = field(default_factory=list[str])  # the type of every block, in order

    def add(self, block: Record) -> None:
        """Add a block that was checked."""
        self.kinds.append(block["type"])
        match block["type"]:
            case "text":
                self.texts.append(block["text"])
            case "image":
                self.media.append("image")
            case "document":
                self.media.append("file")
                self.texts += [block["source"]["data"]] if block["source"]["type"] == "text" else []
            case "search_result":
                self.texts += [part["text"] for part in block["content"]]
            case "tool_use":
                self.calls.append(Call(block["id"], block["name"], block["input"]))
            case "tool_result":
                content: Any = block.get("content") or ""
                inner = _Turn()
                for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                    inner.add(part)
                self.results.append(
                    ToolResult(block["tool_use_id"], "\n".join(inner.texts), block.get("is_error") is True)
                )
                self.media += inner.media
            case _:
                return

    def messages(self) -> list[Message]:
        """The messages that the content stands for: results come before text."""
        text = "\n".join(self.texts)
        if self.role == "assistant":
            return [Message("assistant", text, self.calls)]
        messages = [Message("tool", results=self.results, media=self.media)] if self.results else []
        if text or not self.results:
            messages.append(Message("user", text, media=[] if self.results else self.media))
        return messages


def read(body: Record) -> ModelRequest:
    """Validate a body."""
    validator = AnthropicValidator()
    validator.no_tracing_fields(body)
    if body.get("thread") is not None:
        # the newest SDKs' server-held conversations: the gateway has no evidence of them
        validator.fail("thread: Threads are not supported. Send the full conversation without `thread`.", ("thread",))
    _BODY(validator, body, ())
    thinking: Record = body.get("thinking") or {"type": "disabled"}
    extended = thinking["type"] == "enabled"
    if extended:
        _check_budget(validator, body, thinking["budget_tokens"])
    turns = _turns(validator, body["messages"])
    _check_results(validator, turns)
    if extended:
        _check_thinking(validator, turns)
    tools, search = _tools(validator, body)
    choice = _choice(validator, body, tools)
    if extended and choice not in ("auto", "none"):
        validator.fail("Thinking may not be enabled when tool_choice forces tool use.", ("tool_choice",))
    system = body.get("system")
    if system is not None and not isinstance(system, str):  # a string only, unlike Anthropic's own API (facts §1.4)
        wrong = type_name(system)
        validator.fail(f"Invalid value at 'system': expected string, received {wrong}", ("system",))
    system_messages = [] if system is None else [Message("system", system)]
    marks = json.dumps([body["messages"], body.get("tools")]).count('"cache_control": {')
    if marks > _CACHE_MARKS:
        validator.fail(f"A maximum of {_CACHE_MARKS} blocks with cache_control may be provided.")
    return ModelRequest(
        model=body["model"],
        messages=[*system_messages, *(message for turn in turns for message in turn.messages())],
        tools=tools,
        choice=choice,
        parallel=not as_record(body.get("tool_choice")).get("disable_parallel_tool_use"),
        schema=_schema(validator, body),
        reason=thinking["type"] != "disabled" and choice in ("auto", "none"),
        max_tokens=int(body["max_tokens"]),
        stop=_stops(validator, body),
        stream=body.get("stream") is True,
        cacheable=marks > 0,
        searchable=search,
        echo=body,
    )


def _check_budget(validator: Validator, body: Record, budget: int) -> None:
    validator.number(budget, ("thinking", "enabled", "budget_tokens"), _LEAST_BUDGET, None, whole=True)
    if budget >= body["max_tokens"]:
        validator.fail("`max_tokens` must be greater than `thinking.budget_tokens`.", ("max_tokens",))
    if body.get("temperature") not in (None, 1):
        validator.fail("`temperature` may only be set to 1 when thinking is enabled.", ("temperature",))


def _turns(validator: Validator, listed: list[Any]) -> list[_Turn]:
    """The turns; the first may be the assistant's, as in recorded/messages.jsonl 43106049e0f3."""
    if not listed:
        validator.fail("messages: at least one message is required", ("messages",))
    turns: list[_Turn] = []
    for i, entry in enumerate(listed):
        at = ("messages", i)
        message = validator.record(entry, at)
        validator.only_fields(message, ("role", "content"), at)
        role = _role(validator, validator.required(message, "role", at), at)
        if not turns or turns[-1].role != role:
            turns.append(_Turn(role))
        turn, content = turns[-1], validator.required(message, "content", at)
        if not content:
            validator.fail(f"messages.{i}: {role} messages must have non-empty content", (*at, "content"))
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        shapes.list_of(_BLOCKS[role])(validator, blocks, (*at, "content"))
        for block in blocks:
            turn.add(block)
        ends_in_text = role == "assistant" and i == len(listed) - 1 and turn.kinds[-1] == "text"
        if ends_in_text and turn.texts[-1] != turn.texts[-1].rstrip():
            validator.fail("messages: final assistant content cannot end with trailing whitespace", at)
    return turns


def _role(validator: Validator, role: Any, at: JsonPath) -> str:
    if role == "system":
        validator.fail(_SYSTEM_ROLE, (*at, "role"))
    if role not in ("user", "assistant"):
        validator.fail(f"{validator.format_path((*at, 'role'))}: Input should be 'user' or 'assistant'", (*at, "role"))
    return str(role)


def _check_results(validator: Validator, turns: list[_Turn]) -> None:
    """Check that the results of all calls come first in the next message."""
    for at, (turn, after) in enumerate(zip([_Turn("assistant"), *turns], [*turns, _Turn()], strict=True)):
        call_ids = [call.id for call in turn.calls]
        for result in after.results:
            if result.call_id not in call_ids:
                validator.fail(_STRAY.format(at=at, id=result.call_id), ("messages", at))
        leading = next((i for i, kind in enumerate(after.kinds) if kind != "tool_result"), len(after.kinds))
        answered = {result.call_id for result in after.results[:leading]}
        unanswered = [identity for identity in call_ids if identity not in answered]
        if unanswered:
            validator.fail(_UNANSWERED.format(at=at - 1, ids=", ".join(unanswered)), ("messages", at - 1))


def _check_thinking(validator: Validator, turns: list[_Turn]) -> None:
    at = max((i for i, turn in enumerate(turns) if turn.role == "assistant"), default=-1)
    if at >= 0 and turns[at].calls and turns[at].kinds[0] not in ("thinking", "redacted_thinking"):
        validator.fail(_UNTHOUGHT.format(at=at, found=turns[at].kinds[0]), ("messages", at))


def _tools(validator: Validator, body: Record) -> tuple[list[Tool], bool]:
    """The custom tools, and whether there is a web search."""
    tools: list[Tool] = []
    sent: list[Record] = body.get("tools") or []
    for i, tool in enumerate(sent):
        kind: Any = tool.get("type") or "custom"
        if kind == "custom":
            path: JsonPath = ("tools", i, "custom")
            _TOOL(validator, tool, path)
            schema = shapes.parameters(validator, tool, "input_schema", path)
            tools.append(Tool(tool["name"], tool.get("description") or "", schema))
        elif not isinstance(kind, str) or not _SERVER_TOOL.fullmatch(kind):
            validator.not_allowed(("tools", i), kind, ("custom", "web_search_20250305", "code_execution_20250522"))
    names = [str(tool.get("name", tool.get("mcp_server_name"))) for tool in sent]
    if len(set(names)) != len(names):
        validator.fail("tools: Tool names must be unique.", ("tools",))
    return tools, any(str(tool.get("type")).startswith("web_search") for tool in sent)


def _choice(validator: Validator, body: Record, offered: list[Tool]) -> str:
    choice: Record | None = body.get("tool_choice")
    if choice is None:
        return "auto"
    kind, path = str(choice["type"]), ("tool_choice",)
    if kind != "none" and not body.get("tools"):
        validator.fail("tool_choice: `tool_choice` may only be specified while providing `tools`.", path)
    if kind != "tool":
        return "required" if kind == "any" else kind
    name = validator.required_text(choice, "name", path)
    if name not in {str(tool.get("name")) for tool in body["tools"]}:
        validator.fail(f"Tool '{name}' not found in provided tools", path)
    return name if name in {tool.name for tool in offered} else "auto"


def _schema(validator: Validator, body: Record) -> Record | None:
    holder: Record | None = as_record(body.get("output_config")).get("format") or body.get("output_format")
    if holder is None:
        return None
    return shapes.json_schema(
        validator, {"schema": holder["schema"]}, "schema", "output_config.format", ("output_config", "format")
    )


def _stops(validator: Validator, body: Record) -> list[str]:
    stops = validator.text_list(body, "stop_sequences", 8191)
    if any(not stop.strip() for stop in stops):
        validator.fail("stop_sequences: each stop sequence must contain non-whitespace", ("stop_sequences",))
    return stops
