"""Cloudflare's `/ai/run`: an envelope around whatever format the model's provider speaks.

A reply's `wire` is `run`, while the extras of its parts stay those of the wire that they are written in, so that the
same wire's encoder gives them back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import JsonDict, Wire
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.codec import PLAIN, ChatCodec, Features, Quirks
from cfaig_integrations.wire.run.decode import decode
from cfaig_integrations.wire.run.encode import body_wire, encode
from cfaig_integrations.wire.run.stream import RunDecoder

__all__ = ["RunCodec", "RunDecoder"]


class RunCodec:
    """The `run` wire, as `wire.codec.ChatCodec` describes a wire.

    Args:
        inner: Gives the codec of another wire.
    """

    wire: Wire = "run"
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, inner: Callable[[Wire], ChatCodec]) -> None:
        self._inner = inner

    def features(self, quirks: Quirks = PLAIN) -> Features:
        """What the format offers for a model."""
        return replace(self._inner(body_wire(quirks)).features(quirks), body_options=True, stored_replies=False)

    def limits(self, request: ChatRequest, quirks: Quirks = PLAIN) -> Iterator[ConfigError]:
        """Errors for what the model's format, or the model, cannot carry."""
        return self._inner(body_wire(quirks)).limits(request, quirks)

    def encode(self, request: ChatRequest, *, stream: bool, quirks: Quirks = PLAIN) -> JsonDict:
        """The model's input: no model, and no envelope.

        Raises:
            UnsupportedContent: The model's format cannot carry a part.
            ConfigError: A value cannot be right in the model's format.
        """
        return encode(request, stream=stream, quirks=quirks, inner=self._inner)

    def decode(self, body: bytes) -> ChatReply:
        """The reply of a whole 2xx body.

        Raises:
            ProtocolError: The body is no chat answer of any format.
            EmbeddedError: The body is an error.
        """
        return decode(body, self._inner)

    def decoder(self) -> RunDecoder:
        """A decoder for one stream."""
        return RunDecoder(self._inner)
