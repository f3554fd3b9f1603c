"""What every format has: ids, events, text fragments, and the error bodies of OpenAI and Anthropic (facts §5.5)."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote_plus

from cfaig_integrations.simulator import tokens
from cfaig_integrations.simulator.json_types import encode
from cfaig_integrations.simulator.types import Answer, Call, ModelRequest

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_ARGUMENT_STEP = 3

DONE = b"data: [DONE]\n\n"


def new_id(prefix: str, length: int = 24) -> str:
    """A new id: the prefix and `length` letters and digits."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(length))


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())


def fake_signature(text: str) -> str:
    """An opaque string, like a provider's signature or encrypted reasoning."""
    content = text.encode("utf-8", "replace")
    digest = hashlib.blake2b(content, digest_size=48).digest()
    return "sim" + base64.b64encode(digest + content[:64]).decode()


def data(payload: Any) -> bytes:
    """One event without a name."""
    return b"data: " + encode(payload) + b"\n\n"


def event(payload: dict[str, Any]) -> bytes:
    """One event with the `type` of its payload as its name."""
    return f"event: {payload['type']}\n".encode() + data(payload)


def text_fragments(text: str) -> list[str]:
    """The text in pieces the size of a word."""
    return tokens.pieces(text)


def arguments(call: Call) -> str:
    """The arguments of a call as JSON text; of a custom tool's, its input."""
    if call.custom:
        return call.text
    return call.raw or json.dumps(call.arguments, ensure_ascii=False, separators=(",", ":"))


def argument_fragments(text: str) -> list[str]:
    """The arguments of a call in several pieces."""
    pieces = tokens.pieces(text)
    return ["".join(pieces[i : i + _ARGUMENT_STEP]) for i in range(0, len(pieces), _ARGUMENT_STEP)]


def search_result(query: str) -> dict[str, Any]:
    """The page of the simulated web for a query."""
    return {"title": f"About {query}", "url": f"https://example.com/about?q={quote_plus(query)}"}


def finish_reason(answer: Answer) -> Literal["stop", "length", "tool_calls", "refusal"]:
    """Why the answer ends; derived from calls and refusal where a script does not set it."""
    if answer.finish != "stop":
        return answer.finish
    return "tool_calls" if answer.calls else "refusal" if answer.refusal else "stop"


@dataclass(frozen=True, slots=True)
class Dialect:
    """One format: strict in what it reads, authentic in what it writes."""

    read: Callable[[dict[str, Any]], ModelRequest]
    """Validates a body; raises [InvalidBody][] when the body breaks a rule of the format."""
    whole: Callable[[ModelRequest, Answer], dict[str, Any]]  # the provider's body; for `run`, the content of `result`
    stream: Callable[[ModelRequest, Answer], Iterator[bytes]]  # complete server-sent events, the end marker included
    error: Callable[[int, int | str | None, str], dict[str, Any]]
    """The provider's error body for a status, code and message (facts §5.5, shapes 5 and 6)."""
    error_event: Callable[[str], bytes]  # an error inside a stream, as one event


_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_OPENAI = {**_TYPES, 404: "invalid_request_error", 429: "rate_limit_exceeded"}
_ANTHROPIC = {**_TYPES, 402: "billing_error", 413: "request_too_large", 504: "timeout_error", 529: "overloaded_error"}


def openai_error(status: int, code: int | str | None, message: str) -> dict[str, Any]:
    """`{"error": {"message", "type", "param", "code"}}`."""
    kind = _OPENAI.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic_error(status: int, _: int | str | None, message: str) -> dict[str, Any]:
    """`{"type": "error", "error": {"type", "message"}, "request_id"}`."""
    kind = _ANTHROPIC.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": new_id("req_011")}
