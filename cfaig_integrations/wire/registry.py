"""Wire name to codec, each loaded when first asked for."""

from __future__ import annotations

from functools import cache
from typing import assert_never

from cfaig_integrations.core.content import Wire
from cfaig_integrations.wire.codec import ChatCodec


@cache
def codec(wire: Wire) -> ChatCodec:
    """The codec of a wire."""
    match wire:
        case "chat_completions":
            from cfaig_integrations.wire.chat_completions import ChatCompletionsCodec

            return ChatCompletionsCodec()
        case "responses":
            from cfaig_integrations.wire.responses import ResponsesCodec

            return ResponsesCodec()
        case "messages":
            from cfaig_integrations.wire.messages import MessagesCodec

            return MessagesCodec()
        case "run":
            from cfaig_integrations.wire.run import RunCodec

            return RunCodec(inner=codec)
        case _:
            assert_never(wire)
