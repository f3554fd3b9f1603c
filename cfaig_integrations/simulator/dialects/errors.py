"""Words an error as OpenAI and Anthropic do (wire-facts §5.5, shapes 5 and 6).

Knows no rule that would call for one.
"""

from __future__ import annotations

from typing import Any

from cfaig_integrations.simulator.dialects import sse

_SERVER = 500
_KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_OPENAI = {404: "invalid_request_error", 429: "rate_limit_exceeded"}
_ANTHROPIC = {402: "billing_error", 413: "request_too_large", 504: "timeout_error", 529: "overloaded_error"}


def _kind(status: int, kinds: dict[int, str], fault: str) -> str:
    return {**_KINDS, **kinds}.get(status, fault if status >= _SERVER else "invalid_request_error")


def openai(status: int, code: int | str | None, message: str) -> dict[str, Any]:
    """`{"error": {"message", "type", "param", "code"}}`."""
    kind = _kind(status, _OPENAI, "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic(status: int, message: str) -> dict[str, Any]:
    """`{"type": "error", "error": {"type", "message"}, "request_id"}`."""
    kind = _kind(status, _ANTHROPIC, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": sse.new_id("req_011")}
