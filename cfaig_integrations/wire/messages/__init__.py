"""Anthropic's Messages format."""

from __future__ import annotations

from cfaig_integrations.wire.codec import ChatCodec, Features
from cfaig_integrations.wire.messages.betas import headers
from cfaig_integrations.wire.messages.decode import decode
from cfaig_integrations.wire.messages.encode import encode
from cfaig_integrations.wire.messages.limits import limits
from cfaig_integrations.wire.messages.stream import MessagesDecoder

CODEC = ChatCodec(
    wire="messages",
    encode=encode,
    decode=decode,
    decoder=MessagesDecoder,
    limits=limits,
    features=lambda quirks: Features(stop_texts="stop" not in quirks.refused, body_options=False, stored_replies=False),
    headers=lambda request, _: headers(request),
)
