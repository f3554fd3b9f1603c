"""The recorded replies as the wires read them, for both frameworks to make messages of."""

from __future__ import annotations

from functools import cache

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.core.content import Wire
from cfaig_integrations.core.events import Event
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.registry import codec
from tests.wire.harness import events_of, recordings

WIRES: dict[str, Wire] = {"chat": "chat_completions", "responses": "responses", "messages": "messages"}


@cache
def replies(kind: str) -> list[tuple[int, ChatReply]]:
    """Line and reply of every whole recording that its wire can read."""
    found: list[tuple[int, ChatReply]] = []
    for record in recordings(kind, stream=False):
        try:
            found.append((record["line"], codec(WIRES[kind]).decode(record["response_body"].encode())))
        except (EmbeddedError, ProtocolError):  # the wire's own tests say which those are
            continue
    return found


@cache
def streams(kind: str) -> list[tuple[int, list[Event]]]:
    """Line and events of every streamed recording that its wire can read."""
    found: list[tuple[int, list[Event]]] = []
    for record in recordings(kind, stream=True):
        try:
            found.append((record["line"], events_of(codec(WIRES[kind]), [record["response_body"].encode()])))
        except (EmbeddedError, ProtocolError):  # the wire's own tests say which streams are broken
            continue
    return found


def info(wire: Wire) -> GatewayInfo:
    """What a gateway may have said."""
    return GatewayInfo(wire=wire, requested_model="asked")
