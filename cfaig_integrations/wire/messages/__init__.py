"""Anthropic's Messages format."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import Wire
from cfaig_integrations.wire.codec import PLAIN, Features, Quirks
from cfaig_integrations.wire.messages.decode import decode
from cfaig_integrations.wire.messages.encode import encode
from cfaig_integrations.wire.messages.stream import MessagesDecoder

__all__ = ["MessagesCodec", "MessagesDecoder"]


class MessagesCodec:
    """The `messages` wire, as `wire.codec.ChatCodec` describes a wire."""

    wire: Wire = "messages"
    # Required by Anthropic, forwarded by Cloudflare, harmless on /ai/v1/messages (facts §2.3).
    headers: Mapping[str, str] = MappingProxyType({"anthropic-version": "2023-06-01"})

    def features(self, quirks: Quirks = PLAIN) -> Features:
        """What the format offers for a model."""
        return Features(stop_texts="stop" not in quirks.refused, body_options=False, stored_replies=False)

    def encode(self, request: ChatRequest, *, stream: bool, quirks: Quirks = PLAIN) -> dict[str, Any]:
        """The request body.

        Raises:
            UnsupportedContent: The wire cannot carry a part.
            ConfigError: A value cannot be right on this wire.
        """
        return encode(request, stream=stream, quirks=quirks)

    def decode(self, body: bytes) -> ChatReply:
        """The reply of a whole 2xx body.

        Raises:
            ProtocolError: The body is not a message.
            EmbeddedError: The body is an error.
        """
        return decode(body)

    def decoder(self) -> MessagesDecoder:
        """A decoder for one stream."""
        return MessagesDecoder()
