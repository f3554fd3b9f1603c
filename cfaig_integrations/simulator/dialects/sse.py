"""Ids, events and fragments: the small change of every stream.

Knows no dialect's field.
"""

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
    """A new id: the prefix and so many letters and digits."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(length))


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())


def fake_signature(text: str) -> str:
    """An opaque string that stands for `text`, as providers give for reasoning that they alone can read."""
    digest = hashlib.blake2b(text.encode(), digest_size=48).digest()
    return "sim" + base64.b64encode(digest + text.encode()[:64]).decode()


def data(payload: Any) -> bytes:
    """One event without a name."""
    return f"data: {_dump(payload)}\n\n".encode()


def event(payload: dict[str, Any]) -> bytes:
    """One event named after the `type` of its payload."""
    return f"event: {payload['type']}\ndata: {_dump(payload)}\n\n".encode()


def _dump(payload: Any) -> str:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


def text_fragments(text: str) -> list[str]:
    """The text in word-sized pieces; joined they are the text."""
    return tokens.pieces(text)


def arguments(call: Call) -> str:
    """The arguments of a call as JSON text, cut or not."""
    return call.raw or json.dumps(call.arguments, ensure_ascii=False, separators=(",", ":"))


def argument_fragments(call: Call) -> list[str]:
    """The argument text in several pieces; joined they are the text."""
    found = tokens.pieces(arguments(call))
    return ["".join(found[i : i + _ARGUMENT_STEP]) for i in range(0, len(found), _ARGUMENT_STEP)]


def ending(answer: Answer) -> Literal["stop", "length", "tool_calls", "refusal"]:
    """Why the answer ends; a script that only gives calls or a refusal need not say it."""
    if answer.finish != "stop":
        return answer.finish
    return "tool_calls" if answer.calls else "refusal" if answer.refusal else "stop"
