"""A whole body to a reply."""

from __future__ import annotations

from typing import Any

from cfaig_integrations.core.chat import ChatReply, Choice
from cfaig_integrations.core.content import Refusal, ToolCall, Turn
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.common import MALFORMED, as_str, is_error, unwrapped
from cfaig_integrations.wire.fields import objects_of
from cfaig_integrations.wire.jsonio import excerpt, load_object
from cfaig_integrations.wire.responses.answer import facts_of, finish_of, require_success, stored_of, usage_of
from cfaig_integrations.wire.responses.items import parts_of


def decode(body: bytes) -> ChatReply:
    """The reply of a whole 2xx body, in Cloudflare's envelope or without.

    Raises:
        ProtocolError: The body is no response object.
        EmbeddedError: The body is an error.
    """
    outer = load_object(body)
    if is_error(outer):
        raise EmbeddedError(outer)
    answer = unwrapped(outer)
    if answer is not outer and is_error(answer):
        raise EmbeddedError(answer)
    if answer.get("output") is None and answer.get("status") != "failed":
        raise ProtocolError("The answer is no response object: it has no output.", body=excerpt(body))
    try:
        return reply_of(answer)
    except ProtocolError as error:
        error.body = error.body or excerpt(body)
        raise
    except MALFORMED as error:
        raise ProtocolError(f"The answer is no response object: {error!r}.", body=excerpt(body)) from error


def reply_of(answer: dict[str, Any]) -> ChatReply:
    """The reply of a response object.

    Raises:
        ProtocolError: Its output is malformed.
        EmbeddedError: It is an error.
    """
    require_success(answer)
    parts = tuple(part for item in objects_of(answer, "output") for part in parts_of(item))
    finish, word = finish_of(
        answer,
        called=any(isinstance(part, ToolCall) for part in parts),
        refused=any(isinstance(part, Refusal) for part in parts),
    )
    return ChatReply(
        wire="responses",
        id=as_str(answer.get("id")),
        model=as_str(answer.get("model")),
        choices=(Choice(Turn("assistant", parts, extras=stored_of(answer)), finish, word),),
        usage=usage_of(answer),
        extras=facts_of(answer),
    )
