"""OpenAI's Responses format, also as other vendors imitate it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import Wire
from cfaig_integrations.wire.codec import PLAIN, Features, Quirks
from cfaig_integrations.wire.responses.decode import decode
from cfaig_integrations.wire.responses.encode import encode
from cfaig_integrations.wire.responses.stream import ResponsesDecoder

__all__ = ["ResponsesCodec", "ResponsesDecoder"]


class ResponsesCodec:
    """The Responses wire."""

    wire: Wire = "responses"
    headers: Mapping[str, str] = MappingProxyType({})

    def features(self, quirks: Quirks = PLAIN) -> Features:
        """What the format offers for a model."""
        return Features(
            stop_texts=False, body_options=False, stored_replies="previous_response_id" not in quirks.refused
        )

    def encode(self, request: ChatRequest, *, stream: bool, quirks: Quirks = PLAIN) -> dict[str, Any]:
        """The request body; `encode.py` has the table of fields.

        Raises:
            UnsupportedContent: The wire cannot carry a part.
            ConfigError: A value cannot be right on this wire.
        """
        return encode(request, stream=stream, quirks=quirks)

    def decode(self, body: bytes) -> ChatReply:
        """The reply of a whole 2xx body.

        Raises:
            ProtocolError: The body is no response object.
            EmbeddedError: The body is an error.
        """
        return decode(body)

    def decoder(self) -> ResponsesDecoder:
        """A decoder for one stream."""
        return ResponsesDecoder()
