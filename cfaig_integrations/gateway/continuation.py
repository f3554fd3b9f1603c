"""Conversations that the server stores: which turns it has already, and the errors of one that it no longer has.

A stored response stands for the whole conversation up to it, so that a later request can send only the turns after it
(`previous_response_id`). That is right only while the history is still the same: agents edit calls, trim and summarize.
So a reply that can be continued carries a digest of the history that it answered, and a history that does not match its
digest is sent whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from hashlib import sha256

from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import ToolCall, Turn
from cfaig_integrations.errors import ApiError

_FORGOTTEN = re.compile(
    r"previous[_ ]response"
    # OpenAI's message for a tool result whose call was in the forgotten part.
    r"|no tool call found for (?:function|custom tool) call output"
)

_UNSTORED_ITEM = re.compile(r"item with id .{1,100} not found")


def history_digest(model: str, turns: Sequence[Turn]) -> str:
    """The digest of a conversation with a provider's models so far; the same for the same turns.

    Args:
        model: Model id, of which only the author counts: a provider stores the responses of its models together.
        turns: The conversation.
    """
    return _digest((model.partition("/")[0], tuple(turns)))


def reply_digest(history: str, reply: Turn) -> str:
    """The digest of a conversation and the reply to it: the text and the tool calls that a framework shows."""
    return _digest((history, reply.text, sorted(_call(call) for call in reply.tool_calls)))


def _digest(value: object) -> str:
    return sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _call(call: ToolCall) -> tuple[str, str, str]:
    """A call that compares equal however its arguments are formatted."""
    try:
        arguments = json.dumps(json.loads(call.arguments or "{}"), sort_keys=True)
    except ValueError:
        arguments = call.arguments
    return call.id, call.name, arguments


def new_turns(request: ChatRequest) -> tuple[Turn, ...]:
    """The turns after the stored reply that a request continues; none if there is no such reply."""
    stored = request.continues
    return request.turns[stored.turns :] if stored is not None and stored.response_id else ()


def is_forgotten(error: ApiError) -> bool:
    """Whether the server does not know, or cannot use, the response that the request continues.

    OpenAI answers 400 `previous_response_not_found`; the messages of other providers only resemble it.
    """
    return error.status < 500 and bool(_FORGOTTEN.search(f"{error.code} {error.message}".lower()))


def is_unstored_item(error: ApiError) -> bool:
    """Whether the request points to an item of a reply that the server has not stored (facts §14.4)."""
    return error.status in (400, 404) and bool(_UNSTORED_ITEM.search(error.message.lower()))
