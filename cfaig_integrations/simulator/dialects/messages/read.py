"""Reads a Messages body.

Knows the fields and their limits; unknown top-level fields are tolerated on Claude (wire-facts §1.4).
"""

from __future__ import annotations

import re
from typing import Any

from cfaig_integrations.simulator.dialects import schemas
from cfaig_integrations.simulator.dialects.messages import blocks, history
from cfaig_integrations.simulator.dialects.validation import AnthropicReader, At, Reader, Record
from cfaig_integrations.simulator.types import Asked, Said, Tool

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


def read(body: Record) -> Asked:
    """Validate a body.

    Raises:
        BadBody: In Anthropic's words, with code 7003.
    """
    reader = AnthropicReader()
    model = reader.named(body, "model")
    reader.no_foreign_keys(body)
    reader.need(body, "max_tokens")
    limit = reader.count(body, "max_tokens")
    reasons, extended = _thinking(reader, body, limit or 0)
    said = history.read(reader, reader.need(body, "messages"), thinking=extended)
    tools, search = _tools(reader, body)
    choice, parallel = _choice(reader, body, tools)
    if extended and choice not in ("auto", "none"):
        reader.fail("Thinking may not be enabled when tool_choice forces tool use.", ("tool_choice",))
    marks = blocks.cache_marks(body)
    if marks > _CACHE_MARKS:
        reader.fail(f"A maximum of {_CACHE_MARKS} blocks with cache_control may be provided.")
    _sampling(reader, body, thinking=extended)
    return Asked(
        model=model,
        said=[*_system(reader, body), *said],
        tools=tools,
        choice=choice,
        parallel=parallel,
        schema=_schema(reader, body),
        reason=reasons and choice in ("auto", "none"),
        max_tokens=limit,
        stop=_stops(reader, body),
        stream=reader.flag(body, "stream"),
        cacheable=marks > 0,
        searchable=search,
        echo=body,
    )


def _system(reader: Reader, body: Record) -> list[Said]:
    """A string only, unlike Anthropic's own API (wire-facts §1.4)."""
    system = body.get("system")
    if system is None:
        return []
    if not isinstance(system, str):
        reader.fail("Invalid value at system", ("system",))
    return [Said(role="system", text=system)]


def _thinking(reader: Reader, body: Record, limit: int) -> tuple[bool, bool]:
    """Whether to reason, and whether it is extended thinking with a budget."""
    if body.get("thinking") is None:
        return False, False
    at: At = ("thinking",)
    record = reader.record(body["thinking"], at)
    kind = reader.among(reader.need(record, "type", at), (*at, "type"), _THINKING)
    if kind != "enabled":
        return kind == "adaptive", False
    budget = reader.need(record, "budget_tokens", at)
    if type(budget) is not int:
        reader.mistyped((*at, "enabled", "budget_tokens"), "integer", budget)
    if budget < _LEAST_BUDGET:
        reader.out_of_range((*at, "enabled", "budget_tokens"), budget, least=_LEAST_BUDGET, most=None)
    if budget >= limit:
        reader.fail("`max_tokens` must be greater than `thinking.budget_tokens`.", ("max_tokens",))
    return True, True


def _tools(reader: Reader, body: Record) -> tuple[list[Tool], bool]:
    found: list[Tool] = []
    names: list[str] = []
    search = False
    for i, entry in enumerate(reader.array(body.get("tools") or [], ("tools",))):
        at: At = ("tools", i)
        tool = reader.record(entry, at)
        kind: Any = tool.get("type") or "custom"
        if kind == "custom":
            found.append(_custom(reader, tool, (*at, "custom")))
        elif not isinstance(kind, str) or not _SERVER_TOOL.fullmatch(kind):
            reader.not_among(at, kind, ("custom", "web_search_20250305", "code_execution_20250522"))
        search = search or str(kind).startswith("web_search")
        names.append(str(tool.get("name", tool.get("mcp_server_name"))))
    if len(set(names)) != len(names):
        reader.fail("tools: Tool names must be unique.", ("tools",))
    return found, search


def _custom(reader: Reader, tool: Record, at: At) -> Tool:
    reader.only(tool, _TOOL_KEYS, at)
    name = schemas.tool_name(reader, tool, at)
    about = schemas.description(reader, tool, at)
    where = (*at, "input_schema")
    form = reader.record(reader.need(tool, "input_schema", at), where)
    reader.need(form, "type", where)
    return Tool(name, about, schemas.parameters(reader, form, name, where, strict=reader.flag(tool, "strict")))


def _choice(reader: Reader, body: Record, offered: list[Tool]) -> tuple[str, bool]:
    if body.get("tool_choice") is None:
        return "auto", True
    at: At = ("tool_choice",)
    record = reader.record(body["tool_choice"], at)
    kind = reader.among(reader.need(record, "type", at), (*at, "type"), _CHOICES)
    reader.only(record, ("type", "name", "disable_parallel_tool_use"), at)
    if not body.get("tools") and kind != "none":
        reader.fail("tool_choice: `tool_choice` may only be specified while providing `tools`.", at)
    parallel = not reader.flag(record, "disable_parallel_tool_use")
    if kind != "tool":
        return "required" if kind == "any" else kind, parallel
    name = reader.named(record, "name", at)
    names = {t.name for t in offered}
    if name not in names | {str(t.get("name")) for t in body["tools"]}:
        reader.fail(f"Tool '{name}' not found in provided tools", at)
    return name if name in names else "auto", parallel


def _schema(reader: Reader, body: Record) -> Record | None:
    config = reader.record(body.get("output_config") or {}, ("output_config",))
    form = config.get("format") or body.get("output_format")
    if form is None:
        return None
    at: At = ("output_config", "format")
    record = reader.record(form, at)
    reader.among(reader.need(record, "type", at), (*at, "type"), ("json_schema",))
    found = reader.record(reader.need(record, "schema", at), (*at, "schema"))
    schemas.sound(reader, found, "output_config.format", (*at, "schema"), strict=False)
    return found


def _stops(reader: Reader, body: Record) -> list[str]:
    if isinstance(body.get("stop_sequences"), str):
        reader.mistyped(("stop_sequences",), "array", body["stop_sequences"])
    found = reader.strings(body, "stop_sequences", 8191)
    if any(not s.strip() for s in found):
        reader.fail("stop_sequences: each stop sequence must contain non-whitespace", ("stop_sequences",))
    return found


def _sampling(reader: Reader, body: Record, *, thinking: bool) -> None:
    temperature = reader.number(body, "temperature", least=0, most=1)
    if thinking and temperature not in (None, 1):
        reader.fail("`temperature` may only be set to 1 when thinking is enabled.", ("temperature",))
    reader.number(body, "top_p", least=0, most=1)
    reader.count(body, "top_k", least=0)
    metadata = reader.record(body.get("metadata") or {}, ("metadata",))
    reader.only(metadata, ("user_id",), ("metadata",))
