"""Small hand-made Anthropic answers that hold every hazard of the format."""

from __future__ import annotations

from typing import Any

USAGE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 20,
    "cache_read_input_tokens": 300,
    "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 45,
    "output_tokens_details": {"thinking_tokens": 40},
    "server_tool_use": {"web_search_requests": 1},
    "service_tier": "standard",
}

CITATIONS: list[dict[str, Any]] = [
    {
        "type": "web_search_result_location",
        "url": "https://a.example/1",
        "title": "One",
        "cited_text": "first words",
        "encrypted_index": "abc",
    },
    {
        "type": "search_result_location",
        "source": "https://a.example/2",
        "title": "Two",
        "cited_text": "second words",
        "search_result_index": 0,
        "start_block_index": 0,
        "end_block_index": 1,
    },
    {
        "type": "search_result_location",
        "source": "kb/17",
        "title": None,
        "cited_text": "kept elsewhere",
        "search_result_index": 1,
        "start_block_index": 0,
        "end_block_index": 1,
    },
    {
        "type": "char_location",
        "cited_text": "third words",
        "document_index": 0,
        "document_title": "Three",
        "start_char_index": 4,
        "end_char_index": 15,
    },
    {
        "type": "page_location",
        "cited_text": "fourth words",
        "document_index": 1,
        "document_title": None,
        "start_page_number": 1,
        "end_page_number": 2,
    },
    {
        "type": "content_block_location",
        "cited_text": "fifth words",
        "document_index": 2,
        "document_title": "Five",
        "start_block_index": 0,
        "end_block_index": 3,
    },
]

UNMODELLED: list[dict[str, Any]] = [
    {"type": "redacted_thinking", "data": "cipher"},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "née"}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [{"type": "web_search_result", "url": "https://a.example/1", "title": "One"}],
    },
    {"type": "web_fetch_tool_result", "tool_use_id": "srvtoolu_2", "content": {"type": "web_fetch_tool_error"}},
    {"type": "code_execution_tool_result", "tool_use_id": "srvtoolu_3", "content": {"return_code": 0}},
    {"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_4", "content": {"stdout": "1\n"}},
    {"type": "text_editor_code_execution_tool_result", "tool_use_id": "srvtoolu_5", "content": {}},
    {"type": "tool_search_tool_result", "tool_use_id": "srvtoolu_6", "content": {"tool_references": []}},
    {"type": "advisor_tool_result", "tool_use_id": "srvtoolu_7", "content": {"type": "advisor_result", "text": "4"}},
    {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "ask", "server_name": "wiki", "input": {}},
    {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "is_error": False, "content": [{"type": "text"}]},
    {"type": "container_upload", "file_id": "file_1"},
    {"type": "compaction", "content": "what was said"},
    {"type": "from_the_future", "depth": {"a": [1, None]}},
]

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "model-1",
    "content": [
        {"type": "thinking", "thinking": "Let me see: naïve \u2028 or not?", "signature": "sig-1"},
        {"type": "text", "text": "I will look it up."},
        *UNMODELLED,
        {"type": "thinking", "thinking": "", "signature": "sig-2"},
        {"type": "text", "text": "Found \U0001f600: ", "citations": CITATIONS},
        {"type": "text", "text": "\n\n"},
        {
            "type": "tool_use",
            "id": "toolu_1",
            "name": "add",
            "input": {"a": 1, "b": [1.5, "é", None]},
            "caller": {"type": "direct"},
        },
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "stop_details": None,
    "container": {"id": "container_1", "expires_at": "2026-06-25T17:16:14Z"},
    "context_management": {"applied_edits": []},
    "gatewayMetadata": {"keySource": "Unified"},
    "usage": USAGE,
}


def message(*content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A plain answer."""
    return {
        "id": "msg_2",
        "type": "message",
        "role": "assistant",
        "model": "model-1",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
        **changes,
    }


def text(words: str, **more: Any) -> dict[str, Any]:
    """A text block."""
    return {"type": "text", "text": words, **more}


ERRORS: list[dict[str, Any]] = [
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"},
    {"error": {"message": "no", "code": "invalid_prompt"}},
    {"error": "plain words"},
    {"success": False, "errors": [{"code": 7003, "message": "no"}], "messages": [], "result": {}},
    {"success": False, "errors": [], "messages": [], "result": None},
    {"success": False, "result": [], "error": [{"code": 2021, "message": "no"}], "internalCode": 2021},
    {"name": "AiError", "internalCode": 5006, "httpCode": 400, "message": "AiError: no"},
    {"success": False, "error": {"message": "Spending limit exceeded"}},
]
