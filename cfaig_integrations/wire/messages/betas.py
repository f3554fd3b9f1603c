"""Anthropic's beta features that a request needs, for the header `anthropic-beta` (facts §14.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from cfaig_integrations.core.chat import ChatRequest, NativeTool
from cfaig_integrations.core.content import Json

_BETA_OF_TOOL: Mapping[str, str] = {
    "advisor_20260301": "advisor-tool-2026-03-01",
    "code_execution_20250522": "code-execution-2025-05-22",
    "computer_20250124": "computer-use-2025-01-24",
    "computer_20251124": "computer-use-2025-11-24",
    "mcp_toolset": "mcp-client-2025-11-20",
    "memory_20250818": "context-management-2025-06-27",
    "tool_search_tool_bm25_20251119": "advanced-tool-use-2025-11-20",
    "tool_search_tool_regex_20251119": "advanced-tool-use-2025-11-20",
    "web_fetch_20250910": "web-fetch-2025-09-10",
}
"""Type of a built-in tool -> its beta feature (langchain-anthropic 1.x, `_TOOL_TYPE_TO_BETA`)."""


def headers(request: ChatRequest) -> dict[str, str]:
    """The format's headers: its version, and the beta features of a request."""
    # Required by Anthropic, forwarded by Cloudflare, harmless on /ai/v1/messages (facts §2.3).
    version = {"anthropic-version": "2023-06-01"}
    names = dict.fromkeys((*(request.betas or ()), *_required(request)))
    return {**version, "anthropic-beta": ",".join(names)} if names else version


def _required(request: ChatRequest) -> Iterator[str]:
    extra = request.extra_body
    for tool in request.tools:
        raw: Json = tool.raw if isinstance(tool, NativeTool) else tool.extras.get("messages", {})
        if (name := _BETA_OF_TOOL.get(raw.get("type", ""))) is not None:
            yield name
        if raw.get("input_examples"):
            yield "advanced-tool-use-2025-11-20"
    if request.mcp_servers or extra.get("mcp_servers"):
        yield "mcp-client-2025-11-20"
    if request.context_management or extra.get("context_management"):
        yield "context-management-2025-06-27"
    config: object = request.output_config or extra.get("output_config")
    if isinstance(config, Mapping) and cast("Json", config).get("task_budget"):
        yield "task-budgets-2026-03-13"
