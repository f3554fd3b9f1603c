"""The shapes in which a failure may be worded (wire-facts §5.5), and the envelope of a success.

Knows no rule that would call for a failure, and leaves the words of vendors to their dialects.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from cfaig_integrations.simulator.dialects import errors

Shape = Literal[
    "v4",
    "gateway",
    "gateway_bare",
    "workers_ai",
    "policy",
    "openai",
    "openai_code",
    "anthropic",
    "string",
    "websearch",
    "text",
    "html",
]
"""Names of the shapes; `v4` is shape 1, `gateway` 2, `workers_ai` 3, `policy` 4, `openai` 5, `anthropic` 6,
`string` and `websearch` 7, `text` and `html` 8."""

SHAPES: tuple[Shape, ...] = get_args(Shape)


class ApiError(Exception):
    """The request ends here, with this answer."""

    def __init__(
        self,
        status: int,
        code: int | str | None,
        message: str,
        *,
        shape: Shape | Literal["provider"] | None = None,
    ) -> None:
        """Keep the parts; `shape=None` leaves the choice to the endpoint."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.shape: Shape | Literal["provider"] | None = shape
        self.headers: dict[str, str] = {}
        self.extra: dict[str, Any] = {}
        """More fields, for the shapes that have room for them."""
        self.transient = False
        """The gateway's own retries may get past it."""
        self.at_edge = False
        """Answered before the gateway saw it: no `cf-aig-*` header, no log entry."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a shape needs in order to word a failure."""

    status: int
    code: int | str | None
    message: str
    request_id: str
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])


def success(result: Any, **info: Any) -> dict[str, Any]:
    """The v4 envelope around a result (wire-facts §5.1)."""
    return {"result": result, "success": True, "errors": [], "messages": [], **info}


def _v4(failure: Failure) -> dict[str, Any]:
    entry: dict[str, Any] = {"code": failure.code, "message": failure.message}
    if failure.code is None:
        del entry["code"]
    return {"success": False, "errors": [entry], "messages": [], "result": {}}


def _gateway(failure: Failure) -> dict[str, Any]:
    return {
        "success": False,
        "result": [],
        "messages": [],
        "error": [{"code": failure.code, "message": failure.message}],
        "name": "AiGatewayError",
        "httpCode": failure.status,
        "internalCode": failure.code,
        "message": failure.message,
        "description": failure.message,
        "requestId": failure.request_id,
    }


def _gateway_bare(failure: Failure) -> dict[str, Any]:
    return {"name": "AiGatewayError", "internalCode": failure.code, "message": failure.message}


def _workers_ai(failure: Failure) -> dict[str, Any]:
    return {
        "name": "AiError",
        "internalCode": failure.code,
        "httpCode": failure.status,
        "message": f"AiError: {failure.message} ({failure.request_id})",
        "description": failure.message,
        "requestId": failure.request_id,
    }


def _policy(failure: Failure) -> dict[str, Any]:
    return {"success": False, "error": {"message": failure.message, **failure.extra}}


def _openai(failure: Failure) -> dict[str, Any]:
    return errors.openai(failure.status, failure.code, failure.message)


def _openai_code(failure: Failure) -> dict[str, Any]:
    return {"error": {"code": failure.code, "message": failure.message}}


def _anthropic(failure: Failure) -> dict[str, Any]:
    return errors.anthropic(failure.status, failure.message)


def _string(failure: Failure) -> dict[str, Any]:
    return {"error": failure.message}


def _websearch(failure: Failure) -> dict[str, Any]:
    error = {"category": "gateway", "code": failure.code, "status": failure.status, "retryable": False}
    return {"ok": False, "error": error}


_JSON: dict[str, Callable[[Failure], dict[str, Any]]] = {
    "v4": _v4,
    "gateway": _gateway,
    "gateway_bare": _gateway_bare,
    "workers_ai": _workers_ai,
    "policy": _policy,
    "openai": _openai,
    "openai_code": _openai_code,
    "anthropic": _anthropic,
    "string": _string,
    "websearch": _websearch,
}

_PAGE = """<!DOCTYPE html>
<html><head><title>{title}</title></head>
<body><h1>{title}</h1><p>Error {status}</p></body></html>
"""


def render(shape: Shape, failure: Failure) -> tuple[bytes, str]:
    """Word a failure.

    Returns:
        The body and its content type.
    """
    if shape == "text":
        return failure.message.encode(), "text/plain; charset=UTF-8"
    if shape == "html":
        return _PAGE.format(title=html.escape(failure.message), status=failure.status).encode(), "text/html"
    return encode(_JSON[shape](failure)), "application/json"


def encode(body: Any) -> bytes:
    """Compact JSON in UTF-8, as the API writes it; half a surrogate pair, which UTF-8 has not, is escaped."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":")).encode()
