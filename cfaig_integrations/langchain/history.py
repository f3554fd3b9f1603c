"""Which of a conversation's messages the provider remembers."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from cfaig_integrations.core.chat import Continuation
from cfaig_integrations.core.content import Turn
from cfaig_integrations.gateway.continuation import history_digest, reply_digest
from cfaig_integrations.langchain.inbound import to_turns
from cfaig_integrations.langchain.outbound import gateway_info


def continuation_of(model: str, messages: Sequence[BaseMessage], turns: tuple[Turn, ...]) -> Continuation:
    """What the newest message that can be continued stands for; nothing, if the history up to it has changed since.

    Args:
        model: Model id of the request.
        messages: The conversation.
        turns: The same, as turns.
    """
    for place in range(len(messages) - 1, -1, -1):
        message = messages[place]
        info = gateway_info(message)
        if info is None or info.history is None:
            continue
        known = len(turns) - len(to_turns(messages[place + 1 :]))
        if reply_digest(history_digest(model, turns[: known - 1]), turns[known - 1]) != info.history:
            break
        return Continuation(str(message.response_metadata.get("id") or ""), known)
    return Continuation()
