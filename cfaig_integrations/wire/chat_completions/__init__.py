"""OpenAI's Chat Completions format, with all that Workers AI and others make of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from types import MappingProxyType

from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import JsonDict, Wire
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.chat_completions.decode import decode
from cfaig_integrations.wire.chat_completions.encode import encode
from cfaig_integrations.wire.chat_completions.limits import limits
from cfaig_integrations.wire.chat_completions.stream import ChatCompletionsDecoder
from cfaig_integrations.wire.codec import PLAIN, Features, Quirks
from cfaig_integrations.wire.limits import unchecked_limits

__all__ = ["ChatCompletionsCodec", "ChatCompletionsDecoder"]


class ChatCompletionsCodec:
    """The `chat_completions` wire, as `wire.codec.ChatCodec` describes a wire."""

    wire: Wire = "chat_completions"
    headers: Mapping[str, str] = MappingProxyType({})

    def features(self, quirks: Quirks = PLAIN) -> Features:
        """What the format offers for a model."""
        return Features(stop_texts="stop" not in quirks.refused, body_options=True, stored_replies=False)

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
            ProtocolError: The body is not a chat completion, nor Workers AI's native form.
            EmbeddedError: The body is an error.
        """
        return decode(body)

    def decoder(self) -> ChatCompletionsDecoder:
        """A decoder for one stream."""
        return ChatCompletionsDecoder()
