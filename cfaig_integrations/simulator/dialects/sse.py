"""Ids, server-sent events and text fragments."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from typing import Any, Literal

from cfaig_integrations.simulator import tokens
from cfaig_integrations.simulator.types import Answer, Call

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
    digest = hashlib.blake2b(text.encode(), digest_size=48).digest()
    return "sim" + base64.b64encode(digest + text.encode()[:64]).decode()


def data(payload: Any) -> bytes:
    """One event without a name."""
    return f"data: {_dump(payload)}\n\n".encode()


def event(payload: dict[str, Any]) -> bytes:
    """One event with the `type` of its payload as its name."""
    return f"event: {payload['type']}\ndata: {_dump(payload)}\n\n".encode()


def _dump(payload: Any) -> str:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


def text_fragments(text: str) -> list[str]:
    """The text in pieces the size of a word."""
    return tokens.pieces(text)


def arguments(call: Call) -> str:
    """The arguments of a call as JSON text; of a custom tool's, its input."""
    if call.custom:
        return call.text
    return call.raw or json.dumps(call.arguments, ensure_ascii=False, separators=(",", ":"))


def argument_fragments(call: Call) -> list[str]:
    """The arguments of a call in several pieces."""
    pieces = tokens.pieces(arguments(call))
    return ["".join(pieces[i : i + _ARGUMENT_STEP]) for i in range(0, len(pieces), _ARGUMENT_STEP)]


def finish_reason(answer: Answer) -> Literal["stop", "length", "tool_calls", "refusal"]:
    """Why the answer ends; derived from calls and refusal where a script does not set it."""
    if answer.finish != "stop":
        return answer.finish
    return "tool_calls" if answer.calls else "refusal" if answer.refusal else "stop"
