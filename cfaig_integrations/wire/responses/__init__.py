"""OpenAI's Responses format, also as other vendors imitate it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from types import MappingProxyType

from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import JsonDict, Wire
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.codec import PLAIN, Features, Quirks
from cfaig_integrations.wire.limits import unchecked_limits
from cfaig_integrations.wire.responses.decode import decode
from cfaig_integrations.wire.responses.encode import encode
from cfaig_integrations.wire.responses.limits import limits
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
            ProtocolError: The body is no response object.
            EmbeddedError: The body is an error.
        """
        return decode(body)

    def decoder(self) -> ResponsesDecoder:
        """A decoder for one stream."""
        return ResponsesDecoder()
