"""A whole body to a reply: it is read as a stream of one chunk."""

from __future__ import annotations

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.core.fold import fold
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.chat_completions.stream import ChatCompletionsDecoder
from cfaig_integrations.wire.envelope import load_reply, malformed_as_protocol_error
from cfaig_integrations.wire.jsonio import excerpt


def decode(body: bytes) -> ChatReply:
    """The reply of a body: a chat completion or Workers AI's native form, in Cloudflare's envelope or without it.

    Raises:
        ProtocolError: The body is neither.
        EmbeddedError: The body is an error.
    """
    reply = load_reply(body)
    if not reply.get("choices") and "response" not in reply:
        raise ProtocolError(
            f"The answer is not a chat completion: it has the keys {sorted(reply)[:20]}.", body=excerpt(body)
        )
    with malformed_as_protocol_error("The answer is not a chat completion", body):
        return fold("chat_completions", ChatCompletionsDecoder().take_body(reply))
