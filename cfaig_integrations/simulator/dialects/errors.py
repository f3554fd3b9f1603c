"""Error bodies of OpenAI and Anthropic (facts §5.5, shapes 5 and 6)."""

from __future__ import annotations

from typing import Any

from cfaig_integrations.simulator.dialects import sse

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_OPENAI = {**_TYPES, 404: "invalid_request_error", 429: "rate_limit_exceeded"}
_ANTHROPIC = {**_TYPES, 402: "billing_error", 413: "request_too_large", 504: "timeout_error", 529: "overloaded_error"}


def openai(status: int, code: int | str | None, message: str) -> dict[str, Any]:
    """`{"error": {"message", "type", "param", "code"}}`."""
    kind = _OPENAI.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic(status: int, _: int | str | None, message: str) -> dict[str, Any]:
    """`{"type": "error", "error": {"type", "message"}, "request_id"}`."""
    kind = _ANTHROPIC.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": sse.new_id("req_011")}
