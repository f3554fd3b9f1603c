"""Reads the body of a Messages request; unknown top-level fields are accepted (facts §1.4)."""

from __future__ import annotations

import re
from typing import Any

from cfaig_integrations.simulator.dialects import schemas
from cfaig_integrations.simulator.dialects.messages import blocks, history
from cfaig_integrations.simulator.dialects.validation import AnthropicValidator, JsonPath, Record, Validator
from cfaig_integrations.simulator.types import Message, ModelRequest, Tool

_SERVER_TOOL = re.compile(
    r"(?:web_search|web_fetch|code_execution|bash|text_editor|computer|memory|tool_search_tool_(?:bm25|regex)|advisor"
    r"|mcp_toolset|browser)(?:_\d{8})?"
)
_TOOL_KEYS = (
    "type", "name", "description", "input_schema", "cache_control", "strict", "defer_loading", "allowed_callers",
    "input_examples", "eager_input_streaming",
)  # fmt: skip
_CHOICES = ("auto", "any", "tool", "none")
_THINKING = ("enabled", "disabled", "adaptive")
_LEAST_BUDGET = 1024
_CACHE_MARKS = 4


def read(body: Record) -> ModelRequest:
    """Validate a body.

    Raises:
        InvalidBody: In Anthropic's words, with code 7003.
    """
    validator = AnthropicValidator()
    model = validator.required_text(body, "model")
    validator.no_tracing_fields(body)
    if body.get("thread") is not None:
        # the newest SDKs' server-held conversations: the gateway has no evidence of them
        validator.fail("thread: Threads are not supported. Send the full conversation without `thread`.", ("thread",))
    validator.required(body, "max_tokens")
    limit = validator.integer(body, "max_tokens")
    reasons, extended = _thinking(validator, body, limit or 0)
    messages = history.read(validator, validator.required(body, "messages"), thinking=extended)
    tools, search = _tools(validator, body)
    choice, parallel = _choice(validator, body, tools)
    if extended and choice not in ("auto", "none"):
        validator.fail("Thinking may not be enabled when tool_choice forces tool use.", ("tool_choice",))
    marks = blocks.count_cache_controls(body)
    if marks > _CACHE_MARKS:
        validator.fail(f"A maximum of {_CACHE_MARKS} blocks with cache_control may be provided.")
    _sampling(validator, body, thinking=extended)
    return ModelRequest(
        model=model,
        messages=[*_system(validator, body), *messages],
        tools=tools,
        choice=choice,
        parallel=parallel,
        schema=_schema(validator, body),
        reason=reasons and choice in ("auto", "none"),
        max_tokens=limit,
        stop=_stops(validator, body),
        stream=validator.boolean(body, "stream"),
        cacheable=marks > 0,
        searchable=search,
        echo=body,
    )


def _system(validator: Validator, body: Record) -> list[Message]:
    """A string only, unlike Anthropic's own API (facts §1.4)."""
    system = body.get("system")
    if system is None:
        return []
    if not isinstance(system, str):
        validator.fail("Invalid value at system", ("system",))
    return [Message(role="system", text=system)]


def _thinking(validator: Validator, body: Record, limit: int) -> tuple[bool, bool]:
    """Whether to reason, and whether it is extended thinking with a budget."""
    if body.get("thinking") is None:
        return False, False
    path: JsonPath = ("thinking",)
    record = validator.record(body["thinking"], path)
    kind = validator.one_of(validator.required(record, "type", path), (*path, "type"), _THINKING)
    if kind != "enabled":
        return kind == "adaptive", False
    budget = validator.required(record, "budget_tokens", path)
    if type(budget) is not int:
        validator.wrong_type((*path, "enabled", "budget_tokens"), "integer", budget)
    if budget < _LEAST_BUDGET:
        validator.out_of_range((*path, "enabled", "budget_tokens"), budget, least=_LEAST_BUDGET, most=None)
    if budget >= limit:
        validator.fail("`max_tokens` must be greater than `thinking.budget_tokens`.", ("max_tokens",))
    return True, True


def _tools(validator: Validator, body: Record) -> tuple[list[Tool], bool]:
    tools: list[Tool] = []
    names: list[str] = []
    search = False
    for i, entry in enumerate(validator.array(body.get("tools") or [], ("tools",))):
        path: JsonPath = ("tools", i)
        tool = validator.record(entry, path)
        kind: Any = tool.get("type") or "custom"
        if kind == "custom":
            tools.append(_custom(validator, tool, (*path, "custom")))
        elif not isinstance(kind, str) or not _SERVER_TOOL.fullmatch(kind):
            validator.not_allowed(path, kind, ("custom", "web_search_20250305", "code_execution_20250522"))
        search = search or str(kind).startswith("web_search")
        names.append(str(tool.get("name", tool.get("mcp_server_name"))))
    if len(set(names)) != len(names):
        validator.fail("tools: Tool names must be unique.", ("tools",))
    return tools, search


def _custom(validator: Validator, tool: Record, path: JsonPath) -> Tool:
    validator.only_fields(tool, _TOOL_KEYS, path)
    name = schemas.tool_name(validator, tool, path)
    description = schemas.description(validator, tool, path)
    where = (*path, "input_schema")
    format_ = validator.record(validator.required(tool, "input_schema", path), where)
    validator.required(format_, "type", where)
    return Tool(
        name, description, schemas.parameters(validator, format_, name, where, strict=validator.boolean(tool, "strict"))
    )


def _choice(validator: Validator, body: Record, offered: list[Tool]) -> tuple[str, bool]:
    if body.get("tool_choice") is None:
        return "auto", True
    path: JsonPath = ("tool_choice",)
    record = validator.record(body["tool_choice"], path)
    kind = validator.one_of(validator.required(record, "type", path), (*path, "type"), _CHOICES)
    validator.only_fields(record, ("type", "name", "disable_parallel_tool_use"), path)
    if not body.get("tools") and kind != "none":
        validator.fail("tool_choice: `tool_choice` may only be specified while providing `tools`.", path)
    parallel = not validator.boolean(record, "disable_parallel_tool_use")
    if kind != "tool":
        return "required" if kind == "any" else kind, parallel
    name = validator.required_text(record, "name", path)
    names = {t.name for t in offered}
    if name not in names | {str(t.get("name")) for t in body["tools"]}:
        validator.fail(f"Tool '{name}' not found in provided tools", path)
    return name if name in names else "auto", parallel


def _schema(validator: Validator, body: Record) -> Record | None:
    config = validator.record(body.get("output_config") or {}, ("output_config",))
    format_ = config.get("format") or body.get("output_format")
    if format_ is None:
        return None
    path: JsonPath = ("output_config", "format")
    record = validator.record(format_, path)
    validator.one_of(validator.required(record, "type", path), (*path, "type"), ("json_schema",))
    schema = validator.record(validator.required(record, "schema", path), (*path, "schema"))
    schemas.sound(validator, schema, "output_config.format", (*path, "schema"), strict=False)
    return schema


def _stops(validator: Validator, body: Record) -> list[str]:
    if isinstance(body.get("stop_sequences"), str):
        validator.wrong_type(("stop_sequences",), "array", body["stop_sequences"])
    stops = validator.text_list(body, "stop_sequences", 8191)
    if any(not s.strip() for s in stops):
        validator.fail("stop_sequences: each stop sequence must contain non-whitespace", ("stop_sequences",))
    return stops


def _sampling(validator: Validator, body: Record, *, thinking: bool) -> None:
    temperature = validator.number(body, "temperature", least=0, most=1)
    if thinking and temperature not in (None, 1):
        validator.fail("`temperature` may only be set to 1 when thinking is enabled.", ("temperature",))
    validator.number(body, "top_p", least=0, most=1)
    validator.integer(body, "top_k", least=0)
    metadata = validator.record(body.get("metadata") or {}, ("metadata",))
    validator.only_fields(metadata, ("user_id",), ("metadata",))
