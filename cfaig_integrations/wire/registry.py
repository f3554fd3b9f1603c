"""Wire name to codec, each loaded when first asked for."""

from __future__ import annotations

from functools import cache
from typing import assert_never

from cfaig_integrations.core.content import Wire
from cfaig_integrations.wire.codec import ChatCodec

PDF_RESULTS: frozenset[Wire] = frozenset({"messages", "responses"})
"""Wires whose tool results can hold a PDF, known without loading their codecs."""


@cache
def codec(wire: Wire) -> ChatCodec:
    """The codec of a wire."""
    match wire:
        case "chat_completions":
            from cfaig_integrations.wire import chat_completions

            return chat_completions.CODEC
        case "responses":
            from cfaig_integrations.wire import responses

            return responses.CODEC
        case "messages":
            from cfaig_integrations.wire import messages

            return messages.CODEC
        case "run":
            from cfaig_integrations.wire.run import run_codec

            return run_codec(inner=codec)
        case _:
            assert_never(wire)
