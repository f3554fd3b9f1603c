"""OpenAI's Chat Completions format, and its variants of Workers AI and other servers."""

from __future__ import annotations

from cfaig_integrations.wire.chat_completions.decode import decode
from cfaig_integrations.wire.chat_completions.encode import encode
from cfaig_integrations.wire.chat_completions.limits import limits
from cfaig_integrations.wire.chat_completions.stream import ChatCompletionsDecoder
from cfaig_integrations.wire.codec import ChatCodec, Features

CODEC = ChatCodec(
    wire="chat_completions",
    encode=encode,
    decode=decode,
    decoder=ChatCompletionsDecoder,
    limits=limits,
    features=lambda quirks: Features(stop_texts="stop" not in quirks.refused, body_options=True, stored_replies=False),
)
