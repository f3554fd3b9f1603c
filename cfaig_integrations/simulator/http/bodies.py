"""The shapes of error bodies (facts §5.5), and the envelope of a success."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any, Literal, get_args

from cfaig_integrations.simulator.dialects import dialect
from cfaig_integrations.simulator.json_types import encode

Shape = Literal[
    "v4", "gateway", "gateway_bare", "workers_ai", "policy", "openai", "openai_code", "anthropic", "string",
    "websearch", "text", "html",
]  # fmt: skip
"""Names of the shapes; `v4` is shape 1, `gateway` 2, `workers_ai` 3, `policy` 4, `openai` 5, `anthropic` 6,
`string` and `websearch` 7, `text` and `html` 8."""

SHAPES: tuple[Shape, ...] = get_args(Shape)


class ApiError(Exception):
    """An error response, raised where it is decided."""

    def __init__(
        self,
        status: int,
        code: int | str | None,
        message: str,
        *,
        shape: Shape | Literal["provider"] | None = None,
        at_edge: bool = False,
        transient: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.shape: Shape | Literal["provider"] | None = shape
        self.at_edge = at_edge
        self.headers: dict[str, str] = {}
        self.extra: dict[str, Any] = {}
        """More fields, for the shape `policy`."""
        self.transient = transient
        """The gateway's own retries may succeed."""


def success(result: Any, **info: Any) -> dict[str, Any]:
    """The v4 envelope around a result (facts §5.1)."""
    return {"result": result, "success": True, "errors": [], "messages": [], **info}


def _gateway(error: ApiError, request_id: str) -> dict[str, Any]:
    return {
        "success": False, "result": [], "messages": [], "error": [{"code": error.code, "message": error.message}],
        "name": "AiGatewayError", "httpCode": error.status, "internalCode": error.code, "message": error.message,
        "description": error.message, "requestId": request_id,
    }  # fmt: skip


def _workers_ai(error: ApiError, request_id: str) -> dict[str, Any]:
    return {
        "name": "AiError", "internalCode": error.code, "httpCode": error.status,
        "message": f"AiError: {error.message} ({request_id})", "description": error.message, "requestId": request_id,
    }  # fmt: skip


_JSON: dict[str, Callable[[ApiError, str], dict[str, Any]]] = {
    "v4": lambda e, _: {
        "success": False,
        "errors": [{**({} if e.code is None else {"code": e.code}), "message": e.message}],
        "messages": [],
        "result": {},
    },
    "gateway": _gateway,
    "gateway_bare": lambda e, _: {"name": "AiGatewayError", "internalCode": e.code, "message": e.message},
    "workers_ai": _workers_ai,
    "policy": lambda e, _: {"success": False, "error": {"message": e.message, **e.extra}},
    "openai": lambda e, _: dialect.openai_error(e.status, e.code, e.message),
    "openai_code": lambda e, _: {"error": {"code": e.code, "message": e.message}},
    "anthropic": lambda e, _: dialect.anthropic_error(e.status, e.code, e.message),
    "string": lambda e, _: {"error": e.message},
    "websearch": lambda e, _: {
        "ok": False,
        "error": {"category": "gateway", "code": e.code, "status": e.status, "retryable": False},
    },
}

_PAGE = """<!DOCTYPE html>
<html><head><title>{title}</title></head>
<body><h1>{title}</h1><p>Error {status}</p></body></html>
"""


def render(shape: Shape, error: ApiError, request_id: str) -> tuple[bytes, str]:
    """The body of an error and its content type."""
    if shape == "text":
        return error.message.encode(), "text/plain; charset=UTF-8"
    if shape == "html":
        return _PAGE.format(title=html.escape(error.message), status=error.status).encode(), "text/html"
    return encode(_JSON[shape](error, request_id)), "application/json"
