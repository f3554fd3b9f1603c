"""A whole body to a reply."""

from __future__ import annotations

from typing import Any

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.core.fold import fold
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.answers import opened
from cfaig_integrations.wire.chat_completions.chunks import Assembler
from cfaig_integrations.wire.common import MALFORMED
from cfaig_integrations.wire.jsonio import excerpt


def decode(body: bytes) -> ChatReply:
    """The reply of a body: a chat completion or Workers AI's native form, in Cloudflare's envelope or without it.

    Raises:
        ProtocolError: The body is neither.
        EmbeddedError: The body is an error.
    """
    inner = opened(body)
    if not _is_chat(inner):
        raise ProtocolError(
            f"The answer is not a chat completion: it has the keys {sorted(inner)[:20]}.",
            body=excerpt(body),
        )
    try:
        return fold("chat_completions", Assembler().take_body(inner))
    except ProtocolError as error:
        error.body = error.body or excerpt(body)
        raise
    except MALFORMED as error:
        raise ProtocolError(f"The answer is not a chat completion: {error!r}.", body=excerpt(body)) from error


def _is_chat(body: dict[str, Any]) -> bool:
    return bool(body.get("choices")) or "response" in body
