"""Whether the server remembers a conversation: which of it, and what to do when it has forgotten.

A response that the provider keeps stands for all that was said up to it, so that a later request may send only what
came after (`previous_response_id`). That is right only as long as the history is still the same: agents edit calls,
trim and summarize. So a reply that can be continued carries a digest of the history that it answered, and a history
that does not fit its digest is sent whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from hashlib import sha256

from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import ToolCall, Turn
from cfaig_integrations.errors import ApiError

__all__ = ["history_digest", "is_forgotten", "is_unkept_item", "reply_digest", "tail_of"]

_FORGOTTEN = re.compile(
    r"previous[_ ]response"
    # The calls were in what it forgot (OpenAI's words for a result without its call).
    r"|no tool call found for (?:function|custom tool) call output"
)

_UNKEPT = re.compile(r"item with id .{1,100} not found")


def history_digest(model: str, turns: Sequence[Turn]) -> str:
    """A name for a conversation with a provider's models, as far as it has gone; the same for the same turns.

    Args:
        model: Model id. Of it only the author counts: a response is kept by who made it.
        turns: The conversation.
    """
    return _digest((model.partition("/")[0], tuple(turns)))


def reply_digest(history: str, reply: Turn) -> str:
    """The digest of a conversation together with what was answered: the words and the calls that a framework shows.

    Args:
        history: Digest of what was answered.
        reply: The answer.
    """
    return _digest((history, reply.text, sorted(_call(call) for call in reply.tool_calls)))


def _digest(value: object) -> str:
    return sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _call(call: ToolCall) -> tuple[str, str, str]:
    """A call, whoever wrote its arguments down."""
    try:
        arguments = json.dumps(json.loads(call.arguments or "{}"), sort_keys=True)
    except ValueError:
        arguments = call.arguments
    return call.id, call.name, arguments


def tail_of(request: ChatRequest) -> tuple[Turn, ...]:
    """The turns that the server does not remember; none if it remembers none, or all."""
    known = request.continues
    return request.turns[known.turns :] if known is not None and known.response_id else ()


def is_forgotten(error: ApiError) -> bool:
    """Whether the server does not know, or cannot use, the response that it was pointed to.

    OpenAI answers 400 `previous_response_not_found`; providers behind the gateway have words of their own around it.
    """
    if error.status >= 500:
        return False
    return bool(_FORGOTTEN.search(f"{error.code} {error.message}".lower()))


def is_unkept_item(error: ApiError) -> bool:
    """Whether the server was pointed to an item of a reply that it has not stored (facts §14.4)."""
    return error.status in (400, 404) and bool(_UNKEPT.search(error.message.lower()))
