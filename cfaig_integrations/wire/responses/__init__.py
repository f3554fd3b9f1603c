"""OpenAI's Responses format, also as other vendors imitate it."""

from __future__ import annotations

from cfaig_integrations.wire.codec import ChatCodec, Features
from cfaig_integrations.wire.responses.decode import decode
from cfaig_integrations.wire.responses.encode import encode
from cfaig_integrations.wire.responses.limits import limits
from cfaig_integrations.wire.responses.stream import ResponsesDecoder

CODEC = ChatCodec(
    wire="responses",
    encode=encode,
    decode=decode,
    decoder=ResponsesDecoder,
    limits=limits,
    features=lambda quirks: Features(
        stop_texts=False, body_options=False, stored_replies="previous_response_id" not in quirks.refused
    ),
)
