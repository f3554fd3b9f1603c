"""Anthropic's Messages format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from types import MappingProxyType

from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import JsonDict, Wire
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.codec import PLAIN, Features, Quirks
from cfaig_integrations.wire.limits import unchecked_limits
from cfaig_integrations.wire.messages.decode import decode
from cfaig_integrations.wire.messages.encode import encode
from cfaig_integrations.wire.messages.limits import limits
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

    def limits(self, request: ChatRequest, quirks: Quirks = PLAIN) -> Iterator[ConfigError]:
        """Errors for what the format, or the model in this format, cannot carry."""
        return chain(unchecked_limits(request, self.wire), limits(request, quirks))

    def encode(self, request: ChatRequest, *, stream: bool, quirks: Quirks = PLAIN) -> JsonDict:
        """The request body.

        Raises:
            UnsupportedContent: The format cannot carry a part.
            ConfigError: A value cannot be right in this format.
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
